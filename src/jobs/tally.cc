// SPDX-License-Identifier: Apache-2.0
#include "jobs/tally.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace jobmill::jobs {
namespace {

constexpr Duration kUnknown = std::chrono::seconds(1);
constexpr Duration kSoonest = std::chrono::milliseconds(100);
constexpr Duration kLatest = std::chrono::minutes(5);

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

Duration mean(const Histogram& histogram) {
  const auto count = histogram.count();
  if (count == 0) return kUnknown;
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(histogram.sum / static_cast<double>(count)));
}

}  // namespace

std::size_t Histogram::bucket_of(Duration duration) {
  const auto bound = std::ranges::lower_bound(kBounds, seconds(duration));
  return static_cast<std::size_t>(bound - kBounds.begin());
}

void Histogram::add(Duration duration) {
  duration = std::max(duration, Duration::zero());
  ++buckets[bucket_of(duration)];
  sum += seconds(duration);
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += other.buckets[i];
  sum += other.sum;
}

std::uint64_t Histogram::count() const {
  return std::accumulate(buckets.begin(), buckets.end(), std::uint64_t{0});
}

void Tally::merge(const Tally& other) {
  enqueued += other.enqueued;
  runs += other.runs;
  succeeded += other.succeeded;
  failed += other.failed;
  retried += other.retried;
  crashed += other.crashed;
  quarantined += other.quarantined;
  deleted += other.deleted;
  in_progress += other.in_progress;
  wait.merge(other.wait);
  run.merge(other.run);
  lateness.merge(other.lateness);
}

Tally& Tallies::of(std::string_view queue, std::string_view kind) {
  auto key = std::pair(std::string(queue), std::string(kind));
  const auto [it, fresh] = tallies_.try_emplace(key);
  if (fresh) std::tie(it->second.queue, it->second.kind) = std::move(key);
  return it->second;
}

std::vector<Tally> Tallies::all() const {
  std::vector<Tally> found;
  found.reserve(tallies_.size());
  for (const auto& [key, tally] : tallies_) found.push_back(tally);
  return found;
}

Duration expected_rest(const Tally& tally, Duration until_start, Duration running_for) {
  const Duration rest = std::max(until_start, Duration::zero()) + mean(tally.run) - running_for;
  return std::clamp(rest, kSoonest, kLatest);
}

}  // namespace jobmill::jobs
