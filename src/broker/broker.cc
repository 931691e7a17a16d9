// SPDX-License-Identifier: Apache-2.0
#include "broker/broker.h"

#include "broker/engine.h"

namespace jobmill::broker {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::Completed:
      return "completed";
    case Outcome::Abandoned:
      return "abandoned";
    case Outcome::Deferred:
      return "deferred";
    case Outcome::DeadLettered:
      return "dead-lettered";
    case Outcome::Released:
      return "released";
    case Outcome::LockLost:
      return "lock-lost";
    case Outcome::Deleted:
      return "deleted";
  }
  return "";
}

Broker::Broker(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}
Broker::~Broker() = default;

Result<std::unique_ptr<Broker>> Broker::open(MessageStore& store, BrokerOptions options,
                                             TimePoint now) {
  auto engine = std::make_shared<Engine>(store, std::move(options));
  TRY_VOID(engine->load(now));
  return std::unique_ptr<Broker>(new Broker(std::move(engine)));
}

std::optional<TimePoint> Broker::tick(TimePoint now) { return engine_->tick(now); }
void Broker::on_next_due(std::function<void(TimePoint)> listener) {
  engine_->on_next_due(std::move(listener));
}
void Broker::on_entities_changed(
    std::function<void(const std::string& path, Change change)> listener) {
  engine_->on_entities_changed(std::move(listener));
}

void Broker::watch(std::string_view path, bool on) { engine_->watch(path, on); }
void Broker::on_message(std::function<void(const MessageEvent&)> listener) {
  engine_->on_message(std::move(listener));
}
void Broker::on_queue(std::function<void(const std::string& path)> listener) {
  engine_->on_queue(std::move(listener));
}
Result<QueueState> Broker::queue_state(std::string_view path) const {
  return engine_->queue_state(path);
}
void Broker::end_holder(std::string_view holder, bool count, TimePoint now) {
  engine_->end_holder(holder, count, now);
}

void Broker::create(std::string name_space, QueueDescription queue, TimePoint now, Done done) {
  engine_->create(std::move(name_space), std::move(queue), now, std::move(done));
}
void Broker::update(QueueDescription queue, TimePoint now, Done done) {
  engine_->update(std::move(queue), now, std::move(done));
}
void Broker::remove(std::string_view path, Done done) { engine_->remove(path, std::move(done)); }
Result<QueueInfo> Broker::queue(std::string_view path) const { return engine_->queue(path); }
std::vector<QueueInfo> Broker::queues() const { return engine_->queues(); }
std::uint64_t Broker::max_message_bytes(std::string_view path) const {
  const auto info = queue(path);
  return info ? static_cast<std::uint64_t>(info->description.max_message_kb) * 1024 : 0;
}
const Limits& Broker::limits() const { return engine_->limits(); }
std::vector<std::string> Broker::beyond(const Limits& limits) const {
  return engine_->beyond(limits);
}
bool Broker::exists(const Address& address) const { return engine_->exists(address); }

std::vector<StoredNamespace> Broker::namespaces() const { return engine_->namespaces(); }
void Broker::put_namespace(std::string name, std::string properties, Done done) {
  engine_->put_namespace(std::move(name), std::move(properties), std::move(done));
}
void Broker::remove_namespace(std::string_view name, Done done) {
  engine_->remove_namespace(name, std::move(done));
}
std::vector<AuthorizationRule> Broker::rules(std::string_view path) const {
  return engine_->rules(path);
}
void Broker::put_namespace_rules(std::string_view name, std::vector<AuthorizationRule> rules,
                                 Done done) {
  engine_->put_namespace_rules(name, std::move(rules), std::move(done));
}

void Broker::send(const Address& to, std::span<const std::string_view> messages, TimePoint now,
                  Done done) {
  engine_->send(to, messages, now, std::move(done));
}
void Broker::schedule(const Address& to, std::span<const std::string_view> messages, TimePoint now,
                      Answer<std::vector<SequenceNumber>> done) {
  engine_->schedule(to, messages, now, std::move(done));
}
void Broker::cancel(const Address& at, std::span<const SequenceNumber> scheduled, TimePoint now,
                    Done done) {
  engine_->cancel(at, scheduled, now, std::move(done));
}

Result<ReceiverId> Broker::open_receiver(const ReceiverOptions& options, Receiver& receiver,
                                         TimePoint now) {
  return engine_->open_receiver(options, receiver, now);
}
ReceiverId Broker::open_session(const ReceiverOptions& options, SessionRequest request,
                                Receiver& receiver, TimePoint now, Answer<SessionGrant> done) {
  return engine_->open_session(options, std::move(request), receiver, now, std::move(done));
}
void Broker::grant(ReceiverId receiver, std::uint32_t credit, bool drain, TimePoint now) {
  engine_->grant(receiver, credit, drain, now);
}
void Broker::close(ReceiverId receiver, TimePoint now) { engine_->close(receiver, now); }

void Broker::receive(const ReceiverOptions& options, std::optional<std::string> session,
                     std::span<const SequenceNumber> sequences, TimePoint now,
                     Answer<std::vector<Delivery>> done) {
  engine_->receive(options, std::move(session), sequences, now, std::move(done));
}
void Broker::peek(const Address& at, SequenceNumber from, std::size_t count,
                  std::optional<std::string> session,
                  Answer<std::vector<std::shared_ptr<const Message>>> done) {
  engine_->peek(at, from, count, std::move(session), std::move(done));
}

std::optional<Broker::Locked> Broker::find(const LockToken& token, const Address& at) const {
  return engine_->find(token, at);
}
std::optional<LockId> Broker::find(const LockToken& token) const { return engine_->find(token); }
void Broker::settle(LockId lock, Settlement settlement, TimePoint now, Done done) {
  engine_->settle(lock, std::move(settlement), now, std::move(done));
}
Result<TimePoint> Broker::renew(LockId lock, TimePoint now) { return engine_->renew(lock, now); }

Result<TimePoint> Broker::renew_session(const Address& at, std::string_view session,
                                        TimePoint now) {
  return engine_->renew_session(at, session, now);
}
void Broker::set_session_state(const Address& at, std::string_view session,
                               std::optional<std::string> state, TimePoint now, Done done) {
  engine_->set_session_state(at, session, std::move(state), now, std::move(done));
}
Result<std::optional<std::string>> Broker::session_state(const Address& at,
                                                         std::string_view session) const {
  return engine_->session_state(at, session);
}
Result<std::vector<std::string>> Broker::sessions(const Address& at, std::optional<TimePoint> since,
                                                  std::size_t skip, std::size_t top) const {
  return engine_->sessions(at, since, skip, top);
}

void Broker::purge(const Address& at, std::size_t count, const PurgeFilter& filter,
                   Answer<std::size_t> done) {
  engine_->purge(at, count, filter, std::move(done));
}
void Broker::redrive(const Address& at, std::optional<Address> to,
                     std::span<const SequenceNumber> sequences, TimePoint now,
                     Answer<std::size_t> done) {
  engine_->redrive(at, std::move(to), sequences, now, std::move(done));
}

}  // namespace jobmill::broker
