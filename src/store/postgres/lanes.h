// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "base/result.h"
#include "store/postgres/connection.h"

namespace jobmill::postgres {

// Jobs of one kind at one priority in one queue.
struct Lane {
  std::int32_t id = 0;
  std::string queue;
  std::string kind;
  int priority = 0;
};

// A lane that a claimer may take from. Those of equal rank are one order of enqueueing.
struct LaneChoice {
  std::int32_t lane = 0;
  std::int32_t rank = 0;
  std::int64_t floor = 0;  // no ready job has a lower place
};

// What this process knows of jobmill_lane: lanes are made when a job first needs one, and stay; and
// of jobmill_pause.
// Safe from any thread; the pointers that it hands out stay valid.
class Lanes {
 public:
  explicit Lanes(std::vector<std::string> order) : order_(std::move(order)) {}

  Status load(Connection& connection);  // what others made and paused since
  Result<std::int32_t> get_or_make(Connection& connection, std::string_view queue,
                                   std::string_view kind, int priority);
  const Lane* find(std::int32_t id) const;  // null: not loaded yet
  const Lane* find(std::string_view queue, std::string_view kind, int priority) const;

  std::vector<const Lane*> all() const;
  std::vector<std::int32_t> of_queue(std::string_view queue) const;  // empty: all
  // Those that have lanes or are paused, in the configured order, others by name.
  std::vector<std::string> queues() const;

  bool paused(std::string_view queue) const;

  // Best first: by the order of queues, then by priority. None of paused queues.
  std::vector<LaneChoice> choices(std::span<const std::string> queues,
                                  std::span<const std::string> kinds) const;
  std::vector<LaneChoice> floors() const;  // of all lanes

  // No ready job of the lane has a place below this, nor will have.
  void raise_floor(std::int32_t lane, std::int64_t place);
  void forget_floors();  // a claim that another process gave up may have left jobs below

 private:
  Lane& keep(Lane lane);
  std::vector<std::string> ordered() const;
  std::int64_t floor_of(std::int32_t lane) const;

  const std::vector<std::string> order_;
  mutable std::mutex mutex_;  // guards all of the following
  std::map<std::int32_t, Lane> lanes_;
  std::map<std::tuple<std::string, std::string, int>, std::int32_t> ids_;
  std::map<std::int32_t, std::int64_t> floors_;
  std::set<std::string, std::less<>> paused_;
};

Status pause_queue(Connection& connection, std::string_view queue, bool paused);

}  // namespace jobmill::postgres
