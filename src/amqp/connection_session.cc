// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "amqp/connection_state.h"

namespace jobmill::amqp {

namespace {

// We do not wait for anything before we send but the peer's window, so ours is only large.
constexpr std::uint32_t kOutgoingWindow = 0x7fffffff;

// What is left of a limit that the peer stated when it had seen `theirs` of our `ours` (serial
// numbers, RFC 1982).
std::uint32_t left_of(std::uint32_t limit, std::uint32_t ours, std::uint32_t theirs) {
  const auto ahead = static_cast<std::int32_t>(ours - theirs);
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(std::int64_t{limit} - ahead, 0, std::int64_t{0xffffffff}));
}

}  // namespace

// --- begin -------------------------------------------------------------------------------------

void Connection::Impl::on(std::uint16_t channel, Begin& begin) {
  if (channel > options.channel_max) {
    return fail(condition::kFramingError, "The channel is above channel-max.");
  }
  if (channels.find(channel) != nullptr) {
    return fail(condition::kNotAllowed, "A session has begun on this channel already.");
  }
  if (begin.remote_channel) return begin_answered(channel, begin);
  if (sessions.size() >= options.max_sessions) {
    return fail(condition::kResourceLimitExceeded, "Too many sessions on one connection.");
  }
  answer_begin(channel, begin);
}

void Connection::Impl::answer_begin(std::uint16_t channel, const Begin& begin) {
  const auto number = our_channels.take(peer->channel_max);
  if (!number) return fail(condition::kResourceLimitExceeded, "No channel is left to answer on.");
  Session& session = new_session(static_cast<std::uint16_t>(*number));
  session.state = Session::State::Active;
  session.channel_in = channel;
  session.next_incoming_id = begin.next_outgoing_id;
  session.peer_window = begin.incoming_window;
  session.peer_handle_max = begin.handle_max;
  channels.put(channel, &session);
  write_begin(session);
  emit(SessionBegun{.session = session.id});
}

void Connection::Impl::begin_answered(std::uint16_t channel, const Begin& begin) {
  const auto it = begun_by_us.find(*begin.remote_channel);
  if (it == begun_by_us.end()) {
    return fail(condition::kNotAllowed, "This begin answers a session that we did not begin.");
  }
  Session& session = *it->second;
  begun_by_us.erase(it);
  session.channel_in = channel;
  session.next_incoming_id = begin.next_outgoing_id;
  session.peer_window = begin.incoming_window;
  session.peer_handle_max = begin.handle_max;
  channels.put(channel, &session);
  if (session.state == Session::State::Ending) return;
  session.state = Session::State::Active;
  emit(SessionBegun{.session = session.id});
}

SessionId Connection::Impl::begin() {
  if (!writable()) return 0;
  const std::uint16_t theirs = peer ? peer->channel_max : std::uint16_t{65535};
  const auto number = our_channels.take(std::min(theirs, options.channel_max));
  if (!number) return 0;
  Session& session = new_session(static_cast<std::uint16_t>(*number));
  session.state = Session::State::Requested;
  begun_by_us.emplace(session.channel_out, &session);
  write_begin(session);
  return session.id;
}

Session& Connection::Impl::new_session(std::uint16_t channel_out) {
  const SessionId id = ++last_session;
  Session& session = sessions[id];
  session.id = id;
  session.channel_out = channel_out;
  session.incoming_window = options.incoming_window;
  return session;
}

void Connection::Impl::write_begin(const Session& session) {
  Begin begin{.next_outgoing_id = session.next_outgoing_id,
              .incoming_window = session.incoming_window,
              .outgoing_window = kOutgoingWindow,
              .handle_max = options.handle_max,
              .properties = options.properties};
  begin.remote_channel = session.channel_in;
  write(session.channel_out, begin);
}

Session* Connection::Impl::active(std::uint16_t channel) {
  Session* session = channels.find(channel);
  if (session == nullptr) {
    fail(condition::kNotAllowed, "No session has begun on this channel.");
    return nullptr;
  }
  return session->state == Session::State::Active ? session : nullptr;
}

// --- end ---------------------------------------------------------------------------------------

void Connection::Impl::on(std::uint16_t channel, End& end) {
  Session* session = channels.find(channel);
  if (session == nullptr) {
    return fail(condition::kNotAllowed, "No session has begun on this channel.");
  }
  if (session->state != Session::State::Ending) write(session->channel_out, End{});
  if (!session->silent) announce_end(*session, end.error);
  drop_session(*session);
}

void Connection::Impl::end(SessionId id, std::optional<Error> error) {
  const auto it = sessions.find(id);
  if (!writable() || it == sessions.end() || it->second.state == Session::State::Ending) return;
  it->second.state = Session::State::Ending;
  write(it->second.channel_out, End{.error = std::move(error)});
}

