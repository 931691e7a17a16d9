// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/producers.h"

#include <doctest/doctest.h>
#include <libpq-fe.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/duration.h"
#include "base/id.h"
#include "postgres_rig.h"
#include "store/postgres/migrations.h"
#include "store/postgres/postgres_job_store.h"
#include "store/postgres/test_connection.h"

namespace jobmill::postgres {
namespace {

using namespace std::chrono_literals;
using jobs::Job;
using jobs::JobSpec;
using jobs::JobState;
using testing::Postgres;

// A producer's own connection: plain libpq, as an application has it.
class Producer {
 public:
  explicit Producer(const std::string& url) : connection_(PQconnectdb(url.c_str()), PQfinish) {
    REQUIRE(PQstatus(get()) == CONNECTION_OK);
    run("SET client_min_messages = warning");
  }

  PGconn* get() const { return connection_.get(); }

  // The first column, rows with blanks between; of a failure "SQLSTATE message".
  std::string run(const std::string& sql) const {
    const std::unique_ptr<PGresult, decltype(&PQclear)> answer(PQexec(get(), sql.c_str()), PQclear);
    if (const char* state = PQresultErrorField(answer.get(), PG_DIAG_SQLSTATE))
      return state + std::string(" ") + PQresultErrorField(answer.get(), PG_DIAG_MESSAGE_PRIMARY);
    std::string text;
    for (int row = 0; row < PQntuples(answer.get()); ++row)
      text += (row > 0 ? " " : "") + std::string(PQgetvalue(answer.get(), row, 0));
    return text;
  }

 private:
  std::unique_ptr<PGconn, decltype(&PQfinish)> connection_;
};

std::string fresh_store() {
  const std::string url = Postgres::shared().fresh_schema();
  Connection connection = connect(url);
  const Status made = migrate(connection);
  REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
  return url;
}

std::unique_ptr<jobs::JobStoreOwner> open(const std::string& text, JobStoreOptions options = {}) {
  const auto url = Url::parse(text);
  REQUIRE(url);
  auto store = open_job_store(*url, std::move(options));
  REQUIRE_MESSAGE(store, (store ? "" : store.error().message));
  return *std::move(store);
}

template <class T>
T value(Result<T> result) {
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  return *std::move(result);
}

std::string announce(jobs::JobStore& store) {
  jobs::WorkerSpec worker;
  worker.name = "w";
  worker.concurrency = 1000;
  return value(store.announce(worker, {})).worker_id;
}

std::vector<jobs::ClaimedJob> claim(jobs::JobStore& store, const std::string& worker,
                                    Duration wait = {}) {
  jobs::ClaimRequest request;
  request.worker_id = worker;
  request.limit = 1000;
  request.wait = wait;
  return value(store.claim(request, {})).jobs;
}

// "a b c"
std::string kinds_of(const std::vector<jobs::ClaimedJob>& claimed) {
  std::string kinds;
  for (const auto& one : claimed) kinds += (kinds.empty() ? "" : " ") + one.job.kind;
  return kinds;
}

constexpr char kTables[] =
    "SELECT (SELECT count(*) FROM jobmill_job) + (SELECT count(*) FROM jobmill_hot)"
    " + (SELECT count(*) FROM jobmill_due) + (SELECT count(*) FROM jobmill_count)"
    " + (SELECT count(*) FROM jobmill_lane) + (SELECT count(*) FROM jobmill_event)";

JobSpec spec(std::string kind, std::string args = "[]") {
  JobSpec spec;
  spec.kind = std::move(kind);
  spec.args = std::move(args);
  return spec;
}

std::string nested(int depth) {
  const auto n = static_cast<std::size_t>(depth);
  return std::string(n, '[') + std::string(n, ']');
}

// What a request may say, in all its forms.
std::vector<JobSpec> odd_specs(TimePoint now) {
  std::vector<JobSpec> all;
  const auto add = [&](JobSpec one) { all.push_back(std::move(one)); };
  add(spec("plain"));
  JobSpec rich = spec("mail.send", R"(["bob@example.org",3,{"a b":[1,2]},null,true,"x: y,  z"])");
  rich.v = 2;
  rich.name = "{0} %1 {2} {3}{4} {5} {6} {meta.tenant} %X{none} {meta.{1}} %9 100% {";
  rich.queue = "mail";
  rich.priority = 9;
  rich.labels = {"tenant:{meta.tenant}", "copies:%1", "größe"};
  rich.retries = 0;
  rich.max_crashes = 7;
  rich.meta = R"({"deep":{"x":[1]},"tenant":"acme \"%0\""})";
  rich.created_by = "ops";
  add(rich);
  add(spec("named", R"({"to":"bob","copies":3})"));
  add(spec("texts", R"(["\u0001\t\n\\\"/","ä€😀","{i}","  "])"));
  add(spec("numbers", R"([0,-1,1.5,123456789012345678901234567890,0.000000001])"));
  add(spec("deep", nested(97)));
  add(spec("large", "[\"" + std::string((1u << 20) - 4, 'x') + "\"]"));
  JobSpec later = spec("later");
  later.delay = 90min + 250ms;
  later.extra.timeout = 1500ms;
  later.extra.progress_timeout = 1us;
  later.extra.result_ttl = 25h + 1min + 30s + 500us;
  later.extra.trace = {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=\"b\""};
  add(later);
  JobSpec at = spec("at");
  at.run_at = now + 24h + 1us;
  at.extra.retry = jobs::RetryPolicy{.delays = {5s, 5500ms, 0s}, .jitter = 0.25};
  add(at);
  JobSpec past = spec("past");
  past.run_at = now - 1s;
  past.extra.retry = jobs::RetryPolicy{.base = 500ms, .factor = 4, .cap = 1h, .jitter = 1};
  past.extra.result_ttl = 0s;
  add(past);
  JobSpec usual = spec("usual");
  usual.extra.retry = jobs::RetryPolicy{};
  usual.name = std::string(1021, 'x') + "{0}";
  usual.args = R"(["äöü"])";
  add(usual);
  return all;
}

