// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "scale/autoscaler.h"

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;

constexpr int kHistories = 80;
constexpr int kSteps = 150;

// A random object, random answers and a random target under one seed. What must always hold is
// checked after every tick.
class History {
 public:
  explicit History(std::uint32_t seed) : random_(seed) {
    spec_.key = {"ScaledObject", "default", "anything"};
    spec_.polling_interval = std::chrono::seconds(between(1, 60));
    spec_.cooldown_period = std::chrono::seconds(between(0, 400));
    spec_.initial_cooldown_period = std::chrono::seconds(between(0, 60));
    spec_.min_replicas = between(0, 4);
    spec_.max_replicas = *spec_.min_replicas + between(1, 30);
    if (*spec_.min_replicas > 0 && chance(0.3))
      spec_.idle_replicas = between(0, *spec_.min_replicas - 1);
    if (chance(0.3)) spec_.behavior.scale_up = rules();
    if (chance(0.3)) spec_.behavior.scale_down = rules();
    if (chance(0.2)) spec_.semantics = Semantics::Keda;
    spec_.pause.in = chance(0.1);
    spec_.pause.out = chance(0.1);
    spec_.pause.force = chance(0.1);
    autoscaler_.put(spec_, {1, clock_.now(), {}}, triggers(), clock_.now());
    wanted_ = between(0, *spec_.max_replicas);
    report();
  }

  void run() {
    for (int step = 0; step < kSteps; ++step) {
      something_happens();
      tick();
    }
  }

  const std::vector<std::string>& log() const { return log_; }
  int changes() const { return changes_; }

 private:
  int between(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }

  ScalingRules rules() {
    ScalingRules out;
    if (chance(0.5)) out.stabilization_window = std::chrono::seconds(between(0, 120));
    if (chance(0.5)) out.select = SelectPolicy(between(0, 2));
    for (int i = between(0, 2); i > 0; --i)
      out.policies.push_back(
          {PolicyType(between(0, 1)), between(1, 100), std::chrono::seconds(between(1, 90))});
    return out;
  }

  std::vector<Autoscaler::Trigger> triggers() {
    std::vector<Autoscaler::Trigger> out;
    const int count = between(1, 3);
    for (int i = 0; i < count; ++i)
      out.push_back(
          {"metrics-api", "",
           MetricSpec{"s" + std::to_string(i), MetricType(between(0, 1)), between(1, 9000)}});
    return out;
  }

  void something_happens() {
    switch (between(0, 3)) {
      case 0:
        clock_.advance(std::chrono::milliseconds(between(0, 20'000)));
        break;
      case 1:
        if (const auto next = autoscaler_.next()) clock_.set(std::max(clock_.now(), *next));
        break;
      case 2:
        answer();
        break;
      default:
        ready_ = between(0, wanted_);
        report();
    }
  }

  void answer() {
    if (reads_.empty()) return;
    const std::size_t i = static_cast<std::size_t>(between(0, static_cast<int>(reads_.size()) - 1));
    const Autoscaler::Read read = reads_[i];
    reads_.erase(reads_.begin() + static_cast<std::ptrdiff_t>(i));
    if (chance(0.15)) {
      autoscaler_.sample(read, fail(Code::Unavailable, "refused"), clock_.now());
      return;
    }
    const double value = chance(0.4) ? 0 : between(1, 40'000) / 1000.0;
    autoscaler_.sample(read, Sample{value, value > 0, chance(0.5)}, clock_.now());
  }

  void report() {
    autoscaler_.replicas(spec_.key, Autoscaler::Replicas{wanted_, {wanted_ - ready_, ready_, 0}, 0},
                         clock_.now());
  }

  bool any_failing() const {
    const auto& triggers = autoscaler_.status(spec_.key)->triggers;
    return std::any_of(triggers.begin(), triggers.end(),
                       [](const auto& trigger) { return !trigger.error.empty(); });
  }

  void tick() {
    const Autoscaler::Actions actions = autoscaler_.tick(clock_.now());
    for (const Autoscaler::Read& read : actions.reads) {
      for (const Autoscaler::Read& other : reads_) REQUIRE(other.trigger != read.trigger);
      reads_.push_back(read);
    }
    for (const auto& scale_to : actions.scale_to) resize(scale_to.replicas);
    for (const auto& [key, decision] : actions.decisions)
      log_.push_back(decision.id + " " + decision.sentence + " " + decision.inputs_hash);
    if (const auto next = autoscaler_.next()) REQUIRE(*next > clock_.now());
    const Decision* latest = autoscaler_.latest(spec_.key);
    if (latest && latest->inputs_hash != std::exchange(checked_, latest->inputs_hash))
      check_again(*latest);
  }

  void resize(int replicas) {
    REQUIRE(replicas != wanted_);
    REQUIRE(replicas <= *spec_.max_replicas);
    const bool rest = replicas == spec_.idle_replicas.value_or(0) &&
                      (spec_.idle_replicas || *spec_.min_replicas == 0);
    if (!rest) REQUIRE(replicas >= std::max(1, *spec_.min_replicas));
    if (replicas < wanted_) {
      CAPTURE(autoscaler_.latest(spec_.key)->sentence);
      REQUIRE_FALSE(any_failing());
      REQUIRE_FALSE(spec_.pause.in);
    }
    if (replicas > wanted_ && wanted_ >= *spec_.min_replicas) REQUIRE_FALSE(spec_.pause.out);
    wanted_ = replicas;
    ready_ = std::min(ready_, wanted_);
    ++changes_;
    report();
  }

  // A record holds all that was looked at: deciding it again says the same.
  static void check_again(const Decision& decision) {
    const Decision again = decide(decision.input);
    REQUIRE(again.to == decision.to);
    REQUIRE(again.limiting_rule == decision.limiting_rule);
    REQUIRE(again.sentence == decision.sentence);
    REQUIRE(again.inputs_hash == decision.inputs_hash);
  }

  std::mt19937 random_;
  ManualClock clock_;
  ScaledObjectSpec spec_;
  Autoscaler autoscaler_;
  std::vector<Autoscaler::Read> reads_;
  std::vector<std::string> log_;
  std::string checked_;
  int wanted_ = 0;
  int ready_ = 0;
  int changes_ = 0;
};

}  // namespace

TEST_CASE("autoscaler: whatever is seen, sizes keep their bounds and failures never shrink") {
  int changes = 0;
  for (std::uint32_t seed = 1; seed <= kHistories; ++seed) {
    CAPTURE(seed);
    History history(seed);
    history.run();
    changes += history.changes();
  }
  CHECK(changes > kHistories);  // the histories are not idle
}

TEST_CASE("autoscaler: the same history gives the same decisions") {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    History first(seed);
    History second(seed);
    first.run();
    second.run();
    CHECK(first.log() == second.log());
    CHECK_FALSE(first.log().empty());
  }
}

}  // namespace jobmill::scale
