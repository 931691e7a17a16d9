// SPDX-License-Identifier: Apache-2.0
#include "front/request_links.h"

#include <array>
#include <cstring>
#include <memory>
#include <utility>
#include <variant>

#include "front/amqp_connection.h"
#include "front/cbs.h"
#include "front/errors.h"
#include "front/management.h"

namespace jobmill::front {
namespace {

constexpr std::uint32_t kRequestCredit = 100;
constexpr std::uint64_t kMaxRequestBytes = 64u << 20;  // schedules many messages at once
constexpr std::uint64_t kMaxTokenBytes = 64u << 10;    // all that $cbs is sent

// Of one connection; an answer may have many megabytes.
constexpr std::size_t kMaxUnderWay = 8;
constexpr std::size_t kMaxUnderWayBytes = 32u << 20;
constexpr std::size_t kMaxHeldBytes = 32u << 20;
constexpr std::size_t kMaxWaitingAnswers = 100;
constexpr std::size_t kMaxWaitingBytes = 1u << 20;

bool same_node(const broker::Address& a, const broker::Address& b) {
  return a.cbs == b.cbs && a.management == b.management && a.sub_queue == b.sub_queue &&
         a.path == b.path;
}

// Clients that read the properties of a link want them to be there, whatever they are.
amqp::Map node_properties() {
  amqp::Map properties;
  amqp::set_symbol(properties, "product", "jobmill");
  return properties;
}

amqp::Attach answer_to(const amqp::Attach& attach) {
  return {.sender_settle_mode = attach.sender_settle_mode,
          .receiver_settle_mode = attach.receiver_settle_mode,
          .source = attach.source,
          .target = attach.target,
          .properties = node_properties()};
}

Link::About about_node(const amqp::LinkAttached& attached, broker::Address address) {
  return {.id = attached.link,
          .session = attached.session,
          .name = attached.attach.name,
          .address = std::move(address)};
}

}  // namespace

std::optional<amqp::Error> node_gone(AmqpConnection& connection, const broker::Address& address) {
  if (address.cbs || connection.broker().exists(address)) return std::nullopt;
  return entity_not_found(address.path);
}

// --- load ----------------------------------------------------------------------------------------

bool RequestLoad::room() const {
  return under_way < kMaxUnderWay && under_way_bytes < kMaxUnderWayBytes &&
         answers < kMaxWaitingAnswers && answer_bytes < kMaxWaitingBytes;
}

bool RequestLoad::can_hold(std::size_t bytes) const {
  return under_way > 0 || held_bytes == 0 || held_bytes + bytes <= kMaxHeldBytes;
}

// --- routes --------------------------------------------------------------------------------------

AnswerLink* RequestRoutes::find(amqp::SessionId session, const broker::Address& node,
                                std::string_view reply_to) const {
  AnswerLink* latest = nullptr;
  for (AnswerLink* link : links_) {
    if (link->about().session != session || !same_node(link->about().address, node)) continue;
    if (!reply_to.empty() && link->target() == reply_to) return link;
    latest = link;
  }
  return latest;
}

// --- answers -------------------------------------------------------------------------------------

void AnswerLink::attach(AmqpConnection& connection, amqp::LinkAttached& attached,
                        broker::Address address) {
  const auto* target = std::get_if<amqp::Target>(&attached.attach.target);
  const bool settled = attached.attach.sender_settle_mode != amqp::SenderSettleMode::Unsettled;
  std::string name = target == nullptr ? std::string() : target->address.value_or("");
  connection.engine().accept(attached.link, answer_to(attached.attach));
  connection.add(std::make_unique<AnswerLink>(connection, about_node(attached, std::move(address)),
                                              std::move(name), settled));
}

AnswerLink::AnswerLink(AmqpConnection& connection, About about, std::string target, bool settled)
    : Link(connection, std::move(about)), target_(std::move(target)), settled_(settled) {
  connection.routes().add(this);
}

AnswerLink::~AnswerLink() {
  RequestLoad& load = connection_.routes().load;
  load.answers -= waiting_.size();
  for (const std::string& message : waiting_) load.answer_bytes -= message.size();
  connection_.routes().remove(this);
}

void AnswerLink::send(std::string message) {
  RequestLoad& load = connection_.routes().load;
  ++load.answers;
  load.answer_bytes += message.size();
  waiting_.push_back(std::move(message));
  send_waiting();
}

void AnswerLink::send_waiting() {
  RequestLoad& load = connection_.routes().load;
  while (!waiting_.empty() && connection_.engine().credit(about_.id) > 0) {
    std::array<char, sizeof last_tag_> tag{};
    ++last_tag_;
    std::memcpy(tag.data(), &last_tag_, sizeof last_tag_);
    const amqp::Outgoing delivery{.tag = {tag.data(), tag.size()}, .settled = settled_};
    if (!connection_.engine().send(about_.id, delivery, {waiting_.front()})) return;
    --load.answers;
    load.answer_bytes -= waiting_.front().size();
    waiting_.pop_front();
  }
}

void AnswerLink::on_credit(const amqp::CreditGiven& credit, TimePoint /*now*/) {
  send_waiting();
  if (credit.drain) connection_.engine().drained(about_.id);
}

void AnswerLink::on_disposition(amqp::DispositionReceived& disposition, TimePoint /*now*/) {
  if (disposition.settled || !disposition.state) return;
  connection_.engine().settle(about_.id, disposition.delivery, *std::move(disposition.state));
}

std::optional<amqp::Error> AnswerLink::obsolete() const {
  return node_gone(connection_, about_.address);
}

// --- requests ------------------------------------------------------------------------------------

void RequestLink::attach(AmqpConnection& connection, amqp::LinkAttached& attached,
                         broker::Address address) {
  amqp::Attach answer = answer_to(attached.attach);
  answer.max_message_size = address.cbs ? kMaxTokenBytes : kMaxRequestBytes;
  connection.engine().accept(attached.link, std::move(answer));
  connection.engine().grant(attached.link, kRequestCredit);
  connection.add(
      std::make_unique<RequestLink>(connection, about_node(attached, std::move(address))));
}

RequestLink::~RequestLink() {
  for (const Held& held : held_) load().held_bytes -= held.bytes;
}

RequestLoad& RequestLink::load() const { return connection_.routes().load; }

void RequestLink::top_up() {
  serve_held(connection_.now());
  if (held_.empty()) return connection_.engine().grant(about_.id, kRequestCredit);
  connection_.wants_top_up(about_.id);
  // Only what this turn has written was in the way.
  if (load().room() && !connection_.holding_back()) connection_.wake();
}

void RequestLink::go_on(TimePoint /*now*/) {
  if (held_.empty()) return;
  connection_.wants_top_up(about_.id);
  connection_.wake();
}

// The request is done with once it is read: its fate is told by the answer.
void RequestLink::on_message(const amqp::MessageReceived& message, TimePoint now) {
  if (connection_.engine().granted(about_.id) <= kRequestCredit / 2)
    connection_.wants_top_up(about_.id);
  const bool room = load().can_hold(message.bytes.size());
  auto request = read_request(message.bytes);
  if (!message.settled) {
    amqp::DeliveryState state = amqp::Accepted{};
    if (!request)
      state = amqp::Rejected{make_error(condition::kDecode, request.error().message)};
    else if (!room)
      state = amqp::Rejected{make_error(condition::kServerBusy, "The answers are not read.")};
    connection_.engine().settle(about_.id, message.delivery, std::move(state));
  }
  if (!request || !room) return;
  held_.push_back({*std::move(request), message.bytes.size()});
  load().held_bytes += held_.back().bytes;
  serve_held(now);
}

void RequestLink::serve_held(TimePoint now) {
  while (!held_.empty() && connection_.may_answer()) {
    const Held next = std::move(held_.front());
    held_.pop_front();
    load().held_bytes -= next.bytes;
    about_.address.cbs ? put_token(next.request, now) : manage(next, now);
  }
  if (!held_.empty()) connection_.wants_top_up(about_.id);
}

void RequestLink::on_too_large(const amqp::MessageTooLarge& message) {
  connection_.engine().settle(
      about_.id, message.delivery,
      amqp::Rejected{make_error(condition::kTooLarge, "The request is too large.")});
}

void RequestLink::put_token(const Request& request, TimePoint now) {
  const Shared& shared = connection_.shared();
  if (shared.options.auth == AmqpOptions::Auth::None)
    shared.log.debug("token taken unchecked", {{"audience", request.text("name")}});
  answer(request.reply_to,
         front::put_token(request, connection_.claims(), shared.broker, shared.options, now));
}

void RequestLink::manage(const Held& held, TimePoint now) {
  const std::string& path = about_.address.path;
  const Caller caller{
      .allowed = [&](broker::Right right) { return connection_.allowed(path, right, now); },
      .holder = [&] { return connection_.holder(path); }};
  ++load().under_way;
  load().under_way_bytes += held.bytes;
  // The link may be gone when the broker is done.
  auto done = [weak = connection_.weak_from_this(), link = about_.id, bytes = held.bytes,
               reply_to = held.request.reply_to](std::string message) {
    const auto connection = weak.lock();
    if (connection == nullptr) return;
    RequestLoad& load = connection->routes().load;
    --load.under_way;
    load.under_way_bytes -= bytes;
    if (Link* found = connection->find(link))
      static_cast<RequestLink*>(found)->answer(reply_to, std::move(message));
    connection->wake();
  };
  front::manage(connection_.broker(), about_.address, held.request, now, caller, std::move(done));
}

void RequestLink::answer(std::string_view reply_to, std::string message) {
  AnswerLink* link = connection_.routes().find(about_.session, about_.address, reply_to);
  if (link != nullptr) link->send(std::move(message));  // else nobody listens
  connection_.wake();
}

std::optional<amqp::Error> RequestLink::obsolete() const {
  return node_gone(connection_, about_.address);
}

}  // namespace jobmill::front
