// SPDX-License-Identifier: Apache-2.0
//
// What people wait for who look into a store that holds a million jobs:
//
//   dashboard_bench sqlite --data DIR [--jobs N]
//   dashboard_bench postgres --url URL [--jobs N]
//
// With `--filled yes` a store is measured that an earlier run has filled.
#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "base/clock.h"
#include "jobs/job_explorer.h"
#include "measure.h"
#include "store/postgres/job_explorer.h"
#include "store/postgres/postgres_job_store.h"
#include "store/sqlite/job_explorer.h"
#include "store/sqlite/sqlite_job_store.h"

namespace {

using namespace jobmill;
using namespace std::chrono_literals;
using bench::need;
using jobs::JobState;

constexpr int kBulk = 1000;
constexpr int kQueues = 8;
constexpr int kKinds = 5;
constexpr int kTenants = 1000;
constexpr int kGroups = 1000;
constexpr int kRare = 100;  // jobs of a queue and kind that few have
constexpr std::int64_t kCap = 10'000;

std::string tenant(int number) { return fmt::format("tenant:{}", number); }

std::vector<jobs::JobSpec> orders(int first, int count, std::string_view queue) {
  std::vector<jobs::JobSpec> specs(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    jobs::JobSpec& spec = specs[static_cast<std::size_t>(i)];
    const int number = first + i;
    spec.kind = fmt::format("order.step{}", number % kKinds);
    spec.queue = queue.empty() ? fmt::format("q{}", number % kQueues) : std::string(queue);
    spec.args = fmt::format(R"([{{"order":{},"customer":"customer{}@example.org"}}])", number,
                            number % kTenants);
    spec.name = fmt::format("Order {}", number);
    spec.labels = {tenant(number % kTenants)};
  }
  return specs;
}

// Jobs of all states: a fifth of each, and some that run.
class Filling {
 public:
  Filling(jobs::JobStoreOwner& store, int jobs) : store_(store), share_(jobs / 5 / kBulk * kBulk) {}

  void fill() {
    jobs::WorkerSpec worker;
    worker.name = "bench";
    worker.concurrency = kBulk;
    worker_ = need(store_.announce(worker, clock_.now())).worker_id;
    for (int i = 0; i < share_; i += kBulk) insert(i, "end"), settle(false, 0, i);
    for (int i = 0; i < share_ / 2; i += kBulk) insert(i, "end"), settle(true, 1, i);
    for (int i = 0; i < share_ / 2; i += kBulk) insert(i, "end"), settle(true, kGroups, i);
    for (int i = 0; i < share_; i += kBulk) remove(insert(i, ""));
    for (int i = 0; i < share_; i += kBulk) insert(i, "", 24h);
    for (int i = 0; i < share_; i += kBulk) insert(i, "");
    auto rare = orders(0, kRare, "rare");
    for (auto& spec : rare) spec.kind = "rare.kind";
    need(store_.insert(rare, clock_.now()));
    insert(0, "running");
    claim("running");
  }

 private:
  std::vector<std::string> insert(int first, std::string_view queue, Duration delay = {}) {
    auto specs = orders(first, kBulk, queue);
    if (delay > Duration::zero()) {
      for (std::size_t i = 0; i < specs.size(); ++i) {
        specs[i].delay = delay + (first + static_cast<int>(i)) * 1s;
      }
    }
    std::vector<std::string> ids;
    for (auto& made : need(store_.insert(specs, clock_.now())).jobs) ids.push_back(made.id);
    return ids;
  }

  std::vector<jobs::ClaimedJob> claim(const std::string& queue) {
    need(store_.beat(worker_, {}, clock_.now()));
    return need(store_.claim({.worker_id = worker_,
                              .limit = kBulk,
                              .queues = {queue},
                              .kinds = {},
                              .wait = {}},
                             clock_.now()))
        .jobs;
  }

  void settle(bool failed, int groups, int first) {
    std::vector<jobs::Settlement> all;
    for (const jobs::ClaimedJob& claimed : claim("end")) {
      jobs::Settlement& each = all.emplace_back();
      each.job_id = claimed.job.id;
      each.lock_token = claimed.lock_token;
      if (!failed) continue;
      const int group = (first + static_cast<int>(all.size())) % groups;
      each.kind = jobs::Settlement::Kind::Fail;
      each.failure.type = fmt::format("order.Error{}", char('A' + group % 20));
      each.failure.message = fmt::format("order {} of {} is bad", first, group);
      each.failure.stack =
          fmt::format("at step_{}(order.cc:{})\nat main",
                      std::string(1 + static_cast<std::size_t>(group), 's'), first);
      each.failure.retry = jobs::RetryRule::Never;
    }
    for (const auto& settled : need(store_.settle(worker_, all, clock_.now())))
      need(settled.status);
  }

  void remove(const std::vector<std::string>& ids) {
    const jobs::Alteration deletion{.kind = jobs::Alteration::Kind::Delete};
    for (const Status& status : need(store_.alter(ids, deletion, clock_.now()))) need(status);
  }

  jobs::JobStoreOwner& store_;
  const int share_;
  const SystemClock clock_;
  std::string worker_;
};

// The times of calls, in milliseconds.
class Times {
 public:
  void measure(std::string_view what, const std::function<void()>& call) {
    const auto start = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    all_.push_back(took.count());
    of_[std::string(what)].push_back(took.count());
  }

