// SPDX-License-Identifier: Apache-2.0
#include "store/job_events.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/duration.h"
#include "base/json_writer.h"

namespace jobmill::store {
namespace {

constexpr std::size_t kMaxTextBytes = 64u << 10;

std::string_view shortened(std::string_view text) { return store::shortened(text, kMaxTextBytes); }

// What is long is cut where it tells least: a stack begins with what matters, output ends with it.
std::string_view end_of(std::string_view text) {
  if (text.size() <= kMaxTextBytes) return text;
  std::size_t begin = text.size() - kMaxTextBytes;
  while (begin < text.size() && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) ++begin;
  return text.substr(begin);
}

// "0.010000000". By hand, as it is written twice for every job.
std::string seconds(Duration duration) {
  const auto micros = std::max<Duration::rep>(0, duration.count());
  std::string text = std::to_string(micros / 1'000'000);
  text += ".000000000";
  auto digit = text.end() - 4;  // the last three are finer than we measure
  for (auto rest = micros % 1'000'000; rest > 0; rest /= 10) {
    *digit-- = static_cast<char>('0' + rest % 10);
  }
  return text;
}

}  // namespace

std::string_view shortened(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

std::string crash_text(const jobs::Crash& crash) {
  if (crash.out_of_memory) return "out of memory";
  if (crash.signal != 0) return fmt::format("signal {}", crash.signal);
  if (crash.exit_code != 0) return fmt::format("exit code {}", crash.exit_code);
  return crash.detail.empty() ? "worker lost" : std::string(shortened(crash.detail));
}

std::string reason_event(std::string_view reason) {
  if (reason.empty()) return "{}";
  JsonWriter json;
  return std::move(json.object().member("reason", shortened(reason)).end()).text();
}

std::string scheduled_event(TimePoint run_at, std::string_view reason) {
  JsonWriter json;
  json.object().member("scheduledAt", format_instant(run_at));
  if (!reason.empty()) json.member("reason", reason);
  return std::move(json.end()).text();
}

std::string processing_event_start(std::string_view worker_id, std::string_view worker_name) {
  JsonWriter json;
  json.object().member("serverId", worker_id).member("serverName", worker_name);
  std::string text = std::move(json.end()).text();
  text.pop_back();
  return text;
}

std::string processing_event(std::string_view start, int attempt) {
  std::string text(start);
  text += R"(,"attempt":)";
  text += std::to_string(attempt);
  text += '}';
  return text;
}

std::string succeeded_event(Duration waited, Duration ran) {
  return R"({"latencyDuration":)" + seconds(waited) + R"(,"processDuration":)" + seconds(ran) + "}";
}

std::string failed_event(const jobs::Failure& failure, int attempt, int max_attempts,
                         bool do_not_retry) {
  JsonWriter json;
  json.object()
      .member("message", fmt::format("Attempt {} of {} failed", attempt, max_attempts))
      .member("exceptionType", shortened(failure.type))
      .member("exceptionMessage", shortened(failure.message));
  if (!failure.cause_type.empty()) {
    json.member("exceptionCauseType", shortened(failure.cause_type));
    json.member("exceptionCauseMessage", shortened(failure.cause_message));
  }
  json.member("stackTrace", shortened(failure.stack)).member("doNotRetry", do_not_retry);
  return std::move(json.end()).text();
}

std::string crash_limit_event(const jobs::Crash& crash, int crashes) {
  JsonWriter json;
  json.object()
      .member("message", fmt::format("Its worker died {} times while running it", crashes))
      .member("exceptionType", kCrashLimitType)
      .member("exceptionMessage", crash_text(crash))
      .member("stackTrace", "")
      .member("doNotRetry", true)
      .key("crash")
      .object();
  if (crash.signal != 0) json.member("signal", crash.signal);
  if (crash.exit_code != 0) json.member("exitCode", crash.exit_code);
  if (crash.peak_rss_bytes > 0) json.member("peakRss", crash.peak_rss_bytes);
  if (crash.out_of_memory) json.member("oom", true);
  if (!crash.build.empty()) json.member("build", shortened(crash.build));
  json.member("stderrTail", end_of(crash.detail)).end();
  return std::move(json.end()).text();
}

std::string crash_reason(const jobs::Crash& crash, int crashes, int max_crashes) {
  return fmt::format("Crash {} of {}: {}", crashes, max_crashes, crash_text(crash));
}

void add_heartbeats(std::vector<jobs::JobEvent>& events, std::optional<TimePoint> last_beat) {
  for (std::size_t i = 0; i < events.size(); ++i) {
    jobs::JobEvent& event = events[i];
    if (event.state != jobs::JobState::Processing) continue;
    const bool ended = i + 1 < events.size();
    const TimePoint until =
        ended ? events[i + 1].at : std::max(event.at, last_beat.value_or(event.at));
    event.data.pop_back();
    event.data += fmt::format(R"(,"updatedAt":"{}"}})", format_instant(until));
  }
}

}  // namespace jobmill::store
