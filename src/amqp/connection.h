// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "amqp/performatives.h"
#include "amqp/value.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

namespace jobmill::amqp {

// A link of one connection; never used twice within it. 0 is no link.
using LinkId = std::uint32_t;
// A session of one connection; never used twice within it. 0 is no session.
using SessionId = std::uint32_t;
using DeliveryId = std::uint32_t;

struct ConnectionOptions {
  enum class Side { Server, Client };
  Side side = Side::Server;
  std::string container_id{};
  std::optional<std::string> hostname{};  // client: the host we want
  std::uint32_t max_frame_size = 65536;   // that we take; the peer says its own
  std::uint16_t channel_max = 65535;
  std::uint32_t handle_max = 8191;
  std::uint32_t incoming_window = 65536;  // transfers that a session takes before it hears of us
  std::optional<Duration> idle_timeout = std::chrono::seconds(240);
  Map properties{};  // of open and of begin; never empty on the wire (product is added)

  // What a peer can make us keep; beyond it the connection or session ends with
  // amqp:resource-limit-exceeded.
  std::size_t max_sessions = 10'000;
  std::size_t max_links = 20'000;
  std::size_t max_partial_bytes = 256u << 20;  // of deliveries that are not complete

  // Server: what is offered, in this order. A peer that begins without SASL is anonymous.
  std::vector<std::string> sasl_mechanisms = {"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"};
  bool without_sasl = true;
  // Client: nullopt begins without SASL.
  struct Login {
    std::string mechanism = "ANONYMOUS";
    std::string user{};
    Secret password{};
  };
  std::optional<Login> login{};
};

// --- events ------------------------------------------------------------------------------------

// Server: the peer wants to come in; answer with sasl_outcome().
struct SaslLogin {
  std::string mechanism{};  // one of those offered
  std::string user{};       // of PLAIN (RFC 4616: the authentication identity)
  Secret password{};
};
// The peer's open has come. A server's own open has been written by then.
struct Opened {
  Open open{};
};
struct SessionBegun {
  SessionId session = 0;
};
// The peer attached a link that we do not have: answer with accept() or refuse(), now or later.
// For a link that attach() began: the peer's answer. A refused link shows no source (for links that
// we receive on) or no target (that we send on), and is followed by LinkDetached.
struct LinkAttached {
  LinkId link = 0;
  SessionId session = 0;
  bool ours = false;  // we began it
  Attach attach{};    // role is the peer's: Role::Receiver means that we send
};
// Credit of a link on which we send (part 2, section 2.6.7), after a flow. credit() has it too.
// Credit that came before accept() shows after it. For a link on which we receive: after drain(),
// the sender has nothing more (credit 0, drain).
struct CreditGiven {
  LinkId link = 0;
  std::uint32_t credit = 0;
  bool drain = false;  // use the credit or give it back, see drained()
  bool echo = false;   // the engine has answered, or drained() will
};
// A whole message. Aborted deliveries do not show. The views are valid until the next call of
// feed(), next_event() or tick().
struct MessageReceived {
  LinkId link = 0;
  DeliveryId delivery = 0;
  std::string_view tag{};
  std::uint32_t message_format = 0;
  bool settled = false;  // the peer waits for nothing
  std::optional<DeliveryState> state{};
  std::string_view bytes{};
};
// A delivery on this link became larger than the max-message-size that we said. It is dropped; the
// owner detaches with amqp:link:message-size-exceeded, or rejects it.
struct MessageTooLarge {
  LinkId link = 0;
  DeliveryId delivery = 0;
};
// The peer's word on one delivery; ranges are taken apart. For deliveries that we sent: `cookie` is
// what send() was given. `link` 0: no such delivery is unsettled (any more); only sent for
// dispositions that wait for an answer (settled = false), at most 2,048 for one frame.
struct DispositionReceived {
  SessionId session = 0;
  LinkId link = 0;
  DeliveryId delivery = 0;
  std::uint64_t cookie = 0;
  bool we_sent = true;  // false: the peer tells of a delivery that it sent to us
  bool settled = false;
  std::optional<DeliveryState> state{};
};
// The link is gone: the peer detached it (the engine has answered), or has answered our detach(),
// or broke a rule of it. Not sent for links that were refused.
struct LinkDetached {
  LinkId link = 0;
  bool closed = false;
  std::optional<Error> error{};
};
// Its links are gone; LinkDetached came for each before. `error` is the peer's, or ours when it
// broke a rule of the session. Also the answer to end().
struct SessionEnded {
  SessionId session = 0;
  std::optional<Error> error{};
};
// The last event. All links and sessions are gone, without events of their own. Write what output()
// still has, then close the transport. `error` is the peer's, or ours with `protocol_error`: the
// peer broke the rules, and the close that says so is in the output.
struct Closed {
  std::optional<Error> error{};
  bool protocol_error = false;
};

using Event =
    std::variant<SaslLogin, Opened, SessionBegun, LinkAttached, CreditGiven, MessageReceived,
                 MessageTooLarge, DispositionReceived, LinkDetached, SessionEnded, Closed>;

// --- commands ----------------------------------------------------------------------------------

struct Outgoing {
  std::string_view tag{};  // at most 32 bytes, unique among the unsettled
  std::uint32_t message_format = 0;
  bool settled = false;      // sent and forgotten
  std::uint64_t cookie = 0;  // comes back with dispositions
  std::optional<DeliveryState> state{};
};

// One AMQP 1.0 connection without sockets, threads or clocks: bytes in, events out, commands in,
// bytes out. Either side of it. A connection belongs to one thread.
//
//   connection.feed(bytes);
//   while (auto event = connection.next_event()) handle(*event);
//   stream.write(connection.take_output());
//
// It keeps the rules of the protocol (channels, handles, windows, delivery ids, frame sizes, idle
// time-outs); the owner keeps those of his nodes. open, begin and end are answered by the engine;
// attach is the owner's decision. Any split of the input gives the same events.
class Connection {
 public:
  explicit Connection(ConnectionOptions options);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The bytes are copied. Events are made when next_event() asks, so feed() is cheap.
  void feed(std::string_view bytes);
  std::optional<Event> next_event();

