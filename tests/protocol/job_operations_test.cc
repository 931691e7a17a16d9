// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <chrono>

#include "protocol/control_server.h"
#include "vectors.h"

// What jobs tell and return, and when, as requests and answers.
namespace jobmill::testing {
namespace {

using namespace std::chrono_literals;

constexpr auto kParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Desk {
  ManualClock clock;
  ControlServer server{clock};

  http::Response post(const std::string& target, const std::string& body,
                      const http::Headers& headers = {}) {
    return ask(server, {.method = "POST", .target = target, .body = body, .headers = headers});
  }
  Node get(const std::string& target) { return json(ask(server, {.target = target})); }

  std::string enqueue(const std::string& body = R"({"kind":"k"})") {
    const auto response = post("/v1/jobs", body);
    REQUIRE(response.status == 201);
    return text(json(response), "id");
  }

  std::string worker() {
    return text(json(post("/v1/workers", R"({"name":"w","concurrency":10})")), "worker_id");
  }

  Node claim(const std::string& worker) {
    const Node answer = json(post("/v1/workers/" + worker + "/claim", R"({"max":1})"));
    REQUIRE(member(answer, "jobs").items.size() == 1);
    return member(answer, "jobs").items[0];
  }

  // A request of the worker that holds the job; `more` are further members of its body.
  http::Response tell(const Node& job, const std::string& verb, const std::string& more = "") {
    return post("/v1/jobs/" + text(job, "id") + "/" + verb, "{" + token(job) + more + "}");
  }

  static std::string token(const Node& job) {
    return R"("lock_token":")" + text(job, "lock_token") + "\"";
  }
};

std::string first_error(const http::Response& response) {
  const Node problem = json(response);
  const Node& error = member(problem, "errors").items.at(0);
  return text(error, "field") + ": " + text(error, "reason");
}

}  // namespace

TEST_CASE("job operations: what a job says of itself comes to its worker") {
  Desk desk;
  const std::string id = desk.enqueue(
      R"({"kind":"k","retry":{"delays":[5,"PT1M"],"jitter":0.5},"timeout_s":90,
          "progress_timeout_s":"PT30S","result_ttl":"PT2H",
          "trace":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                   "tracestate":"a=1"}})");
  const Node shown = desk.get("/v1/jobs/" + id);
  CHECK(to_json(member(shown, "retry")) == R"({"delays":[5,60],"jitter":0.5})");
  CHECK(number(shown, "max_attempts") == 3);
  CHECK(number(shown, "progress_timeout_s") == 30);
  CHECK(text(shown, "result_ttl") == "PT2H");
  CHECK_FALSE(has(shown, "deadline"));

  const Node job = desk.claim(desk.worker());
  CHECK(number(job, "timeout_s") == 90);
  CHECK(text(job, "deadline") == "2024-01-01T00:01:30Z");
  CHECK(text(member(job, "trace"), "traceparent") == kParent);
  CHECK(text(member(job, "trace"), "tracestate") == "a=1");
  CHECK(text(desk.get("/v1/jobs/" + id), "deadline") == "2024-01-01T00:01:30Z");
}

TEST_CASE("job operations: the trace of the request is that of its jobs") {
  Desk desk;
  http::Headers headers;
  headers.set("traceparent", kParent);
  headers.set("tracestate", "b=2");
  const std::string other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
  const auto many = desk.post(
      "/v1/jobs",
      R"({"jobs":[{"kind":"k"},{"kind":"k","trace":{"traceparent":")" + other + R"("}}]})",
      headers);
  REQUIRE(many.status == 201);
  const Node answer = json(many);
  const auto trace = [&](std::size_t i) {
    const Node job = desk.get("/v1/jobs/" + text(member(answer, "jobs").items[i], "id"));
    return to_json(member(job, "trace"));
  };
  CHECK(trace(0) == R"({"traceparent":")" + std::string(kParent) + R"(","tracestate":"b=2"})");
  CHECK(trace(1) == R"({"traceparent":")" + other + R"("})");

  headers.set("traceparent", "nonsense");  // is passed over, as tracing must not break a request
  const auto plain = desk.post("/v1/jobs", R"({"kind":"k"})", headers);
  REQUIRE(plain.status == 201);
  CHECK_FALSE(has(desk.get("/v1/jobs/" + text(json(plain), "id")), "trace"));
}

