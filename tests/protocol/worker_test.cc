// SPDX-License-Identifier: Apache-2.0
#include "jobmill/jobs.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "protocol/control_server.h"
#include "temporary_folder.h"
#include "vectors.h"
#include "worker/store.h"

namespace jobmill::testing {
namespace {

using namespace std::chrono_literals;
using jobs::JobState;

// --- handlers -----------------------------------------------------------------------------------

// What handlers and tests tell each other. One per test case.
struct Stage {
  std::mutex mutex;  // guards the rest
  std::condition_variable_any changed;
  std::multiset<std::string> started;
  std::multiset<std::string> cancelled;
  bool open = false;  // lets `hold` return

  void note(std::multiset<std::string>& list, const std::string& id) {
    const std::lock_guard lock(mutex);
    list.insert(id);
    changed.notify_all();
  }
  void let_go() {
    const std::lock_guard lock(mutex);
    open = true;
    changed.notify_all();
  }
  void wait_for(const std::function<bool()>& come_true) {
    std::unique_lock lock(mutex);
    REQUIRE(changed.wait_for(lock, 60s, come_true));
  }
};
Stage* stage = nullptr;

// For the time of one test case.
struct OnStage : Stage {
  OnStage() { stage = this; }
  ~OnStage() { stage = nullptr; }
};

void note(Context& context, std::string) { stage->note(stage->started, context.id); }

void hold(Context& context) {
  stage->note(stage->started, context.id);
  std::unique_lock lock(stage->mutex);
  stage->changed.wait(lock, context.stop, [] { return stage->open; });
  lock.unlock();
  if (context.cancelled()) stage->note(stage->cancelled, context.id);
}

struct OutOfPaper : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void jam(Context&) {
  try {
    throw std::invalid_argument("tray 2");
  } catch (const std::exception&) {
    std::throw_with_nested(OutOfPaper("no paper"));
  }
}
// Says what it was told, and how it goes.
std::vector<std::string> tell(Context& context, std::string name) {
  context.log("hello " + name + "\nsecond line");
  context.log(Severity::error, "oh");
  context.progress(1, 4);
  context.progress(3, 4, 1);
  return {name, context.traceparent};
}
void put_off(Context&) { throw snooze{90s}; }
void be_deaf(Context& context) {
  std::unique_lock lock(stage->mutex);
  while (!stage->changed.wait_for(lock, 1ms, [] { return stage->open; })) context.log("la la la");
}
std::string be_long(Context&, int bytes) {
  return std::string(static_cast<std::size_t>(bytes), 'x');
}
// More lines than one beat may carry, and than an attempt may keep.
void chatter(Context& context) {
  for (int i = 10'000; i < 30'000; ++i) context.log(std::to_string(i) + std::string(100, '.'));
  hold(context);
}
void give_up(Context&) { throw fatal("never again"); }
void throw_number(Context&) { throw 42; }

constexpr Job<"test.note", note> Note{};
constexpr Job<"test.hold", hold> Hold{{.queue = "held", .retries = 2}};
constexpr Job<"test.jam", jam> Jam{};
constexpr Job<"test.tell", tell> Tell{};
constexpr Job<"test.put_off", put_off> PutOff{};
constexpr Job<"test.late", hold> Late{{.retries = 0, .timeout = 1s}};
constexpr Job<"test.deaf", be_deaf> Deaf{{.retries = 0, .timeout = 1s}};
constexpr Job<"test.long", be_long> Long{};
constexpr Job<"test.chatter", chatter> Chatter{};
constexpr Job<"test.give_up", give_up> GiveUp{};
constexpr Job<"test.number", throw_number> ThrowNumber{};

// --- a server and a worker ----------------------------------------------------------------------

enum class Way { InProcess, OverHttp };

ControlServerOptions quick_beats() {
  ControlServerOptions options;
  options.jobs.beat = 5ms;
  return options;
}

struct Shop {
  explicit Shop(Way way, ControlServerOptions options = quick_beats())
      : server(clock, std::move(options)),
        store(way == Way::OverHttp ? connect(server.url())
                                   : worker::make_store(server.shared_store(), clock)),
        client(store) {}

