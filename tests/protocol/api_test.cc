// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <chrono>

#include "protocol/control_server.h"
#include "raw_socket.h"
#include "vectors.h"

namespace jobmill::testing {
namespace {

using namespace std::chrono_literals;

Exchange post(std::string target, std::string body) {
  return {.method = "POST", .target = std::move(target), .body = std::move(body)};
}

constexpr auto kFourSlots = R"({"name":"w","concurrency":4})";

std::string register_worker(ControlServer& server, std::string body = R"({"name":"w"})") {
  const auto response = ask(server, post("/v1/workers", std::move(body)));
  REQUIRE(response.status == 201);
  return text(json(response), "worker_id");
}

std::string enqueue(ControlServer& server, std::string body = R"({"kind":"k"})") {
  const auto response = ask(server, post("/v1/jobs", std::move(body)));
  REQUIRE(response.status == 201);
  return text(json(response), "id");
}

std::string claim_path(const std::string& worker) { return "/v1/workers/" + worker + "/claim"; }

// Jobs are there or they are not.
Node claim_now(ControlServer& server, const std::string& worker, int max = 1) {
  return json(ask(server, post(claim_path(worker), R"({"max":)" + std::to_string(max) + "}")));
}

bool waits(const std::future<http::Response>& answer) {
  return answer.wait_for(0s) != std::future_status::ready;
}

http::Response wait_for(std::future<http::Response>& answer) {
  REQUIRE(answer.wait_for(60s) == std::future_status::ready);
  return answer.get();
}

}  // namespace

TEST_CASE("jobs API: one job, many jobs, and jobs by count") {
  ManualClock clock;
  ControlServer server(clock);

  const auto one = ask(server, post("/v1/jobs", R"({"kind":"mail","args":["bob",3]})"));
  CHECK(one.status == 201);
  CHECK(text(json(one), "state") == "ENQUEUED");
  CHECK(flag(json(one), "created"));

  const auto again = ask(server, post("/v1/jobs", R"({"kind":"mail","args":["bob",3],"id":")" +
                                                      text(json(one), "id") + R"("})"));
  CHECK(again.status == 200);
  CHECK_FALSE(flag(json(again), "created"));

  const auto many = ask(server, post("/v1/jobs", R"({"jobs":[{"kind":"a"},{"kind":"b"}]})"));
  CHECK(many.status == 201);
  CHECK(member(json(many), "jobs").items.size() == 2);

  const auto counted = ask(server, post("/v1/jobs", R"({"kind":"a","count":40,"name":"n{i}"})"));
  CHECK(counted.status == 201);
  CHECK(member(json(counted), "jobs").items.size() == 10);
  CHECK(number(json(counted), "count") == 40);
  const std::string twice = R"({"jobs":[{"kind":"a","id":"x"},{"kind":"a","id":"x"}]})";
  CHECK(number(json(ask(server, post("/v1/jobs", twice))), "count") == 2);
  CHECK(number(json(ask(server, post("/v1/jobs", twice))), "count") == 2);
}

TEST_CASE("jobs API: a job is shown with what it was asked for, and its history on request") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string id =
      enqueue(server,
              R"({"kind":"mail","named":{"to":"bob"},"queue":"q","priority":4,"labels":["tenant:a"],
          "retries":2,"meta":{"x":1},"delay":"PT1M"})");

  const Node job = json(ask(server, {.target = "/v1/jobs/" + id}));
  CHECK(text(job, "state") == "SCHEDULED");
  CHECK(to_json(member(job, "named")) == R"({"to":"bob"})");
  CHECK(number(job, "priority") == 4);
  CHECK(number(job, "max_attempts") == 3);
  CHECK(text(job, "run_at") == "2024-01-01T00:01:00Z");
  CHECK_FALSE(has(job, "history"));

  const Node whole = json(ask(server, {.target = "/v1/jobs/" + id + "?history=1"}));
  REQUIRE(member(whole, "history").items.size() == 1);
  CHECK(text(member(whole, "history").items[0], "state") == "SCHEDULED");
  CHECK(text(member(whole, "history").items[0], "scheduledAt") == "2024-01-01T00:01:00Z");
}

