// SPDX-License-Identifier: Apache-2.0
#include "k8s/watch_state.h"

#include <algorithm>
#include <utility>

namespace jobmill::k8s {
namespace {

constexpr Duration kFirstPause = std::chrono::seconds(1);
constexpr Duration kLongestPause = std::chrono::seconds(30);
constexpr Duration kShortest = std::chrono::seconds(1);  // a watch that is worth beginning at once
constexpr int kMostDoublings = 5;
// Then a list, though the error be one that passes: a server whose data was restored from a copy
// may never reach our resourceVersion.
constexpr int kTriesOfWatch = 5;

std::string version_of(const Node& object) {
  const Node* metadata = object.find("metadata");
  const Node* version = metadata ? metadata->find("resourceVersion") : nullptr;
  return version && version->is_string() ? version->text : std::string();
}

// The server, or the way to it, is ill: what it knew before it will know again. Any other error is
// about what we asked, so we ask from the beginning.
bool is_passing(Code code) {
  return code == Code::Unavailable || code == Code::Timeout || code == Code::Exhausted;
}

}  // namespace

Step WatchState::begin_list() {
  doing_ = Doing::Listing;
  due_.reset();
  return BeginList{};
}

Step WatchState::begin_watch(TimePoint now) {
  doing_ = Doing::Watching;
  accepted_.reset();
  due_ = now + kAccept;
  return BeginWatch{resource_version_};
}

Steps WatchState::begin(TimePoint now) {
  Steps steps;
  steps.push_back(resource_version_.empty() ? begin_list() : begin_watch(now));
  return steps;
}

void WatchState::made_progress() {
  failures_ = 0;
  too_old_ = false;
}

Steps WatchState::wait(TimePoint now) {
  const Duration pause = kFirstPause * (1 << std::min(failures_++, kMostDoublings));
  doing_ = Doing::Waiting;
  due_ = now + std::min(pause, kLongestPause);
  return {};
}

Steps WatchState::fail_with(const Fault& fault, TimePoint now) {
  Steps steps = wait(now);
  if (!std::exchange(ill_, true)) steps.push_back(Ill{fault});
  return steps;
}

Steps WatchState::start() {
  Steps steps;
  steps.push_back(begin_list());
  return steps;
}

Steps WatchState::list_came(Result<Node> list, TimePoint now) {
  if (!list) return fail_with(list.error(), now);
  resource_version_ = version_of(*list);
  if (resource_version_.empty())
    return fail_with(fail(Code::Internal, "the API server's list has no resourceVersion"), now);
  listed_ = true;
  Node* items = list->find("items");
  Steps steps;
  steps.push_back(Listed{items ? std::move(items->items) : std::vector<Node>()});
  steps.push_back(begin_watch(now));
  return steps;
}

Steps WatchState::watch_begun(TimePoint now) {
  accepted_ = now;
  due_ = now + timeout_ + kGrace;
  Steps steps;
  if (std::exchange(ill_, false)) steps.push_back(Well{});
  return steps;
}

Steps WatchState::line_came(Node line, TimePoint now) {
  const Node* type = line.find("type");
  Node* object = line.find("object");
  if (!type || !object || !object->is_object())
    return leave(fail(Code::Internal, "cannot " + to_string(asked_) + ": no event was sent"), now);
  if (type->text == "ERROR") return leave(error_in(*object), now);
  if (auto version = version_of(*object); !version.empty()) resource_version_ = std::move(version);
  made_progress();
  Steps steps;
  if (type->text == "ADDED" || type->text == "MODIFIED") steps.push_back(Put{std::move(*object)});
  if (type->text == "DELETED") steps.push_back(Removed{std::move(*object)});
  return steps;
}

Fault WatchState::error_in(const Node& status) const {
  const Node* code = status.find("code");
  const auto number = code ? code->as_int() : std::nullopt;
  return fault_of(asked_, static_cast<int>(number.value_or(500)), to_json(status));
}

// The server would end it by itself, later.
Steps WatchState::leave(const Fault& why, TimePoint now) {
  Steps steps;
  steps.push_back(EndWatch{});
  for (Step& step : watch_failed(why, now)) steps.push_back(std::move(step));
  return steps;
}

Steps WatchState::watch_ended(const Status& status, TimePoint now) {
  const bool broke_off = !status && accepted_ && status.error().code == Code::Unavailable;
  if (!status && !broke_off) return watch_failed(status.error(), now);
  if (!accepted_ || now - *accepted_ < kShortest) return wait(now);
  made_progress();
  return begin(now);
}

Steps WatchState::watch_failed(const Fault& why, TimePoint now) {
  if (!is_passing(why.code) || failures_ >= kTriesOfWatch) resource_version_.clear();
  if (why.code != Code::Conflict) return fail_with(why, now);
  return std::exchange(too_old_, true) ? wait(now) : begin(now);
}

Steps WatchState::tick(TimePoint now) {
  if (!due_ || now < *due_) return {};
  if (doing_ == Doing::Waiting) return begin(now);
  if (!accepted_)
    return leave(fail(Code::Timeout, "cannot " + to_string(asked_) + ": no answer"), now);
  Steps steps;
  steps.push_back(EndWatch{});
  for (Step& step : begin(now)) steps.push_back(std::move(step));
  return steps;
}

}  // namespace jobmill::k8s