TEST_CASE("job operations: faults in what a job says of itself are named") {
  Desk desk;
  const auto refused = [&](const std::string& more) {
    const auto response = desk.post("/v1/jobs", R"({"kind":"k",)" + more + "}");
    REQUIRE(response.status == 400);
    return first_error(response);
  };
  CHECK(refused(R"("timeot_s":3)") == "timeot_s: unknown field; did you mean 'timeout_s'?");
  CHECK(refused(R"("timeout_s":-3)").starts_with("timeout_s: expected seconds"));
  CHECK(refused(R"("timeout_s":"5m")").starts_with("timeout_s: expected seconds"));
  CHECK(refused(R"("retry":{"delay":[1]})") ==
        "retry.delay: unknown field; did you mean 'delays'?");
  CHECK(refused(R"("retry":{"delays":[]})") == "retry.delays: must not be empty");
  CHECK(refused(R"("retry":{"delays":[1],"base":2})") ==
        "retry.delays: excludes base, factor and cap");
  CHECK(refused(R"("retry":{"base":0.5})") ==
        "retry.factor: is required when base is no whole number");
  CHECK(refused(R"("retry":{"base":2,"jitter":2})") == "retry.jitter: expected 0 to 1");
  CHECK(refused(R"("retries":2,"retry":{"base":2})") == "retry: excludes retries");
  CHECK(refused(R"("trace":{"traceparent":"x"})").starts_with("trace.traceparent: expected 00-"));
  CHECK(refused(R"("trace":{})") == "trace.traceparent: is required");
  CHECK(refused(R"("result_ttl":60)").starts_with("result_ttl: expected string"));
  CHECK(member(desk.get("/v1/jobs"), "items").items.empty());
}

TEST_CASE("job operations: a base alone is the factor, too") {
  Desk desk;
  const std::string id = desk.enqueue(R"({"kind":"k","retry":{"base":2}})");
  CHECK(to_json(member(desk.get("/v1/jobs/" + id), "retry")) == R"({"base":2,"factor":2})");
  const std::string worker = desk.worker();
  for (const char* due : {"2024-01-01T00:00:02Z", "2024-01-01T00:00:06Z"}) {
    const Node failed = json(desk.tell(desk.claim(worker), "fail", R"(,"type":"E")"));
    CHECK(text(failed, "run_at") == due);
    desk.clock.set(*parse_instant(due));
    REQUIRE(desk.server.store().promote_due(desk.clock.now()));
  }
}

TEST_CASE("job operations: a request with a key is carried out once") {
  Desk desk;
  http::Headers headers;
  headers.set("Idempotency-Key", "order 17");
  const auto insert = [&](const std::string& body) { return desk.post("/v1/jobs", body, headers); };
  const auto first = insert(R"({"kind":"k","args":[1]})");
  CHECK(first.status == 201);
  const auto second = insert(R"({"args":[1],"kind":"k"})");
  CHECK(second.status == 200);
  CHECK(text(json(second), "id") == text(json(first), "id"));
  CHECK_FALSE(flag(json(second), "created"));

  const auto other = insert(R"({"kind":"k","args":[2]})");
  CHECK(other.status == 409);
  CHECK(text(json(other), "code") == "idempotency_conflict");
  CHECK(text(json(other), "parameter") == "Idempotency-Key");

  headers.set("Idempotency-Key", "order 18");
  CHECK(number(json(insert(R"({"kind":"k","count":40})")), "count") == 40);
  const auto again = insert(R"({"kind":"k","count":40})");
  CHECK(again.status == 200);
  CHECK(number(json(again), "count") == 40);
  CHECK(member(json(again), "jobs").items.size() == 10);

  headers.set("Idempotency-Key", "");
  CHECK(first_error(insert(R"({"kind":"k"})")) == "Idempotency-Key: must not be empty");
  headers.set("Idempotency-Key", std::string(300, 'x'));
  CHECK(first_error(insert(R"({"kind":"k"})")) == "Idempotency-Key: longer than 255 bytes");
}