  JobState state(const JobId& id) { return job(id).state; }
  jobs::Job job(const JobId& id) {
    auto found = server.store().get(id.uuid);
    REQUIRE(found);
    return *std::move(found);
  }
  void wait_for(const JobId& id, JobState wanted) {
    server.wait_until([&] { return state(id) == wanted; });
  }
  Node last_event(const JobId& id) {
    auto events = server.store().history(id.uuid);
    REQUIRE(events);
    auto data = parse_json(events->back().data);
    REQUIRE(data);
    return *std::move(data);
  }
  std::string worker_id() {
    auto workers = server.store().workers(clock.now());
    REQUIRE(workers);
    REQUIRE(workers->size() == 1);
    return workers->front().id;
  }

  ManualClock clock;
  ControlServer server;
  std::shared_ptr<Store> store;
  Client client;
};

// A worker on a thread of its own, which ends with the test.
class Running {
 public:
  template <class... J>
  explicit Running(std::shared_ptr<Store> store, int slots, const J&... jobs)
      : worker_(std::move(store)), thread_([this, slots, &jobs...](const std::stop_token& stop) {
          worker_.handle(jobs...).concurrency(slots).run(stop);
        }) {}

  void stop() {
    thread_.request_stop();
    thread_.join();
  }
  void wait() { thread_.join(); }

 private:
  Worker worker_;
  std::jthread thread_;
};

// For the time of one test case.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() { ::unsetenv(name_); }

 private:
  const char* name_;
};

}  // namespace

TEST_CASE("worker: runs what was enqueued, in this process and over HTTP") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    OnStage on;
    Shop shop(way);
    Running worker(shop.store, 4, Note);
    const JobId id = shop.client.enqueue(Note, "bob");
    shop.wait_for(id, JobState::Succeeded);
    const auto ids =
        shop.client.bulk().add(Note, "a").add({.count = 40}, Note, "number {i}").commit();
    CHECK(ids.size() == 11);
    on.wait_for([&] { return on.started.size() == 42; });
    shop.server.wait_until([&] {
      const auto queues = shop.server.store().queues(shop.clock.now());
      return queues && queues->front().processing == 0 && queues->front().enqueued == 0;
    });
    CHECK(on.started.count(id.uuid) == 1);
  }
}

TEST_CASE("worker: an exception is a failure, with its type and cause, and is retried") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    Shop shop(way);
    Running worker(shop.store, 1, Jam, ThrowNumber);
    const JobId id = shop.client.enqueue(Jam);
    shop.wait_for(id, JobState::Scheduled);
    CHECK(shop.job(id).run_at == shop.clock.now() + 3s);
    auto events = shop.server.store().history(id.uuid);
    REQUIRE(events);
    REQUIRE(events->size() == 4);
    CHECK((*events)[2].state == JobState::Failed);
    const auto failed = parse_json((*events)[2].data);
    REQUIRE(failed);
    CHECK(text(*failed, "exceptionType").ends_with("OutOfPaper"));
    CHECK(text(*failed, "exceptionMessage") == "no paper");
    CHECK(text(*failed, "exceptionCauseType") == "std::invalid_argument");
    CHECK(text(*failed, "exceptionCauseMessage") == "tray 2");

    const JobId number = shop.client.enqueue(ThrowNumber);
    shop.wait_for(number, JobState::Scheduled);
  }
}

TEST_CASE("worker: what a handler tells and returns is kept, and its trace is its producer's") {
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    Shop shop(way, {});  // seldom beats: all goes with the end
    Running worker(shop.store, 1, Tell);
    const JobId id = shop.client.enqueue({.traceparent = trace}, Tell, "bob");
    shop.wait_for(id, JobState::Succeeded);
    const auto log = shop.server.store().log(id.uuid, 0, 0);
    REQUIRE(log);
    REQUIRE(log->lines.size() == 3);
    CHECK(log->lines[0].text == "hello bob");
    CHECK(log->lines[1].text == "second line");
    CHECK(log->lines[2].text == "oh");
    CHECK(log->lines[2].level == jobs::LineLevel::Error);
    CHECK(shop.job(id).progress == jobs::Progress{.done = 3, .total = 4, .failed = 1});

    const JobResult result = shop.client.result(id);
    CHECK(result.available);
    CHECK(Codec<std::vector<std::string>>::get(result.json) ==
          std::vector<std::string>{"bob", trace});
    CHECK(result.retry_after == 0ms);

    const JobId waiting = shop.client.schedule(std::chrono::system_clock::now() + 24h, Note, "x");
    CHECK_FALSE(shop.client.result(waiting).available);
    CHECK(shop.client.result(waiting).retry_after > 0ms);
    CHECK_THROWS_AS(shop.client.result({"no such job"}), Error);
  }
}

