// SPDX-License-Identifier: Apache-2.0
#include "broker/limits.h"

#include <algorithm>
#include <array>

namespace jobmill::broker {
namespace {

struct Bound {
  std::string_view property;
  std::int64_t QueueDescription::*value;
  std::int64_t Limits::*least;  // null: no limit asks for more than check() does
  std::int64_t Limits::*most;
};

constexpr std::array kBounds{
    Bound{"MaxMessageSizeInKilobytes", &QueueDescription::max_message_kb, nullptr,
          &Limits::message_kb},
    Bound{"MaxSizeInMegabytes", &QueueDescription::max_size_mb, &Limits::least_queue_mb,
          &Limits::queue_mb},
};

std::int64_t least(const Bound& bound, const Limits& limits) {
  return bound.least == nullptr ? 1 : limits.*bound.least;
}

}  // namespace

std::vector<std::string> beyond(const QueueDescription& queue, const Limits& limits,
                                const QueueDescription& before) {
  const QueueDescription usual;
  std::vector<std::string> out;
  for (const Bound& bound : kBounds) {
    const std::int64_t value = queue.*bound.value;
    const std::int64_t from = least(bound, limits), to = limits.*bound.most;
    if (value == usual.*bound.value || value == before.*bound.value) continue;
    if (value >= from && value <= to) continue;
    out.push_back("queue " + queue.name + ": " + std::string(bound.property) + " must be from " +
                  std::to_string(from) + " to " + std::to_string(to));
  }
  return out;
}

Status check(const QueueDescription& queue, const Limits& limits, const QueueDescription& before) {
  const auto complaints = beyond(queue, limits, before);
  if (complaints.empty()) return {};
  return fail(Code::InvalidArgument, complaints.front());
}

QueueDescription within(QueueDescription queue, const Limits& limits) {
  for (const Bound& bound : kBounds)
    queue.*bound.value = std::min(queue.*bound.value, limits.*bound.most);
  return queue;
}

Status check_count(std::int64_t there_are, std::int64_t limit, std::string_view owner,
                   std::string_view what) {
  if (there_are < limit) return {};
  return fail(Code::Exhausted, std::string(owner) + " has at most " + std::to_string(limit) + " " +
                                   std::string(what));
}

}  // namespace jobmill::broker
