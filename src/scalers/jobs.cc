// SPDX-License-Identifier: Apache-2.0
#include "scalers/jobs.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "scalers/pending_read.h"
#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

constexpr std::array kParameters{
    Parameter{.names = "metric",
              .type = ParameterType::Word,
              .fallback = "backlog",
              .words = "backlog|latency|usage"},
    Parameter{.names = "queue"},
    Parameter{.names = "targetValue", .type = ParameterType::Number, .required = true},
    Parameter{.names = "activationTargetValue", .type = ParameterType::Number, .fallback = "0"},
    Parameter{.names = "runInMax", .type = ParameterType::IsoDuration, .fallback = "PT0S"},
};

JobsMetric metric_of(std::string_view word) {
  if (word == "latency") return JobsMetric::Latency;
  return word == "usage" ? JobsMetric::Usage : JobsMetric::Backlog;
}

// A latency that only grows is no news: it would end every wait at once. That it leaves or returns
// to zero, or falls, is.
bool differs(JobsMetric metric, double before, double now) {
  if (metric != JobsMetric::Latency) return before != now;
  return now < before || (before == 0 && now > 0);
}

// What outlives the scaler while changes and timers are still on their way.
class Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(JobsTrigger trigger, const ScalerContext& context)
      : trigger_(std::move(trigger)), source_(context.jobs), run_after_(context.run_after) {}

  const scale::MetricSpec& metric() const { return trigger_.metric; }

  void read(scale::Scaler::Done done) {
    pending_.begin(std::move(done));
    // Subscribed before the number is read, so that no change falls between the two.
    if (!subscription_) subscription_ = source_.subscribe(trigger_.query, call(&Watch::on_change));
    on_change();
    if (pending_.open()) timer_ = run_after_(trigger_.longest_wait, call(&Watch::on_time));
  }

  void close() {
    pending_.close();
    subscription_.reset();
    timer_.reset();
  }

 private:
  std::function<void()> call(void (Watch::*member)()) {
    return [weak = weak_from_this(), member] {
      if (const auto self = weak.lock()) (self.get()->*member)();
    };
  }

  void on_change() { answer(false); }
  void on_time() { answer(true); }

  void answer(bool even_if_unchanged) {
    pending_.finish_with([&] { return news(even_if_unchanged); });
  }

  std::optional<Result<scale::Sample>> news(bool even_if_unchanged) {
    const auto value = source_.read(trigger_.query);
    if (!value) return value.error();
    const bool changed = !last_ || differs(trigger_.query.metric, *last_, *value);
    if (!changed && !even_if_unchanged) return std::nullopt;
    last_ = *value;
    return scale::Sample{.value = *value, .active = *value > trigger_.activation, .waits = true};
  }

  const JobsTrigger trigger_;
  const JobsSource source_;
  const decltype(ScalerContext::run_after) run_after_;
  PendingRead pending_;
  std::shared_ptr<void> subscription_;  // with the timer, touched by the scaler's owner only
  std::shared_ptr<void> timer_;
  std::optional<double> last_;  // what was answered; touched inside finish_with only
};

class JobsScaler final : public scale::Scaler {
 public:
  JobsScaler(JobsTrigger trigger, const ScalerContext& context)
      : watch_(std::make_shared<Watch>(std::move(trigger), context)) {}
  ~JobsScaler() override { watch_->close(); }

  const scale::MetricSpec& metric() const override { return watch_->metric(); }
  void read(Done done) override { watch_->read(std::move(done)); }

 private:
  std::shared_ptr<Watch> watch_;
};

void check_metric_type(Parameters& parameters, JobsMetric metric) {
  const bool per_replica = parameters.spec().metric_type == "AverageValue";
  if (metric == JobsMetric::Backlog || !per_replica) return;
  parameters.complain(Flaw::Unsupported, fmt::format("metricType of metric {} must be Value",
                                                     parameters.text("metric")));
}

}  // namespace

std::span<const Parameter> jobs_parameters() { return kParameters; }

JobsTrigger decode_jobs(Parameters& parameters) {
  JobsTrigger trigger;
  const std::string word = parameters.text("metric");
  trigger.query = {.metric = metric_of(word),
                   .queue = parameters.text("queue"),
                   .run_in_max = parameters.duration("runInMax")};
  trigger.activation = parameters.number("activationTargetValue").value_or(0);
  trigger.longest_wait =
      std::min<Duration>(parameters.spec().polling_interval, std::chrono::seconds(25));

  const bool backlog = trigger.query.metric == JobsMetric::Backlog;
  const double target = parameters.number("targetValue").value_or(1);
  if (target <= 0 && parameters.has("targetValue"))
    parameters.complain(Flaw::Range, "targetValue must be greater than 0");
  if (!backlog && parameters.has("runInMax"))
    parameters.complain(Flaw::Conflict, "runInMax is for metric backlog only");
  check_metric_type(parameters, trigger.query.metric);

  const std::string queue = trigger.query.queue.empty() ? "all" : trigger.query.queue;
  trigger.metric =
      parameters.metric(fmt::format("jobs-{}-{}", word, queue), target,
                        backlog ? scale::MetricType::AverageValue : scale::MetricType::Value);
  return trigger;
}

Result<JobsTrigger> parse_jobs(const scale::TriggerSpec& spec) {
  Parameters parameters(spec, kParameters);
  JobsTrigger trigger = decode_jobs(parameters);
  TRY_VOID(parameters.status());
  return trigger;
}

Result<std::unique_ptr<scale::Scaler>> make_jobs(const scale::TriggerSpec& spec,
                                                 const ScalerContext& context) {
  TRY(JobsTrigger trigger, parse_jobs(spec));
  return std::make_unique<JobsScaler>(std::move(trigger), context);
}

}  // namespace jobmill::scalers