TEST_CASE("jobs API: a body is read strictly, and every fault is named") {
  ManualClock clock;
  ControlServer server(clock);

  const auto refused = [&](const std::string& body) {
    const auto response = ask(server, post("/v1/jobs", body));
    CHECK(response.status == 400);
    CHECK(response.headers.get("Content-Type") == "application/problem+json");
    return json(response);
  };
  const auto reason = [](const Node& problem, std::size_t i) {
    return text(member(problem, "errors").items.at(i), "field") + ": " +
           text(member(problem, "errors").items.at(i), "reason");
  };

  CHECK(reason(refused(R"({"kind":"k","conut":3})"), 0) ==
        "conut: unknown field; did you mean 'count'?");
  CHECK(reason(refused(R"({"kind":"k","mutex":"m"})"), 0) == "mutex: unknown field");
  CHECK(reason(refused(R"({"kind":3,"priority":12})"), 0) == "kind: expected string, got integer");
  CHECK(reason(refused(R"({"kind":3,"priority":12})"), 1) ==
        "priority: expected an integer from 0 to 9");
  CHECK(reason(refused(R"({"queue":"q"})"), 0) == "kind: is required");
  CHECK(reason(refused(R"({"kind":"k","run_at":"2024-01-01T00:00:00Z","delay":"PT1M"})"), 0) ==
        "delay: excludes run_at");
  CHECK(reason(refused(R"({"kind":"k","id":"x","count":2})"), 0) == "count: excludes id");
  CHECK(
      reason(refused(R"({"kind":"k","delay":"-PT1M"})"), 0).starts_with("delay: expected an ISO"));
  CHECK(text(refused(R"({"kind":"k","count":1000001})"), "parameter") == "count");
  CHECK(text(refused(R"({"jobs":[{"kind":"k"},{"kind":""}]})"), "parameter") == "jobs[1].kind");
  const Node labels = refused(R"({"jobs":[{"kind":"k"},{"kind":"k","labels":["a","a"]}]})");
  CHECK(text(labels, "parameter") == "jobs[1].labels");
  CHECK(reason(labels, 0) == "jobs[1].labels: must be distinct");
  CHECK(reason(refused(R"({"kind":"k","labels":[""]})"), 0) == "labels: must not be empty");
  CHECK(reason(refused(R"({"kind":"k","queue":""})"), 0) == "queue: must not be empty");
  CHECK(text(refused("{"), "code") == "invalid_argument");
  CHECK(reason(refused("{"), 0).starts_with("body: "));
  CHECK(text(refused("[]"), "detail") == "the body must be a JSON object");
  CHECK(reason(refused("[]"), 0) == "body: the body must be a JSON object");
  CHECK(json(ask(server, {.target = "/v1/jobs"})).find("items")->items.empty());
}

TEST_CASE("jobs API: the same id with another payload is a conflict") {
  ManualClock clock;
  ControlServer server(clock);
  const auto enqueue = [&](const std::string& body) { return ask(server, post("/v1/jobs", body)); };
  CHECK(enqueue(R"({"kind":"k","id":"a","args":[1]})").status == 201);
  CHECK(enqueue(R"({"kind":"k","id":"a","args":[1],"delay":"PT5M"})").status == 200);
  const auto other = enqueue(R"({"kind":"k","id":"a","args":[2]})");
  CHECK(other.status == 409);
  CHECK(text(json(other), "code") == "idempotency_conflict");
  CHECK(text(json(other), "parameter") == "id");
  const auto many = enqueue(R"({"jobs":[{"kind":"k"},{"kind":"k","id":"a"}]})");
  CHECK(many.status == 409);
  CHECK(text(json(many), "parameter") == "jobs[1].id");
  CHECK(json(ask(server, {.target = "/v1/jobs"})).find("items")->items.size() == 1);
}

