// SPDX-License-Identifier: Apache-2.0
#include "amqp/connection.h"

#include <algorithm>
#include <utility>

#include "amqp/connection_state.h"
#include "amqp/sasl.h"
#include "amqp/usual_performatives.h"

namespace jobmill::amqp {

namespace {

// A server that is asked for a login holds no more of a stranger's bytes than this in one frame.
// The standard's limit is 512; a token as PLAIN password is longer.
constexpr std::uint32_t kMaxSaslFrame = 8192;

// What is kept of a buffer that has been emptied.
constexpr std::size_t kKeptCapacity = 256u << 10;

}  // namespace

Connection::Impl::Impl(ConnectionOptions given) : options(std::move(given)) {
  options.max_frame_size = std::max(options.max_frame_size, kMinMaxFrameSize);
  if (options.container_id.empty()) options.container_id = "jobmill";
  // Clients take an empty map for a missing one, and some of them fail then.
  if (amqp::find(options.properties, "product") == nullptr) {
    set_symbol(options.properties, "product", "jobmill");
  }
}

// --- bytes in ----------------------------------------------------------------------------------

void Connection::Impl::feed(std::string_view bytes) {
  if (!alive() || bytes.empty()) return;
  heard = true;
  if (consumed == input.size()) {
    input.clear();
    consumed = 0;
  } else if (consumed > input.size() / 2) {
    input.erase(0, consumed);
    consumed = 0;
  }
  input.append(bytes);
}

std::optional<Event> Connection::Impl::next_event() {
  if (!alive()) forget_all();
  for (;;) {
    if (next < events.size()) {
      std::optional<Event> event(std::move(events[next++]));
      if (next == events.size()) {
        events.clear();
        next = 0;
      }
      return event;
    }
    if (run) {
      if (auto event = next_of_run()) return event;
    } else if (!step()) {
      return std::nullopt;
    }
  }
}

bool Connection::Impl::step() {
  if (phase == Phase::Header) return read_header();
  if (phase == Phase::Login || phase == Phase::Over) return false;
  const auto rest = std::string_view(input).substr(consumed);
  const bool sasl = phase == Phase::Sasl;
  const auto frame = read_frame(
      rest, sasl ? std::min(kMaxSaslFrame, options.max_frame_size) : options.max_frame_size);
  if (!frame) {
    fail(condition::kFramingError, frame.error().message);
    return true;
  }
  if (!*frame) return false;
  consumed += (*frame)->size;
  if (((*frame)->type == Protocol::Sasl) != sasl) {
    fail(condition::kFramingError, "This type of frame does not belong here.");
  } else if (sasl) {
    on_sasl((*frame)->body);
  } else {
    on_body(**frame);
  }
  return true;
}

void Connection::Impl::on_body(const Frame& frame) {
  if (frame.body.empty() || on_usual(frame)) return;
  auto performative = decode_performative(frame.body);
  if (!performative) return fail(condition::kDecodeError, performative.error().message);
  if (close_written && !std::holds_alternative<Close>(*performative)) return;
  if (!peer && !std::holds_alternative<Open>(*performative) &&
      !std::holds_alternative<Close>(*performative)) {
    return fail(condition::kNotAllowed, "The first frame must be open.");
  }
  std::visit([&](auto& body) { on(frame.channel, body); }, *performative);
}

// What comes with every message, while nothing else is to be looked at.
bool Connection::Impl::on_usual(const Frame& frame) {
  if (!peer || close_written) return false;
  if (Transfer transfer; decode_usual(frame.body, transfer)) {
    on(frame.channel, transfer);
    return true;
  }
  Disposition disposition;
  if (!decode_usual(frame.body, disposition)) return false;
  on(frame.channel, disposition);
  return true;
}

// --- protocol headers --------------------------------------------------------------------------

bool Connection::Impl::read_header() {
  const auto rest = std::string_view(input).substr(consumed);
  if (rest.size() < kProtocolHeaderSize) return false;
  const auto protocol = read_protocol_header(rest.substr(0, kProtocolHeaderSize));
  consumed += kProtocolHeaderSize;
  if (!protocol) {
    refuse_header();
  } else if (options.side == ConnectionOptions::Side::Server) {
    on_server_header(*protocol);
  } else {
    on_client_header(*protocol);
  }
  return true;
}

void Connection::Impl::on_server_header(Protocol protocol) {
  const bool sasl = protocol == Protocol::Sasl;
  const bool welcome = sasl ? !authenticated && !options.sasl_mechanisms.empty()
                            : authenticated || options.without_sasl;
  if (!welcome) return refuse_header();
  output.append(protocol_header(protocol));
  phase = sasl ? Phase::Sasl : Phase::Frames;
  if (sasl) write_sasl(SaslMechanisms{.mechanisms = options.sasl_mechanisms});
}

void Connection::Impl::on_client_header(Protocol protocol) {
  const bool sasl = options.login && !authenticated;
  if ((protocol == Protocol::Sasl) != sasl) {
    return finish({.error = Error{.condition = std::string(condition::kFramingError),
                                  .description = "The server answered another protocol header."},
                   .protocol_error = true});
  }
  phase = sasl ? Phase::Sasl : Phase::Frames;
}

// Part 2, section 2.2: say what we would have taken, and close.
void Connection::Impl::refuse_header() {
  const bool sasl = !authenticated && !options.sasl_mechanisms.empty();
  if (options.side == ConnectionOptions::Side::Server) {
    output.append(protocol_header(sasl ? Protocol::Sasl : Protocol::Amqp));
  }
  finish({.error = Error{.condition = std::string(condition::kFramingError),
                         .description = "The peer does not speak AMQP 1.0."},
          .protocol_error = true});
}

// --- SASL --------------------------------------------------------------------------------------

template <class Body>
void Connection::Impl::write_sasl(const Body& body) {
  std::string& out = output_held ? sasl_output : output;
  const std::size_t at = begin_frame(out, Protocol::Sasl, 0);
  encode(out, body);
  end_frame(out, at);
}

void Connection::Impl::on_sasl(std::string_view body) {
  auto decoded = decode_sasl(body);
  if (!decoded) return fail_login(decoded.error().message);
  if (options.side == ConnectionOptions::Side::Server) {
    if (const auto* init = std::get_if<SaslInit>(&*decoded)) return on_init(*init);
  } else {
    if (const auto* offer = std::get_if<SaslMechanisms>(&*decoded)) return on_mechanisms(*offer);
    if (const auto* outcome = std::get_if<SaslOutcome>(&*decoded)) return on_outcome(*outcome);
  }
  fail_login("This SASL frame does not belong here.");
}

void Connection::Impl::on_init(const SaslInit& init) {
  auto login = read_login(init, options.sasl_mechanisms);
  if (!login) {
    write_sasl(SaslOutcome{.code = SaslCode::Auth});
    return fail_login(login.error().message);
  }
  phase = Phase::Login;
  emit(*std::move(login));
}

void Connection::Impl::sasl_outcome(SaslCode code) {
  if (phase != Phase::Login) return;
  write_sasl(SaslOutcome{.code = code});
  if (code != SaslCode::Ok) {
    return finish({.error = Error{.condition = "amqp:unauthorized-access",
                                  .description = "The login was refused."}});
  }
  authenticated = true;
  phase = Phase::Header;
}

void Connection::Impl::on_mechanisms(const SaslMechanisms& mechanisms) {
  const auto& offered = mechanisms.mechanisms;
  if (std::find(offered.begin(), offered.end(), options.login->mechanism) == offered.end()) {
    return fail_login("The server does not offer " + options.login->mechanism + ".");
  }
  write_sasl(make_init(*options.login, options.hostname));
}

void Connection::Impl::on_outcome(const SaslOutcome& outcome) {
  if (outcome.code != SaslCode::Ok) {
    return finish({.error = Error{.condition = "amqp:unauthorized-access",
                                  .description = "The server refused the login."}});
  }
  authenticated = true;
  output_held = false;
  output.insert(0, sasl_output);
  sasl_output.clear();
  phase = Phase::Header;
}

// There is no close within SASL: the transport just ends.
void Connection::Impl::fail_login(std::string description) {
  finish({.error = Error{.condition = std::string(condition::kNotAllowed),
                         .description = std::move(description)},
          .protocol_error = true});
}

// --- open and close ----------------------------------------------------------------------------

void Connection::Impl::open() {
  if (phase != Phase::Header || open_written) return;
  if (options.login) {
    sasl_output.append(protocol_header(Protocol::Sasl));
    output_held = true;
  }
  output.append(protocol_header(Protocol::Amqp));
  write_open();
}

void Connection::Impl::write_open() {
  open_written = true;
  Open open{.container_id = options.container_id,
            .hostname = options.hostname,
            .max_frame_size = options.max_frame_size,
            .channel_max = options.channel_max,
            .properties = options.properties};
  if (options.idle_timeout) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(*options.idle_timeout);
    open.idle_time_out = static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(ms.count(), 1, std::int64_t{0xffffffff}));
  }
  write(0, open);
}

