// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <chrono>
#include <set>
#include <sstream>
#include <thread>

#include "http/client.h"
#include "protocol/control_server.h"
#include "vectors.h"

// What the pages of the dashboard about jobs ask for, over a real store.
namespace jobmill::testing {
namespace {

using namespace std::chrono_literals;

Exchange get(std::string target) { return {.target = std::move(target)}; }
Exchange post(std::string target, std::string body = "") {
  return {.method = "POST", .target = std::move(target), .body = std::move(body)};
}
Exchange remove(std::string target) { return {.method = "DELETE", .target = std::move(target)}; }

// A server whose time a test moves, so that no two things happen at one instant.
struct Bench {
  ManualClock clock;
  ControlServer server;

  explicit Bench(ControlServerOptions options = {}) : server(clock, std::move(options)) {}

  http::Response call(const Exchange& exchange) {
    clock.advance(1ms);
    return ask(server, exchange);
  }
  Node found(const Exchange& exchange, int status = 200) {
    const auto response = call(exchange);
    CAPTURE(response.body);
    REQUIRE(response.status == status);
    return json(response);
  }
  int status(const Exchange& exchange) { return call(exchange).status; }

  std::string enqueue(const std::string& body = R"({"kind":"k"})") {
    return text(found(post("/v1/jobs", body), 201), "id");
  }

  std::string worker() {
    if (worker_.empty())
      worker_ =
          text(found(post("/v1/workers", R"({"name":"w","concurrency":1000})"), 201), "worker_id");
    return worker_;
  }
  std::vector<Node> claim(int max = 1) {
    auto answer =
        found(post("/v1/workers/" + worker() + "/claim", R"({"max":)" + std::to_string(max) + "}"));
    return std::move(answer.find("jobs")->items);
  }
  // Fails what waits, for good.
  void fail_all(const std::string& type = "smtp.Refused") {
    for (const Node& job : claim(1000))
      found(post("/v1/jobs/" + text(job, "id") + "/fail",
                 R"({"lock_token":")" + text(job, "lock_token") + R"(","type":")" + type +
                     R"(","message":"mailbox full","stack":"at send:3","retry":"never"})"));
  }

  Node search(const std::string& body) { return found(post("/api/jobs/search", body)); }
  double total(const std::string& filter) {
    return number(search(R"({"filter":)" + filter + "}"), "total");
  }

  // An operation that was started, when it has ended.
  Node ended(const http::Response& started) {
    CAPTURE(started.body);
    REQUIRE(started.status == 202);
    const std::string path = "/api/operations/" + text(json(started), "operationId");
    for (;;) {
      Node operation = found(get(path));
      if (text(operation, "state") != "running") return operation;
      std::this_thread::yield();
    }
  }

