// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "broker/broker.h"
#include "broker/credit.h"
#include "broker/locks.h"
#include "broker/queue.h"

namespace jobmill::broker {

using MessagePtr = std::shared_ptr<const Message>;
using Messages = std::vector<MessagePtr>;
using EventPtr = std::shared_ptr<MessageEvent>;

// What a dead letter says about itself, as application properties.
inline constexpr std::string_view kReasonProperty = "DeadLetterReason";
inline constexpr std::string_view kDescriptionProperty = "DeadLetterErrorDescription";

// What stands behind Broker. Its public calls are the broker's, see there; each file holds one
// part: engine.cc (start, turns, time, store), entities.cc, sending.cc, delivery.cc, settling.cc,
// moving.cc, accepting.cc (message sessions), browsing.cc, watching.cc.
//
// The order of things within one turn (a call, an answer of the store, a tick): books first, then
// the queues that woke up, then the receivers. Receivers are called from the loop in ~Turn only,
// never while books are open, so they may call back whatever they like.
class Engine : public std::enable_shared_from_this<Engine> {
 public:
  Engine(MessageStore& store, BrokerOptions options);
  Status load(TimePoint now);

  std::optional<TimePoint> tick(TimePoint now);
  void on_next_due(std::function<void(TimePoint)> listener) { on_next_due_ = std::move(listener); }
  using OnEntity = std::function<void(const std::string& path, Broker::Change change)>;
  void on_entities_changed(OnEntity listener) { on_entities_changed_ = std::move(listener); }

  void watch(std::string_view path, bool on);
  void on_message(std::function<void(const MessageEvent&)> listener) {
    on_message_ = std::move(listener);
  }
  void on_queue(std::function<void(const std::string& path)> listener) {
    on_queue_ = std::move(listener);
  }
  Result<QueueState> queue_state(std::string_view path) const;
  void end_holder(std::string_view name, bool count, TimePoint now);

  void create(std::string name_space, QueueDescription queue, TimePoint now, Broker::Done done);
  void update(QueueDescription queue, TimePoint now, Broker::Done done);
  void remove(std::string_view path, Broker::Done done);
  Result<QueueInfo> queue(std::string_view path) const;
  std::vector<QueueInfo> queues() const;
  const Limits& limits() const { return options_.limits; }
  std::vector<std::string> beyond(const Limits& limits) const;
  bool exists(const Address& address) const;
  std::vector<StoredNamespace> namespaces() const;
  void put_namespace(std::string name, std::string properties, Broker::Done done);
  void remove_namespace(std::string_view name, Broker::Done done);
  std::vector<AuthorizationRule> rules(std::string_view path) const;
  void put_namespace_rules(std::string_view name, std::vector<AuthorizationRule> rules,
                           Broker::Done done);

  void send(const Address& to, std::span<const std::string_view> messages, TimePoint now,
            Broker::Done done);
  void schedule(const Address& to, std::span<const std::string_view> messages, TimePoint now,
                Broker::Answer<std::vector<SequenceNumber>> done);
  void cancel(const Address& at, std::span<const SequenceNumber> scheduled, TimePoint now,
              Broker::Done done);

  Result<ReceiverId> open_receiver(const ReceiverOptions& options, Receiver& receiver,
                                   TimePoint now);
  ReceiverId open_session(const ReceiverOptions& options, SessionRequest request,
                          Receiver& receiver, TimePoint now, Broker::Answer<SessionGrant> done);
  void grant(ReceiverId receiver, std::uint32_t credit, bool drain, TimePoint now);
  void close(ReceiverId receiver, TimePoint now);
  void receive(const ReceiverOptions& options, std::optional<std::string> session,
               std::span<const SequenceNumber> sequences, TimePoint now,
               Broker::Answer<std::vector<Delivery>> done);
  void peek(const Address& at, SequenceNumber from, std::size_t count,
            std::optional<std::string> session, Broker::Answer<Messages> done);

  std::optional<LockId> find(const LockToken& token) const { return locks_.find(token); }
  std::optional<Broker::Locked> find(const LockToken& token, const Address& at);
  void settle(LockId lock, Settlement settlement, TimePoint now, Broker::Done done);
  Result<TimePoint> renew(LockId lock, TimePoint now);