void check_same(const Job& sql, const Job& made) {
  CAPTURE(made.kind);
  CHECK(sql.kind == made.kind);
  CHECK(sql.v == made.v);
  CHECK(sql.args == made.args);
  CHECK(sql.name == made.name);
  CHECK(sql.queue == made.queue);
  CHECK(sql.priority == made.priority);
  CHECK(sql.state == made.state);
  CHECK(sql.version == made.version);
  CHECK(sql.run_at == made.run_at);
  CHECK(sql.labels == made.labels);
  CHECK(sql.retries == made.retries);
  CHECK(sql.max_attempts == made.max_attempts);
  CHECK(sql.max_crashes == made.max_crashes);
  CHECK(sql.extra == made.extra);
  CHECK(sql.meta == made.meta);
  CHECK(sql.created_by == made.created_by);
  CHECK(sql.created_at == made.created_at);
}

}  // namespace

TEST_CASE("postgres producers: a job from SQL is the job that a server makes of the same request") {
  const std::string url = fresh_store();
  ManualClock clock;
  JobStoreOptions options;
  options.clock = &clock;
  options.retry.retries = 4;
  options.retry.list = {{.kind = "plain", .policy = jobs::RetryPolicy{.delays = {1s, 2s}}},
                        {.kind = "named", .never = true},
                        {.kind = "deep", .error = "Timeout", .never = true}};
  const auto store = open(url, options);
  Producer producer(url);
  producer.run("SET jobmill.now = '" + format_instant(clock.now()) + "'");

  const auto specs = odd_specs(clock.now());
  const auto made = value(store->insert(specs, clock.now()));
  const auto sql = value(insert_within(producer.get(), {}, specs));
  REQUIRE(sql.jobs.size() == specs.size());
  for (std::size_t i = 0; i < specs.size(); ++i) {
    check_same(value(store->get(sql.jobs[i].id)), value(store->get(made.jobs[i].id)));
    CHECK(value(store->history(sql.jobs[i].id))[0].data ==
          value(store->history(made.jobs[i].id))[0].data);
  }
  const auto queues = value(store->queues(clock.now()));
  for (const auto& stats : queues) {
    CHECK(stats.enqueued % 2 == 0);
    CHECK(stats.scheduled % 2 == 0);
  }
}