TEST_CASE("worker: lines of a run that goes on come with the beats, in order") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    OnStage on;
    Shop shop(way);
    Running worker(shop.store, 1, Chatter);
    const JobId id = shop.client.enqueue(Chatter);
    on.wait_for([&] { return on.started.count(id.uuid) == 1; });
    std::vector<jobs::LogLine> lines;
    const auto limit = std::chrono::steady_clock::now() + 60s;
    // Nobody announces lines.
    while (lines.empty() || !lines.back().text.starts_with("29999.")) {
      REQUIRE(std::chrono::steady_clock::now() < limit);
      auto log = shop.server.store().log(id.uuid, 0, 0);
      REQUIRE(log);
      lines = std::move(log->lines);
    }
    CHECK(shop.state(id) == JobState::Processing);
    CHECK(lines.size() <= static_cast<std::size_t>(jobs::kMaxLogLines));
    CHECK(lines.size() > 5'000);
    std::erase_if(lines, [](const jobs::LogLine& line) {
      return line.text.find("missing here") != std::string::npos;
    });
    CHECK(std::ranges::is_sorted(lines, {}, &jobs::LogLine::text));
    on.let_go();
    shop.wait_for(id, JobState::Succeeded);
  }
}

TEST_CASE("worker: a handler that throws snooze is put off, and no attempt is consumed") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    Shop shop(way);
    Running worker(shop.store, 1, PutOff);
    const JobId id = shop.client.enqueue(PutOff);
    shop.wait_for(id, JobState::Scheduled);
    CHECK(shop.job(id).run_at == shop.clock.now() + 90s);
    CHECK(shop.job(id).attempt == 0);
    CHECK(shop.job(id).failures == 0);
  }
}

TEST_CASE("worker: a result that is too large fails the job for good") {
  Shop shop(Way::OverHttp);
  Running worker(shop.store, 1, Long);
  const JobId fits =
      shop.client.enqueue(Long, static_cast<int>(jobs::kMaxResultBytes) - 2);  // and two quotes
  shop.wait_for(fits, JobState::Succeeded);
  const JobId id = shop.client.enqueue(Long, static_cast<int>(jobs::kMaxResultBytes));
  shop.wait_for(id, JobState::Failed);
  CHECK(text(shop.last_event(id), "exceptionType") == "jobmill.ResultTooLarge");
}

TEST_CASE("worker: a run whose timeout is over is told, and has failed however it ends") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    OnStage on;
    Shop shop(way);
    Running worker(shop.store, 1, Late);
    const JobId id = shop.client.enqueue(Late);
    shop.wait_for(id, JobState::Failed);
    CHECK(on.cancelled.count(id.uuid) == 1);
    CHECK(text(shop.last_event(id), "exceptionType") == "jobmill.Timeout");
    CHECK(text(shop.last_event(id), "exceptionMessage") == "it was not done within 1s");
    CHECK(shop.job(id).failures == 1);
  }
}

TEST_CASE("worker: a run that does not end after its timeout is given up after the grace") {
  const Environment grace("JOBMILL_GRACE", "0s");
  OnStage on;
  Shop shop(Way::OverHttp);
  Running worker(shop.store, 2, Deaf, Note);
  const JobId id = shop.client.enqueue(Deaf);
  shop.wait_for(id, JobState::Failed);
  CHECK(text(shop.last_event(id), "exceptionType") == "jobmill.Timeout");
  // It has its slot until it returns; the other one goes on.
  shop.wait_for(shop.client.enqueue(Note, "x"), JobState::Succeeded);
  on.let_go();
}

