// SPDX-License-Identifier: Apache-2.0
// Schedules under arbitrary text. What is accepted must run strictly later than asked, in every
// zone and under every policy, also in a row.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/cron.h"
#include "base/duration.h"
#include "base/schedule.h"

using namespace jobmill;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr std::array<std::string_view, 5> kZones{"UTC", "Europe/Brussels", "Australia/Lord_Howe",
                                                 "America/Santiago", "Pacific/Apia"};
constexpr std::array<std::string_view, 4> kStarts{"2025-03-30T00:59:59Z", "2025-10-25T23:30:00Z",
                                                  "2011-12-29T23:00:00Z", "2096-02-28T23:59:59Z"};

template <class Next>
void walk(TimePoint from, Next next) {
  for (int i = 0; i < 3; ++i) {
    const auto run = next(from);
    if (!run) return;
    require(*run > from);
    from = *run;
  }
}

}  // namespace

// The first byte chooses zone and start.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 200) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto zone = TimeZone::find(kZones[data[0] % kZones.size()]);
  const auto start = parse_instant(kStarts[data[0] / kZones.size() % kStarts.size()]);
  require(zone && start);

  if (const auto schedule = Schedule::parse(text)) {
    for (const DstPolicy policy : {DstPolicy::RealTime, DstPolicy::JavaShift, DstPolicy::Robfig})
      walk(*start, [&](TimePoint after) { return schedule->next(*start, after, *zone, policy); });
    const auto again = Schedule::parse(schedule->canonical());
    require(again && again->canonical() == schedule->canonical());
  }
  if (const auto cron = Cron::parse_robfig(text))
    walk(*start, [&](TimePoint after) { return cron->next(after, *zone, DstPolicy::Robfig); });
  return 0;
}