TEST_CASE("jobs API: other media types, large arguments, unknown paths and verbs") {
  ManualClock clock;
  ControlServer server(clock);
  Exchange form = post("/v1/jobs", "kind=k");
  form.headers.set("Content-Type", "application/x-www-form-urlencoded");
  CHECK(ask(server, form).status == 415);

  const std::string large(jobs::kMaxPayloadBytes, 'x');
  const auto too_large =
      ask(server, post("/v1/jobs", R"({"kind":"k","args":[")" + large + R"("]})"));
  CHECK(too_large.status == 413);
  CHECK(text(json(too_large), "code") == "payload_too_large");

  CHECK(ask(server, {.target = "/v1/nothing"}).status == 404);
  const auto wrong_verb = ask(server, {.method = "PATCH", .target = "/v1/jobs"});
  CHECK(wrong_verb.status == 405);
  CHECK(wrong_verb.headers.get("Allow") == "POST, GET");
  CHECK(ask(server, {.target = "/v1/jobs/unknown"}).status == 404);
  const auto cursor = ask(server, {.target = "/v1/jobs?after=x"});
  CHECK(cursor.status == 400);
  CHECK(text(member(json(cursor), "errors").items.at(0), "field") == "after");
  const auto parameter = ask(server, {.target = "/v1/jobs?stat=FAILED"});
  CHECK(parameter.status == 400);
  CHECK(text(json(parameter), "detail") == "stat: unknown parameter; did you mean 'state'?");
}

TEST_CASE("jobs API: lists are paged and filtered, jobs deleted and requeued") {
  ManualClock clock;
  ControlServer server(clock);
  for (int i = 0; i < 3; ++i) enqueue(server);
  const std::string other = enqueue(server, R"({"kind":"k","queue":"other","id":"my/own id"})");

  Node page = json(ask(server, {.target = "/v1/jobs?queue=default&limit=2"}));
  CHECK(member(page, "items").items.size() == 2);
  page =
      json(ask(server, {.target = "/v1/jobs?queue=default&limit=2&after=" + text(page, "next")}));
  CHECK(member(page, "items").items.size() == 1);
  CHECK_FALSE(has(page, "next"));

  const Exchange remove{.method = "DELETE", .target = "/v1/jobs/my%2Fown%20id"};
  CHECK(ask(server, remove).status == 204);
  const auto twice = ask(server, remove);
  CHECK(twice.status == 409);
  CHECK(text(json(twice), "code") == "illegal_transition");
  CHECK(ask(server, post("/v1/jobs/" + other + "/requeue", "")).status == 204);
  CHECK(text(json(ask(server, {.target = "/v1/jobs/" + other})), "state") == "ENQUEUED");
}

TEST_CASE("worker API: a job from claim to completion") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string id = enqueue(server, R"({"kind":"mail","args":["bob"]})");
  const std::string worker = register_worker(server, R"({"name":"w","concurrency":4,"kinds":[]})");

  const Node claimed = claim_now(server, worker);
  CHECK(text(claimed, "state") == "run");
  REQUIRE(member(claimed, "jobs").items.size() == 1);
  const Node& job = member(claimed, "jobs").items[0];
  CHECK(text(job, "id") == id);
  CHECK(to_json(member(job, "args")) == R"(["bob"])");
  CHECK(number(job, "attempt") == 1);
  CHECK(text(job, "lease_until") == "2024-01-01T00:00:30Z");

  const Node shown = json(ask(server, {.target = "/v1/workers/" + worker}));
  CHECK(number(shown, "workerPoolSize") == 4);
  CHECK(number(shown, "occupiedWorkers") == 1);

  const std::string body = R"({"lock_token":")" + text(job, "lock_token") + R"("})";
  CHECK(ask(server, post("/v1/jobs/" + id + "/complete", body)).status == 204);
  const auto twice = ask(server, post("/v1/jobs/" + id + "/complete", body));
  CHECK(twice.status == 409);
  CHECK(text(json(twice), "code") == "lease_lost");
  const std::string misspelt = R"({"lock_token":"x","reslut":1})";
  CHECK(ask(server, post("/v1/jobs/" + id + "/complete", misspelt)).status == 400);
}

TEST_CASE("worker API: many settlements in one request, each with its outcome") {
  ManualClock clock;
  ControlServer server(clock);
  for (int i = 0; i < 3; ++i) enqueue(server);
  const std::string worker = register_worker(server, kFourSlots);
  const Node claimed = claim_now(server, worker, 3);
  const auto& jobs = member(claimed, "jobs").items;
  REQUIRE(jobs.size() == 3);
  const auto item = [&](std::size_t i, const std::string& more = "") {
    return R"({"id":")" + text(jobs[i], "id") + R"(","lock_token":")" +
           text(jobs[i], "lock_token") + "\"" + more + "}";
  };

  const Node answer =
      json(ask(server, post("/v1/workers/" + worker + "/settle",
                            R"({"complete":[)" + item(0) + "," + item(0) + R"(],"fail":[)" +
                                item(1, R"(,"type":"E","message":"m","retry":{"after_s":60})") +
                                R"(],"release":[)" + item(2) + "]}")));
  const auto& results = member(answer, "results").items;
  REQUIRE(results.size() == 4);
  CHECK(number(results[0], "status") == 204);
  CHECK(number(results[1], "status") == 409);
  CHECK(text(results[1], "code") == "lease_lost");
  CHECK(text(results[2], "state") == "SCHEDULED");
  CHECK(text(results[2], "run_at") == "2024-01-01T00:01:00Z");
  CHECK(number(results[3], "status") == 204);
}

