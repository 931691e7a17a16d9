// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "amqp/connection_state.h"

namespace jobmill::amqp {

namespace {

Role opposite(Role role) { return role == Role::Sender ? Role::Receiver : Role::Sender; }

}  // namespace

// --- attach ------------------------------------------------------------------------------------

void Connection::Impl::on(std::uint16_t channel, Attach& attach) {
  Session* session = active(channel);
  if (session == nullptr) return;
  if (attach.handle > options.handle_max) {
    return fail(condition::kFramingError, "The handle is above handle-max.");
  }
  if (session->handles.find(attach.handle) != nullptr) {
    return end_session(*session, condition::kHandleInUse, "A link has this handle already.");
  }
  for (Link* link : session->links) {
    const bool answers = !link->handle_in && link->role == opposite(attach.role);
    if (answers && link->name == attach.name) return attach_answered(*link, attach);
  }
  attach_offered(*session, attach);
}

void Connection::Impl::attach_answered(Link& link, Attach& attach) {
  link.handle_in = attach.handle;
  link.session->handles.put(attach.handle, &link);
  if (link.role == Role::Receiver) {
    link.delivery_count = attach.initial_delivery_count.value_or(0);
  }
  if (link.state == Link::State::Detaching) return;  // its detach follows
  link.state = Link::State::Attached;
  emit(LinkAttached{
      .link = link.id, .session = link.session->id, .ours = true, .attach = std::move(attach)});
}

void Connection::Impl::attach_offered(Session& session, Attach& attach) {
  if (links.size() >= options.max_links) {
    return end_session(session, condition::kResourceLimitExceeded,
                       "Too many links on one connection.");
  }
  steal(session, attach);
  if (session.state != Session::State::Active || !alive()) return;
  const LinkId id = ++last_link;
  Link& link = links[id];
  link.id = id;
  link.session = &session;
  link.name = attach.name;
  link.role = opposite(attach.role);
  link.state = Link::State::Offered;
  link.handle_in = attach.handle;
  if (link.role == Role::Receiver) {
    link.delivery_count = attach.initial_delivery_count.value_or(0);
  }
  session.handles.put(attach.handle, &link);
  session.links.push_back(&link);
  emit(LinkAttached{.link = id, .session = session.id, .attach = std::move(attach)});
}

// A link has one place. A peer that attaches it again has lost the first one (part 2, section
// 2.6.1); other sessions are other places, since clients use the same names there.
void Connection::Impl::steal(Session& session, const Attach& attach) {
  const Role role = opposite(attach.role);
  for (Link* link : session.links) {
    const bool present =
        link->state == Link::State::Attached || link->state == Link::State::Offered;
    if (!present || link->role != role || link->name != attach.name) continue;
    const Error error{.condition = std::string(condition::kLinkStolen),
                      .description = "The link was attached again."};
    emit(LinkDetached{.link = link->id, .closed = true, .error = error});
    link->silent = true;
    return detach(*link, error, true);
  }
}

LinkId Connection::Impl::attach(SessionId session_id, Attach attach) {
  const auto it = sessions.find(session_id);
  if (!writable() || it == sessions.end() || it->second.state == Session::State::Ending) return 0;
  const auto handle = it->second.our_handles.take(it->second.peer_handle_max);
  if (!handle) return 0;
  const LinkId id = ++last_link;
  Link& link = links[id];
  link.id = id;
  link.session = &it->second;
  link.name = attach.name;
  link.role = attach.role;
  link.handle_out = handle;
  link.state = Link::State::Requested;
  link.max_message_size = attach.max_message_size.value_or(0);
  it->second.links.push_back(&link);
  attach.handle = *handle;
  attach.initial_delivery_count.reset();
  if (link.role == Role::Sender) attach.initial_delivery_count = 0;
  write(link.session->channel_out, attach);
  return id;
}

bool Connection::Impl::take_handle(Link& link) {
  link.handle_out = link.session->our_handles.take(link.session->peer_handle_max);
  if (link.handle_out) return true;
  end_session(*link.session, condition::kResourceLimitExceeded, "No handle is left.");
  return false;
}

void Connection::Impl::accept(LinkId id, Attach answer) {
  Link* link = find(id);
  if (link == nullptr || link->state != Link::State::Offered || !writable()) return;
  if (link->session->state != Session::State::Active || !take_handle(*link)) return;
  link->state = Link::State::Attached;
  answer.name = link->name;
  answer.handle = *link->handle_out;
  answer.role = link->role;
  answer.initial_delivery_count.reset();
  if (link->role == Role::Sender) {
    answer.initial_delivery_count = 0;
  } else {
    link->max_message_size = answer.max_message_size.value_or(0);
  }
  write(link->session->channel_out, answer);
  const bool asked = link->role == Role::Sender && (link->credit > 0 || link->drain);
  if (asked) emit(CreditGiven{.link = id, .credit = link->credit, .drain = link->drain});
}

void Connection::Impl::refuse(LinkId id, std::optional<Error> error) {
  Link* link = find(id);
  if (link == nullptr || link->state != Link::State::Offered || !writable()) return;
  if (link->session->state != Session::State::Active) return;
  link->silent = true;
  write_refusal(*link, std::move(error));
}

// A link that was never attached cannot be detached, so it is attached first, to nothing.
void Connection::Impl::write_refusal(Link& link, std::optional<Error> error) {
  Session& session = *link.session;
  if (!take_handle(link)) return;
  link.state = Link::State::Detaching;
  Attach attach{.name = link.name, .handle = *link.handle_out, .role = link.role};
  if (link.role == Role::Sender) attach.initial_delivery_count = 0;
  write(session.channel_out, attach);
  write(session.channel_out,
        Detach{.handle = *link.handle_out, .closed = true, .error = std::move(error)});
}

// --- detach ------------------------------------------------------------------------------------

void Connection::Impl::on(std::uint16_t channel, Detach& detach) {
  // Python detaches its links to $management after it has ended the session that they were in.
  if (channels.find(channel) == nullptr) return;
  Session* session = active(channel);
  if (session == nullptr) return;
  Link* link = session->handles.find(detach.handle);
  if (link == nullptr) {
    return end_session(*session, condition::kUnattachedHandle, "No link has this handle.");
  }
  if (!link->silent) {
    emit(LinkDetached{.link = link->id, .closed = detach.closed, .error = std::move(detach.error)});
  }
  if (link->state == Link::State::Offered) {
    const LinkId id = link->id;
    write_refusal(*link, std::nullopt);
    link = find(id);
  } else if (link->state == Link::State::Attached) {
    write(session->channel_out, Detach{.handle = *link->handle_out, .closed = detach.closed});
  }
  if (link != nullptr) drop_link(*link);
}

void Connection::Impl::detach(LinkId id, std::optional<Error> error, bool closed) {
  Link* link = find(id);
  if (link == nullptr || !writable() || link->session->state == Session::State::Ending) return;
  detach(*link, std::move(error), closed);
}

void Connection::Impl::detach(Link& link, std::optional<Error> error, bool closed) {
  if (link.state == Link::State::Detaching) return;
  if (link.state == Link::State::Offered) return write_refusal(link, std::move(error));
  link.state = Link::State::Detaching;
  drop_deliveries(link);
  write(link.session->channel_out,
        Detach{.handle = *link.handle_out, .closed = closed, .error = std::move(error)});
}

void Connection::Impl::drop_deliveries(Link& link) {
  Session& session = *link.session;
  drop_partial(link);
  std::erase_if(session.waiting, [&](const auto& delivery) { return delivery.link == link.id; });
  link.unbegun = 0;
  link.unfinished = 0;
  (link.role == Role::Sender ? session.outgoing : session.incoming).erase_link(link.id);
}

void Connection::Impl::drop_link(Link& link) {
  Session& session = *link.session;
  drop_deliveries(link);
  if (link.handle_in) session.handles.erase(*link.handle_in);
  if (link.handle_out) session.our_handles.give_back(*link.handle_out);
  std::erase(session.links, &link);
  links.erase(link.id);
}

// --- credit ------------------------------------------------------------------------------------

Link* Connection::Impl::attached(LinkId id, Role role) {
  Link* link = find(id);
  const bool usable = link != nullptr && link->role == role && writable() &&
                      link->state == Link::State::Attached &&
                      link->session->state == Session::State::Active;
  return usable ? link : nullptr;
}

void Connection::Impl::grant(LinkId id, std::uint32_t credit) {
  Link* link = attached(id, Role::Receiver);
  if (link == nullptr) return;
  link->credit = credit;
  link->drain = false;
  write_flow(*link->session, link);
}

void Connection::Impl::drain(LinkId id) {
  Link* link = attached(id, Role::Receiver);
  if (link == nullptr) return;
  link->drain = true;
  write_flow(*link->session, link, true);
}

void Connection::Impl::drained(LinkId id) {
  Link* link = attached(id, Role::Sender);
  if (link == nullptr || !link->drain) return;
  if (link->unfinished > 0) {
    link->drained_when_written = true;
  } else {
    write_drained(*link);
  }
}

// As if the rest of the credit had been used.
void Connection::Impl::write_drained(Link& link) {
  link.delivery_count += link.credit;
  link.credit = 0;
  link.drain = false;
  link.drained_when_written = false;
  write_flow(*link.session, &link, true);
}

}  // namespace jobmill::amqp
