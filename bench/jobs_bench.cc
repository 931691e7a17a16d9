// SPDX-License-Identifier: Apache-2.0
//
// What a job costs, without its handler:
//
//   jobs_bench sqlite --data DIR [--jobs N]               the embedded store
//   jobs_bench wire --server URL --pid PID [--jobs N]     a control server, its CPU time included
//   jobs_bench loaded --data DIR [--history N --runs N]   the embedded store when it is full
//   jobs_bench postgres --url URL --pid PID [--jobs N]    PostgreSQL, its CPU time included
//   jobs_bench postgres-loaded --url URL --empty URL --pid PID [--history N --runs N]
#include <chrono>
#include <future>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <fmt/core.h>

#include "base/clock.h"
#include "measure.h"
#include "store/postgres/postgres_job_store.h"
#include "store/sqlite/sqlite_job_store.h"
#include "wire/remote_job_store.h"

namespace {

using namespace jobmill;
using namespace std::chrono_literals;
using bench::need;

constexpr int kBulk = 1000;  // jobs of one insert
constexpr int kClaim = 100;  // jobs of one claim and of one settlement
constexpr int kProducers = 8;

// As an application's jobs are: a kind, two arguments, a name, a label.
std::vector<jobs::JobSpec> mails(int count) {
  std::vector<jobs::JobSpec> specs(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < specs.size(); ++i) {
    specs[i].kind = "mail.send";
    specs[i].args = fmt::format(R"(["customer{}@example.org",{}])", i, i);
    specs[i].name = "Send mail";
    specs[i].labels = {"tenant:7"};
  }
  return specs;
}

void enqueue_in_bulk(jobs::JobStore& store, int jobs, const Clock& clock) {
  const auto specs = mails(kBulk);
  for (int i = 0; i < jobs; i += kBulk) need(store.insert(specs, clock.now()));
}

// Each waits until its job is on disk before it enqueues the next one.
void enqueue_singly(jobs::JobStore& store, int jobs, const Clock& clock) {
  const auto spec = mails(1);
  std::vector<std::jthread> producers;
  for (int i = 0; i < kProducers; ++i)
    producers.emplace_back([&store, &spec, &clock, jobs] {
      for (int n = 0; n < jobs / kProducers; ++n) need(store.insert(spec, clock.now()));
    });
}

std::vector<jobs::Settlement> completions(std::span<const jobs::ClaimedJob> claimed) {
  std::vector<jobs::Settlement> all(claimed.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].job_id = claimed[i].job.id;
    all[i].lock_token = claimed[i].lock_token;
  }
  return all;
}

// Claims and completes until nothing is left. Returns how many there were.
int drain(jobs::JobStore& store, const Clock& clock) {
  jobs::WorkerSpec spec;
  spec.name = "bench";
  spec.concurrency = kClaim;
  const jobs::Registration worker = need(store.announce(spec, clock.now()));
  int done = 0;
  for (TimePoint beaten = clock.now();;) {
    if (clock.now() - beaten > worker.beat) {
      beaten = clock.now();
      need(store.beat(worker.worker_id, {}, beaten));
    }
    const auto claimed = need(store.claim(
        {.worker_id = worker.worker_id, .limit = kClaim, .queues = {}, .kinds = {}, .wait = {}},
        clock.now()));
    if (claimed.jobs.empty()) break;
    for (const jobs::Settled& settled :
         need(store.settle(worker.worker_id, completions(claimed.jobs), clock.now())))
      need(settled.status);
    done += static_cast<int>(claimed.jobs.size());
  }
  need(store.leave(worker.worker_id, clock.now()));
  return done;
}

void expect(int done, int jobs) {
  if (done != jobs) bench::give_up(fmt::format("{} of {} jobs were claimed", done, jobs));
}

void measure(jobs::JobStore& store, const bench::CpuClock& cpu, std::string_view name, int jobs) {
  const SystemClock clock;
  const bench::Stopwatch bulk(cpu);
  enqueue_in_bulk(store, jobs, clock);
  bulk.report(fmt::format("{}.bulk_enqueue", name), jobs);

  const bench::Stopwatch draining(cpu);
  expect(drain(store, clock), jobs);
  draining.report(fmt::format("{}.drain", name), jobs);

  const int single = jobs / 10 / kProducers * kProducers;
  const bench::Stopwatch singly(cpu);
  enqueue_singly(store, single, clock);
  singly.report(fmt::format("{}.single8", name), single);
}

// A store in a file of its own.
struct Embedded {
  explicit Embedded(const std::string& path)
      : file(need(sqlite::SqliteFile::open(path))),
        store(need(sqlite::open_job_store(*file, clock.now()))) {}

  SystemClock clock;
  std::unique_ptr<sqlite::SqliteFile> file;
  std::unique_ptr<jobs::JobStoreOwner> store;
};

double drain_cpu(Embedded& embedded, const bench::CpuClock& cpu, int jobs) {
  enqueue_in_bulk(*embedded.store, jobs, embedded.clock);
  const bench::Stopwatch draining(cpu);
  expect(drain(*embedded.store, embedded.clock), jobs);
  return draining.cpu_micros();
}

// Does a job cost more when many have been done before? 1 would be ideal.
void measure_loaded(const std::string& data, int history, int runs) {
  constexpr int kJobs = 20'000;
  const bench::CpuClock cpu;
  Embedded full(data + "/full.db");
  drain_cpu(full, cpu, history);
  for (int run = 0; run < runs; ++run) {
    Embedded empty(fmt::format("{}/empty{}.db", data, run));
    const double without = drain_cpu(empty, cpu, kJobs);
    bench::report("jobs.sqlite.drain_loaded_ratio", drain_cpu(full, cpu, kJobs) / without);
  }
}