TEST_CASE("worker API: the worker of a settlement's path must be there, and hold the job") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string holder = register_worker(server), other = register_worker(server);
  enqueue(server);
  const Node job = claim_now(server, holder).find("jobs")->items.at(0);
  const auto settle = [&](const std::string& worker) {
    return ask(server, post("/v1/workers/" + worker + "/settle",
                            R"({"complete":[{"id":")" + text(job, "id") + R"(","lock_token":")" +
                                text(job, "lock_token") + R"("}]})"));
  };
  CHECK(settle("nobody").status == 410);
  CHECK(text(json(settle("nobody")), "code") == "worker_gone");
  CHECK(text(json(settle(other)).find("results")->items.at(0), "code") == "lease_lost");
  CHECK(number(json(settle(holder)).find("results")->items.at(0), "status") == 204);
}

TEST_CASE("worker API: a claim gives at most what the worker has slots and prefetch for") {
  ManualClock clock;
  ControlServer server(clock);
  CHECK(ask(server, post("/v1/jobs", R"({"kind":"k","count":20})")).status == 201);
  const std::string worker =
      register_worker(server, R"({"name":"w","concurrency":4,"prefetch":2})");
  CHECK(claim_now(server, worker, 10).find("jobs")->items.size() == 6);
}

TEST_CASE("worker API: a beat tells what to cancel and how to go on") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string id = enqueue(server);
  const std::string worker = register_worker(server);
  const Node claimed = claim_now(server, worker);
  const std::string lease = R"({"id":")" + id + R"(","lock_token":")" +
                            text(member(claimed, "jobs").items[0], "lock_token") + R"("})";
  CHECK(ask(server, {.method = "DELETE", .target = "/v1/jobs/" + id}).status == 204);
  REQUIRE(server.store().set_worker_state(worker, jobs::WorkerState::Quiet, {}, clock.now()));

  const Node answer = json(ask(server, post("/v1/workers/" + worker + "/beat",
                                            R"({"running":[)" + lease + R"(],"cpu":0.5})")));
  CHECK(text(answer, "state") == "quiet");
  CHECK(number(answer, "lease_s") == 30);
  REQUIRE(member(answer, "cancel").items.size() == 1);
  CHECK(text(member(answer, "cancel").items[0], "reason") == "deleted");

  const auto gone = ask(server, post("/v1/workers/nobody/beat", "{}"));
  CHECK(gone.status == 410);
  CHECK(text(json(gone), "code") == "worker_gone");
}

TEST_CASE("worker API: another protocol is refused with what is spoken here") {
  ManualClock clock;
  ControlServer server(clock);
  const auto response = ask(server, post("/v1/workers", R"({"name":"w","protocol":2})"));
  CHECK(response.status == 426);
  CHECK(to_json(member(json(response), "supported")) == "[1]");
}

TEST_CASE("worker API: a worker's token speaks for that worker alone") {
  ManualClock clock;
  ControlServerOptions options;
  options.users = {{"root", access::Password::plain("pw"), "admin"}};
  ControlServer server(clock, options);
  const auto as = [](const std::string& authorization, Exchange exchange) {
    exchange.headers.set("Authorization", authorization);
    return exchange;
  };
  const std::string root = http::basic_authorization("root", "pw");
  CHECK(ask(server, post("/v1/workers", R"({"name":"w"})")).status == 401);
  const Node first = json(ask(server, as(root, post("/v1/workers", R"({"name":"w"})"))));
  const Node second = json(ask(server, as(root, post("/v1/workers", R"({"name":"w"})"))));

  const std::string token = "Bearer " + text(first, "token");
  const auto claim = [&](const Node& worker) {
    return ask(server, as(token, post(claim_path(text(worker, "worker_id")), "{}"))).status;
  };
  CHECK(claim(first) == 200);
  CHECK(claim(second) == 403);
  CHECK(ask(server, as(token, post("/v1/jobs", R"({"kind":"k"})"))).status == 403);
  CHECK(ask(server, as(token + "0", post(claim_path(text(first, "worker_id")), "{}"))).status ==
        401);
}