  Result<TimePoint> renew_session(const Address& at, std::string_view session, TimePoint now);
  void set_session_state(const Address& at, std::string_view session,
                         std::optional<std::string> state, TimePoint now, Broker::Done done);
  Result<std::optional<std::string>> session_state(const Address& at,
                                                   std::string_view session) const;
  Result<std::vector<std::string>> sessions(const Address& at, std::optional<TimePoint> since,
                                            std::size_t skip, std::size_t top) const;

  void purge(const Address& at, std::size_t count, const PurgeFilter& filter,
             Broker::Answer<std::size_t> done);
  void redrive(const Address& at, std::optional<Address> to,
               std::span<const SequenceNumber> sequences, TimePoint now,
               Broker::Answer<std::size_t> done);

 private:
  using EntityPtr = std::shared_ptr<Entity>;

  // --- engine.cc: turns, time, store ---

  // Around everything that may change something. Only what is called by the store or the timer
  // may call receivers.
  class Turn {
   public:
    Turn(Engine& engine, bool may_call);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Engine& engine_;
    const bool outermost_;
    const bool may_call_;
  };
  void finish_turn(bool may_call);
  void see(TimePoint now) { now_ = std::max(now_, now); }

  struct Drained {};
  struct Answered {  // open_session(): nobody is answered who has gone
    Broker::Answer<SessionGrant> answer{};
    Result<SessionGrant> result;
  };
  struct Event {
    ReceiverId receiver = 0;
    std::variant<Delivery, Drained, Fault, Answered> what{};
  };
  void carry_out(Event& event);

  void wake(Queue& queue);
  void arm(Queue& queue, TimePoint at);
  void run_due(Queue& queue);
  void announce();
  void pause(Queue& queue);

  // One write, and what becomes visible when it is durable.
  struct Arrival {
    EntityPtr entity{};
    Queue* queue = nullptr;
    MessagePtr message{};
  };
  struct Seen {
    EntityPtr entity{};
    std::string key{};
  };
  struct Reserved {
    EntityPtr entity{};
    Queue* queue = nullptr;
    SequenceNumber until = 0;
  };
  struct Batch {
    std::vector<Change> changes{};
    std::vector<Arrival> arrivals{};
    std::vector<Seen> seen{};     // first of their id
    std::vector<Seen> repeats{};  // of an id that is itself not durable yet
    std::vector<Reserved> reserved{};
    std::vector<SequenceNumber> numbers{};  // for schedule(): of each message
    bool makes_visible() const {
      return !(arrivals.empty() && seen.empty() && repeats.empty() && reserved.empty());
    }
  };
  template <class Then>
  void commit(Batch batch, Then then);
  Status committed(const Batch& batch, const Status& written);
  void abandoned(const Batch& batch);
  template <class Then>
  void read(Queue& queue, std::vector<SequenceNumber> sequences, Then then);
  Messages with_counts(const Queue& queue, Messages messages) const;

  // --- entities.cc ---
  Entity* find_entity(std::string_view path) const;
  Result<Queue*> find_queue(const Address& address) const;
  Result<Queue*> use_queue(const Address& address, TimePoint now);
  EntityPtr pointer(const Entity& entity) const { return by_id_.at(entity.stored.id); }
  void remove(Entity& entity, Broker::Done done);
  void forget(Entity& entity);
  void end_receivers(Entity& entity, const Fault& why);
  void end_receiver(OpenReceiver& receiver, const Fault& why);
  void apply(Entity& entity, StoredEntity stored);
  Entity& add_entity(StoredEntity stored);
  bool knows_namespace(std::string_view name) const;
  std::int64_t entities_of(std::string_view name_space) const;
  Status admit(QueueDescription& queue, const QueueDescription& before) const;

  // --- sending.cc ---
  Result<Batch> read_all(Entity& entity, std::span<const std::string_view> messages, bool schedule,
                         TimePoint now);
  Status check_size(const Entity& entity, const Message& message) const;
  Status accepts(const Entity& entity, const Message& message, std::int64_t more_bytes) const;
  // Adds a message to a write: follows forwarding, drops duplicates, gives the number. Answers 0
  // for a duplicate. `fresh`: it comes from a sender, not from another place of the same entity.
  SequenceNumber enqueue(Batch& batch, Queue& first, Message message, bool fresh);
  Queue* route(Batch& batch, Queue& first, Message& message, bool fresh);
  bool is_duplicate(Batch& batch, Entity& entity, const Message& message);
  SequenceNumber next_sequence(Batch& batch, Queue& queue);
  Queue& fail_transfer(Entity& entity, Message& message, std::string reason,
                       std::string description);
  void arrived(const Arrival& arrival);

