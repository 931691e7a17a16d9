// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <random>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "scale/job_scaler.h"

// What the rules of starting executions mean in the long run: one trace of messages, and a model of
// a queue and of executions that each take one message, under bound semantics and under KEDA's.
namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;

constexpr const char* kJob = "orders-job";
constexpr std::array kWaves{std::pair{0s, 334}, std::pair{40s, 333}, std::pair{75s, 333}};

struct Outcome {
  int messages = 0;
  int completed = 0;
  int executions = 0;
  int empty = 0;  // that found no message
  int most_running = 0;
  Duration longest_lag{};  // from a wave until there was an execution for each of its messages
  Duration finished{};
};

// Times are drawn once for each execution, in the order of their creation, so that all rules are
// tried with the same ones.
class Model {
 public:
  Model(JobSemantics semantics, JobStrategy strategy, std::int64_t max, std::uint64_t seed)
      : random_(seed) {
    JobScaler::Spec spec;
    spec.key = kJob;
    spec.semantics = semantics;
    spec.strategy = strategy;
    spec.max = max;
    if (semantics == JobSemantics::Bound) spec.rules = {{.name = "orders"}};
    if (semantics == JobSemantics::Keda)
      spec.triggers = {{"azure-servicebus", "orders",
                        MetricSpec{"s0-azure-servicebus-orders", MetricType::AverageValue, 1000}}};
    scaler_.put(spec, clock_.now());
    for (const auto& [at, count] : kWaves) later(at, [this, number = count] { send(number); });
  }

  Outcome run() {
    tell();
    do {
      act();
      step();
    } while (!done() && since_start() < 6h);
    outcome_.finished = since_start();
    return outcome_;
  }

 private:
  struct Wave {
    TimePoint at;
    int needed = 0;  // executions in all
  };

  void later(Duration in, std::function<void()> what) {
    agenda_.emplace(clock_.now() + in, std::move(what));
  }
  Duration between(Duration least, Duration most) {
    return Duration(std::uniform_int_distribution(least.count(), most.count())(random_));
  }
  Duration since_start() const { return clock_.now() - ManualClock().now(); }
  bool done() const { return agenda_.empty() && outcome_.completed == outcome_.messages; }

  // The next event, or the instant at which the scaler wants to be called.
  void step() {
    std::optional<TimePoint> next = scaler_.next();
    if (!agenda_.empty()) next = std::min(next.value_or(TimePoint::max()), agenda_.begin()->first);
    if (!next) return;
    clock_.set(std::max(clock_.now(), *next));
    while (!agenda_.empty() && agenda_.begin()->first <= clock_.now())
      agenda_.extract(agenda_.begin()).mapped()();
    tell();
  }

  void tell() {
    const JobScaler::Queue queue{ready_, locked_};
    scaler_.queue(kJob, 0, queue, clock_.now());
    const std::int64_t running = starting_ + working_;
    scaler_.executions(kJob, running, starting_, {starting_}, clock_.now());
    outcome_.most_running = std::max(outcome_.most_running, static_cast<int>(running));
  }

  void act() {
    for (;;) {
      const JobScaler::Actions actions = scaler_.tick(clock_.now());
      if (actions.reads.empty() && actions.create.empty()) return;
      for (const auto& read : actions.reads) {
        const auto length = static_cast<double>(ready_ + locked_);
        scaler_.sample(read, Sample{length, length > 0}, clock_.now());
      }
      for (const auto& create : actions.create)
        for (int i = 0; i < create.count; ++i) start();
      tell();
    }
  }

  void send(int count) {
    ready_ += count;
    outcome_.messages += count;
    waves_.push_back({clock_.now(), outcome_.messages});
  }

  // It takes up to 20 s until the process runs, and two more until it is gone after its work.
  void start() {
    ++outcome_.executions;
    ++starting_;
    while (!waves_.empty() && waves_.front().needed <= outcome_.executions) {
      outcome_.longest_lag = std::max(outcome_.longest_lag, clock_.now() - waves_.front().at);
      waves_.pop_front();
    }
    const Duration delay = between(0s, 20s);
    const Duration work = between(5s, 40s);
    const Duration rest = between(100ms, 2s);
    later(delay, [this, work, rest] { receive(work, rest); });
  }

  void receive(Duration work, Duration rest) {
    --starting_;
    ++working_;
    if (ready_ == 0) {
      ++outcome_.empty;
      later(5s, [this] { --working_; });
      return;
    }
    --ready_;
    ++locked_;
    later(work, [this, rest] {
      --locked_;
      ++outcome_.completed;
      later(rest, [this] { --working_; });
    });
  }

  ManualClock clock_;
  JobScaler scaler_;
  std::mt19937_64 random_;
  std::multimap<TimePoint, std::function<void()>> agenda_;
  std::deque<Wave> waves_;
  std::int64_t ready_ = 0;
  std::int64_t locked_ = 0;
  std::int64_t starting_ = 0;  // executions that have not looked into the queue yet
  std::int64_t working_ = 0;
  Outcome outcome_;
};

struct Way {
  const char* name;
  JobSemantics semantics;
  JobStrategy strategy = JobStrategy::Default;
};
constexpr Way kBound{"bound", JobSemantics::Bound};
constexpr Way kDefault{"KEDA default", JobSemantics::Keda};
constexpr Way kAccurate{"KEDA accurate", JobSemantics::Keda, JobStrategy::Accurate};

Outcome simulate(const Way& way, std::int64_t max, std::uint64_t seed) {
  return Model(way.semantics, way.strategy, max, seed).run();
}

std::string row(const Way& way, std::int64_t max, const Outcome& outcome) {
  const auto seconds = [](Duration time) { return std::chrono::duration<double>(time).count(); };
  return fmt::format("{:14}{:6}{:12}{:8}{:11}{:15.1f}{:13.1f}\n", way.name, max, outcome.executions,
                     outcome.empty, outcome.completed, seconds(outcome.longest_lag),
                     seconds(outcome.finished));
}

}  // namespace

TEST_CASE("job simulation: a thousand messages in three waves start a thousand executions") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    for (const std::int64_t max : {1000, 100}) {
      CAPTURE(max);
      const Outcome outcome = simulate(kBound, max, seed);
      CHECK(outcome.completed == 1000);
      CHECK(outcome.executions == 1000);
      CHECK(outcome.empty == 0);
      CHECK(outcome.most_running <= max);
      // Below max no wave waits for an earlier one, nor for a poll.
      if (max == 1000) CHECK(outcome.longest_lag == 0s);
    }
  }
}

TEST_CASE("job simulation: the same messages under KEDA's strategies, side by side") {
  std::string table =
      "rules            max  executions   empty  completed  longest lag s   finished s\n";
  for (const std::int64_t max : {1000, 100})
    for (const Way& way : {kBound, kDefault, kAccurate})
      table += row(way, max, simulate(way, max, 1));
  MESSAGE("1000 messages in three waves, starts of 0 to 20 s\n" << table);

  const Outcome by_default = simulate(kDefault, 1000, 1);
  CHECK(by_default.completed == 1000);
  CHECK(by_default.longest_lag > 0s);  // a wave waits for the next poll, at least
  const Outcome accurate = simulate(kAccurate, 1000, 1);
  CHECK(accurate.completed == 1000);
  CHECK(accurate.empty > 0);  // started for messages that others hold
}

}  // namespace jobmill::scale