 private:
  std::string worker_;
};

std::vector<std::string> names(const Node& page) {
  std::vector<std::string> list;
  for (const Node& item : member(page, "items").items) list.push_back(text(item, "name"));
  return list;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("job pages: a search goes forward and back by cursors") {
  Bench bench;
  for (const char* name : {"a", "b", "c", "d", "e"})
    bench.enqueue(R"({"kind":"k","name":")" + std::string(name) + R"("})");
  const std::string head = R"({"filter":{"kind":"k"},"order":"createdAt:ASC","limit":2)";
  const Node first = bench.search(head + "}");
  CHECK(names(first) == Names{"a", "b"});
  CHECK_FALSE(has(first, "previous"));
  CHECK(number(first, "total") == 5);
  CHECK_FALSE(flag(first, "totalIsLowerBound"));
  const Node second = bench.search(head + R"(,"after":")" + text(first, "next") + R"("})");
  CHECK(names(second) == Names{"c", "d"});
  const Node back = bench.search(head + R"(,"before":")" + text(second, "previous") + R"("})");
  CHECK(names(back) == Names{"a", "b"});
  const Node last = bench.search(head + R"(,"last":true})");
  CHECK(names(last) == Names{"d", "e"});
  CHECK_FALSE(has(last, "next"));

  const Node other = bench.found(
      post("/api/jobs/search", R"({"limit":2,"after":")" + text(first, "next") + R"("})"), 400);
  CHECK(text(other, "parameter") == "after");
  const Node far = bench.found(post("/api/jobs/search", R"({"offset":10001})"), 400);
  CHECK(text(far, "detail").find("after=") != std::string::npos);
}

TEST_CASE("job pages: the list of jobs takes all filters, too, with cursors of its own") {
  Bench bench;
  for (const char* name : {"a", "b", "c"})
    bench.enqueue(R"({"kind":"k","labels":["l"],"name":")" + std::string(name) + R"("})");
  bench.enqueue(R"({"kind":"k","name":"d"})");
  const Node first = bench.found(get("/v1/jobs?label=l&limit=2"));
  CHECK(names(first) == Names{"c", "b"});
  const Node second = bench.found(get("/v1/jobs?label=l&after=" + text(first, "next")));
  CHECK(names(second) == Names{"a"});
  CHECK_FALSE(has(second, "next"));
  CHECK(names(bench.found(get("/v1/jobs?state=ENQUEUED"))).size() == 4);
  CHECK(bench.status(get("/v1/jobs?lable=l")) == 400);
  CHECK(bench.status(get("/v1/jobs?label=other&after=" + text(first, "next"))) == 400);
}

TEST_CASE("job pages: a failed job is found with its error") {
  Bench bench;
  bench.enqueue(R"({"kind":"mail.send","args":[{"customer":42}]})");
  bench.fail_all();
  const Node found = bench.search(
      R"({"filter":{"state":["FAILED"],"errorType":"smtp.Refused","arg":{"path":"0.customer","value":42}}})");
  REQUIRE(member(found, "items").items.size() == 1);
  const Node& error = member(member(found, "items").items[0], "error");
  CHECK(text(error, "type") == "smtp.Refused");
  CHECK(text(error, "message") == "mailbox full");
  CHECK(bench.total(R"({"failureFingerprint":")" + text(error, "fingerprint") + R"("})") == 1);
  CHECK(bench.total(R"({"arg":{"path":"0.customer","value":41}})") == 0);
}

TEST_CASE("job pages: counts, kinds and labels for completion") {
  Bench bench;
  bench.enqueue(R"({"kind":"b","labels":["tenant:x","y"]})");
  bench.enqueue(R"({"kind":"a","delay":"PT1H"})");
  const Node counts = bench.found(get("/api/jobs/counts"));
  CHECK(number(counts, "ENQUEUED") == 1);
  CHECK(number(counts, "SCHEDULED") == 1);
  CHECK(number(counts, "FAILED") == 0);
  CHECK(to_json(bench.found(get("/api/kinds"))) == R"(["a","b"])");
  CHECK(to_json(bench.found(get("/api/labels?prefix=ten"))) == R"(["tenant:x"])");
  CHECK(bench.status(get("/api/labels?prefx=ten")) == 400);
}

TEST_CASE("job pages: JobRunr's list starts with what is enqueued, and its requests lead on") {
  Bench bench;
  for (int i = 0; i < 5; ++i) bench.enqueue();
  bench.enqueue(R"({"kind":"k","delay":"PT1H"})");
  Node page = bench.found(get("/api/jobs?limit=2"));
  CHECK(number(page, "total") == 5);
  CHECK(number(page, "totalPages") == 3);
  std::set<std::string> seen;
  for (;;) {
    for (const Node& job : member(page, "items").items) {
      CHECK(text(job, "jobSignature") == "k()");
      CHECK(member(job, "jobHistory").items.size() == 1);
      seen.insert(text(job, "id"));
    }
    if (!flag(page, "hasNext")) break;
    page = bench.found(get("/api/jobs?" + text(page, "nextPageRequest")));
  }
  CHECK(seen.size() == 5);
  CHECK(number(page, "currentPage") == 2);
  CHECK(number(bench.found(get("/api/jobs?state=SCHEDULED&order=scheduledAt:ASC")), "total") == 1);
  CHECK(bench.status(get("/api/jobs?offset=10001")) == 400);
  CHECK(bench.status(get("/api/jobs?state=LOST")) == 400);
}

TEST_CASE("job pages: a job in JobRunr's shape carries what its handler told") {
  Bench bench;
  const std::string id = bench.enqueue(R"({"kind":"mail.send","args":["bob"],"meta":{"a":1}})");
  const Node job = bench.claim().at(0);
  const std::string token = R"({"lock_token":")" + text(job, "lock_token") + '"';
  CHECK(bench.status(post("/v1/jobs/" + id + "/logs",
                          token + R"(,"logs":[{"text":"one"},{"level":"ERROR","text":"two"}]})")) ==
        204);
  CHECK(bench.status(post("/v1/jobs/" + id + "/progress", token + R"(,"done":1,"total":4})")) ==
        204);
  const Node shown = bench.found(get("/api/jobs/" + id));
  const Node& metadata = member(shown, "metadata");
  CHECK(number(metadata, "a") == 1);
  CHECK(member(member(metadata, "jobRunrDashboardLog-2"), "logLines").items.size() == 2);
  CHECK(number(member(metadata, "jobRunrDashboardProgressBar-2"), "progress") == 25);
  const Node lines = bench.found(get("/api/jobs/" + id + "/logs?level=WARN"));
  CHECK(member(lines, "lines").items.size() == 1);
  CHECK(bench.status(get("/api/jobs/" + id + "/logs?level=LOUD")) == 400);
  CHECK(bench.status(get("/api/jobs/nothing")) == 404);
}

TEST_CASE("job pages: a job is scheduled anew, cloned with other arguments, and run again") {
  Bench bench;
  const std::string id = bench.enqueue(R"({"kind":"k","args":[1],"labels":["l"],"retries":3})");
  const std::string wish = R"({"run_at":"2024-06-01T00:00:00Z"})";
  CHECK(bench.status(post("/v1/jobs/" + id + "/schedule", wish)) == 204);
  const Node job = bench.found(get("/v1/jobs/" + id));
  CHECK(text(job, "state") == "SCHEDULED");
  CHECK(text(job, "run_at") == "2024-06-01T00:00:00Z");
  CHECK(bench.status(post("/api/jobs/" + id + "/requeue")) == 204);
  CHECK(bench.status(post("/api/jobs/" + id + "/requeue")) == 409);
  CHECK(bench.status(post("/api/jobs/" + id + "/schedule", "{}")) == 400);
  CHECK(bench.status(post("/api/jobs/nothing/schedule", wish)) == 404);

  const Node clone = bench.found(post("/api/jobs/" + id + "/clone", R"({"args":[2]})"), 201);
  const Node other = bench.found(get("/v1/jobs/" + text(clone, "id")));
  CHECK(to_json(member(other, "args")) == "[2]");
  CHECK(to_json(member(other, "labels")) == R"(["l"])");
  CHECK(number(other, "retries") == 3);
  CHECK(text(bench.found(post("/api/jobs", R"({"kind":"k"})"), 201), "state") == "ENQUEUED");
}

TEST_CASE("job pages: an operator cancels running jobs and deletes none") {
  ControlServerOptions options;
  options.users = {{"op", access::Password::plain("p"), "operator"},
                   {"ann", access::Password::plain("p"), "admin"},
                   {"eve", access::Password::plain("p"), "viewer"}};
  Bench bench(std::move(options));
  const auto as = [&](std::string user, Exchange exchange) {
    exchange.headers.set("Authorization", http::basic_authorization(user, "p"));
    return bench.call(exchange);
  };
  const auto enqueue = [&] {
    return text(json(as("op", post("/api/jobs", R"({"kind":"k"})"))), "id");
  };
  const std::string running = enqueue();
  const std::string worker =
      text(json(as("ann", post("/v1/workers", R"({"name":"w"})"))), "worker_id");
  CHECK(as("ann", post("/v1/workers/" + worker + "/claim", R"({"max":1})")).status == 200);
  const std::string waiting = enqueue();
  CHECK(as("eve", remove("/api/jobs/" + running)).status == 403);
  CHECK(as("op", remove("/api/jobs/" + running)).status == 204);
  CHECK(as("op", remove("/api/jobs/" + waiting)).status == 403);
  const std::string all = R"({"action":"delete","filter":{}})";
  CHECK(as("op", post("/api/jobs/bulk", all)).status == 403);
  CHECK(
      as("op", post("/api/jobs/bulk", R"({"action":"delete","filter":{},"dryRun":true})")).status ==
      200);
  CHECK(as("op", post("/api/jobs/bulk", R"({"action":"delete","filter":{"state":["PROCESSING"]}})"))
            .status == 202);
  CHECK(as("op", post("/api/queues/default/purge")).status == 403);
  CHECK(as("op", post("/api/failures/0123456789abcdef/delete")).status == 403);
  CHECK(as("eve", post("/api/queues/default/pause")).status == 403);
  CHECK(as("eve", get("/api/queues")).status == 200);
  CHECK(as("ann", remove("/api/jobs/" + waiting)).status == 204);
}

TEST_CASE("job pages: a bulk action does what its preview counted") {
  Bench bench;
  bench.found(post("/v1/jobs", R"({"kind":"k","queue":"mail","count":25})"), 201);
  bench.fail_all();
  bench.found(post("/v1/jobs", R"({"kind":"k","queue":"mail","count":5})"), 201);
  const std::string what = R"({"action":"requeue","filter":{"queue":"mail"})";
  const Node preview = bench.found(
      post("/api/jobs/bulk", R"({"action":"requeue","filter":{"queue":"mail"},"dryRun":true})"));
  CHECK(number(preview, "matching") == 25);
  CHECK_FALSE(flag(preview, "lowerBound"));
  const Node done = bench.ended(bench.call(post("/api/jobs/bulk", what + "}")));
  CHECK(text(done, "state") == "done");
  CHECK(number(done, "matching") == 25);
  CHECK(number(done, "done") == 25);
  CHECK(number(done, "failed") == 0);
  CHECK(bench.total(R"({"state":["ENQUEUED"]})") == 30);
}

TEST_CASE("job pages: jobs are moved, given priority and another time, by filter or by id") {
  Bench bench;
  const std::string a = bench.enqueue();
  const std::string b = bench.enqueue();
  const auto act = [&](const std::string& body) {
    return bench.ended(bench.call(post("/api/jobs/bulk", body)));
  };
  const Node moved =
      act(R"({"action":"move","ids":[")" + a + R"(","nothing"],"params":{"queue":"q"}})");
  CHECK(number(moved, "done") == 1);
  CHECK(number(moved, "failed") == 1);
  CHECK(text(bench.found(get("/v1/jobs/" + a)), "queue") == "q");
  act(R"({"action":"priority","filter":{"queue":"default"},"params":{"priority":7}})");
  CHECK(number(bench.found(get("/v1/jobs/" + b)), "priority") == 7);
  act(R"({"action":"reschedule","filter":{},"params":{"runAt":"2030-01-01T00:00:00Z"}})");
  CHECK(bench.total(R"({"state":["SCHEDULED"]})") == 2);
  act(R"({"action":"delete","filter":{"scheduledAfter":"2029-01-01T00:00:00Z"}})");
  CHECK(bench.total(R"({"state":["DELETED"]})") == 2);

  for (const char* body :
       {R"({"action":"move","filter":{}})", R"({"action":"requeue"})", R"({"filter":{}})",
        R"({"action":"explode","filter":{}})", R"({"action":"requeue","filter":{},"ids":["a"]})",
        R"({"action":"requeue","filter":{},"params":{"queue":"q"}})"})
    CHECK(bench.status(post("/api/jobs/bulk", body)) == 400);
  CHECK(bench.status(post(
            "/api/jobs/bulk",
            R"({"action":"move","filter":{"state":["FAILED"]},"params":{"queue":"q"}})")) == 409);
}

TEST_CASE("job pages: an operation cancelled at the half leaves the rest as it was") {
  Bench bench;
  bench.found(post("/v1/jobs", R"({"kind":"k","count":5000})"), 201);
  for (int i = 0; i < 5; ++i) bench.fail_all();
  REQUIRE(bench.total(R"({"state":["FAILED"]})") == 5000);
  // Cancelled as soon as a page of it is done.
  bench.server.operations().on_change([&](const api::Operation& operation) {
    if (operation.done == 2000) (void)bench.server.operations().cancel(operation.id);
  });
  const Node cancelled = bench.ended(
      bench.call(post("/api/jobs/bulk", R"({"action":"requeue","filter":{"state":["FAILED"]}})")));
  CHECK(text(cancelled, "state") == "cancelled");
  CHECK(number(cancelled, "matching") == 5000);
  const double done = number(cancelled, "done");
  CHECK(done >= 2000);
  CHECK(done < 5000);
  const Node counts = bench.found(get("/api/jobs/counts"));
  CHECK(number(counts, "ENQUEUED") == done);
  CHECK(number(counts, "FAILED") == 5000 - done);
  const std::string id = text(cancelled, "id");
  CHECK(bench.status(remove("/api/operations/" + id)) == 409);
  CHECK(bench.status(remove("/api/operations/nothing")) == 404);
  CHECK(bench.found(get("/api/operations")).items.size() == 1);
}

TEST_CASE("job pages: failures are one group for one cause, and are acted on together") {
  Bench bench;
  bench.found(post("/v1/jobs", R"({"kind":"k","count":3})"), 201);
  bench.fail_all();
  bench.enqueue();
  bench.fail_all("disk.Full");
  const Node page = bench.found(get("/api/failures?limit=10"));
  CHECK(number(page, "total") == 2);
  const Node& group = member(page, "items").items.at(1);
  CHECK(text(group, "type") == "smtp.Refused");
  CHECK(text(group, "topFrame") == "at send:3");
  CHECK(number(group, "count") == 3);
  CHECK_FALSE(flag(group, "muted"));
  const std::string path = "/api/failures/" + text(group, "fingerprint");

  CHECK(bench.status(post(path + "/mute", R"({"muted":true})")) == 204);
  CHECK(flag(member(bench.found(get("/api/failures")), "items").items.at(1), "muted"));
  CHECK(bench.status(post(path + "/mute", R"({"muted":false})")) == 204);
  CHECK_FALSE(flag(member(bench.found(get("/api/failures")), "items").items.at(1), "muted"));

  CHECK(number(bench.found(post(path + "/requeue", R"({"dryRun":true})")), "matching") == 3);
  CHECK(number(bench.ended(bench.call(post(path + "/requeue"))), "done") == 3);
  CHECK(bench.total(R"({"state":["FAILED"]})") == 1);
  CHECK(bench.status(post("/api/failures/none/requeue")) == 404);
}

TEST_CASE("job pages: a queue is paused, resumed and purged") {
  Bench bench;
  bench.found(post("/v1/jobs", R"({"kind":"k","queue":"mail","count":4})"), 201);
  bench.enqueue(R"({"kind":"k","queue":"mail","delay":"PT1H"})");
  CHECK(bench.claim().size() == 1);
  CHECK(bench.status(post("/v1/queues/mail/pause")) == 204);
  Node queue = bench.found(get("/api/queues/mail"));
  CHECK(flag(queue, "paused"));
  CHECK(number(queue, "enqueued") == 3);
  CHECK(number(queue, "consumable") == 0);
  CHECK(bench.claim().empty());
  CHECK(bench.status(post("/api/queues/mail/resume")) == 204);
  CHECK(number(bench.found(get("/api/queues/mail")), "consumable") == 3);
  CHECK(number(bench.found(post("/api/queues/mail/purge", R"({"dryRun":true})")), "matching") == 4);
  CHECK(number(bench.ended(bench.call(post("/api/queues/mail/purge"))), "done") == 4);
  queue = bench.found(get("/v1/queues/mail"));
  CHECK(number(queue, "enqueued") == 0);
  CHECK(number(queue, "scheduled") == 0);
  CHECK(number(queue, "processing") == 1);
  CHECK(bench.status(get("/api/queues/nothing")) == 404);
}

TEST_CASE("job pages: recurring jobs are shown in words, paused, run and looked ahead") {
  Bench bench;
  const auto put = [&](const std::string& body) {
    return bench.call({.method = "PUT", .target = "/v1/recurring/nightly", .body = body}).status;
  };
  CHECK(put(R"({"schedule":"0 2 * * *","spec":{"kind":"mail.report","labels":["night"]}})") == 201);
  Node page = bench.found(get("/api/recurring-jobs"));
  REQUIRE(member(page, "items").items.size() == 1);
  const Node& shown = member(page, "items").items[0];
  CHECK(text(shown, "human") == "every day at 02:00");
  CHECK(text(shown, "nextRun") == "2024-01-01T02:00:00Z");
  CHECK_FALSE(has(shown, "lastOutcome"));

  CHECK(bench.status(post("/api/recurring-jobs/nightly/pause")) == 204);
  CHECK(flag(bench.found(get("/api/recurring-jobs/nightly")), "paused"));
  CHECK(put(R"({"schedule":"0 3 * * *","spec":{"kind":"mail.report"}})") == 200);
  CHECK(flag(bench.found(get("/v1/recurring/nightly")), "paused"));
  CHECK(put(R"({"schedule":"0 3 * * *","paused":false,"spec":{"kind":"mail.report"}})") == 200);
  CHECK_FALSE(flag(bench.found(get("/v1/recurring/nightly")), "paused"));
  CHECK(bench.status(post("/v1/recurring/nightly/pause")) == 204);
  CHECK(bench.status(post("/v1/recurring/nightly/resume")) == 204);
  CHECK(bench.status(post("/v1/recurring/nothing/pause")) == 404);

  CHECK(bench.status(post("/api/recurring-jobs/nightly/trigger")) == 204);
  CHECK(bench.claim().size() == 1);
  CHECK(text(bench.found(get("/api/recurring-jobs/nightly")), "lastOutcome") == "PROCESSING");
  CHECK(member(bench.found(get("/api/recurring-jobs/nightly/runs")), "items").items.size() >= 2);

  const Node preview = bench.found(get("/api/recurring-jobs/nightly/preview?n=2"));
  REQUIRE(member(preview, "next").items.size() == 2);
  CHECK(text(member(preview, "next").items[1], "utc") == "2024-01-02T03:00:00Z");
  CHECK(text(bench.found(post("/v1/schedules/preview", R"({"schedule":"PT5M","n":1})")), "human") ==
        "every 5 minutes");
  CHECK(bench.status(post("/v1/schedules/preview", R"({"schedule":"PT5M","n":0})")) == 400);

  CHECK(number(bench.found(get("/api/recurring-jobs?text=REPORT")), "total") == 1);
  CHECK(number(bench.found(get("/api/recurring-jobs?text=other")), "total") == 0);
  CHECK(number(bench.found(get("/api/recurring-jobs?paused=true")), "total") == 0);
  CHECK(bench.status(remove("/api/recurring-jobs/nightly")) == 204);
}

TEST_CASE("job pages: who edits a recurring job that somebody else has changed is told") {
  Bench bench;
  const auto put = [&](const std::string& schedule, const std::string& seen) {
    Exchange exchange{.method = "PUT",
                      .target = "/api/recurring-jobs/nightly",
                      .body = R"({"schedule":")" + schedule + R"(","spec":{"kind":"k"}})"};
    if (!seen.empty()) exchange.headers.set("If-Match", seen);
    return bench.call(exchange);
  };
  CHECK(put("PT1H", "\"1\"").status == 412);
  CHECK(put("PT1H", "").status == 201);
  const auto shown = bench.call(get("/api/recurring-jobs/nightly"));
  const std::string first(shown.headers.get("ETag").value_or(""));
  CHECK(put("PT2H", first).status == 200);
  const auto refused = put("PT3H", first);
  CHECK(refused.status == 412);
  CHECK(text(json(refused), "code") == "version_conflict");
  CHECK(text(bench.found(get("/v1/recurring/nightly")), "scheduleExpression") == "PT2H");
}

TEST_CASE("job pages: a worker is shown with what it runs, and told what to do") {
  Bench bench;
  bench.enqueue(R"({"kind":"k","name":"mine"})");
  bench.claim();
  const Node servers = bench.found(get("/api/servers"));
  REQUIRE(servers.items.size() == 1);
  CHECK(number(servers.items[0], "occupiedWorkers") == 1);
  const std::string path = "/api/servers/" + bench.worker();
  CHECK(text(member(bench.found(get(path)), "jobs").items.at(0), "name") == "mine");
  CHECK(bench.status(post(path + "/quiet")) == 204);
  CHECK(text(bench.found(get(path)), "state") == "quiet");
  bench.enqueue();
  CHECK(bench.claim().empty());
  CHECK(bench.status(post(path + "/resume")) == 204);
  CHECK(bench.claim().size() == 1);
  CHECK(bench.status(post(path + "/drain")) == 204);
  CHECK(text(bench.found(get(path)), "state") == "stop");
  CHECK(bench.status(post("/api/servers/nothing/quiet")) == 404);
}

TEST_CASE("job pages: numbers of failed and running jobs") {
  Bench bench;
  bench.found(post("/v1/jobs", R"({"kind":"k","count":2})"), 201);
  bench.fail_all();
  bench.clock.advance(10min);
  bench.enqueue();
  bench.fail_all("jobmill.CrashLimit");
  bench.enqueue();
  bench.claim();
  bench.clock.advance(2s);
  const Node failed = bench.found(get("/api/metrics/jobs/failed"));
  CHECK(number(failed, "count") == 3);
  CHECK(number(failed, "last5m") == 1);
  CHECK(number(failed, "quarantined") == 1);
  const Node processing = bench.found(get("/api/metrics/jobs/processing"));
  CHECK(number(processing, "count") == 1);
  CHECK(number(processing, "oldestMs") >= 2000);
  CHECK(bench.found(get("/api/metrics/queues")).items.size() == 1);
}

TEST_CASE("job pages: a kind without a handler is a problem after five minutes") {
  Bench bench;
  const std::string worker =
      text(bench.found(post("/v1/workers", R"({"name":"w","kinds":["other"]})"), 201), "worker_id");
  bench.enqueue(R"({"kind":"lonely"})");
  CHECK(bench.found(get("/api/problems")).items.empty());
  for (int i = 0; i < 20; ++i) {  // the worker lives
    bench.clock.advance(20s);
    bench.found(post("/v1/workers/" + worker + "/beat", "{}"));
  }
  const Node problems = bench.found(get("/api/problems"));
  REQUIRE(problems.items.size() == 1);
  CHECK(text(problems.items[0], "type") == "jobs-not-found");
  CHECK(text(problems.items[0], "cause").find("lonely") != std::string::npos);
  CHECK(bench.status(remove("/api/problems/jobs-not-found")) == 409);
  CHECK(bench.status(remove("/api/problems/nothing")) == 404);
}

TEST_CASE("job pages: runs that nobody could make are a problem until they are dismissed") {
  Bench bench;
  CHECK(bench
            .call({.method = "PUT",
                   .target = "/v1/recurring/tick",
                   .body = R"({"schedule":"PT1M","spec":{"kind":"k"}})"})
            .status == 201);
  CHECK(bench.found(get("/api/problems")).items.empty());
  const auto miss = [&] {
    bench.clock.advance(10min);
    REQUIRE(bench.server.store().plan_recurring(bench.clock.now()));
    REQUIRE(bench.server.store().promote_due(bench.clock.now()));
  };
  miss();
  const Node problems = bench.found(get("/api/problems"));
  REQUIRE(problems.items.size() == 1);
  CHECK(text(problems.items[0], "type") == "recurring-missed");
  CHECK(text(problems.items[0], "cause").find("tick") != std::string::npos);
  CHECK(bench.status(remove("/api/problems/recurring-missed")) == 204);
  CHECK(bench.found(get("/api/problems")).items.empty());
  miss();
  CHECK(bench.found(get("/api/problems")).items.size() == 1);
}

TEST_CASE("job pages: a slow storage is a problem while it is slow") {
  ManualClock clock;
  const auto file = sqlite::SqliteFile::open(":memory:");
  REQUIRE(file);
  auto store = sqlite::open_job_store(**file, clock.now());
  REQUIRE(store);
  Duration call = 1ms;
  Duration elapsed{};
  jobs::MeteredJobStore metered(*std::move(store), [&] { return elapsed += call; });
  api::OpenProblems problems({.store = metered, .meter = &metered});
  const auto types = [&] {
    for (int i = 0; i < 20; ++i) REQUIRE(metered.queues(clock.now()));
    clock.advance(2min);
    const auto open = problems.list(clock.now());
    REQUIRE(open);
    std::vector<std::string> list;
    for (const api::OpenProblem& problem : *open) list.push_back(problem.type);
    return list;
  };
  CHECK(types().empty());
  call = 1s;
  CHECK(types() == Names{"storage-slow"});
  call = 1ms;
  CHECK(types().empty());
}

TEST_CASE("job pages: a problem that was dismissed comes back when it occurs anew") {
  Bench bench;
  const auto report = [&] {
    bench.clock.advance(1s);
    bench.server.problems().report({.type = "severe-jobmill-exception",
                                    .created_at = bench.clock.now(),
                                    .title = "Maintenance fails"});
  };
  report();
  CHECK(bench.found(get("/api/problems")).items.size() == 1);
  CHECK(bench.status(remove("/api/problems/severe-jobmill-exception")) == 204);
  report();  // the same one goes on
  CHECK(bench.found(get("/api/problems")).items.empty());
  bench.server.problems().resolve("severe-jobmill-exception");
  report();
  CHECK(bench.found(get("/api/problems")).items.size() == 1);
}

TEST_CASE("job pages: the server has an id that stays, and shows it as metadata") {
  Bench bench;
  const std::string id = text(bench.found(get("/api/cluster/cluster-id")), "clusterId");
  CHECK_FALSE(id.empty());
  CHECK(text(bench.found(get("/api/version")), "clusterId") == id);
  CHECK(text(bench.found(get("/api/metadata/id/cluster")), "value") == id);
  CHECK(bench.call(get("/api/metadata/id/cluster?format=jsonValue")).body == '"' + id + '"');
  CHECK(bench.status(get("/api/metadata/id/other")) == 404);
}

TEST_CASE("job pages: an export has a line for each job, and no formulas") {
  Bench bench;
  bench.found(post("/v1/jobs", R"({"kind":"k","name":"=cmd|x","count":2500})"), 201);
  const auto lines = [](const std::string& body) {
    std::vector<std::string> list;
    std::istringstream text(body);
    for (std::string line; std::getline(text, line);) list.push_back(line);
    return list;
  };
  // Over a socket, where the body is sent in parts.
  http::Client client;
  const auto fetched = [&](const std::string& target) {
    auto answer =
        client.fetch({.url = bench.server.url() + target, .timeout = std::chrono::seconds(60)});
    REQUIRE(answer);
    return *std::move(answer);
  };
  const auto csv = fetched("/api/export/jobs?format=csv&kind=k");
  CHECK(csv.headers.get("Content-Disposition") == "attachment; filename=\"jobs.csv\"");
  const auto rows = lines(csv.body);
  REQUIRE(rows.size() == 2501);
  CHECK(rows[0].starts_with("id,name,kind,"));
  CHECK(rows[1].find(",'=cmd|x,k,default,ENQUEUED,") != std::string::npos);
  const auto json_lines = lines(fetched("/api/export/jobs?format=jsonl&limit=1200").body);
  REQUIRE(json_lines.size() == 1200);
  CHECK(text(*parse_json(json_lines.back()), "kind") == "k");
  CHECK(lines(fetched("/api/export/jobs?state=FAILED").body).size() == 1);
  CHECK(bench.status(get("/api/export/jobs?format=xml")) == 400);
}

}  // namespace jobmill::testing
