// SPDX-License-Identifier: Apache-2.0
#include "api/schedule_preview.h"

#include <fmt/core.h>

#include "base/duration.h"
#include "base/json_writer.h"
#include "base/local_time.h"
#include "base/schedule.h"
#include "base/schedule_text.h"
#include "jobs/recurring.h"

namespace jobmill::api {
namespace {

std::chrono::seconds offset_at(const TimeZone& zone, TimePoint at) {
  return zone.period(std::chrono::floor<std::chrono::seconds>(at)).offset;
}

std::string note_of(std::chrono::seconds before, std::chrono::seconds after) {
  return fmt::format("clocks have gone {}: {} is now {}", after > before ? "forward" : "back",
                     format_offset(before), format_offset(after));
}

}  // namespace

Result<std::string> preview(const ScheduleQuestion& question) {
  jobs::RecurringSpec spec;
  spec.schedule = question.schedule;
  spec.zone = question.zone;
  spec.dst = question.dst;
  TRY(const auto times, jobs::Timetable::make(spec));
  TRY(const auto schedule, Schedule::parse(question.schedule));
  TRY(const auto zone, TimeZone::find(question.zone));

  JsonWriter json;
  json.object()
      .member("canonical", schedule.canonical())
      .member("human", schedule_text(question.schedule))
      .key("next")
      .array();
  std::chrono::seconds offset = offset_at(zone, question.from);
  auto at = times.next(question.created, question.from);
  for (int i = 0; at && i < question.count; ++i) {
    json.object().member("utc", format_instant(*at)).member("local", format_local(zone, *at));
    const std::chrono::seconds now = offset_at(zone, *at);
    if (now != offset) json.member("note", note_of(offset, now));
    json.end();
    offset = now;
    at = times.next(question.created, *at);
  }
  return std::move(json.end().end()).text();
}

}  // namespace jobmill::api
