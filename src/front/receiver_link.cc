// SPDX-License-Identifier: Apache-2.0
#include "front/receiver_link.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <memory>
#include <utility>
#include <variant>

#include "broker/message.h"
#include "front/amqp_connection.h"
#include "front/errors.h"
#include "front/settlement.h"

namespace jobmill::front {
namespace {

constexpr Duration kSessionWait = std::chrono::seconds(60);  // when the client says nothing

constexpr std::size_t kDeletedAtOnce = 1000;  // messages

broker::ReceiveMode mode_of(const amqp::Attach& attach) {
  return attach.sender_settle_mode == amqp::SenderSettleMode::Settled
             ? broker::ReceiveMode::ReceiveAndDelete
             : broker::ReceiveMode::PeekLock;
}

Duration session_wait(const amqp::Attach& attach) {
  const amqp::Value* given = amqp::find(attach.properties, "com.microsoft:timeout");
  const auto ms = given == nullptr ? std::nullopt : given->unsigned_integer();
  if (!ms) return kSessionWait;
  constexpr std::uint64_t kMaxMs = std::uint64_t{24} * 3600 * 1000;
  return std::chrono::milliseconds(std::min(*ms, kMaxMs));
}

// Clients ignore it, but some read it without looking whether there are properties at all.
amqp::Map link_properties() {
  amqp::Map properties;
  amqp::set_symbol(properties, "com.microsoft:entity-type", std::uint32_t{0});  // a queue
  return properties;
}

// JavaScript needs 16 bytes also where there is no lock.
std::array<char, 16> numbered_tag(std::uint64_t number) {
  std::array<char, 16> tag{};
  std::memcpy(tag.data(), &number, sizeof number);
  return tag;
}

amqp::DeliveryState lock_lost(const Fault& fault) {
  return amqp::Rejected{to_error(Operation::Lock, fault)};
}

// Answers an outcome with itself once it is durable: Python takes any other for a failure.
struct Echo {
  std::weak_ptr<AmqpConnection> connection;
  amqp::LinkId link;
  amqp::DeliveryId delivery;