TEST_CASE("postgres producers: many jobs of one spec, numbered") {
  const std::string url = fresh_store();
  const auto store = open(url);
  Producer producer(url);
  JobSpec many = spec("many", R"(["{i} of {i}",{"{i}":"x{i}"},7])");
  many.name = "n{i}";
  many.labels = {"l{i}"};
  many.count = 12;
  const auto inserted = value(insert_within(producer.get(), {}, std::vector{many, spec("one")}));
  CHECK(inserted.total == 13);
  REQUIRE(inserted.jobs.size() == 11);  // the first ten, and the other one
  const Job last = value(store->get(inserted.jobs[9].id));
  CHECK(last.args == R"(["9 of 9",{"{i}":"x9"},7])");
  CHECK(last.name == "n9");
  CHECK(last.labels == std::vector<std::string>{"l9"});
  const auto claimed = claim(*store, announce(*store), 60s);
  REQUIRE(claimed.size() == 13);
  CHECK(claimed[11].job.name == "n11");
  CHECK(claimed[12].job.kind == "one");
}

TEST_CASE("postgres producers: what is rolled back leaves nothing") {
  const std::string url = fresh_store();
  Producer producer(url), other(url);
  const std::string channel = "jobmill_" + other.run("SELECT current_schema()");
  other.run("LISTEN \"" + channel + '"');

  producer.run("BEGIN");
  producer.run("SELECT jobmill_enqueue('mail.send')");
  producer.run("SELECT jobmill_enqueue('mail.send', '[]', '{\"delay\": \"PT1H\"}')");
  CHECK(producer.run(kTables) != "0");
  producer.run("ROLLBACK");
  CHECK(producer.run(kTables) == "0");

  producer.run("BEGIN; SAVEPOINT here; SELECT jobmill_enqueue('lost')");
  CHECK(producer.run("SELECT jobmill_enqueue('mail.send', '[]', '{\"priority\": 10}')") ==
        "22023 priority: expected an integer from 0 to 9");
  producer.run("ROLLBACK TO here; COMMIT");
  CHECK(producer.run(kTables) == "0");

  producer.run("NOTIFY \"" + channel + "\", 'the first that is heard'");
  const PGnotify* heard = nullptr;
  while (heard == nullptr) {
    other.run("SELECT 1");
    heard = PQnotifies(other.get());
  }
  CHECK(heard->extra == std::string("the first that is heard"));
  PQfreemem(const_cast<PGnotify*>(heard));
}

TEST_CASE("postgres producers: a commit wakes a claim that waits in another process") {
  const std::string url = fresh_store();
  const auto store = open(url);
  Producer producer(url), watcher(url);
  const std::string worker = announce(*store);
  for (const char* kind :
       {"first", "second"}) {  // a lane that is new to the store, and one it knows
    CAPTURE(kind);
    producer.run("BEGIN");
    producer.run(std::string("SELECT jobmill_enqueue('") + kind + "')");
    const std::string before = watcher.run("SELECT last_beat FROM jobmill_worker");
    auto claimed = std::async(std::launch::async, [&] { return claim(*store, worker, 60s); });
    while (watcher.run("SELECT last_beat FROM jobmill_worker") == before) {
    }
    const auto committed = std::chrono::steady_clock::now();
    producer.run("COMMIT");
    CHECK(kinds_of(claimed.get()) == kind);
    CHECK(std::chrono::steady_clock::now() - committed < 20s);  // no safety net was needed
  }
}

TEST_CASE("postgres producers: the calls of one transaction keep their order") {
  const std::string url = fresh_store();
  const auto store = open(url);
  Producer producer(url);
  producer.run("BEGIN");
  producer.run("SELECT jobmill_enqueue('a')");
  producer.run("SELECT jobmill_enqueue_many('[{\"kind\":\"b\"},{\"kind\":\"c\"}]')");
  producer.run("SAVEPOINT here");
  producer.run("SELECT jobmill_enqueue('lost')");
  producer.run("ROLLBACK TO here");
  producer.run("SELECT jobmill_enqueue('a')");
  producer.run("SELECT jobmill_enqueue('d')");
  producer.run("COMMIT");
  CHECK(producer.run("SELECT current_setting('jobmill.used')").empty());  // nothing in the session
  CHECK(kinds_of(claim(*store, announce(*store), 60s)) == "a b c a d");
}

