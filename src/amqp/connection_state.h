// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "amqp/connection.h"
#include "amqp/connection_deliveries.h"
#include "amqp/frame.h"
#include "amqp/performatives.h"

namespace jobmill::amqp {

// The inside of a Connection. The files go by the parts of the protocol:
//   connection.cc           bytes in and out, headers, SASL, open and close, time-outs
//   connection_session.cc   begin and end, windows, flow
//   connection_link.cc      attach and detach, credit
//   connection_transfer.cc  transfers and dispositions, both ways

namespace condition {
inline constexpr std::string_view kDecodeError = "amqp:decode-error";
inline constexpr std::string_view kFrameSizeTooSmall = "amqp:frame-size-too-small";
inline constexpr std::string_view kInvalidField = "amqp:invalid-field";
inline constexpr std::string_view kNotAllowed = "amqp:not-allowed";
inline constexpr std::string_view kResourceLimitExceeded = "amqp:resource-limit-exceeded";
inline constexpr std::string_view kFramingError = "amqp:connection:framing-error";
inline constexpr std::string_view kWindowViolation = "amqp:session:window-violation";
inline constexpr std::string_view kErrantLink = "amqp:session:errant-link";
inline constexpr std::string_view kHandleInUse = "amqp:session:handle-in-use";
inline constexpr std::string_view kUnattachedHandle = "amqp:session:unattached-handle";
inline constexpr std::string_view kLinkStolen = "amqp:link:stolen";
inline constexpr std::string_view kTransferLimitExceeded = "amqp:link:transfer-limit-exceeded";
}  // namespace condition

// Found by a number that the peer chose. Peers choose small ones; a large one costs no more memory.
template <class T>
class Numbered {
 public:
  T* find(std::uint32_t number) const {
    if (number < low_.size()) return low_[number];
    if (high_.empty()) return nullptr;
    const auto it = high_.find(number);
    return it == high_.end() ? nullptr : it->second;
  }
  void put(std::uint32_t number, T* item) {
    if (number >= kLow) {
      high_[number] = item;
      return;
    }
    if (number >= low_.size()) low_.resize(number + 1);
    low_[number] = item;
  }
  void erase(std::uint32_t number) {
    if (number < low_.size()) low_[number] = nullptr;
    high_.erase(number);
  }

 private:
  static constexpr std::uint32_t kLow = 64;
  std::vector<T*> low_;
  std::unordered_map<std::uint32_t, T*> high_;
};

// Numbers that we choose, small ones and again.
class Numbers {
 public:
  std::optional<std::uint32_t> take(std::uint32_t max) {
    if (!free_.empty()) {
      const std::uint32_t number = free_.back();
      free_.pop_back();
      return number;
    }
    if (next_ > max) return std::nullopt;
    return static_cast<std::uint32_t>(next_++);
  }
  void give_back(std::uint32_t number) { free_.push_back(number); }

 private:
  std::uint64_t next_ = 0;
  std::vector<std::uint32_t> free_;
};

// A delivery of which the last frame has not come.
struct PartialDelivery {
  bool open = false;
  bool too_large = false;  // the owner knows, the rest is dropped
  DeliveryId id = 0;
  std::uint32_t message_format = 0;
  bool settled = false;
  std::optional<DeliveryState> state{};
  std::string tag{};
  std::string bytes{};
};

// A delivery of which not all frames may go yet. Its id is given with the first frame, since peers
// insist on ids without gaps and a link may go before that.
struct WaitingDelivery {
  LinkId link = 0;
  std::string tag{};
  std::uint32_t message_format = 0;
  bool settled = false;
  std::uint64_t cookie = 0;
  std::optional<DeliveryState> state{};
  std::string message{};
  std::size_t sent = 0;
  bool begun = false;
};

struct Session;

struct Link {
  enum class State {
    Offered,    // the peer's attach waits for the owner
    Requested,  // ours waits for the peer
    Attached,
    Detaching,  // our detach waits for the peer's
  };
  LinkId id = 0;
  Session* session = nullptr;
  std::string name{};
  Role role = Role::Sender;  // ours
  State state = State::Offered;
  bool silent = false;  // refused: the owner wants to hear no more of it
  std::optional<std::uint32_t> handle_in{};
  std::optional<std::uint32_t> handle_out{};
  std::uint32_t delivery_count = 0;
  std::uint32_t credit = 0;
  bool drain = false;                  // asked for by the receiver and not answered
  bool drained_when_written = false;   // the answer comes after what waits for the window
  std::uint32_t unbegun = 0;           // deliveries in Session::waiting that have taken no credit
  std::uint32_t unfinished = 0;        // all of them
  std::uint64_t max_message_size = 0;  // that we said; 0 is none
  PartialDelivery partial{};