TEST_CASE("job operations: a result is stored, asked for, and limited") {
  Desk desk;
  const std::string id = desk.enqueue();
  const Node before = desk.get("/v1/jobs/" + id + "/result");
  CHECK_FALSE(flag(before, "available"));
  CHECK(text(before, "state") == "ENQUEUED");
  CHECK(number(before, "retry_after_ms") > 0);

  const Node job = desk.claim(desk.worker());
  const auto large =
      desk.tell(job, "complete", R"(,"result":")" + std::string(jobs::kMaxResultBytes, 'x') + "\"");
  CHECK(large.status == 413);
  CHECK(text(json(large), "code") == "payload_too_large");
  CHECK(text(json(large), "jobId") == id);
  CHECK(desk.tell(job, "complete", R"(,"result":{"sum":3})").status == 204);
  const Node after = desk.get("/v1/jobs/" + id + "/result");
  CHECK(flag(after, "available"));
  CHECK(text(after, "state") == "SUCCEEDED");
  CHECK(to_json(member(after, "result")) == R"({"sum":3})");
  CHECK_FALSE(has(after, "retry_after_ms"));

  CHECK(ask(desk.server, {.target = "/v1/jobs/unknown/result"}).status == 404);
  CHECK(text(desk.get("/v1/jobs/" + id + "/result?waitms=3"), "detail") ==
        "waitms: unknown parameter; did you mean 'wait_ms'?");
  CHECK(ask(desk.server, {.target = "/v1/jobs/" + id + "/result?wait_ms=31000"}).status == 400);
}

TEST_CASE("job operations: a wait for a result ends with the job") {
  Desk desk;
  const std::string id = desk.enqueue();
  auto waiting = start(desk.server, {.target = "/v1/jobs/" + id + "/result?wait_ms=30000"});
  const Node job = desk.claim(desk.worker());
  CHECK(waiting.wait_for(0s) != std::future_status::ready);
  REQUIRE(desk.tell(job, "complete", R"(,"result":"done")").status == 204);
  REQUIRE(waiting.wait_for(60s) == std::future_status::ready);
  CHECK(text(json(waiting.get()), "result") == "done");

  // One that ends without a result has nothing to wait for either.
  const std::string failing = desk.enqueue(R"({"kind":"k","retries":0})");
  waiting = start(desk.server, {.target = "/v1/jobs/" + failing + "/result?wait_ms=30000"});
  desk.tell(desk.claim(desk.worker()), "fail", R"(,"type":"E")");
  REQUIRE(waiting.wait_for(60s) == std::future_status::ready);
  CHECK(text(json(waiting.get()), "state") == "FAILED");

  waiting = start(desk.server, {.target = "/v1/jobs/" + desk.enqueue() + "/result?wait_ms=1"});
  REQUIRE(waiting.wait_for(60s) == std::future_status::ready);
  CHECK(text(json(waiting.get()), "state") == "ENQUEUED");
}

TEST_CASE("job operations: a job may be put back for a time") {
  Desk desk;
  const std::string worker = desk.worker();
  const std::string id = desk.enqueue();
  const Node job = desk.claim(worker);
  CHECK(first_error(desk.tell(job, "snooze")) == "after_s: is required");
  CHECK(first_error(desk.tell(job, "snooze", R"(,"after_s":-1)")).starts_with("after_s: expected"));
  CHECK(first_error(desk.tell(job, "snooze", R"(,"after_s":1,"after":1)")) ==
        "after: unknown field; did you mean 'after_s'?");
  const auto snoozed = desk.tell(job, "snooze", R"(,"after_s":90)");
  CHECK(snoozed.status == 200);
  CHECK(text(json(snoozed), "run_at") == "2024-01-01T00:01:30Z");
  CHECK(text(json(snoozed), "state") == "SCHEDULED");
  const auto twice = desk.tell(job, "snooze", R"(,"after_s":90)");
  CHECK(twice.status == 409);
  CHECK(text(json(twice), "code") == "lease_lost");
  CHECK(number(desk.get("/v1/jobs/" + id), "attempt") == 0);

  desk.enqueue();
  const Node next = desk.claim(worker);
  const Node settled = json(desk.post("/v1/workers/" + worker + "/settle",
                                      R"({"snooze":[{"id":")" + text(next, "id") + "\"," +
                                          Desk::token(next) + R"(,"after_s":5}]})"));
  const Node& result = member(settled, "results").items.at(0);
  CHECK(number(result, "status") == 200);
  CHECK(text(result, "run_at") == "2024-01-01T00:00:05Z");
}