  void operator()(amqp::DeliveryState state, const Status& status) const {
    const auto alive = connection.lock();
    if (alive == nullptr) return;
    alive->engine().settle(link, delivery, status ? std::move(state) : lock_lost(status.error()));
    alive->wake();
  }
};

}  // namespace

// --- attach --------------------------------------------------------------------------------------

ReceiverLink::ReceiverLink(AmqpConnection& connection, About about, amqp::Attach attach)
    : Link(connection, std::move(about)), mode_(mode_of(attach)), attach_(std::move(attach)) {}

ReceiverLink::~ReceiverLink() {
  if (!name_key_.empty())
    connection_.shared().names.give_back(name_key_, connection_.weak_from_this(), about_.id);
  if (receiver_ != 0) connection_.broker().close(receiver_, connection_.now());
}

void ReceiverLink::attach(AmqpConnection& connection, amqp::LinkAttached& attached,
                          broker::Address address) {
  amqp::Connection& engine = connection.engine();
  if (!connection.broker().exists(address))
    return engine.refuse(attached.link, entity_not_found(address.path));
  auto filter = session_filter(attached.attach.source);
  if (!filter) return engine.refuse(attached.link, to_error(Operation::Entity, filter.error()));

  auto link = std::make_unique<ReceiverLink>(connection,
                                             About{.id = attached.link,
                                                   .session = attached.session,
                                                   .name = attached.attach.name,
                                                   .address = std::move(address),
                                                   .right = broker::Right::Listen},
                                             std::move(attached.attach));
  ReceiverLink& receiver = *link;
  const TimePoint now = connection.now();
  if (*filter) {
    connection.add(std::move(link));
    return receiver.open_session(**std::move(filter), now);
  }
  const Status opened = receiver.open(now);
  if (!opened)
    return engine.refuse(
        attached.link, to_error(Operation::Entity, opened.error(), receiver.about().address.path));
  connection.add(std::move(link));
  receiver.accept({.source = receiver.attach_.source, .properties = link_properties()}, now);
}

broker::ReceiverOptions ReceiverLink::options() const {
  return {
      .address = about_.address, .mode = mode_, .holder = connection_.holder(about_.address.path)};
}

Status ReceiverLink::open(TimePoint now) {
  TRY(receiver_, connection_.broker().open_receiver(options(), *this, now));
  return {};
}

// The answer may come much later, or after the client went; closing the receiver forgets it.
void ReceiverLink::open_session(SessionFilter filter, TimePoint now) {
  broker::SessionRequest request{.id = std::move(filter.id),
                                 .give_up_at = now + session_wait(attach_)};
  receiver_ = connection_.broker().open_session(
      options(), std::move(request), *this, now,
      [weak = connection_.weak_from_this(), id = about_.id](Result<broker::SessionGrant> grant) {
        const auto connection = weak.lock();
        Link* link = connection == nullptr ? nullptr : connection->find(id);
        if (link == nullptr) return;
        static_cast<ReceiverLink*>(link)->session_opened(std::move(grant));
        connection->wake();
      });
}

void ReceiverLink::session_opened(Result<broker::SessionGrant> grant) {
  if (!grant) {
    receiver_ = 0;
    connection_.engine().refuse(
        about_.id, to_error(Operation::AcceptSession, grant.error(), about_.address.path));
    return connection_.drop(about_.id, std::nullopt);
  }
  receiver_ = grant->receiver;
  has_session_ = true;
  amqp::Attach answer{.source = attach_.source, .properties = link_properties()};
  if (answer.source) set_session(*answer.source, grant->id);
  amqp::set_symbol(answer.properties, "com.microsoft:locked-until-utc",
                   dotnet_ticks(grant->locked_until));
  accept(std::move(answer), connection_.now());
}

void ReceiverLink::accept(amqp::Attach answer, TimePoint now) {
  answer.sender_settle_mode = attach_.sender_settle_mode;
  answer.receiver_settle_mode = attach_.receiver_settle_mode;
  answer.target = std::move(attach_.target);
  if (answer.source) drop_other_filters(*answer.source);
  attach_ = {};
  accepted_ = true;
  take_name();
  connection_.engine().accept(about_.id, std::move(answer));
  // A client may have given credit before it had our answer.
  if (connection_.engine().credit(about_.id) > 0) grant(now);
}

void ReceiverLink::take_name() {
  name_key_ = LinkNames::key(connection_.container(), about_.name);
  const auto before = connection_.shared().names.take(
      name_key_, {.connection = connection_.weak_from_this(), .link = about_.id});
  const auto holder = before ? before->connection.lock() : nullptr;
  if (holder == nullptr) return;
  holder->drop(before->link,
               make_error(condition::kStolen, "The link '" + about_.name +
                                                  "' was attached again by the same container."));
  holder->wake();
}

// --- credit and deliveries -----------------------------------------------------------------------

void ReceiverLink::on_credit(const amqp::CreditGiven& credit, TimePoint now) {
  if (!accepted_) return;
  while (!waiting_.empty() && send(waiting_.front())) waiting_.pop_front();
  drain_ = credit.drain;
  grant(now);
}

void ReceiverLink::grant(TimePoint now) {
  if (receiver_ == 0 || connection_.holding_back()) return;
  const std::uint32_t credit = connection_.engine().credit(about_.id);
  asked_for_ = mode_ == broker::ReceiveMode::PeekLock ? credit : deletable(credit);
  more_ = asked_for_ < credit;
  if (more_) connection_.wants_top_up(about_.id);
  if (more_ && asked_for_ == 0) return;  // the client's window is closed
  connection_.broker().grant(receiver_, asked_for_, drain_, now);
}

// What is deleted before it can be sent is lost when the client goes.
std::uint32_t ReceiverLink::deletable(std::uint32_t credit) const {
  const std::size_t fit = connection_.shared().options.max_unsent_bytes / usual_bytes_;
  return std::min({credit, connection_.engine().window(about_.id),
                   static_cast<std::uint32_t>(std::clamp<std::size_t>(fit, 1, kDeletedAtOnce))});
}

void ReceiverLink::top_up() {
  if (more_) grant(connection_.now());
}

void ReceiverLink::hold_back(TimePoint now) {
  if (receiver_ != 0 && accepted_) connection_.broker().grant(receiver_, 0, false, now);
}

void ReceiverLink::go_on(TimePoint now) {
  if (accepted_) grant(now);
}

void ReceiverLink::drained() {
  // All that was asked for came. There may be more, for which there may be no room.
  if (more_ && asked_for_ == 0) {
    connection_.wants_top_up(about_.id);
    return connection_.wake();
  }
  more_ = drain_ = false;
  connection_.engine().drained(about_.id);
  connection_.wake();
}

void ReceiverLink::deliver(broker::Delivery delivery) {
  last_active = connection_.now();
  connection_.wake();
  if (asked_for_ > 0) --asked_for_;
  usual_bytes_ = std::max<std::size_t>(delivery.message->size, 1);
  if (send(delivery)) return;
  // The client took its credit back while the message was on its way.
  if (delivery.lock == 0) return waiting_.push_back(std::move(delivery));
  connection_.shared().loop.post([weak = connection_.weak_from_this(), lock = delivery.lock] {
    const auto connection = weak.lock();
    if (connection == nullptr) return;
    connection->broker().settle(lock, {.action = broker::Settlement::Action::Release},
                                connection->now(),
                                [](const Status&) {});  // a lock that is lost needs no release
  });
}

bool ReceiverLink::send(const broker::Delivery& delivery) {
  const bool locked = delivery.lock != 0;
  broker::Rendering rendering;
  if (locked) {
    rendering.locked_until = delivery.locked_until;
    rendering.lock_token = &delivery.token;
  }
  std::string& head = connection_.scratch();
  head.clear();
  const std::string_view rest = broker::render(head, *delivery.message, rendering);
  const std::array<char, 16> tag =
      locked ? broker::delivery_tag(delivery.token) : numbered_tag(++sent_);
  return connection_.engine().send(
      about_.id, {.tag = {tag.data(), tag.size()}, .settled = !locked, .cookie = delivery.lock},
      {head, rest});
}

void ReceiverLink::ended(const Fault& why) {
  receiver_ = 0;
  const Operation operation = has_session_ ? Operation::Session : Operation::Entity;
  if (!accepted_) {
    connection_.engine().refuse(about_.id, to_error(operation, why, about_.address.path));
    connection_.drop(about_.id, std::nullopt);
  } else {
    connection_.drop(about_.id, to_error(operation, why, about_.address.path));
  }
  connection_.wake();
}

// --- settlement ----------------------------------------------------------------------------------

void ReceiverLink::on_disposition(amqp::DispositionReceived& disposition, TimePoint now) {
  if (!disposition.state) {
    if (!disposition.settled) return;
    // Given back without a word: the message must not be lost.
    disposition.state = amqp::Released{};
  }
  auto settlement = to_settlement(*disposition.state);
  if (settlement) return settle_answer(disposition, *std::move(settlement), now);
  if (disposition.settled || settlement.error().code == Code::InvalidArgument) return;
  connection_.engine().settle(
      about_.id, disposition.delivery,
      amqp::Rejected{make_error(condition::kNotImplemented, settlement.error().message)});
}

void ReceiverLink::settle_answer(amqp::DispositionReceived& disposition,
                                 broker::Settlement settlement, TimePoint now) {
  broker::Broker& broker = connection_.broker();
  if (disposition.settled)
    return broker.settle(disposition.cookie, std::move(settlement), now,
                         [](const Status&) {});  // a lost lock is not told to who does not ask
  Echo echo{connection_.weak_from_this(), about_.id, disposition.delivery};
  if (std::holds_alternative<amqp::Accepted>(*disposition.state))
    return broker.settle(disposition.cookie, std::move(settlement), now,
                         [echo](const Status& status) { echo(amqp::Accepted{}, status); });
  // The same outcome comes back; but a rejection with an error in it would say that ours failed.
  amqp::DeliveryState state = *std::move(disposition.state);
  if (std::holds_alternative<amqp::Rejected>(state)) state = amqp::Rejected{};
  broker.settle(disposition.cookie, std::move(settlement), now,
                [echo, state = std::move(state)](const Status& status) { echo(state, status); });
}

}  // namespace jobmill::front
