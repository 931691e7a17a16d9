// SPDX-License-Identifier: Apache-2.0
#include "scalers/cron.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include <fmt/core.h>

#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

using std::chrono::seconds;

constexpr std::array kParameters{
    Parameter{.names = "timezone", .required = true},
    Parameter{.names = "start", .required = true},
    Parameter{.names = "end", .required = true},
    Parameter{.names = "desiredReplicas", .type = ParameterType::Integer, .required = true},
};

struct Prefixed {
  std::string_view zone;  // empty: no prefix
  std::string_view schedule;
};

Prefixed split_prefix(std::string_view text) {
  if (!text.starts_with("TZ=") && !text.starts_with("CRON_TZ=")) return {{}, text};
  const auto blank = std::min(text.find(' '), text.size());
  const auto equals = text.find('=');
  return {text.substr(equals + 1, blank - equals - 1), text.substr(blank)};
}

// The schedule as a part of the metric's name, the way KEDA writes it.
std::string name_part(std::string_view schedule) {
  std::string name;
  for (const char c : schedule) {
    switch (c) {
      case ' ':
        break;
      case '*':
        name += 'x';
        break;
      case '/':
        name += "Sl";
        break;
      case '?':
        name += "Qm";
        break;
      case ',':
        name += "Cm";
        break;
      default:
        name += c;
    }
  }
  return name;
}

// Whether clocks were put forward to this instant.
bool ends_gap(TimePoint at, const TimeZone& zone) {
  const TimeZone::Period period = zone.period(std::chrono::floor<seconds>(at));
  return period.begin == at && period.gap() > seconds(0);
}

std::optional<CronEdge> decode_edge(Parameters& parameters, std::string_view name) {
  const std::string text = parameters.text(name);
  if (text.empty()) return std::nullopt;
  auto edge = CronEdge::parse(text);
  if (edge) return *std::move(edge);
  // The reader of schedules puts the class in front of its messages.
  const std::string& message = edge.error().message;
  const Flaw flaw = message.starts_with("range: ") ? Flaw::Range : Flaw::Syntax;
  const auto colon = message.find(": ");
  parameters.complain(
      flaw, fmt::format("{} is not a schedule: {}", name,
                        colon == std::string::npos ? message : message.substr(colon + 2)));
  return std::nullopt;
}

bool is_before(const CronEdge::Run& a, const CronEdge::Run& b) {
  return a.at != b.at ? a.at < b.at : a.wall < b.wall;
}

class CronScaler final : public scale::Scaler {
 public:
  CronScaler(CronTrigger trigger, const Clock& clock)
      : trigger_(std::move(trigger)), clock_(clock) {}

  const scale::MetricSpec& metric() const override { return trigger_.metric; }
  void read(Done done) override { done(sample()); }

 private:
  Result<scale::Sample> sample() const {
    TRY(const CronActivity activity, cron_activity(trigger_, clock_.now()));
    const double value = activity.active ? static_cast<double>(trigger_.desired_replicas) : 0;
    return scale::Sample{.value = value, .active = activity.active};
  }

  CronTrigger trigger_;
  const Clock& clock_;
};

}  // namespace

Result<CronEdge> CronEdge::parse(std::string_view text) {
  TRY(Cron cron, Cron::parse_robfig(text));
  const Prefixed prefixed = split_prefix(text);
  if (prefixed.zone.empty()) return CronEdge(std::move(cron), std::nullopt);
  TRY(const TimeZone zone, TimeZone::find(prefixed.zone));
  TRY(Cron schedule, Cron::parse_robfig(prefixed.schedule));
  return CronEdge(std::move(schedule), zone);
}

std::optional<CronEdge::Run> CronEdge::next(TimePoint now, const TimeZone& given) const {
  const TimeZone& zone = own_zone_ ? *own_zone_ : given;
  auto at = cron_.next(now, zone, DstPolicy::Robfig);
  for (auto real = cron_.next(now, zone); real && (!at || *real < *at);
       real = cron_.next(*real, zone))
    if (ends_gap(*real, zone)) at = real;
  if (!at) return std::nullopt;

  const auto offset = zone.period(std::chrono::floor<seconds>(*at - seconds(1))).offset;
  const TimePoint wall_before = *at - seconds(1) + offset;
  return Run{.at = *at, .wall = cron_.next(wall_before, TimeZone()).value_or(wall_before)};
}

std::span<const Parameter> cron_parameters() { return kParameters; }

CronTrigger decode_cron(Parameters& parameters) {
  CronTrigger trigger;
  trigger.timezone = parameters.text("timezone");
  trigger.start = decode_edge(parameters, "start");
  trigger.end = decode_edge(parameters, "end");
  const auto replicas = parameters.integer("desiredReplicas");
  trigger.desired_replicas = replicas.value_or(0);

  const std::string start = parameters.text("start"), end = parameters.text("end");
  if (!start.empty() && start == end)
    parameters.complain(Flaw::Conflict, "start and end must not be the same schedule");
  if (replicas == 0 && parameters.has("desiredReplicas"))
    parameters.complain(Flaw::Missing, "desiredReplicas must not be 0");
  trigger.metric = parameters.metric(
      fmt::format("cron-{}-{}-{}", trigger.timezone, name_part(start), name_part(end)), 1);
  return trigger;
}

Result<CronTrigger> parse_cron(const scale::TriggerSpec& spec) {
  Parameters parameters(spec, kParameters);
  CronTrigger trigger = decode_cron(parameters);
  TRY_VOID(parameters.status());
  return trigger;
}

Result<CronActivity> cron_activity(const CronTrigger& trigger, TimePoint now) {
  TRY(const TimeZone zone, TimeZone::find(trigger.timezone));
  const auto start = trigger.start->next(now, zone);
  const auto end = trigger.end->next(now, zone);
  CronActivity activity;
  if (start) activity.next_start = start->at;
  if (end) activity.next_end = end->at;
  activity.active = start && end && !is_before(*start, *end);
  return activity;
}

Result<std::unique_ptr<scale::Scaler>> make_cron(const scale::TriggerSpec& spec,
                                                 const ScalerContext& context) {
  TRY(CronTrigger trigger, parse_cron(spec));
  return std::make_unique<CronScaler>(std::move(trigger), context.clock);
}

}  // namespace jobmill::scalers
