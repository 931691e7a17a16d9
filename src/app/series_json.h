// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "scale/ledger.h"
#include "scale/series.h"

namespace jobmill::app {

struct TimeSpan {
  TimePoint from{};
  TimePoint to{};
  scale::Resolution resolution{};
};

// What is drawn of one or more series, and how it is told:
//
//   {"from", "to", "step": seconds,
//    "tracks": {"backlog": [[t, v], [t, v, low, high], [t, null], …], …},
//    "gaps": [[from, to, reason]], "decisions": [{id, at, kind, from, to, summary, count?}]}
//
// Times within lists are milliseconds since 1970. A null says that the number is unknown from there
// on. `low` and `high` are there where they differ.
struct SeriesAnswer {
  TimeSpan span;
  std::vector<scale::SeriesStore::Track> own;                  // of the target, or the series asked
  std::vector<std::vector<scale::SeriesStore::Track>> queues;  // of what its triggers look at
  std::vector<scale::SeriesGap> gaps;                          // its own, and those of all
  std::vector<scale::SeriesGap> outages;                       // those of all: nobody was there
  std::optional<std::vector<scale::LedgerRecord>> decisions;   // newest first
  std::vector<std::string> wanted;                             // names of tracks; empty: all
};

std::string to_json(const SeriesAnswer& answer);

// A record as the API tells it.
std::string record_json(const scale::LedgerRecord& record);

}  // namespace jobmill::app