TEST_CASE("worker: a run that says nothing for too long is ended") {
  OnStage on;
  Shop shop(Way::OverHttp, {});
  Running worker(shop.store, 1, Hold);
  jobs::JobSpec spec;
  spec.kind = "test.hold";
  spec.retries = 0;
  spec.extra.progress_timeout = 300ms;
  auto result = shop.server.store().insert({&spec, 1}, shop.clock.now());
  REQUIRE(result);
  const JobId id{result->jobs.front().id};
  shop.wait_for(id, JobState::Failed);
  CHECK(text(shop.last_event(id), "exceptionMessage") == "it said nothing for 300ms");
}

TEST_CASE("worker: what cannot succeed is not retried") {
  Shop shop(Way::InProcess);
  Running worker(shop.store, 1, GiveUp, Note);
  const JobId fatally = shop.client.enqueue(GiveUp);
  shop.wait_for(fatally, JobState::Failed);
  CHECK(text(shop.last_event(fatally), "exceptionType") == "jobmill::fatal");

  const auto put = [&](const std::string& args, int version) {
    jobs::JobSpec spec;
    spec.kind = "test.note";
    spec.args = args;
    spec.v = version;
    auto result = shop.server.store().insert({&spec, 1}, shop.clock.now());
    REQUIRE(result);
    const JobId id{result->jobs.front().id};
    shop.wait_for(id, JobState::Failed);
    return text(shop.last_event(id), "exceptionMessage");
  };
  CHECK(put("[3]", 1) == "expected a string, got 3");
  CHECK(put("[]", 1) == "expected 1 arguments, got 0");
  CHECK(put(R"(["x"])", 2) == "test.note has version 1 here, the job has 2");
  CHECK(put(R"({"x":1})", 1) == "test.note takes its arguments as a list");
}

TEST_CASE("worker: deleting a running job tells its handler") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    OnStage on;
    Shop shop(way);
    Running worker(shop.store, 1, Hold);
    const JobId id = shop.client.enqueue(Hold);
    on.wait_for([&] { return on.started.count(id.uuid) == 1; });
    CHECK(shop.client.cancel(id));
    on.wait_for([&] { return on.cancelled.count(id.uuid) == 1; });
    CHECK(shop.state(id) == JobState::Deleted);
    CHECK_FALSE(shop.client.cancel(id));
  }
}

TEST_CASE("worker: stops when its running jobs are done, and takes no more") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    OnStage on;
    Shop shop(way);
    Running worker(shop.store, 2, Hold);
    const JobId id = shop.client.enqueue(Hold);
    on.wait_for([&] { return on.started.count(id.uuid) == 1; });
    std::jthread stopping([&] { worker.stop(); });
    // A claimer that has been told to end leaves its place; only then new work shows anything.
    const JobId later = shop.client.schedule(std::chrono::system_clock::now() + 24h, Hold);
    on.let_go();
    stopping.join();
    CHECK(shop.state(id) == JobState::Succeeded);
    CHECK(shop.state(later) == JobState::Scheduled);
    CHECK(on.cancelled.empty());
    const auto left = shop.server.store().workers(shop.clock.now());
    REQUIRE(left);
    CHECK(left->empty());
  }
}

TEST_CASE("worker: what still runs after the grace goes back, and no attempt is consumed") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    const Environment grace("JOBMILL_GRACE", "0s");
    OnStage on;
    Shop shop(way);
    Running worker(shop.store, 1, Hold);
    const JobId id = shop.client.enqueue(Hold);
    on.wait_for([&] { return on.started.count(id.uuid) == 1; });
    worker.stop();
    CHECK(on.cancelled.count(id.uuid) == 1);
    CHECK(shop.state(id) == JobState::Enqueued);
    CHECK(shop.job(id).attempt == 0);
    CHECK(shop.job(id).failures == 0);
    CHECK(shop.job(id).crashes == 0);
  }
}

TEST_CASE("worker: a quiet one finishes its job and takes another when it may run again") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    OnStage on;
    Shop shop(way);
    Running worker(shop.store, 2, Hold, Note);
    const JobId running = shop.client.enqueue(Hold);
    on.wait_for([&] { return on.started.count(running.uuid) == 1; });
    const std::string id = shop.worker_id();
    REQUIRE(
        shop.server.store().set_worker_state(id, jobs::WorkerState::Quiet, {}, shop.clock.now()));
    const JobId waiting = shop.client.enqueue(Note, "x");
    on.let_go();
    shop.wait_for(running, JobState::Succeeded);
    CHECK(shop.state(waiting) == JobState::Enqueued);

    REQUIRE(shop.server.store().set_worker_state(id, jobs::WorkerState::Run, {}, shop.clock.now()));
    shop.wait_for(waiting, JobState::Succeeded);
  }
}