TEST_CASE("postgres producers: an id that exists is that job, or an error") {
  const std::string url = fresh_store();
  const auto store = open(url);
  Producer producer(url), other(url);
  JobSpec job = spec("mail.send", R"([1,{"a":1,"b":2}])");
  job.id = "order-7";  // of a C++ producer: any text
  const std::string id = name_id("order-7");
  CHECK(value(insert_within(producer.get(), {}, std::vector{job})).jobs[0].id == id);
  const std::string same =
      "SELECT jobmill_enqueue('mail.send', '[1.0, {\"b\": 2, \"a\": 1}]',"
      " '{\"priority\": 3, \"id\": \"" +
      id + "\"}')";
  CHECK(producer.run(same) == id);
  CHECK(producer.run("SELECT count(*) FROM jobmill_job") == "1");
  CHECK(producer.run("SELECT jobmill_enqueue('mail.send', '[2]', '{\"id\": \"" + id + "\"}')") ==
        "23505 id: idempotency_conflict: job " + id + " exists with another payload");
  job.args = "[2]";
  const auto refused = insert_within(producer.get(), {}, std::vector{job});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::AlreadyExists);
  CHECK(value(store->get("order-7")).args == R"([1,{"a":1,"b":2}])");

  // Two transactions at one time: the second one waits, and finds the job of the first.
  const std::string raced = "0194f000-0000-7000-8000-000000000001";
  const std::string call =
      "SELECT jobmill_enqueue('mail.send', '[]', '{\"id\":\"" + raced + "\"}')";
  producer.run("BEGIN");
  CHECK(producer.run(call) == raced);
  auto second = std::async(std::launch::async, [&] { return other.run(call); });
  Producer watcher(url);
  while (watcher.run("SELECT count(*) FROM pg_locks WHERE NOT granted") == "0") {
  }
  producer.run("COMMIT");
  CHECK(second.get() == raced);
  CHECK(producer.run("SELECT count(*) FROM jobmill_hot WHERE id = '" + raced + "'") == "1");
  CHECK(value(store->queues({}))[0].enqueued == 2);
}

TEST_CASE("postgres producers: a transaction that stays open is in nobody's way") {
  const std::string url = fresh_store();
  const auto store = open(url);
  Producer slow(url), other(url);
  const std::string worker = announce(*store);
  value(store->insert(std::vector{spec("mail.send")}, {}));
  slow.run("BEGIN");
  slow.run("SELECT jobmill_enqueue('mail.send')");
  other.run("BEGIN");
  other.run("SET LOCAL lock_timeout = '5s'");  // this one would say so
  CHECK(is_uuid(other.run("SELECT jobmill_enqueue('mail.send')")));

  value(store->insert(std::vector{spec("mail.send")}, {}));
  const auto claimed = claim(*store, worker);
  REQUIRE(claimed.size() == 2);
  jobs::Settlement done;
  done.job_id = claimed[0].job.id;
  done.lock_token = claimed[0].lock_token;
  CHECK(value(store->settle(worker, std::vector{done}, {}))[0].status);
  REQUIRE(store->requeue(claimed[0].job.id, {}));
  CHECK(value(store->expire({})) == 0);

  slow.run("COMMIT");
  other.run("COMMIT");
  CHECK(claim(*store, worker).size() == 3);  // earlier places are found, too
  const auto stats = value(store->queues({}));
  REQUIRE(stats.size() == 1);
  CHECK(stats[0].enqueued == 0);
  CHECK(stats[0].processing == 4);
}