TEST_CASE("long poll: a claim is held until there is a job that it can take") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string worker =
      register_worker(server, R"({"name":"w","queues":["mail"],"kinds":["send"]})");
  auto held = start(server, post(claim_path(worker), R"({"wait_ms":30000})"));
  enqueue(server, R"({"kind":"send","queue":"other"})");
  enqueue(server, R"({"kind":"other","queue":"mail"})");
  CHECK(waits(held));

  const std::string id = enqueue(server, R"({"kind":"send","queue":"mail"})");
  const Node claimed = json(wait_for(held));
  REQUIRE(member(claimed, "jobs").items.size() == 1);
  CHECK(text(member(claimed, "jobs").items[0], "id") == id);
}

TEST_CASE("long poll: many jobs at once reach all who wait") {
  ManualClock clock;
  ControlServer server(clock);
  std::vector<std::future<http::Response>> held;
  for (int i = 0; i < 5; ++i)
    held.push_back(start(server, post(claim_path(register_worker(server, kFourSlots)),
                                      R"({"max":4,"wait_ms":30000})")));
  CHECK(ask(server, post("/v1/jobs", R"({"kind":"k","count":20})")).status == 201);
  for (auto& answer : held) CHECK(member(json(wait_for(answer)), "jobs").items.size() == 4);
}

TEST_CASE("long poll: ends empty when its time is up") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string worker = register_worker(server);
  const Node answer = json(ask(server, post(claim_path(worker), R"({"wait_ms":10})")));
  CHECK(member(answer, "jobs").items.empty());
  CHECK(text(answer, "state") == "run");
}

TEST_CASE("long poll: a quiet worker is held, and gets jobs as soon as it may run again") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string worker = register_worker(server);
  REQUIRE(server.store().set_worker_state(worker, jobs::WorkerState::Quiet, {}, clock.now()));
  enqueue(server);
  auto held = start(server, post(claim_path(worker), R"({"wait_ms":30000})"));
  CHECK(waits(held));

  REQUIRE(server.store().set_worker_state(worker, jobs::WorkerState::Run, {}, clock.now()));
  CHECK(member(json(wait_for(held)), "jobs").items.size() == 1);
}

TEST_CASE("long poll: a worker has one claim at a time, and none when it has left") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string worker = register_worker(server);
  std::vector<std::future<http::Response>> held;
  for (int i = 0; i < 2; ++i)
    held.push_back(start(server, post(claim_path(worker), R"({"wait_ms":30000})")));

  // Whichever was parked first ends. The limit is for broken code.
  std::size_t ended = 0;
  for (int i = 0; i < 60'000 && waits(held[ended]); ++i) {
    ended = 1 - ended;
    (void)held[ended].wait_for(1ms);
  }
  CHECK(member(json(wait_for(held[ended])), "jobs").items.empty());
  CHECK(ask(server, {.method = "DELETE", .target = "/v1/workers/" + worker}).status == 204);
  wait_for(held[1 - ended]);
  CHECK(ask(server, post(claim_path(worker), "{}")).status == 410);
}