TEST_CASE("worker: ends when the server tells it to stop") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    OnStage on;
    Shop shop(way);
    Running worker(shop.store, 1, Hold);
    const JobId id = shop.client.enqueue(Hold);
    on.wait_for([&] { return on.started.count(id.uuid) == 1; });
    REQUIRE(shop.server.store().set_worker_state(shop.worker_id(), jobs::WorkerState::Stop, {},
                                                 shop.clock.now()));
    on.let_go();
    worker.wait();
    CHECK(shop.state(id) == JobState::Succeeded);
  }
}

TEST_CASE("worker: declared dead while it lives, it drops its jobs and comes back") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    OnStage on;
    Shop shop(way);
    Running worker(shop.store, 1, Hold);
    const JobId id = shop.client.enqueue(Hold);
    on.wait_for([&] { return on.started.count(id.uuid) == 1; });
    REQUIRE(shop.server.store().worker_died(shop.worker_id(), {}, shop.clock.now()));
    on.wait_for([&] { return on.cancelled.count(id.uuid) == 1; });
    on.wait_for([&] { return on.started.count(id.uuid) == 2; });
    on.let_go();
    shop.wait_for(id, JobState::Succeeded);
    CHECK(shop.job(id).crashes == 1);
  }
}

TEST_CASE("worker: a job outlives a restart of the server, and its end is not lost") {
  OnStage on;
  SystemClock clock;
  TemporaryFolder folder;
  ControlServerOptions options = quick_beats();
  options.path = folder.path() + "/jobs.db";
  auto server = std::make_unique<ControlServer>(clock, options);
  options.address = server->address();
  const auto store = connect(server->url());
  Client client(store);
  Running worker(store, 1, Hold);
  const JobId id = client.enqueue(Hold);
  on.wait_for([&] { return on.started.count(id.uuid) == 1; });

  server.reset();
  CHECK_THROWS_AS(client.enqueue(Hold), Error);
  on.let_go();
  server = std::make_unique<ControlServer>(clock, options);
  server->wait_until([&] {
    const auto job = server->store().get(id.uuid);
    return job && job->state == JobState::Succeeded;
  });
  CHECK(on.started.count(id.uuid) == 1);
}

TEST_CASE("worker: killed with running jobs, every job runs again elsewhere") {
  OnStage on;
  Shop shop(Way::OverHttp);
  std::set<std::string> held;
  for (int i = 0; i < 3; ++i) held.insert(shop.client.enqueue(Hold).uuid);

  int output[2];
  REQUIRE(::pipe(output) == 0);
  const std::string url = shop.server.url();
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(output[1], STDOUT_FILENO);
    ::execl(JOBMILL_HOLDING_WORKER, JOBMILL_HOLDING_WORKER, url.c_str(), "2", nullptr);
    ::_exit(127);
  }
  ::close(output[1]);
  char started[2];  // one byte for each job that began
  REQUIRE(::read(output[0], &started[0], 1) == 1);
  REQUIRE(::read(output[0], &started[1], 1) == 1);
  REQUIRE(::kill(child, SIGKILL) == 0);
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  ::close(output[0]);

  // Nobody tells the server; the lease runs out.
  shop.clock.advance(30s);
  const auto rescued = shop.server.store().rescue(shop.clock.now());
  REQUIRE(rescued);
  Running worker(shop.store, 3, Hold);
  on.let_go();
  for (const std::string& id : held) shop.wait_for({id}, JobState::Succeeded);
  int crashes = 0;
  for (const std::string& id : held) {
    CHECK(shop.job({id}).failures == 0);
    crashes += shop.job({id}).crashes;
  }
  CHECK(crashes == 2);
}