// --- PostgreSQL ---------------------------------------------------------------------------------

constexpr int kSlots = 500;

// 200 bytes of arguments.
std::vector<jobs::JobSpec> reports(int count) {
  auto specs = mails(count);
  for (std::size_t i = 0; i < specs.size(); ++i) specs[i].args = fmt::format(R"(["{:0>194}"])", i);
  return specs;
}

void bulk(jobs::JobStore& store, int jobs, Duration delay = {}) {
  const SystemClock clock;
  auto specs = reports(kBulk);
  if (delay > Duration::zero())
    for (jobs::JobSpec& spec : specs) spec.delay = delay;
  for (int i = 0; i < jobs; i += kBulk) need(store.insert(specs, clock.now()));
}

// As a worker does it: while one batch is reported, the next one is claimed, and both go out
// together.
int drain_side_by_side(jobs::JobStore& store) {
  const SystemClock clock;
  jobs::WorkerSpec spec;
  spec.name = "bench";
  spec.concurrency = kSlots;
  const jobs::Registration worker = need(store.announce(spec, clock.now()));
  std::future<void> settling;
  int done = 0;
  for (TimePoint beaten = clock.now();;) {
    if (clock.now() - beaten > worker.beat) {
      beaten = clock.now();
      need(store.beat(worker.worker_id, {}, beaten));
    }
    auto claimed = need(store.claim(
        {.worker_id = worker.worker_id, .limit = kSlots, .queues = {}, .kinds = {}, .wait = {}},
        clock.now()));
    if (settling.valid()) settling.get();
    if (claimed.jobs.empty()) break;
    done += static_cast<int>(claimed.jobs.size());
    settling = std::async(std::launch::async, [&, jobs = std::move(claimed.jobs)] {
      for (const auto& settled :
           need(store.settle(worker.worker_id, completions(jobs), clock.now())))
        need(settled.status);
    });
  }
  need(store.leave(worker.worker_id, clock.now()));
  return done;
}

std::unique_ptr<jobs::JobStoreOwner> in_postgres(const std::string& url) {
  return need(postgres::open_job_store(need(postgres::Url::parse(url))));
}

void measure_postgres(jobs::JobStore& store, const bench::CpuClock& cpu, int jobs) {
  const SystemClock clock;
  const bench::Stopwatch bulk_time(cpu);
  bulk(store, jobs);
  bulk_time.report("jobs.pg.bulk_enqueue", jobs);

  const bench::Stopwatch draining(cpu);
  expect(drain_side_by_side(store), jobs);
  draining.report("jobs.pg.drain", jobs);

  const int single = jobs / 10 / kProducers * kProducers;
  const bench::Stopwatch singly(cpu);
  enqueue_singly(store, single, clock);
  singly.report("jobs.pg.single8", single);
  expect(drain_side_by_side(store), single);
}

double drain_rate(jobs::JobStore& store, int jobs) {
  bulk(store, jobs);
  const auto start = std::chrono::steady_clock::now();
  expect(drain_side_by_side(store), jobs);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return jobs / seconds.count();
}

// How much of its throughput a store keeps that holds a million finished jobs, and a million for
// later. The first run comes right after the load, before anything was analyzed.
void measure_postgres_loaded(const std::string& full_url, const std::string& empty_url, int history,
                             int runs) {
  constexpr int kJobs = 200'000;
  const auto full = in_postgres(full_url);
  const auto empty = in_postgres(empty_url);
  drain_rate(*full, history);
  for (int run = 0; run < runs; ++run)
    bench::report("jobs.pg.drain_finished_ratio",
                  drain_rate(*full, kJobs) / drain_rate(*empty, kJobs));
  bulk(*full, history, 24h);
  for (int run = 0; run < runs; ++run)
    bench::report("jobs.pg.drain_loaded_ratio",
                  drain_rate(*full, kJobs) / drain_rate(*empty, kJobs));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const bench::Flags flags(argc, argv, 2);
  const int jobs = flags.number("--jobs", 100'000) / kBulk * kBulk;
  if (what == "sqlite") {
    Embedded embedded(flags.text("--data") + "/jobs.db");
    measure(*embedded.store, bench::CpuClock(), "jobs.sqlite", jobs);
  } else if (what == "wire") {
    const SystemClock clock;
    wire::RemoteOptions options;
    options.url = flags.text("--server");
    wire::RemoteJobStore store(options, clock);
    measure(store, bench::CpuClock(flags.number("--pid", 1)), "jobs.wire", jobs);
  } else if (what == "loaded") {
    measure_loaded(flags.text("--data"), flags.number("--history", 1'000'000) / kBulk * kBulk,
                   flags.number("--runs", 5));
  } else if (what == "postgres") {
    bench::CpuClock cpu;
    cpu.with_family(flags.number("--pid", 1));
    measure_postgres(*in_postgres(flags.text("--url")), cpu, jobs);
  } else if (what == "postgres-loaded") {
    measure_postgres_loaded(flags.text("--url"), flags.text("--empty"),
                            flags.number("--history", 1'000'000) / kBulk * kBulk,
                            flags.number("--runs", 5));
  } else {
    bench::give_up("one of: sqlite, wire, loaded, postgres, postgres-loaded");
  }
}