TEST_CASE("long poll: a client that goes away takes no job with it") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string gone = register_worker(server);
  const std::string here = register_worker(server);
  {
    const std::string body = R"({"wait_ms":30000})";
    RawSocket socket(server.address());
    socket.send("POST " + claim_path(gone) + " HTTP/1.1\r\nHost: x\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  auto held = start(server, post(claim_path(here), R"({"wait_ms":30000})"));
  const std::string id = enqueue(server);
  CHECK(text(member(json(wait_for(held)), "jobs").items.at(0), "id") == id);
}

TEST_CASE("long poll: a server that stops sends everyone away") {
  ManualClock clock;
  ControlServer server(clock);
  auto held = start(server, post(claim_path(register_worker(server)), R"({"wait_ms":30000})"));
  server.on_loop([&] { server.waiters().stop(); });
  const auto response = wait_for(held);
  CHECK(response.status == 503);
  CHECK(response.headers.get("Retry-After") == "1");
}

TEST_CASE("recurring API: put, list, trigger and delete") {
  ManualClock clock;
  ControlServer server(clock);
  const Exchange put{.method = "PUT",
                     .target = "/v1/recurring/nightly",
                     .body = R"({"schedule":"0 2 * * *","zone":"Europe/Brussels","missed":"within",
                  "missed_within":"PT15M","spec":{"kind":"report","args":[1],"queue":"low"}})"};
  CHECK(ask(server, put).status == 201);
  const auto again = ask(server, put);
  CHECK(again.status == 200);
  const Node shown = json(again);
  CHECK(text(shown, "id") == "nightly");
  CHECK(text(shown, "scheduleExpression") == "0 2 * * *");
  CHECK(text(shown, "zoneId") == "Europe/Brussels");
  CHECK(text(shown, "missedWithin") == "PT15M");
  CHECK(text(shown, "nextRun") == "2024-01-01T01:00:00Z");
  CHECK(text(member(shown, "spec"), "kind") == "report");

  CHECK(text(shown, "dst") == "real-time");
  CHECK(json(ask(server, {.target = "/v1/recurring"})).items.size() == 1);
  const auto triggered = ask(server, post("/v1/recurring/nightly/trigger", ""));
  CHECK(triggered.status == 201);
  CHECK(ask(server, {.target = "/v1/jobs/" + text(json(triggered), "id")}).status == 200);
  CHECK(ask(server, {.method = "DELETE", .target = "/v1/recurring/nightly"}).status == 204);
  CHECK(ask(server, {.target = "/v1/recurring/nightly"}).status == 404);

  Exchange wrong = put;
  const auto field = [&](const std::string& more) {
    wrong.body = R"({"schedule":"PT1H","spec":{"kind":"report"})" + more + "}";
    const auto refused = ask(server, wrong);
    CHECK(refused.status == 400);
    return text(member(json(refused), "errors").items.at(0), "field");
  };
  CHECK(field(R"(,"dst":"none")") == "dst");
  CHECK(field(R"(,"zone":"Nowhere/Town")") == "zone");
  CHECK(field(R"(,"max_concurrent":2)") == "max_concurrent");
  wrong.target = "/v1/recurring/no%20blanks";
  CHECK(field("") == "id");
  wrong = put;
  wrong.body = R"({"schedule":"never","spec":{"kind":"report"}})";
  CHECK(text(member(json(ask(server, wrong)), "errors").items.at(0), "field") == "schedule");
  wrong.body = R"({"schedule":"0 2 30 2 *","spec":{"kind":"report"}})";
  CHECK(ask(server, wrong).status == 400);
  wrong.body = R"({"schedule":"PT1H","missed":"within","spec":{"kind":"report"}})";
  CHECK(text(json(ask(server, wrong)), "detail") ==
        "missed_within: is required with missed: within");
}

TEST_CASE("queues API: what waits where, and for how long") {
  ManualClock clock;
  ControlServer server(clock);
  enqueue(server, R"({"kind":"k","queue":"mail"})");
  clock.advance(1500ms);
  const Node queues = json(ask(server, {.target = "/v1/queues"}));
  REQUIRE(queues.items.size() == 1);
  CHECK(text(queues.items[0], "queue") == "mail");
  CHECK(number(queues.items[0], "enqueued") == 1);
  CHECK(number(queues.items[0], "oldestMs") == 1500);
}

namespace {

constexpr std::string_view kScheduled = "/api/metrics/jobs/scheduled?runInMax=PT2M";
constexpr std::string_view kEnqueued = "/api/metrics/jobs/enqueued";

Exchange waiting_for(std::string_view target, const http::Response& known,
                     const std::string& prefer = "wait=30") {
  Exchange exchange{.target = std::string(target)};
  exchange.headers.set("If-None-Match", std::string(*known.headers.get("ETag")));
  exchange.headers.set("Prefer", prefer);
  return exchange;
}

}  // namespace