TEST_CASE("job operations: progress and lines, at once and with a beat") {
  Desk desk;
  const std::string worker = desk.worker();
  const std::string id = desk.enqueue();
  const Node job = desk.claim(worker);
  CHECK(desk.tell(job, "progress", R"(,"done":1,"total":8,"failed":1)").status == 204);
  CHECK(to_json(member(desk.get("/v1/jobs/" + id), "progress")) ==
        R"({"done":1,"total":8,"failed":1,"percent":12})");
  const std::string lines =
      R"(,"logs":[{"text":"one"},{"level":"warn","at":"2023-12-31T23:59:59Z","text":"two"}])";
  CHECK(desk.tell(job, "logs", lines).status == 204);

  const std::string running = R"({"running":[{"id":")" + id + "\"," + Desk::token(job) +
                              R"(,"progress":{"done":4,"total":8},"logs":[{"text":"three"}]}]})";
  CHECK(desk.post("/v1/workers/" + worker + "/beat", running).status == 200);
  CHECK(number(member(desk.get("/v1/jobs/" + id), "progress"), "percent") == 50);

  const Node log = desk.get("/v1/jobs/" + id + "/logs");
  CHECK(number(log, "attempt") == 1);
  CHECK(number(log, "dropped") == 0);
  CHECK(number(log, "next") == 3);
  const auto& all = member(log, "lines").items;
  REQUIRE(all.size() == 3);
  CHECK(to_json(all[0]) == R"({"level":"INFO","at":"2024-01-01T00:00:00Z","text":"one"})");
  CHECK(to_json(all[1]) == R"({"level":"WARN","at":"2023-12-31T23:59:59Z","text":"two"})");
  const Node tail = desk.get("/v1/jobs/" + id + "/logs?attempt=1&after=2");
  CHECK(text(member(tail, "lines").items.at(0), "text") == "three");
  CHECK(member(desk.get("/v1/jobs/" + id + "/logs?attempt=2"), "lines").items.empty());

  CHECK(ask(desk.server, {.target = "/v1/jobs/unknown/logs"}).status == 404);
  CHECK(ask(desk.server, {.target = "/v1/jobs/" + id + "/logs?after=-1"}).status == 400);
  CHECK(text(desk.get("/v1/jobs/" + id + "/logs?atempt=1"), "detail") ==
        "atempt: unknown parameter; did you mean 'attempt'?");
}

TEST_CASE("job operations: who tells of a job must hold it, and in words that are known") {
  Desk desk;
  const std::string worker = desk.worker();
  const std::string id = desk.enqueue();
  const Node job = desk.claim(worker);
  CHECK(first_error(desk.tell(job, "progress", R"(,"doen":1)")) == "done: is required");
  CHECK(first_error(desk.tell(job, "progress", R"(,"done":1,"total":2,"faild":0)")) ==
        "faild: unknown field; did you mean 'failed'?");
  CHECK(first_error(desk.tell(job, "logs", R"(,"logs":[{"level":"LOUD","text":"x"}])")) ==
        "logs[0].level: expected INFO, WARN or ERROR");
  CHECK(first_error(desk.tell(job, "logs", R"(,"logs":[{}])")) == "logs[0].text: is required");
  const auto beat =
      desk.post("/v1/workers/" + worker + "/beat",
                R"({"running":[{"id":"a","lock_token":"b","progress":{"done":-1,"total":1}}]})");
  CHECK(first_error(beat).starts_with("running[0].progress.done: expected an integer"));

  REQUIRE(desk.tell(job, "release").status == 204);
  for (const auto& [verb, more] : {std::pair{"progress", R"(,"done":1,"total":2)"},
                                   std::pair{"logs", R"(,"logs":[{"text":"late"}])"}}) {
    const auto late = desk.tell(job, verb, more);
    CHECK(late.status == 409);
    CHECK(text(json(late), "code") == "lease_lost");
    CHECK(text(json(late), "jobId") == id);
    const std::string nobody = std::string("/v1/jobs/unknown/") + verb;
    CHECK(desk.post(nobody, R"({"lock_token":"x")" + std::string(more) + "}").status == 404);
  }
}

TEST_CASE("job operations: a beat tells that a job's time is up") {
  Desk desk;
  const std::string worker = desk.worker();
  const std::string id = desk.enqueue(R"({"kind":"k","timeout_s":5})");
  const Node job = desk.claim(worker);
  const auto beat = [&] {
    return json(desk.post("/v1/workers/" + worker + "/beat",
                          R"({"running":[{"id":")" + id + "\"," + Desk::token(job) + "}]}"));
  };
  CHECK(member(beat(), "cancel").items.empty());
  desk.clock.advance(5s);
  CHECK(to_json(member(beat(), "cancel")) == R"([{"id":")" + id + R"(","reason":"timeout"}])");
}

}  // namespace jobmill::testing
