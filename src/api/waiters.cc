// SPDX-License-Identifier: Apache-2.0
#include "api/waiters.h"

#include <algorithm>
#include <chrono>
#include <set>

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;

// A busy store changes thousands of times a second; whoever shows numbers needs them less often.
constexpr Duration kGather = 5ms;

bool takes(const Waiters::Claimer& claimer, const std::vector<std::string>& ready) {
  if (ready.empty() || claimer.queues.empty()) return true;
  return std::ranges::any_of(ready, [&](const std::string& queue) {
    return std::ranges::find(claimer.queues, queue) != claimer.queues.end();
  });
}

}  // namespace

Waiters::~Waiters() { loop_.cancel(gather_timer_); }

void Waiters::changed(const jobs::Change& change) {
  ++changes_;
  const bool ready = !change.ready_queues.empty() || (!change.workers && !change.due);
  if (ready) {
    any_ready_ = changes_;
    if (change.ready_queues.empty()) all_ready_ = changes_;
    for (const std::string& queue : change.ready_queues) ready_[queue] = changes_;
    wake_claimers(change.ready_queues);
  }
  gather();
}

bool Waiters::ready_since(std::uint64_t n, const std::vector<std::string>& queues) const {
  if (queues.empty()) return any_ready_ > n;
  return all_ready_ > n || std::ranges::any_of(queues, [&](const std::string& queue) {
           const auto found = ready_.find(queue);
           return found != ready_.end() && found->second > n;
         });
}

Waiters::Id Waiters::park(Claimer claimer, Function wake) {
  end_claim(claimer.worker_id);
  return add({std::move(claimer), false, std::move(wake)});
}

Waiters::Id Waiters::watch(Function wake) { return add({{}, true, std::move(wake)}); }

Waiters::Id Waiters::add(Entry entry) {
  const Id id = ++last_;
  entries_.emplace(id, std::move(entry));
  // Not called from here: the caller does not know its id yet.
  if (stopping_) loop_.post([this, id] { fire(id, Wake::Stopping); });
  return id;
}

void Waiters::wake_next(const std::string& group) {
  for (const auto& [id, entry] : entries_)
    if (!entry.reader && !entry.claimer.quiet && entry.claimer.group == group)
      return fire(id, Wake::Look);
}

void Waiters::end_claim(std::string_view worker_id) {
  fire_all([&](const Entry& e) { return !e.reader && e.claimer.worker_id == worker_id; },
           Wake::Superseded);
}

void Waiters::remove(Id id) { entries_.erase(id); }

void Waiters::stop() {
  stopping_ = true;
  fire_all([](const Entry&) { return true; }, Wake::Stopping);
}

void Waiters::fire(Id id, Wake wake) {
  auto entry = entries_.extract(id);
  if (!entry.empty()) entry.mapped().wake(wake);
}

// Collected first: what is called may park again.
template <class Which>
void Waiters::fire_all(Which which, Wake wake) {
  std::vector<Id> ids;
  for (const auto& [id, entry] : entries_)
    if (which(entry)) ids.push_back(id);
  for (const Id id : ids) fire(id, wake);
}

void Waiters::wake_claimers(const std::vector<std::string>& queues) {
  std::set<std::string> woken;
  fire_all(
      [&](const Entry& entry) {
        return !entry.reader && !entry.claimer.quiet && takes(entry.claimer, queues) &&
               woken.insert(entry.claimer.group).second;
      },
      Wake::Look);
}

// For readers, and for quiet claimers: those go on when the state of their worker changes.
void Waiters::gather() {
  if (gathering_) return;
  gathering_ = true;
  gather_timer_ = loop_.run_after(kGather, [this] {
    gathering_ = false;
    fire_all([](const Entry& entry) { return entry.reader || entry.claimer.quiet; }, Wake::Look);
  });
}

}  // namespace jobmill::api
