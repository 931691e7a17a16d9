// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "amqp/connection_state.h"

namespace jobmill::amqp {

namespace {

constexpr std::size_t kMaxTag = 32;  // part 2, section 2.8.7
// Dispositions of unknown deliveries that are told to the owner, for one frame.
constexpr std::size_t kMaxUnknown = 2048;
// Ids of one frame that are looked at one by one; of more, only those that are there.
constexpr std::uint32_t kMaxListed = 4096;
// What a link keeps of a buffer that it has filled once.
constexpr std::size_t kKeptCapacity = 1u << 20;

}  // namespace

// --- transfers in ------------------------------------------------------------------------------

void Connection::Impl::on(std::uint16_t channel, Transfer& transfer) {
  Session* session = active(channel);
  if (session == nullptr) return;
  if (session->incoming_window == 0) {
    return end_session(*session, condition::kWindowViolation, "The session's window is full.");
  }
  count_incoming(*session);
  Link* link = session->handles.find(transfer.handle);
  if (link == nullptr) {
    return end_session(*session, condition::kUnattachedHandle, "No link has this handle.");
  }
  if (link->state == Link::State::Detaching) return;  // sent before our detach was seen
  if (link->role != Role::Receiver) {
    return end_session(*session, condition::kErrantLink, "A receiver has sent a transfer.");
  }
  if (link->partial.open) return extend_partial(*link, transfer);
  if (!admit(*link, transfer)) return;
  if (transfer.more) return begin_partial(*link, transfer);
  if (!transfer.aborted) deliver_whole(*link, transfer);
}

// The first frame of a delivery: takes one credit, also when it is aborted later.
bool Connection::Impl::admit(Link& link, const Transfer& transfer) {
  if (!transfer.delivery_id) {
    fail(condition::kNotAllowed, "The first transfer of a delivery needs a delivery-id.");
    return false;
  }
  if (transfer.delivery_tag.value_or("").size() > kMaxTag) {
    fail(condition::kInvalidField, "A delivery-tag has at most 32 bytes.");
    return false;
  }
  if (link.credit == 0) {
    const Error error{.condition = std::string(condition::kTransferLimitExceeded),
                      .description = "The delivery is more than the link's credit allows."};
    emit(LinkDetached{.link = link.id, .closed = true, .error = error});
    link.silent = true;
    detach(link, error, true);
    return false;
  }
  --link.credit;
  ++link.delivery_count;
  return true;
}

void Connection::Impl::deliver_whole(Link& link, Transfer& transfer) {
  const DeliveryId id = *transfer.delivery_id;
  const bool settled = transfer.settled.value_or(false);
  if (!settled) link.session->incoming.insert(id, {.link = link.id});
  if (link.max_message_size > 0 && transfer.payload.size() > link.max_message_size) {
    return emit(MessageTooLarge{.link = link.id, .delivery = id});
  }
  emit(MessageReceived{.link = link.id,
                       .delivery = id,
                       .tag = transfer.delivery_tag.value_or(std::string_view()),
                       .message_format = transfer.message_format.value_or(0),
                       .settled = settled,
                       .state = std::move(transfer.state),
                       .bytes = transfer.payload});
}

void Connection::Impl::begin_partial(Link& link, Transfer& transfer) {
  PartialDelivery& partial = link.partial;
  partial.open = true;
  partial.too_large = false;
  partial.id = *transfer.delivery_id;
  partial.message_format = transfer.message_format.value_or(0);
  partial.settled = false;
  partial.state.reset();
  partial.tag = transfer.delivery_tag.value_or(std::string_view());
  extend_partial(link, transfer);
}

void Connection::Impl::extend_partial(Link& link, Transfer& transfer) {
  PartialDelivery& partial = link.partial;
  if (transfer.delivery_id.value_or(partial.id) != partial.id) {
    return fail(condition::kNotAllowed, "A delivery has begun on this link before the last ended.");
  }
  if (transfer.aborted) return drop_partial(link);
  partial.settled = partial.settled || transfer.settled.value_or(false);
  if (transfer.state) partial.state = std::move(transfer.state);
  const std::size_t size = partial.bytes.size() + transfer.payload.size();
  if (!partial.too_large && link.max_message_size > 0 && size > link.max_message_size) {
    drop_partial(link);
    partial.open = true;
    partial.too_large = true;
    if (!partial.settled) link.session->incoming.insert(partial.id, {.link = link.id});
    emit(MessageTooLarge{.link = link.id, .delivery = partial.id});
  }
  if (!partial.too_large) {
    partial_bytes += transfer.payload.size();
    if (partial_bytes > options.max_partial_bytes) {
      return fail(condition::kResourceLimitExceeded, "Too many bytes of unfinished deliveries.");
    }
    partial.bytes.append(transfer.payload);
  }
  if (!transfer.more) deliver_partial(link);
}

void Connection::Impl::deliver_partial(Link& link) {
  PartialDelivery& partial = link.partial;
  if (!partial.too_large) {
    if (!partial.settled) link.session->incoming.insert(partial.id, {.link = link.id});
    // The event's views need a place that the next delivery of the link does not write to.
    delivered.swap(partial.bytes);
    delivered_tag.swap(partial.tag);
    partial_bytes -= delivered.size();
    partial.bytes.clear();
    emit(MessageReceived{.link = link.id,
                         .delivery = partial.id,
                         .tag = delivered_tag,
                         .message_format = partial.message_format,
                         .settled = partial.settled,
                         .state = std::move(partial.state),
                         .bytes = delivered});
  }
  drop_partial(link);
}

void Connection::Impl::drop_partial(Link& link) {
  PartialDelivery& partial = link.partial;
  partial_bytes -= partial.bytes.size();
  partial.bytes.clear();
  if (partial.bytes.capacity() > kKeptCapacity) std::string().swap(partial.bytes);
  partial.open = false;
}

// --- transfers out -----------------------------------------------------------------------------

bool Connection::Impl::send(LinkId id, const Outgoing& delivery,
                            std::initializer_list<std::string_view> parts) {
  Link* link = attached(id, Role::Sender);
  if (link == nullptr || link->usable_credit() == 0) return false;
  std::size_t size = 0;
  for (const auto part : parts) size += part.size();
  if (send_at_once(*link, delivery, size, parts)) return true;
  WaitingDelivery& waiting =
      link->session->waiting.emplace_back(WaitingDelivery{.link = id,
                                                          .tag = std::string(delivery.tag),
                                                          .message_format = delivery.message_format,
                                                          .settled = delivery.settled,
                                                          .cookie = delivery.cookie,
                                                          .state = delivery.state});
  waiting.message.reserve(size);
  for (const auto part : parts) waiting.message.append(part);
  ++link->unbegun;
  ++link->unfinished;
  pump(*link->session);
  return true;
}

bool Connection::Impl::send_at_once(Link& link, const Outgoing& delivery, std::size_t size,
                                    std::initializer_list<std::string_view> parts) {
  Session& session = *link.session;
  if (!session.waiting.empty() || session.peer_window == 0 || size > frame_limit()) return false;
  const std::size_t at = begin_frame(output, Protocol::Amqp, session.channel_out);
  encode(output, Transfer{.handle = *link.handle_out,
                          .delivery_id = session.next_delivery,
                          .delivery_tag = delivery.tag,
                          .message_format = delivery.message_format,
                          .settled = delivery.settled,
                          .state = delivery.state});
  if (output.size() - at + size > frame_limit()) {
    output.resize(at);
    return false;
  }
  for (const auto part : parts) output.append(part);
  end_frame(output, at);
  --session.peer_window;
  ++session.next_outgoing_id;
  count_outgoing(link, delivery.settled, delivery.cookie);
  return true;
}

// A delivery takes its id and its credit with its first frame.
void Connection::Impl::count_outgoing(Link& link, bool settled, std::uint64_t cookie) {
  const DeliveryId id = link.session->next_delivery++;
  ++link.delivery_count;
  if (link.credit > 0) --link.credit;
  if (!settled) link.session->outgoing.insert(id, {.link = link.id, .cookie = cookie});
}

std::size_t Connection::Impl::waiting_bytes() const {
  std::size_t bytes = 0;
  for (const auto& [id, session] : sessions)
    for (const WaitingDelivery& delivery : session.waiting) bytes += delivery.message.size();
  return bytes;
}

void Connection::Impl::pump(Session& session) {
  while (!session.waiting.empty() && session.peer_window > 0 && writable()) {
    WaitingDelivery& delivery = session.waiting.front();
    Link* link = find(delivery.link);  // there: it takes its deliveries with it
    if (!write_next_frame(session, *link, delivery)) continue;
    session.waiting.pop_front();
    if (--link->unfinished == 0 && link->drained_when_written) write_drained(*link);
  }
}

// True after the last one.
bool Connection::Impl::write_next_frame(Session& session, Link& link, WaitingDelivery& delivery) {
  const auto rest = std::string_view(delivery.message).substr(delivery.sent);
  Transfer transfer{.handle = *link.handle_out, .more = true};
  if (!delivery.begun) {
    transfer.delivery_id = session.next_delivery;
    transfer.delivery_tag = delivery.tag;
    transfer.message_format = delivery.message_format;
    transfer.settled = delivery.settled;
    transfer.state = delivery.state;
  }
  const std::size_t at = begin_frame(output, Protocol::Amqp, session.channel_out);
  encode(output, transfer);
  const std::size_t head = output.size() - at;
  if (head >= frame_limit()) {
    output.resize(at);
    fail(condition::kFrameSizeTooSmall, "A transfer does not fit your frames.");
    return false;
  }
  const auto payload = rest.substr(0, frame_limit() - head);
  if (payload.size() == rest.size()) {
    output.resize(at + kFrameHeadSize);
    transfer.more = false;
    encode(output, transfer);
  }
  output.append(payload);
  end_frame(output, at);
  --session.peer_window;
  ++session.next_outgoing_id;
  delivery.sent += payload.size();
  if (!std::exchange(delivery.begun, true)) {
    --link.unbegun;
    count_outgoing(link, delivery.settled, delivery.cookie);
  }
  return payload.size() == rest.size();
}

// --- dispositions in ---------------------------------------------------------------------------

void Connection::Impl::on(std::uint16_t channel, Disposition& disposition) {
  Session* session = active(channel);
  if (session == nullptr) return;
  const DeliveryId last = disposition.last.value_or(disposition.first);
  if (static_cast<std::int32_t>(last - disposition.first) < 0) {
    return fail(condition::kInvalidField, "A disposition ends before it begins.");
  }
  disposition.last = last;
  spare_ids.clear();
  run = DispositionRun{.session = session->id,
                       .disposition = std::move(disposition),
                       .ids = std::move(spare_ids),
                       .unknown_left = kMaxUnknown};
  list_run();
}

// The ids that may matter, in order. A range can be as long as two thousand million; what is not
// unsettled matters only while somebody waits for an answer, and then only so much of it.
void Connection::Impl::list_run() {
  const DeliveryId first = run->disposition.first;
  const std::uint32_t beyond = *run->disposition.last - first;
  auto& ids = run->ids;
  const std::uint32_t listed = std::min(beyond, kMaxListed);
  for (std::uint32_t i = 0; i <= listed; ++i) ids.push_back(first + i);
  if (listed == beyond) return;
  const Session& session = sessions.at(run->session);
  const bool we_sent = run->disposition.role == Role::Receiver;
  (we_sent ? session.outgoing : session.incoming)
      .list(first + listed + 1, *run->disposition.last, ids);
}

std::optional<Event> Connection::Impl::next_of_run() {
  Session& session = sessions.at(run->session);
  const Disposition& disposition = run->disposition;
  const bool we_sent = disposition.role == Role::Receiver;
  Deliveries& deliveries = we_sent ? session.outgoing : session.incoming;
  while (run->at < run->ids.size() && session.state == Session::State::Active) {
    const DeliveryId id = run->ids[run->at++];
    const Deliveries::Entry* entry = deliveries.find(id);
    if (entry == nullptr && (disposition.settled || !we_sent || run->unknown_left == 0)) continue;
    DispositionReceived event{.session = session.id,
                              .delivery = id,
                              .we_sent = we_sent,
                              .settled = disposition.settled,
                              .state = disposition.state};
    if (entry != nullptr) {
      event.link = entry->link;
      event.cookie = entry->cookie;
      if (disposition.settled) deliveries.erase(id);
    } else {
      --run->unknown_left;
    }
    return Event(std::move(event));
  }
  spare_ids = std::move(run->ids);
  run.reset();
  return std::nullopt;
}

// --- dispositions out --------------------------------------------------------------------------

void Connection::Impl::settle(LinkId id, DeliveryId delivery, DeliveryState state) {
  Link* link = find(id);
  if (link == nullptr || attached(id, link->role) == nullptr) return;
  Session& session = *link->session;
  Deliveries& deliveries = link->role == Role::Sender ? session.outgoing : session.incoming;
  if (deliveries.erase(delivery)) {
    write_settled(session, link->role, delivery, std::move(state));
  }
}

void Connection::Impl::settle_unknown(SessionId id, DeliveryId delivery, DeliveryState state) {
  const auto it = sessions.find(id);
  if (it == sessions.end() || it->second.state != Session::State::Active || !writable()) return;
  write_settled(it->second, Role::Sender, delivery, std::move(state));
}

// Accepted ones in a row share a frame, which goes out with the next frame that is no transfer.
void Connection::Impl::write_settled(Session& session, Role role, DeliveryId delivery,
                                     DeliveryState state) {
  if (!std::holds_alternative<Accepted>(state)) {
    return write(session.channel_out, Disposition{.role = role,
                                                  .first = delivery,
                                                  .last = delivery,
                                                  .settled = true,
                                                  .state = std::move(state)});
  }
  if (batch.session == &session && batch.role == role && delivery == batch.last + 1) {
    batch.last = delivery;
    return;
  }
  flush_dispositions();
  batch = {.session = &session, .role = role, .first = delivery, .last = delivery};
}

void Connection::Impl::propose(LinkId id, DeliveryId delivery, DeliveryState state) {
  Link* link = attached(id, Role::Receiver);
  if (link == nullptr || link->session->incoming.find(delivery) == nullptr) return;
  write(link->session->channel_out, Disposition{.role = Role::Receiver,
                                                .first = delivery,
                                                .last = delivery,
                                                .settled = false,
                                                .state = std::move(state)});
}

}  // namespace jobmill::amqp