TEST_CASE("postgres producers: what is wrong is told by field and reason") {
  const std::string url = fresh_store();
  Producer producer(url);
  const auto with = [&](const std::string& options) {
    return producer.run("SELECT jobmill_enqueue('k', '[1]', '" + options + "')");
  };
  CHECK(with("{\"priorty\":1}") == "22023 priorty: unknown field");
  CHECK(with("{\"priority\":1.5}") == "22023 priority: expected an integer from 0 to 9");
  CHECK(with("{\"v\":0}") == "22023 v: expected an integer from 1 to 2147483647");
  CHECK(with("{\"name\":7}") == "22023 name: expected string, got number");
  CHECK(with("{\"queue\":\"\"}") == "22023 queue: must not be empty");
  CHECK(with("{\"id\":\"order-7\"}") == "22023 id: expected a UUID");
  CHECK(with("{\"delay\":\"5 minutes\"}") ==
        "22023 delay: expected an ISO 8601 duration such as PT2M, not negative");
  CHECK(with("{\"delay\":\"-PT1S\"}").starts_with("22023 delay: expected"));
  CHECK(with("{\"delay\":\"PT1H\",\"run_at\":\"2030-01-01T00:00:00Z\"}") ==
        "22023 delay: excludes run_at");
  CHECK(with("{\"run_at\":\"2030-02-30T00:00:00Z\"}") ==
        "22023 run_at: expected an RFC 3339 instant such as 2025-01-01T00:00:00Z");
  CHECK(with("{\"run_at\":\"tomorrow\"}").starts_with("22023 run_at: expected"));
  CHECK(with("{\"labels\":[\"a\",\"b\",\"c\",\"d\"]}") == "22023 labels: more than 3");
  CHECK(with("{\"labels\":[\"{0}\",\"1\"]}") == "22023 labels: must be distinct");
  CHECK(with("{\"labels\":[\"\"]}") == "22023 labels: must not be empty");
  CHECK(with("{\"labels\":[1]}") == "22023 labels: expected strings, got number");
  CHECK(with("{\"labels\":[\"" + std::string(46, 'x') + "\"]}") ==
        "22023 labels: longer than 45 characters");
  CHECK(with("{\"meta\":[]}") == "22023 meta: expected object, got array");
  CHECK(with("{\"retries\":3,\"retry\":{\"base\":2}}") == "22023 retry: excludes retries");
  CHECK(with("{\"retry\":{\"base\":1.5}}") ==
        "22023 retry.factor: is required when base is no whole number");
  CHECK(with("{\"retry\":{\"delays\":[1],\"cap\":2}}") ==
        "22023 retry.delays: excludes base, factor and cap");
  CHECK(with("{\"retry\":{\"dealys\":[1]}}") == "22023 retry.dealys: unknown field");
  CHECK(with("{\"timeout_s\":-1}").starts_with("22023 timeout_s: expected seconds"));
  CHECK(with("{\"trace\":{\"traceparent\":\"x\"}}").starts_with("22023 trace.traceparent: exp"));
  CHECK(with("{\"count\":2}") == "22023 count: is for jobmill_enqueue_many");
  CHECK(with("{\"args\":[]}") == "22023 options: kind and args are parameters of their own");
  CHECK(with("[]") == "22023 options: expected an object");
  CHECK(is_uuid(with("{\"name\":null,\"delay\":null,\"retry\":null,\"labels\":null}")));

  CHECK(producer.run("SELECT jobmill_enqueue(NULL)") == "22023 kind: is required");
  CHECK(producer.run("SELECT jobmill_enqueue('')") == "22023 kind: must not be empty");
  CHECK(producer.run("SELECT jobmill_enqueue('k', '7')") ==
        "22023 args: expected an array or an object, got number");
  CHECK(producer.run("SELECT jobmill_enqueue('k', to_jsonb(ARRAY[repeat('x', 1048573)]))") ==
        "54000 args: payload_too_large: 1048577 bytes, at most 1048576");
  CHECK(producer.run("SELECT jobmill_enqueue('k', '" + nested(98) + "')") ==
        "22023 args: nested deeper than 97");
  CHECK(producer.run("SELECT jobmill_enqueue('k', '[\"\\u0000\"]')") ==
        "22P05 unsupported Unicode escape sequence");
  const auto many = [&](const std::string& specs) {
    return producer.run("SELECT jobmill_enqueue_many('" + specs + "')");
  };
  CHECK(many("{}") == "22023 jobs: expected an array of specs");
  CHECK(many("[]").empty());
  CHECK(many("[{\"kind\":\"a\"},7]") == "22023 jobs[1]: expected an object");
  CHECK(many("[{\"kind\":\"a\"},{\"kind\":\"a\",\"args\":[],\"named\":{}}]") ==
        "22023 jobs[1].named: excludes args");
  CHECK(many("[{\"kind\":\"a\",\"count\":600000},{\"kind\":\"a\",\"count\":0}]") ==
        "22023 jobs[1].count: expected an integer from 1 to 1000000");
  CHECK(producer.run("SELECT count(*) FROM jobmill_job") == "1");

  const auto refused = insert_within(producer.get(), {}, std::vector{spec("k", "[\"\\u0000\"]")});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::InvalidArgument);
  producer.run("SET client_encoding = 'LATIN1'");
  const auto latin = insert_within(producer.get(), {}, std::vector{spec("k")});
  REQUIRE_FALSE(latin);
  CHECK(latin.error().message == "client_encoding: must be UTF8, is LATIN1");
}

