// SPDX-License-Identifier: Apache-2.0
#include "scalers/jobs.h"

#include <chrono>
#include <optional>

#include <doctest/doctest.h>

#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

using namespace std::chrono_literals;
using Texts = scale::TriggerSpec::Texts;

scale::TriggerSpec spec(Texts metadata, std::string metric_type = {}) {
  scale::TriggerSpec result;
  result.type = "jobs";
  result.index = 1;
  result.metadata = std::move(metadata);
  result.metric_type = std::move(metric_type);
  return result;
}

// A source and a timer that the test works by hand.
struct World {
  ManualClock clock;
  Result<double> number = 0.0;
  std::optional<JobsQuery> query;
  std::function<void()> changed, time_up;
  std::weak_ptr<void> subscription, timer;
  Duration wait{};
  std::optional<Result<scale::Sample>> answer;
  std::unique_ptr<scale::Scaler> scaler;

  explicit World(Texts metadata, std::string metric_type = {}) {
    auto made = make_scaler(spec(std::move(metadata), std::move(metric_type)), context());
    REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
    scaler = *std::move(made);
  }

  ScalerContext context() {
    const auto handle = [](std::weak_ptr<void>& kept) {
      auto made = std::make_shared<int>();
      kept = made;
      return made;
    };
    JobsSource jobs{.read =
                        [this](const JobsQuery& asked) {
                          query = asked;
                          return number;
                        },
                    .subscribe =
                        [this, handle](const JobsQuery&, std::function<void()> fn) {
                          changed = std::move(fn);
                          return handle(subscription);
                        }};
    return {.fetch = {},
            .jobs = std::move(jobs),
            .run_after =
                [this, handle](Duration after, std::function<void()> fn) {
                  wait = after;
                  time_up = std::move(fn);
                  return handle(timer);
                },
            .clock = clock};
  }

  void read() {
    answer.reset();
    scaler->read([this](Result<scale::Sample> sample) { answer = std::move(sample); });
  }

  void change_to(double value) {
    number = value;
    changed();
  }

  double value() const {
    REQUIRE(answer.has_value());
    REQUIRE(*answer);
    CHECK((*answer)->waits);
    return (*answer)->value;
  }
};

std::string refusal(Texts metadata, std::string metric_type = {}) {
  const auto trigger = parse_jobs(spec(std::move(metadata), std::move(metric_type)));
  REQUIRE_FALSE(trigger);
  return trigger.error().message;
}

}  // namespace

TEST_CASE("jobs: the first read answers at once, the next one waits for another number") {
  World world(Texts{{"targetValue", "8"}, {"runInMax", "PT2M"}, {"queue", "mail"}});
  world.number = 4;
  world.read();
  CHECK(world.value() == 4);
  CHECK(world.query->queue == "mail");
  CHECK(world.query->run_in_max == 2min);

  world.read();
  CHECK_FALSE(world.answer);
  world.changed();
  CHECK_FALSE(world.answer);
  world.change_to(40);
  CHECK(world.value() == 40);
}

TEST_CASE("jobs: a change between two reads is told at once") {
  World world(Texts{{"targetValue", "8"}});
  world.read();
  world.change_to(3);
  world.read();
  CHECK(world.value() == 3);
}

TEST_CASE("jobs: a wait ends after the interval, or 25 seconds") {
  World world(Texts{{"targetValue", "8"}});
  world.number = 2;
  world.read();
  world.read();
  CHECK(world.wait == 25s);
  world.time_up();
  CHECK(world.value() == 2);
}

TEST_CASE("jobs: a latency that only grows does not end the wait") {
  World world(Texts{{"targetValue", "300000"}, {"metric", "latency"}});
  world.read();
  world.read();
  world.change_to(5);
  CHECK(world.value() == 5);
  world.read();
  world.change_to(900);
  CHECK_FALSE(world.answer);
  world.time_up();
  CHECK(world.value() == 900);
  world.read();
  world.change_to(0);
  CHECK(world.value() == 0);
}

TEST_CASE("jobs: active means more than activationTargetValue") {
  World world(Texts{{"targetValue", "8"}, {"activationTargetValue", "2"}});
  world.number = 2;
  world.read();
  CHECK_FALSE((*world.answer)->active);
  world.change_to(3);
  world.read();
  CHECK((*world.answer)->active);
}

TEST_CASE("jobs: a number that cannot be read is an error, never zero") {
  World world(Texts{{"targetValue", "8"}});
  world.number = fail(Code::Unavailable, "the store is busy");
  world.read();
  REQUIRE(world.answer);
  REQUIRE_FALSE(*world.answer);
  CHECK(world.answer->error().message == "the store is busy");
}

TEST_CASE("jobs: a scaler that is gone listens no longer and answers nothing") {
  World world(Texts{{"targetValue", "8"}});
  world.read();
  world.read();
  REQUIRE_FALSE(world.subscription.expired());
  REQUIRE_FALSE(world.timer.expired());
  world.scaler.reset();
  CHECK(world.subscription.expired());
  CHECK(world.timer.expired());
  world.change_to(9);
  world.time_up();
  CHECK_FALSE(world.answer);
}

TEST_CASE("jobs: names and metric types") {
  const auto metric = [](Texts metadata, std::string type = {}) {
    const auto trigger = parse_jobs(spec(std::move(metadata), std::move(type)));
    REQUIRE(trigger);
    return trigger->metric;
  };
  CHECK(metric({{"targetValue", "8"}}).name == "s1-jobs-backlog-all");
  CHECK(metric({{"targetValue", "8"}}).type == scale::MetricType::AverageValue);
  CHECK(metric({{"targetValue", "8"}}, "Value").type == scale::MetricType::Value);
  const auto usage = metric({{"targetValue", "0.8"}, {"metric", "usage"}, {"queue", "a.b"}});
  CHECK(usage.name == "s1-jobs-usage-a-b");
  CHECK(usage.type == scale::MetricType::Value);
  CHECK(usage.target_milli == 800);
}

TEST_CASE("jobs: what is wrong is said by name") {
  CHECK(refusal({}).ends_with("targetValue is missing"));
  CHECK(refusal({{"targetValue", "0"}}).ends_with("targetValue must be greater than 0"));
  CHECK(refusal({{"targetValue", "1"}, {"metric", "size"}})
            .ends_with("metric must be one of backlog, latency, usage, not \"size\""));
  CHECK(refusal({{"targetValue", "1"}, {"metric", "usage"}, {"runInMax", "PT1M"}})
            .ends_with("runInMax is for metric backlog only"));
  CHECK(refusal({{"targetValue", "1"}, {"metric", "usage"}}, "AverageValue")
            .ends_with("metricType of metric usage must be Value"));
  CHECK(refusal({{"targetValue", "1"}, {"runInMax", "2m"}})
            .ends_with("runInMax must be an ISO 8601 duration such as PT2M, not \"2m\""));
}

}  // namespace jobmill::scalers
