// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/lanes.h"

#include <algorithm>
#include <set>

namespace jobmill::postgres {
namespace {

constexpr Statement kLanes{"lanes", "SELECT id, queue, kind, priority::integer FROM jobmill_lane"};

constexpr Statement kPaused{"paused_queues", "SELECT queue FROM jobmill_pause"};

constexpr Statement kPause{
    "pause_queue",
    "INSERT INTO jobmill_pause VALUES ($1, jobmill_now()) ON CONFLICT (queue) DO NOTHING"};
constexpr Statement kResume{"resume_queue", "DELETE FROM jobmill_pause WHERE queue = $1"};

constexpr Statement kMakeLane{"make_lane",
                              R"sql(
  INSERT INTO jobmill_lane (queue, kind, priority) VALUES ($1, $2, $3)
  ON CONFLICT DO NOTHING)sql"};

constexpr Statement kFindLane{
    "find_lane",
    "SELECT id FROM jobmill_lane WHERE queue = $1 AND kind = $2 AND priority = $3::integer"};

bool wanted(std::span<const std::string> names, const std::string& name) {
  return names.empty() || std::ranges::find(names, name) != names.end();
}

}  // namespace

// Numbers of lanes that were made at one time may become visible in another order, so all those
// are asked for that are not known.
Status Lanes::load(Connection& connection) {
  Pipeline pipeline(connection);
  pipeline.add(kLanes);
  pipeline.add(kPaused);
  TRY(const auto answers, pipeline.finish());
  const Rows& rows = answers[0];
  const Rows& paused = answers[1];
  const std::lock_guard lock(mutex_);
  paused_.clear();
  for (std::size_t i = 0; i < paused.size(); ++i) paused_.emplace(paused.text(i, 0));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (lanes_.contains(rows.int4(i, 0))) continue;
    keep({rows.int4(i, 0), std::string(rows.text(i, 1)), std::string(rows.text(i, 2)),
          rows.int4(i, 3)});
  }
  return {};
}

Result<std::int32_t> Lanes::get_or_make(Connection& connection, std::string_view queue,
                                        std::string_view kind, int priority) {
  if (const Lane* known = find(queue, kind, priority)) return known->id;
  const auto key = [&] { return Parameters().text(queue).text(kind).int4(priority); };
  TRY([[maybe_unused]] const Rows made, connection.run(kMakeLane, key()));
  TRY(const Rows rows, connection.run(kFindLane, key()));
  if (rows.empty()) return fail(Code::Internal, "a lane is not there after it was made");
  const std::lock_guard lock(mutex_);
  return keep({rows.int4(0, 0), std::string(queue), std::string(kind), priority}).id;
}

const Lane* Lanes::find(std::int32_t id) const {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(id);
  return found == lanes_.end() ? nullptr : &found->second;
}

const Lane* Lanes::find(std::string_view queue, std::string_view kind, int priority) const {
  const std::lock_guard lock(mutex_);
  const auto found = ids_.find({std::string(queue), std::string(kind), priority});
  return found == ids_.end() ? nullptr : &lanes_.at(found->second);
}

std::vector<const Lane*> Lanes::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<const Lane*> all;
  for (const auto& [id, lane] : lanes_) all.push_back(&lane);
  return all;
}

std::vector<std::int32_t> Lanes::of_queue(std::string_view queue) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::int32_t> ids;
  for (const auto& [id, lane] : lanes_) {
    if (queue.empty() || lane.queue == queue) ids.push_back(id);
  }
  return ids;
}

std::vector<std::string> Lanes::queues() const {
  const std::lock_guard lock(mutex_);
  return ordered();
}

bool Lanes::paused(std::string_view queue) const {
  const std::lock_guard lock(mutex_);
  return paused_.contains(queue);
}

std::vector<LaneChoice> Lanes::choices(std::span<const std::string> queues,
                                       std::span<const std::string> kinds) const {
  const std::lock_guard lock(mutex_);
  const auto order = queues.empty() ? ordered() : std::vector(queues.begin(), queues.end());
  constexpr std::int32_t kPriorities = 10;
  std::vector<LaneChoice> choices;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (paused_.contains(order[i])) continue;
    for (const auto& [id, lane] : lanes_) {
      if (lane.queue != order[i] || !wanted(kinds, lane.kind)) continue;
      choices.push_back(
          {id, static_cast<std::int32_t>(i + 1) * kPriorities - lane.priority, floor_of(id)});
    }
  }
  std::ranges::stable_sort(choices, {}, &LaneChoice::rank);
  return choices;
}

std::vector<LaneChoice> Lanes::floors() const {
  const std::lock_guard lock(mutex_);
  std::vector<LaneChoice> all;
  for (const auto& [id, lane] : lanes_) all.push_back({id, 0, floor_of(id)});
  return all;
}

std::int64_t Lanes::floor_of(std::int32_t lane) const {
  const auto floor = floors_.find(lane);
  return floor == floors_.end() ? 0 : floor->second;
}

void Lanes::raise_floor(std::int32_t lane, std::int64_t place) {
  const std::lock_guard lock(mutex_);
  auto& floor = floors_[lane];
  floor = std::max(floor, place);
}

void Lanes::forget_floors() {
  const std::lock_guard lock(mutex_);
  floors_.clear();
}

Lane& Lanes::keep(Lane lane) {
  ids_[{lane.queue, lane.kind, lane.priority}] = lane.id;
  return lanes_.try_emplace(lane.id, std::move(lane)).first->second;
}

std::vector<std::string> Lanes::ordered() const {
  std::set<std::string> others(paused_.begin(), paused_.end());
  for (const auto& [id, lane] : lanes_) others.insert(lane.queue);
  std::vector<std::string> order;
  for (const std::string& name : order_) {
    if (others.erase(name) > 0) order.push_back(name);
  }
  order.insert(order.end(), others.begin(), others.end());
  return order;
}

Status pause_queue(Connection& connection, std::string_view queue, bool paused) {
  TRY([[maybe_unused]] const Rows changed,
      connection.run(paused ? kPause : kResume, Parameters().text(queue)));
  return {};
}

}  // namespace jobmill::postgres