  std::uint32_t usable_credit() const { return credit > unbegun ? credit - unbegun : 0; }
};

struct Session {
  enum class State { Requested, Active, Ending };
  SessionId id = 0;
  State state = State::Active;
  bool silent = false;  // Ending because of a breach: the owner has heard of the end
  std::uint16_t channel_out = 0;
  std::optional<std::uint16_t> channel_in{};
  std::uint32_t next_incoming_id = 0;
  std::uint32_t incoming_window = 0;  // what is left of it
  std::uint32_t next_outgoing_id = 0;
  std::uint32_t peer_window = 0;  // transfers that the peer takes now
  std::uint32_t peer_handle_max = 0xffffffff;
  DeliveryId next_delivery = 0;
  Numbered<Link> handles{};
  Numbers our_handles{};
  std::vector<Link*> links{};
  Deliveries outgoing{};
  Deliveries incoming{};
  std::deque<WaitingDelivery> waiting{};
};

// Dispositions that fit one frame: ids in a row, all with the same end.
struct DispositionBatch {
  Session* session = nullptr;  // nullptr: there is none
  Role role = Role::Receiver;
  DeliveryId first = 0;
  DeliveryId last = 0;
};

// A disposition of the peer that next_event() takes apart.
struct DispositionRun {
  SessionId session = 0;
  Disposition disposition{};
  std::vector<DeliveryId> ids{};
  std::size_t at = 0;
  std::size_t unknown_left = 0;
};

struct Connection::Impl {
  explicit Impl(ConnectionOptions given);

  // --- connection.cc: bytes, handshake, time
  void feed(std::string_view bytes);
  std::optional<Event> next_event();
  bool step();  // takes one header or frame; false when there is none
  bool read_header();
  void on_server_header(Protocol protocol);
  void on_client_header(Protocol protocol);
  void refuse_header();
  void on_sasl(std::string_view body);
  void on_mechanisms(const SaslMechanisms& mechanisms);
  void on_init(const SaslInit& init);
  void on_outcome(const SaslOutcome& outcome);
  void sasl_outcome(SaslCode code);
  void fail_login(std::string description);
  void on_body(const Frame& frame);
  bool on_usual(const Frame& frame);
  void on(std::uint16_t channel, Open& open);
  void on(std::uint16_t channel, Close& close);
  void write_open();
  void open();
  void close(std::optional<Error> error);
  void write_close(const std::optional<Error>& error);
  // The peer broke the rules, or we cannot go on: close, and no more.
  void fail(std::string_view name, std::string description);
  void finish(Closed closed);
  void forget_all();
  std::optional<TimePoint> tick(TimePoint now);
  std::string take_output();
  std::size_t output_size() const;
  std::size_t waiting_bytes() const;
  void flush_dispositions();
  template <class Body>
  void write(std::uint16_t channel, const Body& body);
  template <class Body>
  void write_sasl(const Body& body);
  template <class T>
  void emit(T&& event) {
    if (alive()) events.emplace_back(std::forward<T>(event));
  }
  bool alive() const { return phase != Phase::Over; }
  // Whether commands mean anything.
  bool writable() const { return alive() && open_written && !close_written; }
  std::uint32_t frame_limit() const;

  // --- connection_session.cc
  void on(std::uint16_t channel, Begin& begin);
  void on(std::uint16_t channel, End& end);
  void on(std::uint16_t channel, Flow& flow);
  void answer_begin(std::uint16_t channel, const Begin& begin);
  void begin_answered(std::uint16_t channel, const Begin& begin);
  SessionId begin();
  void end(SessionId id, std::optional<Error> error);
  // The peer broke the rules of a session: ends it, with events now.
  void end_session(Session& session, std::string_view name, std::string description);
  Session& new_session(std::uint16_t channel_out);
  void write_begin(const Session& session);
  void write_flow(Session& session, const Link* link, bool drain = false);
  void count_incoming(Session& session);
  void announce_end(Session& session, const std::optional<Error>& error);
  void drop_links(Session& session);
  void drop_session(Session& session);
  Session* active(std::uint16_t channel);  // of a frame; nullptr: nothing to do with it
  void on_link_flow(Session& session, const Flow& flow);
  void on_credit(Link& link, const Flow& flow);
  void on_sender_flow(Link& link, const Flow& flow);