  // What must go to the peer, in order. Dispositions that can share a frame do.
  std::string take_output();
  std::size_t output_size() const;
  // Of messages that were sent and that the peer's session windows do not let out yet: an owner who
  // looks at it cannot be made to keep more than he wants.
  std::size_t waiting_bytes() const;

  // Another ConnectionOptions::max_partial_bytes, from now on.
  void limit_partial(std::size_t bytes);

  // Call it whenever its answer is due, and after the first byte: keeps the connection alive and
  // ends it when the peer is silent for longer than we said (Closed comes then by next_event()).
  std::optional<TimePoint> tick(TimePoint now);

  // Server, after SaslLogin.
  void sasl_outcome(SaslCode code);

  // Client: writes headers and open; the rest may follow at once, nothing waits for answers.
  void open();
  SessionId begin();
  // Client: `attach.handle` is chosen here.
  LinkId attach(SessionId session, Attach attach);

  // Answers to LinkAttached{ours = false}. `answer.name`, handle and role are filled in here;
  // initial_delivery_count is 0. Property map: at least one entry is the owner's duty.
  void accept(LinkId link, Attach answer);
  // Attach without source and target, then detach(closed) with the error: Python takes any other
  // answer for a link that is ready.
  void refuse(LinkId link, Error error);

  // For links that we receive on: how many more messages the peer may send, from now on.
  void grant(LinkId link, std::uint32_t credit);
  std::uint32_t granted(LinkId link) const;  // what is left of it
  // Use what was granted or give it back; CreditGiven{credit = 0, drain = true} follows.
  void drain(LinkId link);

  // For links that we send on. 0 for links that are gone or not attached.
  std::uint32_t credit(LinkId link) const;
  // How many transfers the peer's session takes now, beside those that wait inside.
  std::uint32_t window(LinkId link) const;
  // Uses one credit; the message is the parts, one after the other, in as many frames as it takes.
  // Frames that the session's window does not allow yet wait inside. False: no credit, or the link
  // is gone.
  bool send(LinkId link, const Outgoing& delivery, std::initializer_list<std::string_view> parts);
  // All that was to be sent was: gives the rest of the credit back when the peer asked to drain.
  void drained(LinkId link);

  // Our word on a delivery, as the receiver (link of MessageReceived) or, with the same id and link
  // of DispositionReceived, as the sender. Settles it.
  void settle(LinkId link, DeliveryId delivery, DeliveryState state);
  // The same for a DispositionReceived without a link.
  void settle_unknown(SessionId session, DeliveryId delivery, DeliveryState state);
  // Client as receiver: says an outcome and waits for the sender to settle.
  void propose(LinkId link, DeliveryId delivery, DeliveryState state);

  void detach(LinkId link, std::optional<Error> error = {}, bool closed = true);
  void end(SessionId session, std::optional<Error> error = {});
  void close(std::optional<Error> error = {});

  const Open& peer() const;  // after Opened

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobmill::amqp