TEST_CASE("worker: many jobs are settled together") {
  OnStage on;
  Shop shop(Way::OverHttp, {});
  Running worker(shop.store, 16, Hold);
  shop.client.bulk().add({.count = 16}, Hold).commit();
  on.wait_for([&] { return on.started.size() == 16; });
  const auto before = shop.server.transactions();
  on.let_go();
  shop.server.wait_until([&] {
    const auto queues = shop.server.store().queues(shop.clock.now());
    return queues && queues->front().processing == 0;
  });
  CHECK(shop.server.transactions() - before < 16);
}

TEST_CASE("worker: a server that refuses it is told to the caller") {
  ManualClock clock;
  ControlServerOptions options;
  options.users = {{"root", access::Password::plain("pw"), "admin"}};
  ControlServer server(clock, options);
  {
    Worker worker(connect(server.url()));
    std::stop_source never;
    try {
      worker.handle(Note).run(never.get_token());
      FAIL("it was let in");
    } catch (const Error& error) {
      CHECK(error.code == "forbidden");
    }
  }
  const Environment user("JOBMILL_USER", "root");
  const Environment password("JOBMILL_PASSWORD", "pw");
  OnStage on;
  const auto store = connect(server.url());
  Running worker(store, 1, Note);
  Client(store).enqueue(Note, "x");
  on.wait_for([&] { return on.started.size() == 1; });
}

TEST_CASE("client: schedules, repeats, requeues") {
  for (const Way way : {Way::InProcess, Way::OverHttp}) {
    CAPTURE(static_cast<int>(way));
    Shop shop(way);
    const auto at = std::chrono::system_clock::time_point(shop.clock.now()) + 2min;
    const JobId id = shop.client.schedule(at, Note, "x");
    CHECK(shop.state(id) == JobState::Scheduled);
    CHECK(shop.client.requeue(id));
    CHECK(shop.state(id) == JobState::Enqueued);
    CHECK_FALSE(shop.client.requeue(id));
    CHECK_FALSE(shop.client.requeue({"no such job"}));

    shop.client.recurring("nightly", "0 2 * * *", "Europe/Brussels", Missed::skip, Note, "ops");
    shop.client.recurring({.id = "hourly", .schedule = "PT1H", .missed_within = 900s}, Note, "x");
    const auto recurring = shop.server.store().recurring();
    REQUIRE(recurring);
    REQUIRE(recurring->size() == 2);
    CHECK_THROWS_AS(shop.client.recurring("wrong", "99 * * * *", "UTC", Missed::skip, Note, "x"),
                    Error);
  }
}

TEST_CASE("client: the same id is the same job, and placeholders are filled in") {
  Shop shop(Way::OverHttp);
  const JobId first = shop.client.enqueue({.id = "mail/bob"}, Note, "bob");
  const JobId second = shop.client.enqueue({.id = "mail/bob"}, Note, "bob");
  CHECK(first.uuid == second.uuid);
  CHECK(shop.job(first).args == R"(["bob"])");

  constexpr Job<"test.labelled", note> Labelled{
      {.priority = 3, .labels = "tenant:{0},nightly", .name = "mail to {0}"}};
  const auto job = shop.job(shop.client.enqueue(Labelled, "acme"));
  CHECK(job.labels == std::vector<std::string>{"tenant:acme", "nightly"});
  CHECK(job.name == "mail to acme");
  CHECK(job.priority == 3);
  CHECK(job.max_attempts == 11);
}

TEST_CASE("client: an error has the protocol's code") {
  Shop shop(Way::OverHttp);
  const auto code_of = [](const std::function<void()>& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code;
    }
    return std::string("none");
  };
  shop.client.enqueue({.id = "mail/bob"}, Note, "bob");
  CHECK(code_of([&] { shop.client.enqueue({.id = "mail/bob"}, Note, "eve"); }) ==
        "idempotency_conflict");
  constexpr Job<"test.wrong", note> Wrong{{.labels = "a,a"}};
  CHECK(code_of([&] { shop.client.enqueue(Wrong, "x"); }) == "invalid_argument");
  CHECK(code_of([] { connect("ftp://example.org"); }) == "configuration");
  CHECK(code_of([] { Client(connect("http://127.0.0.1:1")).enqueue(Note, "x"); }) ==
        "storage_unavailable");
  CHECK(code_of([&] {
          std::stop_source stop;
          Worker(shop.store).run(stop.get_token());
        }) == "invalid_argument");
}

}  // namespace jobmill::testing