  // --- delivery.cc ---
  OpenReceiver* find_receiver(ReceiverId id);
  Result<Queue*> check_receiver(const ReceiverOptions& options, TimePoint now);
  Result<Queue*> check_one_more(const ReceiverOptions& options, TimePoint now);
  OpenReceiver& add_receiver(const ReceiverOptions& options, Receiver& receiver, Queue* queue);
  void drop_receiver(OpenReceiver& receiver);
  template <class What>
  void post(ReceiverId receiver, What what) {
    Event& event = events_.emplace_back();
    event.receiver = receiver;
    event.what.emplace<What>(std::move(what));
  }
  void pump(Queue& queue);
  void pump_plain(Queue& queue);
  void pump_session(Queue& queue, MessageSession& session);
  void pump_session(Queue& queue, const std::string& id);  // if it is still there, and held
  void hand_out(Queue& queue, const Messages& messages);
  void hand_out(Queue& queue, MessageSession& session, ReceiverId holder,
                const std::vector<SequenceNumber>& asked, const Result<Messages>& got);
  void drop_missing(Queue& queue, const std::vector<SequenceNumber>& asked, const Messages& got);
  bool hand_over(Queue& queue, const MessagePtr& message);
  void take_credit(OpenReceiver& receiver);
  void give_back_credit(OpenReceiver& receiver);
  void give(Queue& queue, OpenReceiver& receiver, const MessagePtr& message);
  Delivery lock(Queue& queue, MessageSession* session, ReceiverId receiver, HolderPtr holder,
                const MessagePtr& message, Place place);
  void delete_and_send(Queue& queue, OpenReceiver& receiver, Messages messages);
  void deleted(Queue& queue, ReceiverId id, const HolderPtr& holder, const Messages& messages,
               bool written);
  void finish_drain(OpenReceiver& receiver);
  void finish_drains(Queue& queue);

  // --- settling.cc ---
  // Takes the lock off; the message stays where it is.
  void unlock(Lock& lock);
  // The message is available again; `failed` counts the delivery, which may make a dead letter.
  void put_back(Queue& queue, SequenceNumber sequence, bool failed, EventPtr ended);
  // Released, LockLost or Abandoned; the latter two count.
  void end_lock(Lock& lock, Outcome how);
  void expire_locks(Queue& queue);
  template <class Then>
  void settle_with(Lock& lock, Batch batch, EventPtr outcome, Broker::Done done, Then then);
  EventPtr outcome(const Lock& lock, Outcome outcome, std::string reason = {}) const;
  void abandon(Lock& lock, Settlement settlement, Broker::Done done);
  void defer(Lock& lock, Settlement settlement, Broker::Done done);
  void refuse_growth(Lock& lock, const Fault& why, std::uint32_t count, Broker::Done done);
  void dead_letter(Lock& lock, Settlement settlement, std::uint32_t count, Broker::Done done);
  void lock_again(Lock& lock);
  static void hold_up(Lock& lock);
  static std::optional<std::string> let_go_on(Lock& lock);
  static Message settled_copy(const Lock& lock, const Entry& entry, const amqp::Map& properties);

  // --- watching.cc ---
  void tell_changes();
  static EventPtr event(const Queue& queue, const HolderPtr& holder, const Message& message,
                        std::optional<Outcome> outcome, std::string reason = {});
  void tell(const Queue& queue, const EventPtr& event);
  void tell_deleted(const Queue& queue, const HolderPtr& holder, const Message& message);
  // With the settlement: after a crash it is known what a holder has done.
  void record(Batch& batch, const EventPtr& event) const;
  HolderPtr live(const Holder& holder);
  TimePoint lock_end(const Queue& queue, const HolderPtr& holder) const;

  // --- moving.cc ---
  void move(Queue& queue, Move move);
  void run_moves(Queue& queue);
  void write_moves(Queue& queue, std::vector<Move> moves, const Messages& messages);
  void moves_failed(Queue& queue, std::vector<Move> moves);
  void expire(Queue& queue);
  void forward(Queue& queue);
  Message dead_letter_of(const Queue& queue, const Message& message, const std::string& reason,
                         const std::string& description, amqp::Map properties) const;
  static std::string too_often(std::uint32_t attempts);

