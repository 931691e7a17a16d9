// SPDX-License-Identifier: Apache-2.0
#include "front/sender_link.h"

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <variant>

#include "amqp/message.h"
#include "front/amqp_connection.h"
#include "front/errors.h"
#include "front/message_size.h"

namespace jobmill::front {
namespace {

constexpr std::uint32_t kCredit = 1000;

bool closed_for_sending(broker::EntityStatus status) {
  return status == broker::EntityStatus::Disabled || status == broker::EntityStatus::SendDisabled;
}

// Why nobody may send there now.
std::optional<amqp::Error> obstacle(const broker::Broker& broker, const broker::Address& address) {
  const auto queue = broker.queue(address.path);
  if (!queue) return entity_not_found(address.path);
  if (closed_for_sending(queue->description.status)) return entity_disabled(address.path);
  return std::nullopt;
}

}  // namespace

void SenderLink::attach(AmqpConnection& connection, amqp::LinkAttached& attached,
                        broker::Address address) {
  amqp::Connection& engine = connection.engine();
  if (address.sub_queue != broker::SubQueue::Main)
    return engine.refuse(attached.link, make_error(condition::kNotAllowed,
                                                   "Messages cannot be sent to a dead-letter "
                                                   "queue; send them to its queue."));
  if (auto error = obstacle(connection.broker(), address))
    return engine.refuse(attached.link, *std::move(error));

  const std::uint64_t bytes = connection.broker().max_message_bytes(address.path);
  amqp::Attach answer{.sender_settle_mode = attached.attach.sender_settle_mode,
                      .receiver_settle_mode = attached.attach.receiver_settle_mode,
                      .source = attached.attach.source,
                      .target = attached.attach.target,
                      .max_message_size = bytes};
  // Without it, Python makes batches that are larger than the queue allows.
  amqp::set_symbol(answer.properties, "com.microsoft:max-message-batch-size", bytes);
  engine.accept(attached.link, std::move(answer));
  engine.grant(attached.link, kCredit);
  connection.add(std::make_unique<SenderLink>(connection, About{.id = attached.link,
                                                                .session = attached.session,
                                                                .name = attached.attach.name,
                                                                .address = std::move(address),
                                                                .right = broker::Right::Send}));
}

// How many messages the client may have under way beside those that wait for the disk.
std::uint32_t SenderLink::room() const { return kCredit - std::min(storing_, kCredit); }

void SenderLink::top_up() {
  const std::uint32_t left = connection_.engine().granted(about_.id);
  if (left < room() && left <= kCredit / 2) connection_.engine().grant(about_.id, room());
}

void SenderLink::on_message(const amqp::MessageReceived& message, TimePoint now) {
  if (connection_.engine().granted(about_.id) <= kCredit / 2) connection_.wants_top_up(about_.id);
  if (message.state && std::holds_alternative<amqp::TransactionalState>(*message.state))
    return reject(message,
                  make_error(condition::kNotImplemented, "Transactions are not supported."));
  if (message.message_format == amqp::kBatchFormat) return send_batch(message, now);
  if (auto error = properties_too_large(message.bytes)) return reject(message, *std::move(error));
  ++storing_;
  connection_.broker().send(
      about_.address, std::span(&message.bytes, 1), now,
      connection_.storing(about_.id, message.delivery, message.settled, message.bytes.size()));
}

void SenderLink::send_batch(const amqp::MessageReceived& message, TimePoint now) {
  const auto sections = amqp::split(message.bytes);
  if (!sections) return reject(message, to_error(Operation::Entity, sections.error()));
  const auto messages = amqp::data_sections(sections->body);
  if (!messages) return reject(message, to_error(Operation::Entity, messages.error()));
  if (messages->empty())
    return reject(message, make_error(condition::kArgument, "The batch holds no message."));
  for (const std::string_view one : *messages)
    if (auto error = properties_too_large(one)) return reject(message, *std::move(error));
  ++storing_;
  connection_.broker().send(
      about_.address, *messages, now,
      connection_.storing(about_.id, message.delivery, message.settled, message.bytes.size()));
}

void SenderLink::reject(const amqp::MessageReceived& message, amqp::Error error) {
  if (message.settled)  // its sender does not want to know
    return connection_.shared().log.warn(
        "a message that was sent settled is lost",
        {{"queue", about_.address.path}, {"error", error.description}});
  connection_.engine().settle(about_.id, message.delivery, amqp::Rejected{std::move(error)});
}

void SenderLink::on_too_large(const amqp::MessageTooLarge& message) {
  connection_.engine().settle(about_.id, message.delivery, amqp::Rejected{too_large()});
}

void SenderLink::on_stored(amqp::DeliveryId delivery, bool settled, const Status& status) {
  --storing_;
  if (connection_.engine().granted(about_.id) <= kCredit / 2) connection_.wants_top_up(about_.id);
  if (settled && !status)
    connection_.shared().log.warn(
        "a message that was sent settled is lost",
        {{"queue", about_.address.path}, {"error", status.error().message}});
  if (settled) return;
  if (status) return connection_.engine().settle(about_.id, delivery, amqp::Accepted{});
  connection_.engine().settle(
      about_.id, delivery,
      amqp::Rejected{to_error(Operation::Entity, status.error(), about_.address.path)});
  if (status.error().code == Code::NotFound)
    connection_.drop(about_.id, entity_not_found(about_.address.path));
}

std::optional<amqp::Error> SenderLink::obsolete() const {
  return obstacle(connection_.broker(), about_.address);
}

}  // namespace jobmill::front
