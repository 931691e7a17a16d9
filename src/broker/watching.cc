// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "broker/engine.h"

namespace jobmill::broker {
namespace {

bool receivable(EntityStatus status) {
  return status != EntityStatus::Disabled && status != EntityStatus::ReceiveDisabled;
}

}  // namespace

// --- what is told ---

void Engine::watch(std::string_view path, bool on) {
  const std::string key = lower(path);
  if (on) {
    watched_.insert(key);
  } else {
    watched_.erase(key);
  }
  if (const auto at = by_path_.find(key); at != by_path_.end())
    at->second->changes = on ? &changed_ : nullptr;
}

Result<QueueState> Engine::queue_state(std::string_view path) const {
  const Entity* entity = find_entity(lower(path));
  if (entity == nullptr) return fail(Code::NotFound, "no queue " + std::string(path));
  const Queue& main = entity->main;
  const MessageIndex& index = main.index();
  QueueState state;
  if (main.sessions) {
    state.sessions = true;
    state.ready = static_cast<std::int64_t>(main.sessions->available());
    state.locked = static_cast<std::int64_t>(main.sessions->locked());
  } else {
    // One that is being read for a receiver is nobody's yet.
    state.ready = index.count(Place::Ready) + index.count(Place::Reading);
    state.locked = index.count(Place::Locked);
  }
  state.scheduled = index.count(Place::Scheduled);
  state.deferred = index.count(Place::Deferred) + index.count(Place::DeferredLocked);
  state.dead_letter = entity->dead_letters.index().count();
  state.receivable = receivable(entity->description().status);
  return state;
}

// At the end of a turn, once for each queue, however much happened.
void Engine::tell_changes() {
  if (changed_.empty()) return;
  for (const std::string& path : std::exchange(changed_, {})) {
    if (const auto at = by_path_.find(path); at != by_path_.end()) at->second->noted = false;
    if (on_queue_) on_queue_(path);
  }
}

// What happens to a message in somebody's hands, for who watches and for the record of its holder;
// null where there is neither.
EventPtr Engine::event(const Queue& queue, const HolderPtr& holder, const Message& message,
                       std::optional<Outcome> outcome, std::string reason) {
  if (!queue.main() || (!queue.entity.watched() && holder == nullptr)) return nullptr;
  return std::make_shared<MessageEvent>(
      MessageEvent{.entity = queue.entity.path,
                   .holder = holder == nullptr ? std::string() : holder->name,
                   .sequence = message.sequence,
                   .message_id = message.message_id,
                   .delivery_count = message.delivery_count + 1,
                   .outcome = outcome,
                   .reason = std::move(reason)});
}

void Engine::tell(const Queue& queue, const EventPtr& event) {
  if (event != nullptr && on_message_ && queue.entity.watched()) on_message_(*event);
}

// Received and deleted: it is in somebody's hands and gone in one moment.
void Engine::tell_deleted(const Queue& queue, const HolderPtr& holder, const Message& message) {
  if (!queue.entity.watched()) return;
  tell(queue, event(queue, holder, message, std::nullopt));
  tell(queue, event(queue, holder, message, Outcome::Deleted));
}

void Engine::record(Batch& batch, const EventPtr& event) const {
  if (event == nullptr || event->holder.empty()) return;
  batch.changes.emplace_back(RecordOutcome{{.holder = event->holder,
                                            .entity = event->entity,
                                            .sequence = event->sequence,
                                            .message_id = event->message_id,
                                            .outcome = std::string(to_string(*event->outcome)),
                                            .at = now_}});
}

// --- holders ---

HolderPtr Engine::live(const Holder& holder) {
  if (holder.name.empty()) return nullptr;
  HolderPtr& known = holders_[holder.name];
  if (known == nullptr) known = std::make_shared<LiveHolder>(LiveHolder{.name = holder.name});
  known->until = holder.until;
  return known;
}

// When a lock or a session that is taken or renewed now runs out.
TimePoint Engine::lock_end(const Queue& queue, const HolderPtr& holder) const {
  const TimePoint usual = now_ + queue.entity.description().lock_duration;
  return holder != nullptr && holder->until ? std::max(usual, *holder->until) : usual;
}

void Engine::end_holder(std::string_view name, bool count, TimePoint now) {
  const Turn turn(*this, false);
  see(now);
  const auto at = holders_.find(name);
  if (at == holders_.end()) return;
  const HolderPtr holder = std::move(at->second);
  holders_.erase(at);
  holder->over = true;
  const Outcome how = count ? Outcome::Abandoned : Outcome::Released;
  std::vector<ReceiverId> receivers;
  for (const auto& [id, receiver] : receivers_) {
    if (receiver.holder == holder) receivers.push_back(id);
  }
  for (const ReceiverId id : receivers) {
    OpenReceiver& receiver = *find_receiver(id);
    if (receiver.session != nullptr) release_session(*receiver.queue, *receiver.session, how);
    drop_receiver(receiver);
  }
  for (const LockId id : locks_.of([&](const Lock& lock) { return lock.holder == holder; })) {
    Lock& lock = *locks_.find(id);
    if (lock.settling) {
      if (!lock.ends_as) lock.ends_as = how;  // unless what it said before can be written
    } else {
      end_lock(lock, how);
    }
  }
}

}  // namespace jobmill::broker