  // --- accepting.cc ---
  void accept(OpenReceiver& receiver, SessionRequest request, Broker::Answer<SessionGrant> answer);
  void grant_session(OpenReceiver& receiver, MessageSession& session,
                     Broker::Answer<SessionGrant> answer);
  void refuse_session(OpenReceiver& receiver, Fault why, Broker::Answer<SessionGrant> answer);
  void serve_waiting(Queue& queue);
  void give_up_waiting(Queue& queue);
  void release_session(Queue& queue, MessageSession& session, Outcome how);
  void expire_sessions(Queue& queue);
  Result<Queue*> session_queue(const Address& address) const;

  // --- browsing.cc ---
  void delete_deferred(Queue& queue, const HolderPtr& holder, Messages messages,
                       Broker::Answer<std::vector<Delivery>> done);
  void purge_some(Queue& queue, std::vector<SequenceNumber> left, std::size_t purged,
                  Broker::Answer<std::size_t> done);
  Result<Batch> redrive_batch(Queue& queue, const std::optional<Address>& to,
                              const Messages& messages);
  void redrive_some(Queue& queue, std::optional<Address> to, std::vector<SequenceNumber> left,
                    std::size_t moved, Broker::Answer<std::size_t> done);

  MessageStore& store_;
  const BrokerOptions options_;
  TimePoint now_{};  // the latest that we were told

  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  std::unordered_map<std::string, EntityPtr, Hash, std::equal_to<>> by_path_;
  std::unordered_map<EntityId, EntityPtr> by_id_;
  std::map<std::string, StoredNamespace, std::less<>> namespaces_;
  EntityId next_entity_ = 1;

  LockTable locks_;
  ReceiverId last_receiver_ = 0;
  std::unordered_map<ReceiverId, OpenReceiver> receivers_;
  std::map<std::string, HolderPtr, std::less<>> holders_;  // until they end

  bool in_turn_ = false;
  std::vector<Event> events_;
  std::vector<std::pair<EntityPtr, Queue*>> awake_;

  struct Due {
    TimePoint at{};
    EntityId entity = 0;
    SubQueue sub_queue = SubQueue::Main;
    bool operator<(const Due& other) const { return at > other.at; }  // the soonest on top
  };
  std::priority_queue<Due> due_;
  std::function<void(TimePoint)> on_next_due_;
  OnEntity on_entities_changed_;
  std::function<void(const MessageEvent&)> on_message_;
  std::function<void(const std::string&)> on_queue_;
  std::set<std::string, std::less<>> watched_;
  std::vector<std::string> changed_;  // watched queues, in this turn
  TimePoint announced_ = TimePoint::max();
};

// --- the templates ---------------------------------------------------------------------------

// The store outlives us, and may answer when we are gone.
template <class Then>
void Engine::commit(Batch batch, Then then) {
  std::vector<Change> changes = std::move(batch.changes);
  if (!batch.makes_visible()) {  // most settlements: nothing to carry along
    return store_.write(std::move(changes), [weak = weak_from_this(), then = std::move(then)](
                                                const Status& written) mutable {
      const auto self = weak.lock();
      if (!self) return;
      const Turn turn(*self, true);
      then(self->committed({}, written));
    });
  }
  store_.write(std::move(changes), [weak = weak_from_this(), batch = std::move(batch),
                                    then = std::move(then)](const Status& written) mutable {
    const auto self = weak.lock();
    if (!self) return;
    const Turn turn(*self, true);
    then(self->committed(batch, written));
  });
}

// The entity may be gone when the answer comes; that is an error then.
template <class Then>
void Engine::read(Queue& queue, std::vector<SequenceNumber> sequences, Then then) {
  store_.read(queue.key(), std::move(sequences),
              [weak = weak_from_this(), entity = pointer(queue.entity), &queue,
               then = std::move(then)](Result<Messages> messages) mutable {
                const auto self = weak.lock();
                if (!self) return;
                const Turn turn(*self, true);
                if (entity->gone) messages = fail(Code::NotFound, entity->path + " was deleted");
                if (messages) *messages = self->with_counts(queue, *std::move(messages));
                then(std::move(messages));
              });
}

}  // namespace jobmill::broker
