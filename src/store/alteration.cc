// SPDX-License-Identifier: Apache-2.0
#include "store/alteration.h"

#include <fmt/core.h>

#include "store/job_events.h"

namespace jobmill::store {
namespace {

using Kind = jobs::Alteration::Kind;

constexpr std::size_t kMostIds = 1000;

}  // namespace

Status check_queue(const std::string& queue) {
  if (queue.empty()) return fail(Code::InvalidArgument, "queue: must not be empty");
  if (queue.size() > jobs::kMaxQueueBytes || queue.find('\0') != queue.npos) {
    return fail(Code::InvalidArgument,
                fmt::format("queue: at most {} bytes, without U+0000", jobs::kMaxQueueBytes));
  }
  return {};
}

Status check_alteration(const jobs::Alteration& alteration, std::size_t ids) {
  if (ids > kMostIds) {
    return fail(Code::InvalidArgument, fmt::format("ids: at most {}", kMostIds));
  }
  if (alteration.kind == Kind::Move) return check_queue(alteration.queue);
  if (alteration.kind == Kind::Prioritize &&
      (alteration.priority < 0 || alteration.priority > jobs::kMaxPriority)) {
    return fail(Code::InvalidArgument,
                fmt::format("priority: must be 0 to {}", jobs::kMaxPriority));
  }
  return {};
}

std::string change_event(const jobs::Alteration& alteration) {
  if (!alteration.reason.empty()) return reason_event(alteration.reason);
  return reason_event(alteration.kind == Kind::Move
                          ? "moved to queue " + alteration.queue
                          : fmt::format("priority {}", alteration.priority));
}

}  // namespace jobmill::store