  // --- connection_link.cc
  void on(std::uint16_t channel, Attach& attach);
  void on(std::uint16_t channel, Detach& detach);
  LinkId attach(SessionId session, Attach attach);
  void accept(LinkId id, Attach answer);
  void refuse(LinkId id, std::optional<Error> error);
  void detach(LinkId id, std::optional<Error> error, bool closed);
  void detach(Link& link, std::optional<Error> error, bool closed);
  void attach_answered(Link& link, Attach& attach);
  void attach_offered(Session& session, Attach& attach);
  void steal(Session& session, const Attach& attach);
  bool take_handle(Link& link);  // or ends the session
  void write_refusal(Link& link, std::optional<Error> error);
  void drop_deliveries(Link& link);
  void drop_link(Link& link);
  void grant(LinkId id, std::uint32_t credit);
  void drain(LinkId id);
  void drained(LinkId id);
  void write_drained(Link& link);
  Link* find(LinkId id) {
    const auto it = links.find(id);
    return it == links.end() ? nullptr : &it->second;
  }
  const Link* find(LinkId id) const { return const_cast<Impl*>(this)->find(id); }
  Link* attached(LinkId id, Role role);  // nullptr when commands to it mean nothing

  // --- connection_transfer.cc
  void on(std::uint16_t channel, Transfer& transfer);
  bool admit(Link& link, const Transfer& transfer);
  void deliver_whole(Link& link, Transfer& transfer);
  void begin_partial(Link& link, Transfer& transfer);
  void extend_partial(Link& link, Transfer& transfer);
  void deliver_partial(Link& link);
  void drop_partial(Link& link);
  bool send(LinkId id, const Outgoing& delivery, std::initializer_list<std::string_view> parts);
  bool send_at_once(Link& link, const Outgoing& delivery, std::size_t size,
                    std::initializer_list<std::string_view> parts);
  void pump(Session& session);  // what waits for the window
  bool write_next_frame(Session& session, Link& link, WaitingDelivery& delivery);
  void count_outgoing(Link& link, bool settled, std::uint64_t cookie);
  void on(std::uint16_t channel, Disposition& disposition);
  void list_run();
  std::optional<Event> next_of_run();
  void settle(LinkId id, DeliveryId delivery, DeliveryState state);
  void settle_unknown(SessionId id, DeliveryId delivery, DeliveryState state);
  void propose(LinkId id, DeliveryId delivery, DeliveryState state);
  void write_settled(Session& session, Role role, DeliveryId delivery, DeliveryState state);

  // What the next bytes are.
  enum class Phase {
    Header,
    Sasl,
    Login,  // the owner thinks about sasl_outcome(); what came behind waits
    Frames,
    Over,
  };

  ConnectionOptions options;
  Phase phase = Phase::Header;
  bool authenticated = false;  // SASL is over
  bool open_written = false;
  bool close_written = false;  // the peer's is all that is still heard
  std::optional<Open> peer{};

  std::string input{};
  std::size_t consumed = 0;
  std::string output{};
  std::string sasl_output{};  // a client's, while its login keeps `output` back
  bool output_held = false;
  DispositionBatch batch{};

  std::vector<Event> events{};
  std::size_t next = 0;  // in events
  std::optional<DispositionRun> run{};
  std::vector<DeliveryId> spare_ids{};
  std::string delivered{};  // the bytes and tag of the last event, when they came in many frames
  std::string delivered_tag{};
  std::size_t partial_bytes = 0;

  // Nodes stay where they are: they point to each other.
  std::unordered_map<SessionId, Session> sessions{};
  std::unordered_map<LinkId, Link> links{};
  SessionId last_session = 0;
  LinkId last_link = 0;
  Numbered<Session> channels{};
  Numbers our_channels{};
  std::unordered_map<std::uint16_t, Session*> begun_by_us{};  // by our channel, until answered

  bool heard = false;  // since the last tick
  std::optional<TimePoint> silent_since{};
  std::optional<TimePoint> next_empty_frame{};
};

inline std::uint32_t Connection::Impl::frame_limit() const {
  // Larger frames gain nothing, and would keep other links waiting.
  constexpr std::uint32_t kLargest = 1u << 20;
  return peer ? std::min(peer->max_frame_size, kLargest) : kLargest;
}

template <class Body>
void Connection::Impl::write(std::uint16_t channel, const Body& body) {
  flush_dispositions();
  const std::size_t at = begin_frame(output, Protocol::Amqp, channel);
  encode(output, body);
  if (end_frame(output, at) <= frame_limit()) return;
  output.resize(at);
  fail(condition::kFrameSizeTooSmall, "A frame that we must send is larger than your limit.");
}

}  // namespace jobmill::amqp
