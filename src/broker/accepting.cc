// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "broker/engine.h"

namespace jobmill::broker {

ReceiverId Engine::open_session(const ReceiverOptions& options, SessionRequest request,
                                Receiver& receiver, TimePoint now,
                                Broker::Answer<SessionGrant> done) {
  const Turn turn(*this, false);
  const auto queue = check_one_more(options, now);
  OpenReceiver& open = add_receiver(options, receiver, queue ? *queue : nullptr);
  const ReceiverId id = open.id;
  if (!queue) {
    refuse_session(open, queue.error(), std::move(done));
  } else if (!(*queue)->sessions) {
    refuse_session(open, fail(Code::Unsupported, options.address.path + " has no sessions"),
                   std::move(done));
  } else {
    accept(open, std::move(request), std::move(done));
  }
  return id;
}

void Engine::accept(OpenReceiver& receiver, SessionRequest request,
                    Broker::Answer<SessionGrant> answer) {
  Queue& queue = *receiver.queue;
  if (!request.id) {
    queue.sessions->waiting().push_back({receiver.id, request.give_up_at, std::move(answer)});
    arm(queue, request.give_up_at);
    return wake(queue);
  }
  MessageSession& session = queue.sessions->get(*request.id);
  if (session.holder != 0 && session.locked_until > now_)
    return refuse_session(
        receiver,
        fail(Code::Conflict, "the session " + *request.id + " is locked by another receiver"),
        std::move(answer));
  if (session.holder != 0) expire_sessions(queue);
  // It may be gone with its holder, and a named session may be accepted before it has messages.
  grant_session(receiver, queue.sessions->get(*request.id), std::move(answer));
}

void Engine::grant_session(OpenReceiver& receiver, MessageSession& session,
                           Broker::Answer<SessionGrant> answer) {
  Queue& queue = *receiver.queue;
  const TimePoint until = lock_end(queue, receiver.holder);
  queue.sessions->lock(session, receiver.id, until);
  queue.sessions->changed(session);
  queue.entity.changed();
  receiver.session = &session;
  arm(queue, until);
  post(receiver.id, Answered{std::move(answer), SessionGrant{receiver.id, session.id, until}});
  pump_session(queue, session);
}

void Engine::refuse_session(OpenReceiver& receiver, Fault why,
                            Broker::Answer<SessionGrant> answer) {
  post(receiver.id, Answered{std::move(answer), std::move(why)});
}

// In the order in which they came.
void Engine::serve_waiting(Queue& queue) {
  auto& waiting = queue.sessions->waiting();
  while (!waiting.empty() && queue.sessions->next_available() != nullptr) {
    WaitingReceiver first = std::move(waiting.front());
    waiting.pop_front();
    grant_session(*find_receiver(first.receiver), *queue.sessions->next_available(),
                  std::move(first.answer));
  }
}

void Engine::give_up_waiting(Queue& queue) {
  auto& waiting = queue.sessions->waiting();
  for (auto at = waiting.begin(); at != waiting.end();) {
    if (at->give_up_at > now_) {
      ++at;
      continue;
    }
    WaitingReceiver late = std::move(*at);
    at = waiting.erase(at);
    refuse_session(*find_receiver(late.receiver),
                   fail(Code::Timeout, "no session with messages became free in time"),
                   std::move(late.answer));
  }
}

// Its messages go back to the front. One whose settlement is being written keeps its lock until
// the outcome is known; it and those that are being deleted hold up those behind them until then.
void Engine::release_session(Queue& queue, MessageSession& session, Outcome how) {
  queue.entity.changed();
  if (OpenReceiver* holder = find_receiver(session.holder)) {
    session.returning += holder->deleting;
    holder->session = nullptr;
  }
  const std::string id = session.id;
  queue.sessions->unlock(session);
  for (const LockId lock_id : std::exchange(session.locks, {})) {
    Lock& lock = *locks_.find(lock_id);
    if (!lock.settling) {
      end_lock(lock, how);
      continue;
    }
    lock.session = nullptr;
    lock.ends_as = how;
    hold_up(lock);
  }
  if (MessageSession* still = queue.sessions->find(id)) queue.sessions->changed(*still);
  wake(queue);
}

void Engine::expire_sessions(Queue& queue) {
  while (MessageSession* session = queue.sessions->first_to_expire()) {
    if (session->locked_until > now_) return;
    const ReceiverId holder = session->holder;
    release_session(queue, *session, Outcome::LockLost);
    end_receiver(*find_receiver(holder), fail(Code::Conflict, "the lock of the session was lost"));
  }
}

Result<TimePoint> Engine::renew_session(const Address& at, std::string_view id, TimePoint now) {
  const Turn turn(*this, false);
  TRY(Queue * queue, use_queue(at, now));
  if (!queue->sessions) return fail(Code::Unsupported, at.path + " has no sessions");
  expire_sessions(*queue);
  MessageSession* session = queue->sessions->find(id);
  if (session == nullptr || session->holder == 0)
    return fail(Code::Conflict, "the session " + std::string(id) + " is not locked");
  const TimePoint until = lock_end(*queue, find_receiver(session->holder)->holder);
  queue->sessions->renew(*session, until);
  for (const LockId lock : session->locks) locks_.find(lock)->until = until;
  return until;
}

Result<Queue*> Engine::session_queue(const Address& address) const {
  TRY(Queue * queue, find_queue(address));
  if (!queue->sessions) return fail(Code::Unsupported, address.path + " has no sessions");
  return queue;
}

void Engine::set_session_state(const Address& at, std::string_view session,
                               std::optional<std::string> state, TimePoint now, Broker::Done done) {
  const Turn turn(*this, false);
  see(now);
  const auto found = session_queue(at);
  if (!found) return done(found.error());
  if (const Status checked = check_id("the session id", session); !checked) return done(checked);
  Queue& queue = **found;
  queue.entity.used_at = now_;
  Batch batch;
  batch.changes.emplace_back(PutSessionState{queue.key(), std::string(session), state, now_});
  commit(std::move(batch),
         [entity = pointer(queue.entity), &queue, id = std::string(session),
          state = std::move(state), at = now_, done = std::move(done)](const Status& written) {
           if (written && !entity->gone) {
             MessageSession& changed = queue.sessions->get(id);
             changed.state = state;
             changed.state_at = at;
             queue.sessions->changed(changed);
           }
           done(written);
         });
}

Result<std::optional<std::string>> Engine::session_state(const Address& at,
                                                         std::string_view id) const {
  TRY(const Queue* queue, session_queue(at));
  const MessageSession* session = std::as_const(*queue->sessions).find(id);
  return session == nullptr ? std::nullopt : session->state;
}

Result<std::vector<std::string>> Engine::sessions(const Address& at, std::optional<TimePoint> since,
                                                  std::size_t skip, std::size_t top) const {
  TRY(const Queue* queue, session_queue(at));
  std::vector<std::string> ids;
  for (const MessageSession* session : queue->sessions->all()) {
    const bool wanted = since ? session->state && session->state_at > *since
                              : session->messages > 0 || session->state;
    if (!wanted) continue;
    if (skip > 0) {
      --skip;
    } else if (ids.size() < top) {
      ids.push_back(session->id);
    }
  }
  return ids;
}

}  // namespace jobmill::broker