void Connection::Impl::on(std::uint16_t /*channel*/, Open& open) {
  if (peer) return fail(condition::kNotAllowed, "The connection is open already.");
  peer = open;
  peer->max_frame_size = std::max(open.max_frame_size, kMinMaxFrameSize);
  if (!open_written) write_open();
  if (!alive()) return;
  if (open.max_frame_size < kMinMaxFrameSize) {
    return fail(condition::kInvalidField, "max-frame-size must be 512 or more.");
  }
  emit(Opened{.open = std::move(open)});
}

void Connection::Impl::on(std::uint16_t /*channel*/, Close& close) {
  if (!close_written) {
    if (!open_written) write_open();
    write_close(std::nullopt);
  }
  finish({.error = std::move(close.error)});
}

void Connection::Impl::close(std::optional<Error> error) {
  if (!alive() || close_written) return;
  // Before our open there can be no close; the transport just ends.
  if (!open_written) return finish({.error = std::move(error)});
  write_close(error);
}

void Connection::Impl::write_close(const std::optional<Error>& error) {
  flush_dispositions();
  close_written = true;
  const std::size_t at = begin_frame(output, Protocol::Amqp, 0);
  encode(output, Close{.error = error});
  if (end_frame(output, at) <= frame_limit()) return;
  output.resize(at);
  begin_frame(output, Protocol::Amqp, 0);
  encode(output, Close{.error = Error{.condition = error->condition}});
  end_frame(output, at);
}