  void report(const std::string& name) {
    bench::report(name + "_p50_ms", quantile(all_, 50));
    bench::report(name + "_p99_ms", quantile(all_, 99));
    for (auto& [what, times] : of_) {
      fmt::print(stderr, "{}: {:.1f} ms, slowest {:.1f}: {}\n", name, quantile(times, 50),
                 quantile(times, 100), what);
    }
  }

 private:
  static double quantile(std::vector<double>& times, std::size_t percent) {
    std::sort(times.begin(), times.end());
    return times[std::min(times.size() * percent / 100, times.size() - 1)];
  }

  std::vector<double> all_;
  std::map<std::string, std::vector<double>> of_;
};

constexpr std::array kStates{JobState::Scheduled, JobState::Enqueued, JobState::Processing,
                             JobState::Succeeded, JobState::Failed,   JobState::Deleted};

class Dashboard {
 public:
  Dashboard(jobs::JobStoreOwner& store, jobs::JobExplorer& explorer, std::string name)
      : store_(store), explorer_(explorer), name_("dashboard." + std::move(name)) {}

  void measure() {
    pages();
    search();
    failures();
    overview();
    requeue();
  }

 private:
  static constexpr int kTimes = 34;  // of each page: six states by four pages make 200 and more

  void pages() {
    Times times;
    for (int i = 0; i < kTimes; ++i) {
      for (const JobState state : kStates) {
        jobs::JobSliceRequest page{.filter = {.states = {state}}};
        page.descending = state == JobState::Succeeded || state == JobState::Failed;
        const std::string what(to_string(state));
        times.measure(what + " first", [&] { page.after = look(page).last; });
        times.measure(what + " next", [&] { look(page); });
        page.after.clear();
        page.offset = 9 * page.limit;
        times.measure(what + " 10th", [&] { look(page); });
        page.offset = 0;
        page.last = true;
        times.measure(what + " last", [&] { look(page); });
      }
    }
    times.report(name_ + ".jobs_page");
  }

  void search() {
    Times times;
    for (int i = 0; i < 20; ++i) {
      const auto some = look({.filter = {.states = {kStates[static_cast<std::size_t>(i) % 6]}}});
      times.measure("id", [&] { need(store_.get(some.items.at(0).id)); });
      find(times, "label", {.labels = {tenant(i * 37)}});
      for (const JobState state : kStates) {
        const std::string in(to_string(state));
        find(times, "label in " + in, {.states = {state}, .labels = {tenant(i * 37)}});
        find(times, "queue in " + in,
             {.states = {state}, .queue = fmt::format("q{}", i % kQueues)});
        find(times, "rare queue in " + in, {.states = {state}, .queue = "rare"});
        find(times, "kind in " + in, {.states = {state}, .kind = "order.step3"});
        find(times, "rare kind in " + in, {.states = {state}, .kind = "rare.kind"});
      }
      find(times, "rare kind", {.kind = "rare.kind"});
      find(times, "labels", {});
    }
    times.report(name_ + ".search");
  }

  void find(Times& times, std::string_view what, const jobs::JobFilter& filter) {
    times.measure(what, [&] {
      look({.filter = filter});
      need(explorer_.count(filter, kCap));
    });
  }

  void failures() {
    Times times;
    for (int i = 0; i < 50; ++i) {
      std::vector<jobs::FailureGroup> groups;
      times.measure("groups", [&] {
        groups = need(explorer_.failures(i % 2 == 0 ? 0 : 900, 20));
        need(explorer_.failure_groups());
      });
      find(times, "group", {.failure_fingerprint = groups.at(0).fingerprint});
    }
    times.report(name_ + ".failures");
  }

  void overview() {
    Times times;
    const SystemClock clock;
    for (int i = 0; i < 100; ++i) {
      times.measure("overview", [&] {
        need(store_.queues(clock.now()));
        need(store_.workers(clock.now()));
        for (const JobState state : kStates) need(explorer_.count({.states = {state}}, kCap));
      });
    }
    times.report(name_ + ".overview");
  }

  // 10,000 of those that failed, in pages.
  void requeue() {
    Times times;
    const SystemClock clock;
    std::string after;
    for (int i = 0; i < 10; ++i) {
      times.measure("requeue", [&] {
        const auto page = need(explorer_.ids({.states = {JobState::Failed}}, after, kBulk));
        after = page.last;
        for (const Status& status : need(store_.alter(page.ids, {}, clock.now()))) need(status);
      });
    }
    times.report(name_ + ".requeue1000");
  }

  jobs::JobSlice look(const jobs::JobSliceRequest& request) {
    return need(explorer_.slice(request));
  }

  jobs::JobStoreOwner& store_;
  jobs::JobExplorer& explorer_;
  const std::string name_;
};

void measure(jobs::JobStoreOwner& store, jobs::JobExplorer& explorer, std::string name,
             const bench::Flags& flags) {
  if (flags.text("--filled", "no") != "yes")
    Filling(store, flags.number("--jobs", 1'000'000)).fill();
  Dashboard(store, explorer, std::move(name)).measure();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  const bench::Flags flags(argc, argv, 2);
  if (what == "sqlite") {
    const auto file = need(sqlite::SqliteFile::open(flags.text("--data") + "/jobs.db"));
    const auto store = need(sqlite::open_job_store(*file, SystemClock().now()));
    measure(*store, *need(sqlite::open_job_explorer(*file)), "sqlite", flags);
  } else if (what == "postgres") {
    const auto url = need(postgres::Url::parse(flags.text("--url")));
    const auto store = need(postgres::open_job_store(url));
    measure(*store, *need(postgres::open_job_explorer(url)), "pg", flags);
  } else {
    bench::give_up("one of: sqlite, postgres");
  }
}
