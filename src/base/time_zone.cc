// SPDX-License-Identifier: Apache-2.0
#include "base/time_zone.h"

#include <algorithm>
#include <stdexcept>

#include <date/tz.h>

namespace jobmill {
namespace {

using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year;

// The database gives the first and last period ends far outside of what people mean. Cut them, so
// that arithmetic on them cannot overflow.
const sys_seconds kFirst = sys_days(year(-9999) / 1 / 1);
const sys_seconds kLast = sys_days(year(19999) / 1 / 1);

std::chrono::seconds offset_at(const date::time_zone& zone, sys_seconds at) {
  return zone.get_info(at).offset;
}

}  // namespace

Result<TimeZone> TimeZone::find(std::string_view name) {
  if (name == "UTC") return TimeZone();
  try {
    return TimeZone(date::locate_zone(std::string(name)));
  } catch (const std::runtime_error&) {
    return fail(Code::InvalidArgument, "unknown time zone: \"" + std::string(name) + "\"");
  }
}

const std::string& TimeZone::name() const {
  static const std::string utc = "UTC";
  return zone_ == nullptr ? utc : zone_->name();
}

TimeZone::Period TimeZone::period(sys_seconds at) const {
  using std::chrono::seconds;
  if (zone_ == nullptr) return {kFirst, kLast, seconds(0), seconds(0)};
  const date::sys_info info = zone_->get_info(at);
  const sys_seconds begin = std::max(info.begin, kFirst);
  const sys_seconds end = std::min(info.end, kLast);
  const seconds before = begin == kFirst ? info.offset : offset_at(*zone_, begin - seconds(1));
  return {begin, end, info.offset, before};
}

}  // namespace jobmill
