// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "scale/autoscaler.h"
#include "scale/ledger.h"

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;

// A day of random load under one seed: bursts of arrivals, replicas that take time to start, a
// trigger that sometimes cannot be read, restarts of the server, a hand on the wheel. What is
// decided goes into a ledger as the server keeps it: as text.
class Day {
 public:
  explicit Day(std::uint32_t seed) : random_(seed) {
    spec_.key = {"ScaledObject", "default", "mail"};
    spec_.polling_interval = std::chrono::seconds(between(5, 60));
    spec_.cooldown_period = std::chrono::seconds(between(30, 600));
    spec_.min_replicas = chance(0.3) ? between(1, 3) : 0;
    spec_.max_replicas = between(4, 20);
    if (chance(0.4)) spec_.behavior.scale_down = rules();
    if (chance(0.4)) spec_.behavior.scale_up = rules();
    if (chance(0.3)) spec_.semantics = Semantics::Keda;
    start();
  }

  void run() {
    const TimePoint end = clock_.now() + 24h;
    TimePoint minute = clock_.now() + 1min;
    while (clock_.now() < end) {
      const TimePoint next = autoscaler_->next().value_or(end);
      clock_.set(std::min({next, minute, clock_.now() + std::chrono::seconds(between(1, 20))}));
      work();
      if (clock_.now() >= minute) {
        check_minute();
        minute += 1min;
        something_rare();
      }
      report();
      tick();
    }
  }

  int changes() const { return changes_; }
  int flat_minutes() const { return flat_minutes_; }
  const std::vector<LedgerRecord>& ledger() const { return ledger_; }

 private:
  int between(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }

  ScalingRules rules() {
    ScalingRules out;
    if (chance(0.7)) out.stabilization_window = std::chrono::seconds(between(0, 300));
    if (chance(0.5)) out.tolerance = between(0, 30) / 100.0;
    for (int i = between(0, 2); i > 0; --i)
      out.policies.push_back(
          {PolicyType(between(0, 1)), between(1, 100), std::chrono::seconds(between(15, 120))});
    return out;
  }

