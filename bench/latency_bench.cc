// SPDX-License-Identifier: Apache-2.0
//
// How long a job waits when nothing else does: from the call of enqueue to the start of its
// handler, with a server and a worker in this process, at 50 jobs a second. Between the two the job
// is synced to disk once and claimed, which is why the time of one sync is printed with it.
//
//   latency_bench --data DIR [--jobs N] [--store URL]
//
// With a store in PostgreSQL the time of a commit there is printed instead.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "jobmill/jobs.h"
#include "jobmill/server.h"
#include "measure.h"
#include "store/postgres/connection.h"

namespace {

using Steady = std::chrono::steady_clock;
using namespace std::chrono_literals;

double millis(Steady::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// --- the disk -----------------------------------------------------------------------------------

// One block, written again and again where it is: the least that a commit can cost.
double disk_sync(const std::string& path) {
  const std::array<char, 4096> block{};
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) jobmill::bench::give_up("cannot write to the data folder");
  std::vector<double> times;
  for (int i = 0; i < 201; ++i) {
    const auto start = Steady::now();
    if (::pwrite(file, block.data(), block.size(), 0) < 0 || ::fdatasync(file) != 0)
      jobmill::bench::give_up("cannot write to the data folder");
    if (i > 0) times.push_back(millis(Steady::now() - start));  // the first one made the file
  }
  ::close(file);
  return jobmill::bench::median(times);
}

// One row, and nothing else: the least that a commit of the database can cost.
double database_commit(const std::string& url) {
  using namespace jobmill;
  constexpr postgres::Statement kInsert{"bench_insert", "INSERT INTO bench_commit VALUES ($1)"};
  auto connection = bench::need(postgres::Connection::open(bench::need(postgres::Url::parse(url))));
  bench::need(connection.script("CREATE TABLE IF NOT EXISTS bench_commit (n integer)"));
  std::vector<double> times;
  for (int i = 0; i < 201; ++i) {
    const auto start = Steady::now();
    bench::need(connection.run(kInsert, postgres::Parameters().int4(i)));
    if (i > 0) times.push_back(millis(Steady::now() - start));  // the first one was prepared
  }
  return bench::median(times);
}

// --- the handler --------------------------------------------------------------------------------

struct Starts {
  std::mutex mutex;  // guards at
  std::vector<Steady::time_point> at;
  std::condition_variable came;
};

Starts& starts() {
  static Starts all;
  return all;
}

void note_start(jobmill::Context&, int number) {
  const auto now = Steady::now();
  const std::lock_guard lock(starts().mutex);
  starts().at.at(static_cast<std::size_t>(number)) = now;
  starts().came.notify_one();
}

inline constexpr jobmill::Job<"bench.note", note_start> Note{};

void wait_for(std::size_t number) {
  std::unique_lock lock(starts().mutex);
  const bool came = starts().came.wait_for(
      lock, 60s, [&] { return starts().at[number] != Steady::time_point(); });
  if (!came) jobmill::bench::give_up("a job did not start within a minute");
}

std::vector<double> latencies(const std::shared_ptr<jobmill::Store>& store, int jobs) {
  constexpr int kWarmUp = 10;
  const auto total = static_cast<std::size_t>(jobs + kWarmUp);
  starts().at.resize(total);
  std::jthread working(
      [&](std::stop_token stop) { jobmill::Worker(store).handle(Note).concurrency(8).run(stop); });
  jobmill::Client client(store);
  std::vector<double> waits;
  auto next = Steady::now();
  for (std::size_t i = 0; i < total; ++i) {
    std::this_thread::sleep_until(next += 20ms);
    const auto called = Steady::now();
    client.enqueue(Note, static_cast<int>(i));
    wait_for(i);
    const std::lock_guard lock(starts().mutex);
    if (i >= kWarmUp) waits.push_back(millis(starts().at[i] - called));
  }
  return waits;
}

}  // namespace

int main(int argc, char** argv) {
  const jobmill::bench::Flags flags(argc, argv, 1);
  const std::string data = flags.text("--data");
  const std::string store = flags.text("--store", "sqlite:");
  const bool sqlite = store == "sqlite:";
  if (sqlite)
    jobmill::bench::report("disk.sync_p50_ms", disk_sync(data + "/sync"));
  else
    jobmill::bench::report("jobs.pg.commit_p50_ms", database_commit(store));

  jobmill::Server server(
      {.data = data, .store = store, .http = "127.0.0.1:0", .log_level = "error"});
  std::jthread serving([&](std::stop_token stop) { server.run(stop); });
  jobmill::bench::report(
      sqlite ? "jobs.sqlite.latency_p50_ms" : "jobs.pg.latency_p50_ms",
      jobmill::bench::median(latencies(server.store(), flags.number("--jobs", 250))));
}
