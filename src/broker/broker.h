// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "amqp/value.h"
#include "base/clock.h"
#include "base/result.h"
#include "broker/address.h"
#include "broker/authorization.h"
#include "broker/entity.h"
#include "broker/limits.h"
#include "broker/message.h"
#include "broker/message_store.h"

namespace jobmill::broker {

class Engine;

// Counted up for each lock; never 0, never used twice while the process lives.
using LockId = std::uint64_t;
using ReceiverId = std::uint64_t;  // never 0, never used twice

// A message handed out.
struct Delivery {
  std::shared_ptr<const Message> message{};
  LockId lock = 0;  // 0: received and deleted
  LockToken token{};
  TimePoint locked_until{};
};

// Who gets deliveries: a link, a request that waits. Called on the broker's thread, never from
// within a call of its own to the broker.
class Receiver {
 public:
  virtual ~Receiver() = default;
  // Uses one credit. The lock runs from now.
  virtual void deliver(Delivery delivery) = 0;
  // After grant(drain = true): what could be delivered was; the rest of the credit is gone.
  virtual void drained() = 0;
  // The broker ended it, close() is not needed any more. NotFound: the entity was deleted;
  // PermissionDenied: disabled; Conflict: its session's lock was lost.
  virtual void ended(const Fault& why) = 0;
};

enum class ReceiveMode : std::uint8_t { PeekLock, ReceiveAndDelete };

// On whose behalf somebody receives: a replica of an execution. The name is the front's; the broker
// only keeps it.
struct Holder {
  std::string name{};  // empty: nobody in particular
  // Its locks are bound to it: they last until then, whatever the entity says and also without
  // renewals, or until end_holder(). nullopt: they are as anybody's.
  std::optional<TimePoint> until{};
};

struct ReceiverOptions {
  Address address{};
  ReceiveMode mode = ReceiveMode::PeekLock;
  Holder holder{};
};

enum class Outcome : std::uint8_t {
  Completed,
  Abandoned,
  Deferred,
  DeadLettered,  // by a receiver, or because it was delivered too often
  Released,      // given back without being counted
  LockLost,      // its lock ran out
  Deleted,       // received and deleted
};
std::string_view to_string(Outcome outcome);  // "completed", "dead-lettered", "lock-lost"

// One message was given to a receiver, or left its hands, by when it is so: outcomes after the
// commit.
struct MessageEvent {
  std::string entity{};  // path of the queue, lower case
  std::string holder{};  // name; empty: nobody in particular
  SequenceNumber sequence = 0;
  std::string message_id{};
  std::uint32_t delivery_count = 0;  // of this delivery; the first is 1
  std::optional<Outcome> outcome{};  // none: it was taken
  std::string reason{};              // of a dead letter
};

// A queue as those see it who start work for its messages.
struct QueueState {
  std::int64_t ready = 0;   // could be given to a receiver now; with sessions: sessions that have
                            // such messages and are not locked
  std::int64_t locked = 0;  // in the hands of receivers; with sessions: locked sessions
  std::int64_t scheduled = 0;
  std::int64_t deferred = 0;  // those that somebody received by number included
  std::int64_t dead_letter = 0;
  bool sessions = false;
  bool receivable = true;  // neither disabled nor receive-disabled
  bool operator==(const QueueState&) const = default;
};

struct SessionRequest {
  std::optional<std::string> id{};  // nullopt: the next one that is free and has messages
  TimePoint give_up_at{};
};
struct SessionGrant {
  ReceiverId receiver = 0;
  std::string id{};
  TimePoint locked_until{};
};

struct Settlement {
  enum class Action : std::uint8_t { Complete, Abandon, Defer, DeadLetter, Release };
  Action action = Action::Complete;
  std::string reason{};       // of a dead letter
  std::string description{};  // of a dead letter
  amqp::Map properties{};     // application properties to set
};

// Which messages are to be deleted.
struct PurgeFilter {
  std::optional<TimePoint> before{};     // enqueued before it
  std::optional<std::string> session{};  // of this one
  std::vector<SequenceNumber> only{};    // empty: any
};

struct SessionInfo {
  std::string id{};
};

struct BrokerOptions {
  std::string default_namespace = "sbemulatorns";
  // Key of RootManageSharedAccessKey, which every namespace has.
  Secret root_key{};
  Limits limits{};
};

// The Service Bus of this server: entities, messages in order, locks, message sessions. An engine:
// no sockets, no clock; it belongs to one thread, is given the time with each call and writes
// through a MessageStore.
//
// A send or settlement is answered when it is durable. Errors are the broker's own words; what they
// mean in a protocol depends on the call, and the edges translate:
//   NotFound          no such entity, message or namespace
//   Conflict          the lock, or the session's lock, is lost; a session is locked by another
//   PermissionDenied  the entity is disabled for this
//   Exhausted         its size is reached, or there are as many as the limits allow
//   Unsupported       not for entities of this kind (with or without sessions, dead letters, …)
//   Unavailable       the store could not write; nothing happened; later
//
// Done and Answer may be called from within the call, when nothing must be written or an error is
// found at once; Receiver's functions and the answer of open_session() never are.
class Broker {
 public:
  using Done = std::function<void(const Status&)>;
  template <class T>
  using Answer = std::function<void(Result<T>)>;

  // Reads everything from the store.
  static Result<std::unique_ptr<Broker>> open(MessageStore& store, BrokerOptions options,
                                              TimePoint now);
  ~Broker();

  // Locks, sessions, schedules and times to live that ran out, entities that were idle for too
  // long. Answers when it wants to be called next; every call below may make that earlier, which
  // on_next_due tells.
  std::optional<TimePoint> tick(TimePoint now);
  void on_next_due(std::function<void(TimePoint)> listener);
  // Called when an entity (its path) was made, changed or deleted, within the call that did it: the
  // listener must not call back.
  enum class Change { Made, Changed, Gone };
  void on_entities_changed(std::function<void(const std::string& path, Change change)> listener);