  // Also after a restart, with what the ledger has.
  void start() {
    autoscaler_ = std::make_unique<Autoscaler>();
    Autoscaler::Origin origin{.generation = 1, .created = created_, .last_active = {}};
    for (const LedgerRecord& record : ledger_) {
      const Decision decision = read_back(record);
      if (record.from != record.to) origin.change = decision;
      origin.latest = decision;
      origin.latest->repeated = record.repeated;
      origin.latest->until = record.until;
    }
    if (origin.latest) origin.last_active = origin.latest->input.activate.last_active;
    autoscaler_->put(
        spec_, origin,
        {{"metrics-api", "waiting", MetricSpec{"waiting", MetricType::AverageValue, 8'000}},
         {"metrics-api", "latency", MetricSpec{"latency", MetricType::Value, 60'000}}},
        clock_.now());
    report();
    tick();
  }

  void work() {
    if (chance(0.02)) rate_ = chance(0.5) ? 0 : between(1, 40);
    const double seconds = std::chrono::duration<double>(clock_.now() - worked_).count();
    worked_ = clock_.now();
    for (TimePoint& at : starting_)
      if (at <= clock_.now()) ++ready_;
    std::erase_if(starting_, [&](TimePoint at) { return at <= clock_.now(); });
    backlog_ = std::max(0.0, backlog_ + seconds * (rate_ - 3.0 * ready_));
    if (backlog_ > 500) rate_ = 0;
  }

  void something_rare() {
    if (chance(0.004)) start();
    failing_ = chance(failing_ ? 0.7 : 0.01);
    if (chance(0.01)) autoscaler_->set(spec_.key, between(spec_.min(), spec_.max()));
    if (chance(0.02)) spec_.pause.out = !spec_.pause.out, put_again();
  }

  void put_again() {
    autoscaler_->put(
        spec_, {.generation = ++generation_, .created = created_, .last_active = {}},
        {{"metrics-api", "waiting", MetricSpec{"waiting", MetricType::AverageValue, 8'000}}},
        clock_.now());
  }

  void report() {
    autoscaler_->replicas(
        spec_.key,
        Autoscaler::Replicas{wanted_, {static_cast<int>(starting_.size()), ready_, 0}, ready_},
        clock_.now());
  }

  void tick() {
    for (;;) {
      const Autoscaler::Actions actions = autoscaler_->tick(clock_.now());
      keep(actions);
      check_changes(actions);
      for (const Autoscaler::Read& read : actions.reads) answer(read);
      if (actions.reads.empty() && actions.scale_to.empty()) return;
    }
  }

  void keep(const Autoscaler::Actions& actions) {
    for (const auto& [key, decision] : actions.decisions)
      ledger_.push_back(to_record("ScaledObject/default/mail", decision));
    for (const Autoscaler::Key& key : actions.repeats) {
      const Decision& latest = *autoscaler_->latest(key);
      REQUIRE(ledger_.back().id == latest.id);
      ledger_.back().repeated = latest.repeated;
      ledger_.back().until = latest.until;
    }
  }

  void answer(const Autoscaler::Read& read) {
    if (failing_ && read.trigger == 0)
      return autoscaler_->sample(read, fail(Code::Unavailable, "refused"), clock_.now());
    const double value = read.trigger == 0 ? backlog_ : backlog_ / 4;
    autoscaler_->sample(read, Sample{value, value > 0, false}, clock_.now());
  }

  // Every change has its record, and what the record holds gives the same number again.
  void check_changes(const Autoscaler::Actions& actions) {
    auto record = ledger_.end() - static_cast<std::ptrdiff_t>(actions.decisions.size());
    for (const auto& scale_to : actions.scale_to) {
      while (record != ledger_.end() && record->from == record->to) ++record;
      REQUIRE(record != ledger_.end());
      check_again(*record, scale_to.replicas);
      ++record;
      resize(scale_to.replicas);
    }
  }

  void check_again(const LedgerRecord& record, int replicas) const {
    REQUIRE(record.at == clock_.now());
    REQUIRE(record.from == wanted_);
    REQUIRE(record.to == replicas);
    const Decision again = read_back(record);
    REQUIRE(again.to == replicas);
    REQUIRE(again.from == wanted_);
    REQUIRE(again.sentence == record.sentence);
    REQUIRE(to_string(again.limiting_rule) == record.rule);
    REQUIRE(again.inputs_hash == parse_json(record.document)->find("inputsHash")->text);
  }

  void resize(int replicas) {
    for (; wanted_ < replicas; ++wanted_)
      starting_.push_back(clock_.now() + std::chrono::seconds(between(1, 30)));
    for (; wanted_ > replicas; --wanted_) starting_.empty() ? void(--ready_) : starting_.pop_back();
    ++changes_;
    report();
  }

  static Decision read_back(const LedgerRecord& record) {
    const auto document = parse_json(record.document);
    REQUIRE(document);
    auto decision = decision_from(*document);
    REQUIRE(decision);
    return *std::move(decision);
  }

  // Whatever minute it is: one record was in force, and says why there were not more.
  void check_minute() {
    if (backlog_ <= 0 || ledger_.empty()) return;
    ++flat_minutes_;
    const LedgerRecord& record = ledger_.back();
    REQUIRE(record.at <= clock_.now());
    REQUIRE(record.to == wanted_);
    REQUIRE_FALSE(record.rule.empty());
    REQUIRE_FALSE(record.sentence.empty());
  }

  std::mt19937 random_;
  ManualClock clock_;
  const TimePoint created_ = clock_.now();
  ScaledObjectSpec spec_;
  std::unique_ptr<Autoscaler> autoscaler_;
  std::vector<LedgerRecord> ledger_;
  std::vector<TimePoint> starting_;
  TimePoint worked_ = clock_.now();
  std::int64_t generation_ = 1;
  double backlog_ = 0;
  double rate_ = 0;
  bool failing_ = false;
  int wanted_ = 0;
  int ready_ = 0;
  int changes_ = 0;
  int flat_minutes_ = 0;
};

}  // namespace

TEST_CASE("ledger: every change of a day has a record that gives its number again") {
  for (std::uint32_t seed = 1; seed <= 4; ++seed) {
    CAPTURE(seed);
    Day day(seed);
    day.run();
    CHECK(day.changes() > 10);
    CHECK(day.flat_minutes() > 10);
    CHECK(day.ledger().size() > static_cast<std::size_t>(day.changes()));  // what held is kept, too
  }
}

}  // namespace jobmill::scale
