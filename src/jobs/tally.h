// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace jobmill::jobs {

// How often a duration was how long. Each bucket counts what is above the bound before it and not
// above its own; the last one what is above all bounds.
struct Histogram {
  static constexpr std::array<double, 18> kBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                  0.1,   0.25,   0.5,   1,    2.5,   5,
                                                  10,    30,     60,    300,  900,   3600};  // s

  std::array<std::uint64_t, kBounds.size() + 1> buckets{};
  double sum = 0;  // seconds

  static std::size_t bucket_of(Duration duration);
  void add(Duration duration);  // what is negative counts as zero
  void merge(const Histogram& other);
  std::uint64_t count() const;

  bool operator==(const Histogram&) const = default;
};

// What happened to jobs of one kind in one queue. Only `in_progress` can fall.
struct Tally {
  std::string queue{};
  std::string kind{};
  std::uint64_t enqueued = 0;   // came to ENQUEUED: new, due, to be retried, put back
  std::uint64_t runs = 0;       // were claimed
  std::uint64_t succeeded = 0;  // attempts that ended well
  std::uint64_t failed = 0;     // attempts that failed, whether a retry follows or not
  std::uint64_t retried = 0;    // those of them that are followed by a retry
  std::uint64_t crashed = 0;    // their worker died
  std::uint64_t quarantined = 0;
  std::uint64_t deleted = 0;
  std::int64_t in_progress = 0;
  Histogram wait{};      // from ENQUEUED to PROCESSING
  Histogram run{};       // from PROCESSING to SUCCEEDED or FAILED
  Histogram lateness{};  // from when a job was due to ENQUEUED

  void merge(const Tally& other);  // adds all but the names
};

// Tallies by queue and kind, in the order of these names.
class Tallies {
 public:
  Tally& of(std::string_view queue, std::string_view kind);
  void merge(const Tally& other) { of(other.queue, other.kind).merge(other); }
  std::vector<Tally> all() const;

 private:
  std::map<std::pair<std::string, std::string>, Tally> tallies_;
};

// When to ask again for the result of a job: what is left of the time that jobs like it took so
// far. Those that nobody has seen yet are taken for short.
Duration expected_rest(const Tally& tally, Duration until_start, Duration running_for);

}  // namespace jobmill::jobs