void Connection::Impl::end_session(Session& session, std::string_view name,
                                   std::string description) {
  const Error error{.condition = std::string(name), .description = std::move(description)};
  session.state = Session::State::Ending;
  session.silent = true;
  write(session.channel_out, End{.error = error});
  announce_end(session, error);
  drop_links(session);
}

void Connection::Impl::announce_end(Session& session, const std::optional<Error>& error) {
  for (const Link* link : session.links) {
    if (!link->silent) emit(LinkDetached{.link = link->id, .closed = false, .error = error});
  }
  emit(SessionEnded{.session = session.id, .error = error});
}

void Connection::Impl::drop_links(Session& session) {
  for (Link* link : session.links) {
    drop_partial(*link);
    links.erase(link->id);
  }
  session.links.clear();
  session.handles = {};
  session.waiting.clear();
  session.outgoing = {};
  session.incoming = {};
}

void Connection::Impl::drop_session(Session& session) {
  flush_dispositions();
  drop_links(session);
  if (run && run->session == session.id) run.reset();
  if (session.channel_in) channels.erase(*session.channel_in);
  our_channels.give_back(session.channel_out);
  sessions.erase(session.id);
}

// --- flow --------------------------------------------------------------------------------------

void Connection::Impl::on(std::uint16_t channel, Flow& flow) {
  Session* session = active(channel);
  if (session == nullptr) return;
  session->next_incoming_id = flow.next_outgoing_id;
  // Without next-incoming-id the peer has not seen our begin; our first id is 0.
  session->peer_window =
      left_of(flow.incoming_window, session->next_outgoing_id, flow.next_incoming_id.value_or(0));
  if (flow.handle) {
    on_link_flow(*session, flow);
  } else if (flow.echo) {
    write_flow(*session, nullptr);
  }
  if (writable() && session->state == Session::State::Active) pump(*session);
}

void Connection::Impl::on_link_flow(Session& session, const Flow& flow) {
  Link* link = session.handles.find(*flow.handle);
  if (link == nullptr) {
    return end_session(session, condition::kUnattachedHandle, "No link has this handle.");
  }
  if (link->state == Link::State::Detaching) return;
  if (link->role == Role::Sender) {
    on_credit(*link, flow);
  } else {
    on_sender_flow(*link, flow);
  }
}

// Part 2, section 2.6.7: link-credit(snd) := delivery-count(rcv) + link-credit(rcv) -
// delivery-count(snd). Without a delivery-count the receiver has not seen our attach: 0.
void Connection::Impl::on_credit(Link& link, const Flow& flow) {
  if (flow.link_credit) {
    link.credit = left_of(*flow.link_credit, link.delivery_count, flow.delivery_count.value_or(0));
  }
  link.drain = flow.drain;
  link.drained_when_written = false;
  if (link.state != Link::State::Attached) return;  // accept() shows it
  if (flow.echo && !flow.drain) write_flow(*link.session, &link);
  emit(CreditGiven{
      .link = link.id, .credit = link.usable_credit(), .drain = flow.drain, .echo = flow.echo});
}

// The sender tells where it stands: further than we know after a drain.
void Connection::Impl::on_sender_flow(Link& link, const Flow& flow) {
  if (flow.delivery_count && link.state == Link::State::Attached) {
    link.credit = left_of(link.credit, *flow.delivery_count, link.delivery_count);
    link.delivery_count = *flow.delivery_count;
  }
  if (flow.echo) write_flow(*link.session, &link);
  if (!link.drain || !flow.drain || link.credit > 0) return;
  link.drain = false;
  emit(CreditGiven{.link = link.id, .credit = 0, .drain = true});
}

void Connection::Impl::write_flow(Session& session, const Link* link, bool drain) {
  Flow flow{.incoming_window = session.incoming_window,
            .next_outgoing_id = session.next_outgoing_id,
            .outgoing_window = kOutgoingWindow,
            .drain = drain};
  if (session.channel_in) flow.next_incoming_id = session.next_incoming_id;
  if (link != nullptr && link->handle_out) {
    flow.handle = link->handle_out;
    flow.delivery_count = link->delivery_count;
    flow.link_credit = link->credit;
    if (link->role == Role::Sender) flow.available = link->unfinished;
  }
  write(session.channel_out, flow);
}

// One transfer has come. The window opens again before the peer reaches its end.
void Connection::Impl::count_incoming(Session& session) {
  ++session.next_incoming_id;
  --session.incoming_window;
  if (session.incoming_window > options.incoming_window / 2) return;
  session.incoming_window = options.incoming_window;
  write_flow(session, nullptr);
}

}  // namespace jobmill::amqp