void Connection::Impl::fail(std::string_view name, std::string description) {
  if (!alive()) return;
  Error error{.condition = std::string(name), .description = std::move(description)};
  if (phase == Phase::Frames && !close_written) {
    if (!open_written) write_open();
    write_close(error);
  }
  finish({.error = std::move(error), .protocol_error = true});
}

void Connection::Impl::finish(Closed closed) {
  if (!alive()) return;
  flush_dispositions();
  run.reset();
  emit(std::move(closed));
  phase = Phase::Over;
}

// Not within finish(): those who found the breach still hold links and sessions.
void Connection::Impl::forget_all() {
  links.clear();
  sessions.clear();
  begun_by_us.clear();
  channels = {};
}

// --- time --------------------------------------------------------------------------------------

// The time of a byte is known to within the distance of two ticks, so they come twice as often as
// the time-out; a silent peer goes after once to one and a half times of it.
std::optional<TimePoint> Connection::Impl::tick(TimePoint now) {
  if (!alive()) return std::nullopt;
  if (!heard && consumed == input.size() && input.capacity() > kMinMaxFrameSize) {
    std::string().swap(input);  // a connection at rest keeps no buffers
    std::string().swap(delivered);
    consumed = 0;
    output.shrink_to_fit();
  }
  if (heard || !silent_since) silent_since = now;
  heard = false;
  std::optional<TimePoint> due;
  if (options.idle_timeout) {
    const TimePoint deadline = *silent_since + *options.idle_timeout;
    if (now >= deadline) {
      fail(condition::kResourceLimitExceeded, "The connection was silent for too long.");
      return std::nullopt;
    }
    due = std::min(deadline, now + *options.idle_timeout / 2);
  }
  if (peer && peer->idle_time_out.value_or(0) > 0 && writable()) {
    const Duration half = std::chrono::milliseconds(*peer->idle_time_out) / 2;
    if (!next_empty_frame) next_empty_frame = now + half;
    if (now >= *next_empty_frame) {
      next_empty_frame = now + half;
      if (output_size() == 0) end_frame(output, begin_frame(output, Protocol::Amqp, 0));
    }
    due = due ? std::min(*due, *next_empty_frame) : *next_empty_frame;
  }
  return due;
}

