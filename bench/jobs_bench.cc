// SPDX-License-Identifier: Apache-2.0
//
// CPU time per job of the embedded store: enqueue in bulk, claim by hundreds, complete by hundreds.
//
//   jobs_bench [--jobs N] [--data FILE] [--runs N]
//
// Prints one line per run and metric: name, value.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "base/clock.h"
#include "store/sqlite/sqlite_job_store.h"

namespace {

using namespace jobmill;

constexpr int kClaim = 100;
constexpr int kBulk = 1000;

// Of all threads of this process; system time included.
double cpu_micros() {
  std::timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

template <class T>
T need(Result<T> result) {
  if (!result) {
    fmt::print(stderr, "jobs_bench: {}\n", result.error().message);
    std::exit(1);
  }
  return *std::move(result);
}

std::vector<jobs::JobSpec> bulk() {
  std::vector<jobs::JobSpec> specs(kBulk);
  for (int i = 0; i < kBulk; ++i) {
    auto& spec = specs[static_cast<std::size_t>(i)];
    spec.kind = "mail.send";
    spec.args = fmt::format(R"(["customer{}@example.org",{}])", i, i);
    spec.name = "Send mail";
    spec.labels = {"tenant:7"};
  }
  return specs;
}

void drain(jobs::JobStore& store, const std::string& worker, const Clock& clock) {
  for (;;) {
    const auto claimed = need(
        store.claim({.worker_id = worker, .limit = kClaim, .queues = {}, .kinds = {}, .wait = {}},
                    clock.now()));
    if (claimed.jobs.empty()) return;
    std::vector<jobs::Settlement> done(claimed.jobs.size());
    for (std::size_t i = 0; i < done.size(); ++i) {
      done[i].job_id = claimed.jobs[i].job.id;
      done[i].lock_token = claimed.jobs[i].lock_token;
    }
    need(store.settle(done, clock.now()));
  }
}

void run(const std::string& path, int jobs) {
  const SystemClock clock;
  auto file = need(sqlite::SqliteFile::open(path));
  auto store = need(sqlite::open_job_store(*file, clock.now()));
  jobs::WorkerSpec spec;
  spec.name = "bench";
  const auto worker = need(store->announce(spec, clock.now())).worker_id;
  const auto specs = bulk();

  const double start = cpu_micros();
  for (int i = 0; i < jobs; i += kBulk) need(store->insert(specs, clock.now()));
  const double enqueued = cpu_micros();
  drain(*store, worker, clock);
  const double drained = cpu_micros();

  fmt::print("jobs.sqlite.bulk_enqueue.cpu_us {:.2f}\n", (enqueued - start) / jobs);
  fmt::print("jobs.sqlite.drain.cpu_us {:.2f}\n", (drained - enqueued) / jobs);
  fmt::print("jobs.sqlite.cycle.cpu_us {:.2f}\n", (drained - start) / jobs);
}

}  // namespace

int main(int argc, char** argv) {
  int jobs = 100'000, runs = 3;
  std::string folder = std::filesystem::temp_directory_path().string();
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    if (flag == "--jobs") jobs = std::atoi(argv[i + 1]);
    if (flag == "--runs") runs = std::atoi(argv[i + 1]);
    if (flag == "--data") folder = argv[i + 1];
  }
  for (int i = 0; i < runs; ++i) {
    const std::string name = fmt::format("{}/jobmill-bench-{}.db", folder, i);
    run(name, jobs);
    for (const char* suffix : {"", "-wal", "-shm", ".lock"}) std::filesystem::remove(name + suffix);
  }
}