  // --- for those who start work ---
  // What happens to messages of the main part of these queues is told from now on; a path may be
  // watched before its queue is there. Both listeners are called within other calls and must not
  // call back: on_message for each taking and outcome, in order; on_queue when queue_state() may
  // have changed, with the path, at the end of a call and thus after what happened to messages in
  // it.
  void watch(std::string_view path, bool on);
  void on_message(std::function<void(const MessageEvent&)> listener);
  void on_queue(std::function<void(const std::string& path)> listener);
  Result<QueueState> queue_state(std::string_view path) const;  // NotFound
  // The holder is gone: its locks end now, those of its sessions too. `count`: as abandoned, which
  // may make dead letters; else as released.
  void end_holder(std::string_view holder, bool count, TimePoint now);

  // --- entities ---
  // AlreadyExists: the path is taken (by a queue of another namespace: the message names it).
  void create(std::string name_space, QueueDescription queue, TimePoint now, Done done);
  // InvalidArgument: a fixed property differs.
  void update(QueueDescription queue, TimePoint now, Done done);
  void remove(std::string_view path, Done done);
  Result<QueueInfo> queue(std::string_view path) const;
  std::vector<QueueInfo> queues() const;                         // by name
  std::uint64_t max_message_bytes(std::string_view path) const;  // 0: there is no such queue
  const Limits& limits() const;
  // What is there and these limits would refuse, one sentence each.
  std::vector<std::string> beyond(const Limits& limits) const;
  bool exists(const Address& address) const;

  std::vector<StoredNamespace> namespaces() const;  // by name; the default one is always there
  void put_namespace(std::string name, std::string properties, Done done);
  void remove_namespace(std::string_view name, Done done);  // with its entities
  // Rules that may sign for this path: the entity's own and those of all namespaces.
  std::vector<AuthorizationRule> rules(std::string_view path) const;
  void put_namespace_rules(std::string_view name, std::vector<AuthorizationRule> rules, Done done);

  // --- sending: all messages or none. They are read and checked at once, see read_message(). ---
  void send(const Address& to, std::span<const std::string_view> messages, TimePoint now,
            Done done);
  // As send, for the times given in the messages; their numbers, by which they can be cancelled.
  void schedule(const Address& to, std::span<const std::string_view> messages, TimePoint now,
                Answer<std::vector<SequenceNumber>> done);
  void cancel(const Address& at, std::span<const SequenceNumber> scheduled, TimePoint now,
              Done done);

  // --- receiving ---
  // Unsupported: an entity with sessions.
  Result<ReceiverId> open_receiver(const ReceiverOptions& options, Receiver& receiver,
                                   TimePoint now);
  // Answers when a session is free, or with Timeout or Conflict (that session is locked by
  // another). Forget it with close_waiting() when the asking link goes first.
  ReceiverId open_session(const ReceiverOptions& options, SessionRequest request,
                          Receiver& receiver, TimePoint now, Answer<SessionGrant> done);
  // Absolute: this many more deliveries. The receiver with the most recent call comes first.
  void grant(ReceiverId receiver, std::uint32_t credit, bool drain, TimePoint now);
  // Its locks stay until they end, those of a session go back at once. Also for one that waits.
  void close(ReceiverId receiver, TimePoint now);

  // Deferred messages by number, each once. NotFound when one is missing, InvalidArgument when they
  // are too large together: nothing is locked or deleted then.
  void receive(const ReceiverOptions& options, std::optional<std::string> session,
               std::span<const SequenceNumber> sequences, TimePoint now,
               Answer<std::vector<Delivery>> done);
  // From this number on, any state, without locking. Fewer than `count` when they are large, but
  // none only when there is none.
  void peek(const Address& at, SequenceNumber from, std::size_t count,
            std::optional<std::string> session,
            Answer<std::vector<std::shared_ptr<const Message>>> done);

  // --- locks ---
  std::optional<LockId> find(const LockToken& token) const;
  // The same, for a message of this entity only.
  struct Locked {
    LockId id = 0;
    SequenceNumber sequence = 0;
  };
  std::optional<Locked> find(const LockToken& token, const Address& at) const;
  void settle(LockId lock, Settlement settlement, TimePoint now, Done done);
  Result<TimePoint> renew(LockId lock, TimePoint now);

  // --- message sessions ---
  Result<TimePoint> renew_session(const Address& at, std::string_view session, TimePoint now);
  void set_session_state(const Address& at, std::string_view session,
                         std::optional<std::string> state, TimePoint now, Done done);
  Result<std::optional<std::string>> session_state(const Address& at,
                                                   std::string_view session) const;
  // With messages or a state; with `since`: whose state changed after it.
  Result<std::vector<std::string>> sessions(const Address& at, std::optional<TimePoint> since,
                                            std::size_t skip, std::size_t top) const;

  // --- dead letters and housekeeping ---
  // Deletes up to `count` messages that nobody has locked. Unsupported: a session is named, and the
  // entity has none.
  void purge(const Address& at, std::size_t count, const PurgeFilter& filter,
             Answer<std::size_t> done);
  // Sends dead letters again, to `to` or to the queue they came from, and removes them, each in one
  // transaction. No numbers: all that nobody has locked.
  void redrive(const Address& at, std::optional<Address> to,
               std::span<const SequenceNumber> sequences, TimePoint now, Answer<std::size_t> done);

 private:
  explicit Broker(std::shared_ptr<Engine> engine);
  std::shared_ptr<Engine> engine_;
};

}  // namespace jobmill::broker