TEST_CASE("postgres producers: their user needs no right on any table, and no search path") {
  const std::string url = fresh_store();
  Producer owner(url);
  const std::string schema = owner.run("SELECT current_schema()");
  const std::string role = schema + "_shop";
  owner.run("CREATE ROLE " + role);
  Producer shop(url);
  shop.run("SET search_path = pg_catalog");
  CHECK(shop.run("SET ROLE " + role).empty());
  const std::string call = "SELECT \"" + schema + "\".jobmill_enqueue('mail.send')";
  CHECK(shop.run(call) == "42501 permission denied for schema " + schema);
  owner.run("GRANT USAGE ON SCHEMA \"" + schema + "\" TO " + role);
  CHECK(shop.run(call) == "42501 permission denied for function jobmill_enqueue");
  const auto refused = insert_within(shop.get(), schema, std::vector{spec("k")});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::PermissionDenied);

  owner.run("GRANT EXECUTE ON FUNCTION jobmill_enqueue(text, jsonb, jsonb) TO " + role);
  owner.run("GRANT EXECUTE ON FUNCTION jobmill_enqueue_many(jsonb) TO " + role);
  CHECK(is_uuid(shop.run(call)));
  CHECK(insert_within(shop.get(), schema, std::vector{spec("k")}));
  CHECK(shop.run("SELECT count(*) FROM \"" + schema + "\".jobmill_job").starts_with("42501"));
  CHECK(owner.run("SELECT count(*) FROM jobmill_job") == "2");
  owner.run("DROP OWNED BY " + role + "; DROP ROLE " + role);
}

TEST_CASE("postgres producers: their counts are folded while others count") {
  const std::string url = fresh_store();
  ManualClock clock;
  JobStoreOptions options;
  options.clock = &clock;
  const auto store = open(url, options);
  const std::string worker = announce(*store);
  const auto fold = [&] {
    value(store->next_chore({}));
    clock.advance(10s);
    value(store->expire({}));
  };
  constexpr int kCalls = 100;
  std::vector<std::jthread> producers;
  for (int i = 0; i < 2; ++i) {
    producers.emplace_back([&] {
      Producer producer(url);
      for (int n = 0; n < kCalls; ++n) producer.run("SELECT jobmill_enqueue('mail.send')");
    });
  }
  producers.emplace_back([&] {
    for (int n = 0; n < kCalls; ++n) value(store->insert(std::vector{spec("mail.send")}, {}));
  });
  std::size_t claimed = 0;
  while (claimed < 3 * kCalls) {
    claimed += claim(*store, worker).size();
    fold();
  }
  producers.clear();
  fold();
  Producer watcher(url);
  CHECK(watcher.run("SELECT count(*) FROM jobmill_count WHERE shard < 0") == "0");
  CHECK(watcher.run("SELECT sum(enqueued) FROM jobmill_count WHERE shard = 0") == "200");
  const auto stats = value(store->queues({}));
  REQUIRE(stats.size() == 1);
  CHECK(stats[0].enqueued == 0);
  CHECK(stats[0].processing == 3 * kCalls);

  // Those of a process that has gone as well.
  watcher.run("UPDATE jobmill_count SET shard = 2000000000 WHERE shard > 0");
  watcher.run("SELECT jobmill_enqueue('mail.send')");
  CHECK(claim(*store, worker).size() == 1);
  const auto next = value(store->next_chore({}));
  REQUIRE(next);
  CHECK(*next == clock.now() + 10s);
  fold();
  CHECK(watcher.run("SELECT count(*) FROM jobmill_count WHERE shard NOT IN"
                    " (SELECT pid FROM pg_stat_activity UNION SELECT 0)") == "0");
  CHECK(value(store->queues({}))[0].processing == 3 * kCalls + 1);
}

}  // namespace jobmill::postgres