TEST_CASE("waiting read: is held until the value changes") {
  ManualClock clock;
  ControlServer server(clock);
  const auto known = ask(server, {.target = std::string(kScheduled)});
  CHECK(known.headers.get("Vary") == "Prefer");
  auto held = start(server, waiting_for(kScheduled, known));
  enqueue(server, R"({"kind":"k","delay":"PT3M"})");
  CHECK(waits(held));

  CHECK(ask(server, post("/v1/jobs", R"({"kind":"k","count":40,"delay":"PT2M"})")).status == 201);
  const auto changed = wait_for(held);
  CHECK(changed.status == 200);
  CHECK(changed.body == R"({"count":40})");
  CHECK(changed.headers.get("ETag") != known.headers.get("ETag"));
}

TEST_CASE("waiting read: ends with 304 when nothing has changed, and at once without a wait") {
  ManualClock clock;
  ControlServer server(clock);
  const auto known = ask(server, {.target = "/api/metrics/workers"});
  CHECK(known.body == R"({"usage":0.0,"totalWorkers":0,"occupiedWorkers":0})");
  CHECK(ask(server, waiting_for("/api/metrics/workers", known, "wait=0")).status == 304);
  Exchange plain{.target = "/api/metrics/workers"};
  plain.headers.set("If-None-Match", std::string(*known.headers.get("ETag")));
  CHECK(ask(server, plain).status == 304);
}

TEST_CASE("waiting read: time alone moves a job into the window") {
  SystemClock clock;
  ControlServer server(clock);
  const auto known = ask(server, {.target = std::string(kScheduled)});
  auto held = start(server, waiting_for(kScheduled, known));
  enqueue(server, R"({"kind":"k","delay":"PT2M0.2S"})");
  CHECK(wait_for(held).body == R"({"count":1})");
}

TEST_CASE("waiting read: a latency that leaves zero is a change, one that grows is none") {
  ManualClock clock;
  ControlServer server(clock);
  enqueue(server);
  const auto young = ask(server, {.target = std::string(kEnqueued)});
  CHECK(young.body == R"({"latency":0,"count":1})");
  auto held = start(server, waiting_for(kEnqueued, young));
  clock.advance(5ms);
  const auto grown = wait_for(held);
  CHECK(grown.body == R"({"latency":5,"count":1})");

  clock.advance(5ms);
  held = start(server, waiting_for(kEnqueued, grown));
  register_worker(server);  // some change, which wakes every reader
  CHECK(waits(held));
  enqueue(server);
  CHECK(wait_for(held).body == R"({"latency":10,"count":2})");
}

TEST_CASE("metrics API: both published forms of the parameters") {
  ManualClock clock;
  ControlServer server(clock);
  enqueue(server, R"({"kind":"k","queue":"mail"})");
  clock.advance(1500ms);
  const auto body = [&](const std::string& query) {
    return ask(server, {.target = std::string(kEnqueued) + query}).body;
  };
  CHECK(body("?unit=s") == R"({"latency":1.5,"count":1})");
  CHECK(body("?priority=0") == R"({"latency":1500,"count":1})");
  CHECK(body("?priority=7") == R"({"latency":0,"count":0})");
  CHECK(body("?queue=mail&api_key=x") == R"({"latency":1500,"count":1})");
  CHECK(ask(server, {.target = std::string(kEnqueued) + "?unit=h"}).status == 400);
  CHECK(ask(server, {.target = std::string(kEnqueued) + "?queue=a&priority=b"}).status == 400);
  CHECK(ask(server, {.target = std::string(kScheduled) + "&scheduledIn=PT120S"}).status == 200);
  CHECK(ask(server, {.target = std::string(kScheduled) + "&scheduledIn=PT3M"}).status == 400);
  CHECK(ask(server, {.method = "POST", .target = std::string(kEnqueued)}).status == 405);
  CHECK(ask(server, {.method = "HEAD", .target = std::string(kEnqueued)}).status == 405);
  CHECK(ask(server, {.method = "HEAD", .target = "/v1/jobs"}).status == 200);
}

TEST_CASE("an idle worker that asks again and again costs no statement") {
  ManualClock clock;
  ControlServer server(clock);
  const std::string worker = register_worker(server);
  const auto before = server.transactions();
  for (int i = 0; i < 10; ++i) {
    CHECK(ask(server, post(claim_path(worker), R"({"wait_ms":1})")).status == 200);
    CHECK(ask(server, post("/v1/workers/" + worker + "/beat", "{}")).status == 200);
    CHECK(ask(server, {.target = std::string(kScheduled)}).status == 200);
  }
  CHECK(server.transactions() == before);
}

}  // namespace jobmill::testing
