// SPDX-License-Identifier: Apache-2.0
#include "scale/poll.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "scale/metric_value.h"

namespace jobmill::scale {
namespace {

constexpr Duration kBetweenPushes = std::chrono::milliseconds(100);
constexpr Duration kLongestHold = std::chrono::seconds(25);
constexpr Duration kOnTheWay = std::chrono::seconds(1);  // an answer that is posted to us

bool same(const Sample& a, const Sample& b) { return a.value == b.value && a.active == b.active; }

}  // namespace

Poll::Poll(Source source, double phase, TimePoint now)
    : source_(std::move(source)),
      interval_(source_.polling_interval),
      poll_started_(now),
      read_started_(now) {
  const double offset = static_cast<double>(source_.polling_interval.count()) * phase;
  anchor_ = now + Duration(static_cast<Duration::rep>(offset));
  if (source_.metric) {
    metric_ = *source_.metric;
    next_ = now;
    return;
  }
  error_ = source_.metric.error().message;
  failures_ = 1;
  rebuild_ = true;
  next_ = scheduled();
}

std::string Poll::name() const {
  if (!source_.name.empty()) return source_.name;
  return metric_ ? metric_->name : source_.type;
}

// The first instant of the grid after the poll began. One that took longer than the interval is
// followed at once.
std::optional<TimePoint> Poll::scheduled() const {
  if (!interval_ || *interval_ <= Duration{}) return std::nullopt;
  const Duration::rep since = (poll_started_ - anchor_).count();
  const Duration::rep step = interval_->count();
  const Duration::rep passed = since >= 0 ? since / step + 1 : -((-since - 1) / step);
  return anchor_ + passed * *interval_;
}

void Poll::pace(std::optional<Duration> interval) {
  if (interval == interval_) return;
  interval_ = interval;
  if (!next_ || in_flight_) return;
  if (const auto at = scheduled()) next_ = std::min(*next_, *at);
}

void Poll::ask(TimePoint at) {
  if (!in_flight_) next_ = next_ ? std::min(*next_, at) : at;
}

bool Poll::start(TimePoint now, std::uint64_t ticket) {
  ticket_ = ticket;
  in_flight_ = true;
  next_.reset();
  read_started_ = now;
  if (!retrying_) poll_started_ = now;
  return std::exchange(rebuild_, false);
}

Poll::Heard Poll::answer(Result<Sample> sample, TimePoint now) {
  in_flight_ = false;
  return sample ? good(*sample, now) : bad(sample.error().message, now);
}

void Poll::rebuilt(const MetricSpec& metric) { metric_ = metric; }

Poll::Heard Poll::good(const Sample& sample, TimePoint now) {
  const bool changed = stale_ || !error_.empty() || !sample_ || !same(*sample_, sample);
  retrying_ = stale_ = false;
  failures_ = 0;
  error_.clear();
  sample_ = sample;
  good_at_ = answered_ = now;
  // Between two news there is a pause; an answer without news only ends a wait.
  const TimePoint again = (changed ? now : read_started_) + kBetweenPushes;
  next_ = sample.waits ? std::max(now, again) : scheduled();
  return changed ? Heard::Changed : Heard::Same;
}

Poll::Heard Poll::bad(std::string message, TimePoint now) {
  rebuild_ = true;
  retrying_ = !retrying_;
  if (retrying_) {
    next_ = now;
    return Heard::Retry;
  }
  if (message.empty()) message = "failed";
  const bool changed = message != error_;
  error_ = std::move(message);
  stale_ = false;
  ++failures_;
  answered_ = now;
  next_ = scheduled();
  return changed ? Heard::Changed : Heard::Same;
}

Duration Poll::hold() const { return std::min(source_.polling_interval, kLongestHold); }

TimePoint Poll::trusted_until() const {
  if (!good_at_) return read_started_ + source_.timeout + kOnTheWay;
  const TimePoint plain = *good_at_ + 2 * source_.polling_interval + source_.timeout;
  return held() ? std::max(plain, read_started_ + hold() + source_.timeout) : plain;
}

bool Poll::expire(TimePoint now) {
  if (stale_ || !error_.empty() || now <= trusted_until()) return false;
  return stale_ = true;
}

bool Poll::known_since(TimePoint since) const {
  return stale_ || held() || (answered_ && *answered_ >= since);
}

Reading Poll::reading(TimePoint now) const {
  Reading out;
  out.name = name();
  out.source = source_.type;
  if (metric_) {
    out.metric = metric_->name;
    out.type = metric_->type;
    out.target_milli = metric_->target_milli;
  }
  out.error = error_;
  if (good_at_) out.age = now - *good_at_;
  if (stale_)
    out.error = good_at_ ? fmt::format("no answer for {}",
                                       to_text(std::chrono::floor<std::chrono::seconds>(out.age)))
                         : "no answer yet";
  if (!out.error.empty() || !sample_) return out;
  out.value = sample_->value;
  out.value_milli = to_milli(sample_->value);
  out.active = sample_->active;
  return out;
}

std::optional<TimePoint> Poll::next() const {
  std::optional<TimePoint> at = in_flight_ ? std::nullopt : next_;
  if (stale_ || !error_.empty()) return at;
  const TimePoint expires = trusted_until() + Duration(1);
  return at ? std::min(*at, expires) : expires;
}

}  // namespace jobmill::scale