// --- bytes out ---------------------------------------------------------------------------------

void Connection::Impl::flush_dispositions() {
  if (batch.session == nullptr) return;
  const Disposition disposition{
      .role = batch.role,
      .first = batch.first,
      .last = batch.last,
      .settled = true,
      .state = Accepted{},
  };
  const std::size_t at =
      begin_frame(output, Protocol::Amqp, std::exchange(batch.session, nullptr)->channel_out);
  encode(output, disposition);
  end_frame(output, at);
}

std::string Connection::Impl::take_output() {
  if (output_held) return std::exchange(sasl_output, {});
  flush_dispositions();
  std::string taken;
  if (output.size() < output.capacity() / 4) {  // the buffer stays for a larger one
    taken = output;
    output.clear();
    return taken;
  }
  // The next one will be about as long: growing to it costs more than having it.
  taken.reserve(std::min(output.size(), kKeptCapacity));
  taken.swap(output);
  return taken;
}

std::size_t Connection::Impl::output_size() const {
  if (output_held) return sasl_output.size();
  constexpr std::size_t kDispositionFrame = 64;
  return output.size() + (batch.session == nullptr ? 0 : kDispositionFrame);
}

// --- the face ----------------------------------------------------------------------------------

Connection::Connection(ConnectionOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
Connection::~Connection() = default;

void Connection::feed(std::string_view bytes) { impl_->feed(bytes); }
std::optional<Event> Connection::next_event() { return impl_->next_event(); }
std::string Connection::take_output() { return impl_->take_output(); }
std::size_t Connection::output_size() const { return impl_->output_size(); }
std::size_t Connection::waiting_bytes() const { return impl_->waiting_bytes(); }
void Connection::limit_partial(std::size_t bytes) { impl_->options.max_partial_bytes = bytes; }
std::optional<TimePoint> Connection::tick(TimePoint now) { return impl_->tick(now); }
void Connection::sasl_outcome(SaslCode code) { impl_->sasl_outcome(code); }
void Connection::open() { impl_->open(); }
SessionId Connection::begin() { return impl_->begin(); }
LinkId Connection::attach(SessionId session, Attach attach) {
  return impl_->attach(session, std::move(attach));
}
void Connection::accept(LinkId link, Attach answer) { impl_->accept(link, std::move(answer)); }
void Connection::refuse(LinkId link, Error error) { impl_->refuse(link, std::move(error)); }
void Connection::grant(LinkId link, std::uint32_t credit) { impl_->grant(link, credit); }
std::uint32_t Connection::granted(LinkId link) const {
  const Link* found = impl_->attached(link, Role::Receiver);
  return found == nullptr ? 0 : found->credit;
}
void Connection::drain(LinkId link) { impl_->drain(link); }
std::uint32_t Connection::credit(LinkId link) const {
  const Link* found = impl_->attached(link, Role::Sender);
  return found == nullptr ? 0 : found->usable_credit();
}
std::uint32_t Connection::window(LinkId link) const {
  const Link* found = impl_->attached(link, Role::Sender);
  if (found == nullptr || !found->session->waiting.empty()) return 0;
  return found->session->peer_window;
}
bool Connection::send(LinkId link, const Outgoing& delivery,
                      std::initializer_list<std::string_view> parts) {
  return impl_->send(link, delivery, parts);
}
void Connection::drained(LinkId link) { impl_->drained(link); }
void Connection::settle(LinkId link, DeliveryId delivery, DeliveryState state) {
  impl_->settle(link, delivery, std::move(state));
}
void Connection::settle_unknown(SessionId session, DeliveryId delivery, DeliveryState state) {
  impl_->settle_unknown(session, delivery, std::move(state));
}
void Connection::propose(LinkId link, DeliveryId delivery, DeliveryState state) {
  impl_->propose(link, delivery, std::move(state));
}
void Connection::detach(LinkId link, std::optional<Error> error, bool closed) {
  impl_->detach(link, std::move(error), closed);
}
void Connection::end(SessionId session, std::optional<Error> error) {
  impl_->end(session, std::move(error));
}
void Connection::close(std::optional<Error> error) { impl_->close(std::move(error)); }
const Open& Connection::peer() const {
  static const Open kNone;
  return impl_->peer ? *impl_->peer : kNone;
}

}  // namespace jobmill::amqp
