// SPDX-License-Identifier: Apache-2.0
#include "worker/run.h"

#include <algorithm>
#include <utility>

namespace jobmill::worker {
namespace {

jobs::LineLevel line_level(Severity level) {
  switch (level) {
    case Severity::warn:
      return jobs::LineLevel::Warn;
    case Severity::error:
      return jobs::LineLevel::Error;
    case Severity::info:
      break;
  }
  return jobs::LineLevel::Info;
}

// What is longer is for ever: the clock's numbers end somewhere.
Run::Instant after(Run::Instant begin, Duration limit) {
  constexpr Duration kLongest = std::chrono::hours(24 * 365 * 10);
  return begin + std::min(limit, kLongest);
}

}  // namespace

std::string_view to_string(Ending ending) {
  switch (ending) {
    case Ending::Deleted:
      return "deleted";
    case Ending::Lost:
      return "lost";
    case Ending::Timeout:
      return "timeout";
    case Ending::Drain:
      return "drain";
    case Ending::None:
      break;
  }
  return "";
}

Run::Run(jobs::ClaimedJob job, const Store& store) : job_(std::move(job)), store_(store) {}

void Run::log(jobs::LineLevel level, std::string_view text) {
  const TimePoint now = store_.now();
  const std::lock_guard lock(mutex_);
  if (!sealed_) log_.add(level, now, text);
}

void Run::progress(const jobs::Progress& progress) {
  const std::lock_guard lock(mutex_);
  if (sealed_) return;
  progress_ = progress;
  spoke_at_ = std::chrono::steady_clock::now();
}

void Run::result(std::string json) {
  const std::lock_guard lock(mutex_);
  result_ = std::move(json);
}

void Run::log(Severity level, std::string_view text) { log(line_level(level), text); }

void Run::progress(std::int64_t done, std::int64_t total, std::int64_t failed) {
  progress(jobs::Progress{.done = done, .total = total, .failed = failed});
}

void Run::end(Ending why) {
  auto none = Ending::None;
  if (!ending_.compare_exchange_strong(none, why)) return;
  {
    const std::lock_guard lock(mutex_);
    ended_at_ = std::chrono::steady_clock::now();
  }
  stop_.request_stop();
}

void Run::seal() {
  const std::lock_guard lock(mutex_);
  sealed_ = true;
}

std::optional<Run::Instant> Run::ended_at() const {
  const std::lock_guard lock(mutex_);
  return ended_at_;
}

std::optional<Run::Instant> Run::deadline() const {
  const jobs::Extra& limits = job_.job.extra;
  std::optional<Instant> first;
  if (limits.timeout > Duration::zero()) first = after(began_, limits.timeout);
  if (limits.progress_timeout == Duration::zero()) return first;
  const std::lock_guard lock(mutex_);
  const Instant silent = after(spoke_at_, limits.progress_timeout);
  return first ? std::min(*first, silent) : silent;
}

bool Run::has_news() const {
  const std::lock_guard lock(mutex_);
  return progress_ || !log_.empty();
}

jobs::Report Run::take_news(std::size_t log_bytes) {
  const std::lock_guard lock(mutex_);
  return {.job_id = job_.job.id,
          .lock_token = job_.lock_token,
          .progress = std::exchange(progress_, std::nullopt),
          .logs = log_bytes > 0 ? log_.take(log_bytes) : std::vector<jobs::LogLine>()};
}

void Run::put_back(jobs::Report news) {
  const std::lock_guard lock(mutex_);
  if (!progress_) progress_ = news.progress;
  log_.put_back(std::move(news.logs));
}

std::string Run::take_result() {
  const std::lock_guard lock(mutex_);
  return std::exchange(result_, {});
}

}  // namespace jobmill::worker
