// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <variant>

#include "broker/address.h"
#include "front/amqp_connection.h"
#include "front/errors.h"
#include "front/receiver_link.h"
#include "front/request_links.h"
#include "front/sender_link.h"

namespace jobmill::front {
namespace {

amqp::Error not_implemented(std::string what) {
  return make_error(condition::kNotImplemented, std::move(what));
}

// The node at our end: the target of a client that sends, the source of one that receives.
std::optional<std::string> node(const amqp::Attach& attach) {
  if (attach.role == amqp::Role::Receiver)
    return attach.source ? attach.source->address : std::nullopt;
  const auto* target = std::get_if<amqp::Target>(&attach.target);
  return target == nullptr ? std::nullopt : target->address;
}

bool dynamic(const amqp::Attach& attach) {
  if (attach.role == amqp::Role::Receiver) return attach.source && attach.source->dynamic;
  const auto* target = std::get_if<amqp::Target>(&attach.target);
  return target != nullptr && target->dynamic;
}

amqp::Error unauthorized(const std::string& path, amqp::Role role) {
  const std::string right = role == amqp::Role::Receiver ? "Listen" : "Send";
  return make_error(condition::kUnauthorized,
                    "Unauthorized access. '" + right + "' claims are required on '" + path + "'.");
}

std::optional<amqp::Error> misfit(const amqp::Attach& attach) {
  if (std::holds_alternative<amqp::Coordinator>(attach.target))
    return not_implemented("Transactions are not supported.");
  if (dynamic(attach)) return not_implemented("Nodes cannot be created by attaching to them.");
  if (!node(attach)) return not_implemented("A link must name an entity; none was named.");
  return std::nullopt;
}

// Who may not look at an entity does not learn whether it is there.
std::optional<amqp::Error> forbidden(const AmqpConnection& connection, const amqp::Attach& attach,
                                     const broker::Address& address) {
  if (address.cbs) return std::nullopt;
  std::optional<broker::Right> right;
  if (!address.management)
    right = attach.role == amqp::Role::Receiver ? broker::Right::Listen : broker::Right::Send;
  if (connection.allowed(address.path, right, connection.now())) return std::nullopt;
  return unauthorized(address.path, attach.role);
}

void attach_node(AmqpConnection& connection, amqp::LinkAttached& attached,
                 broker::Address address) {
  if (auto gone = node_gone(connection, address))
    return connection.engine().refuse(attached.link, *std::move(gone));
  if (attached.attach.role == amqp::Role::Receiver)
    return AnswerLink::attach(connection, attached, std::move(address));
  RequestLink::attach(connection, attached, std::move(address));
}

}  // namespace

void attach_link(AmqpConnection& connection, amqp::LinkAttached& attached) {
  const auto refuse = [&](amqp::Error error) {
    connection.engine().refuse(attached.link, std::move(error));
  };
  if (auto error = misfit(attached.attach)) return refuse(*std::move(error));
  const std::string name = *node(attached.attach);
  auto address = broker::parse_address(name);
  if (!address) return refuse(entity_not_found(name));  // no entity can be called so
  if (auto error = forbidden(connection, attached.attach, *address))
    return refuse(*std::move(error));

  if (address->cbs || address->management)
    return attach_node(connection, attached, *std::move(address));
  if (attached.attach.role == amqp::Role::Receiver)
    return ReceiverLink::attach(connection, attached, *std::move(address));
  SenderLink::attach(connection, attached, *std::move(address));
}

}  // namespace jobmill::front
