// SPDX-License-Identifier: Apache-2.0
#include "http/server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <deque>
#include <mutex>
#include <unordered_set>
#include <utility>
#include <vector>

#include "http/codec.h"
#include "http/problem.h"
#include "net/listener.h"
#include "net/stream.h"

namespace jobmill::http {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

constexpr std::size_t kPipelined = 64;         // requests of one connection under way
constexpr std::size_t kMaxUnsent = 1u << 20;   // more waits until the client has read
constexpr std::size_t kReadAhead = 64u << 10;  // taken from a client that must wait
constexpr std::size_t kOneWrite = 64u << 10;   // smaller answers are joined
constexpr std::size_t kMaxLingering = 256;     // closed connections that may read last words

class Connection;

// The way from a Responder, which may outlive everything, to the loop.
struct Gate {
  std::mutex mutex;
  net::EventLoop* loop;  // null when the server is gone

  bool post(std::function<void()> work) {
    const std::lock_guard lock(mutex);
    if (loop) loop->post(std::move(work));
    return loop != nullptr;
  }
  bool on_loop_thread() {
    const std::lock_guard lock(mutex);
    return loop && loop->on_loop_thread();
  }
};

// One request's answer, to be given from anywhere.
class Exchange final : public Responder::Sink {
 public:
  Exchange(std::shared_ptr<Gate> gate, std::weak_ptr<Connection> connection, std::uint64_t number)
      : gate_(std::move(gate)), connection_(std::move(connection)), number_(number) {}

  ~Exchange() override {
    if (answered_) return;
    send(problem(500, "internal", "the request was dropped without an answer"));
  }

  void send(Response response) override;
  std::shared_ptr<Body> stream(Response head) override;
  void on_gone(std::function<void()> fn) override;

 private:
  std::shared_ptr<Gate> gate_;
  std::weak_ptr<Connection> connection_;
  std::uint64_t number_;
  std::atomic<bool> answered_ = false;
};

// The body of one answer that is streamed. Calls from the loop thread go through at once, so order
// is kept among the calls of one thread.
class StreamedBody final : public Body {
 public:
  StreamedBody(std::shared_ptr<Gate> gate, std::weak_ptr<Connection> connection,
               std::uint64_t number)
      : gate_(std::move(gate)), connection_(std::move(connection)), number_(number) {}
  ~StreamedBody() override;

  void write(std::string bytes, std::function<void(bool)> taken) override;
  void end() override;
  void on_gone(std::function<void()> fn) override;

 private:
  template <class Work>
  void with_connection(Work work);

  std::shared_ptr<Gate> gate_;
  std::weak_ptr<Connection> connection_;
  std::uint64_t number_;
  std::atomic<bool> ended_ = false;
};

// What all connections of a server share. Belongs to the loop thread.
struct Core {
  Core(net::EventLoop& l, Handler h, ServerLimits m)
      : loop(l),
        handler(std::move(h)),
        limits(std::move(m)),
        decoder_limits{limits.header_bytes, limits.body_bytes, limits.body_limit},
        gate(std::make_shared<Gate>()) {
    gate->loop = &loop;
  }

  void accept(const std::shared_ptr<net::Stream>& stream, bool tls);
  void refuse(const std::shared_ptr<net::Stream>& stream);
  void linger(const std::shared_ptr<net::Stream>& stream);
  void stop();
  void close_all();
  std::string_view date();
  std::shared_ptr<const WebSocketEndpoint> endpoint(std::string_view path) const;

  net::EventLoop& loop;
  Handler handler;
  std::vector<std::shared_ptr<const WebSocketEndpoint>> endpoints;
  ServerLimits limits;
  DecoderLimits decoder_limits;
  std::shared_ptr<Gate> gate;
  std::vector<std::shared_ptr<net::Listener>> listeners;
  std::unordered_set<std::shared_ptr<Connection>> connections;
  std::vector<std::weak_ptr<net::Stream>> lingering;
  bool stopping = false;

 private:
  std::time_t date_at_ = 0;
  std::string date_;
};

// One client. Requests are decoded as they come, up to kPipelined at a time, and answered in their
// order, whenever and from wherever the answers come.
class Connection final : public net::Stream::Events,
                         public std::enable_shared_from_this<Connection> {
 public:
  Connection(Core& server, std::shared_ptr<net::Stream> stream, bool tls)
      : server_(server), stream_(std::move(stream)), tls_(tls), decoder_(server.decoder_limits) {}

  void start() {
    stream_->start(shared_from_this());
    settle();
  }

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override {
    tell_taken();
    pump();
  }
  void on_broken() override;

  void answer(std::uint64_t number, Response response);
  void begin_stream(std::uint64_t number, Response head);
  void write_piece(std::uint64_t number, std::string_view bytes, std::function<void(bool)> taken);
  void end_stream(std::uint64_t number);
  void abort_stream(std::uint64_t number);
  void when_gone(std::uint64_t number, std::function<void()> fn);
  void settle();
  void drop();

 private:
  using Endpoint = std::shared_ptr<const WebSocketEndpoint>;
  struct Switch {
    Endpoint endpoint;
    Request request;
  };
  struct Slot {
    EncodeOptions options{};
    std::string interim{};           // sent as it is: "100 Continue", "101 Switching Protocols"
    std::optional<Switch> change{};  // after it: to a WebSocket
    Response response{};
    bool ready = false;
    bool streamed = false;  // the response is a head; `pieces` follow it until `ended`
    bool begun = false;     // the head was written
    bool ended = false;
    std::string pieces{};
    std::vector<std::function<void(bool)>> taken{};  // wait for these pieces
    std::function<void()> gone{};

    bool over() const { return ready && (!streamed || ended); }
  };
  enum class State { Idle, Receiving, Parked, Sending };

  void pump();
  void decode();
  bool take(RequestDecoder::Event event);
  void begin(RequestDecoder::Incoming incoming);
  void refuse(RequestDecoder::Refusal refusal);
  void upgrade(Endpoint endpoint, RequestDecoder::Incoming incoming);
  void switch_protocol(std::string out, Slot slot);
  bool can_begin() const;
  bool flush();
  void encode(Slot& slot, std::string& out);
  void encode_stream(Slot& slot, std::string& out);
  void tell_taken();
  void tell_lost();
  void announce_gone();
  void finish();
  void leave();

  State state() const;
  void arm_timer();
  void on_timer();
  SteadyTime deadline() const;

  Slot* find(std::uint64_t number);

  Core& server_;
  std::shared_ptr<net::Stream> stream_;  // null after the switch to a WebSocket
  const bool tls_;
  RequestDecoder decoder_;
  std::deque<Slot> slots_;                        // requests without a sent answer
  std::uint64_t first_number_ = 0;                // of slots_.front()
  std::size_t ready_bytes_ = 0;                   // of answers whose turn has not come
  std::vector<std::function<void(bool)>> taken_;  // wait until all that was written is sent
  bool pumping_ = false;
  bool last_taken_ = false;  // no request after those in slots_
  bool last_sent_ = false;   // the answer with Connection: close is written
  bool ended_ = false;       // the client sends no more
  bool closed_ = false;

  State state_ = State::Idle;
  SteadyTime since_ = std::chrono::steady_clock::now();  // in this state
  std::size_t unsent_ = 0;                               // when we last looked
  net::EventLoop::TimerId timer_ = 0;
  SteadyTime timer_at_;
};

void Connection::on_bytes(std::string_view bytes) {
  if (last_taken_) return;
  decoder_.feed(bytes);
  pump();
}

// The client may have ended its direction only and wait for answers, so those that come are sent;
// but a long poll has no reason to wait on.
void Connection::on_end() {
  ended_ = true;
  announce_gone();
  pump();
}

void Connection::on_broken() {
  announce_gone();
  leave();
}

void Connection::announce_gone() {
  std::vector<std::function<void()>> calls;  // taken first: a call may answer and move the slots
  for (Slot& slot : slots_) {
    if (!slot.over() && slot.gone) calls.push_back(std::exchange(slot.gone, nullptr));
  }
  ended_ = true;
  for (const auto& call : calls) call();
}

// Handlers that answer at once come back here through answer(), which leaves the work to us.
void Connection::pump() {
  if (pumping_ || closed_) return;
  pumping_ = true;
  do {
    decode();
  } while (flush() && decoder_.buffered() > 0);
  pumping_ = false;
  settle();
}

bool Connection::can_begin() const {
  return !last_taken_ && slots_.size() < kPipelined &&
         ready_bytes_ + stream_->unsent() < kMaxUnsent;
}

void Connection::decode() {
  while (can_begin() && take(decoder_.next())) {
  }
}

bool Connection::take(RequestDecoder::Event event) {
  if (auto* incoming = std::get_if<RequestDecoder::Incoming>(&event)) {
    begin(std::move(*incoming));
  } else if (auto* refusal = std::get_if<RequestDecoder::Refusal>(&event)) {
    refuse(std::move(*refusal));
  } else if (std::holds_alternative<RequestDecoder::Continue>(event)) {
    slots_.push_back({.interim = "HTTP/1.1 100 Continue\r\n\r\n", .ready = true});
  } else {
    return false;
  }
  return true;
}

void Connection::begin(RequestDecoder::Incoming incoming) {
  Request& request = incoming.request;
  last_taken_ = !incoming.keep_alive;
  const bool head = request.method == "HEAD";
  if (head) request.method = "GET";
  request.peer = stream_->peer();
  request.tls = tls_;
  if (auto endpoint = server_.endpoint(request.path))
    return upgrade(std::move(endpoint), std::move(incoming));
  slots_.push_back(
      {.options = {
           .without_body = head, .keep_alive = incoming.keep_alive, .http10 = incoming.http10}});
  const std::uint64_t number = first_number_ + slots_.size() - 1;
  server_.handler(std::move(request),
                  Responder(std::make_shared<Exchange>(server_.gate, weak_from_this(), number)));
}

void Connection::refuse(RequestDecoder::Refusal refusal) {
  last_taken_ = true;
  slots_.push_back({.options = {.keep_alive = false}});
  answer(first_number_ + slots_.size() - 1, problem(refusal.status, refusal.code, refusal.detail));
}

// Takes its turn like any answer: those of earlier requests go first.
void Connection::upgrade(Endpoint endpoint, RequestDecoder::Incoming incoming) {
  const Request& request = incoming.request;
  const auto refused = [this, &incoming](Response response) {
    slots_.push_back({.options = {.keep_alive = incoming.keep_alive, .http10 = incoming.http10}});
    answer(first_number_ + slots_.size() - 1, std::move(response));
  };
  if (server_.stopping) return refused(problem(503, "unavailable", "the server is stopping"));
  if (endpoint->refuse) {
    if (auto response = endpoint->refuse(request)) return refused(*std::move(response));
  }
  if (incoming.http10 || !wants_websocket(request)) {
    Response response = problem(426, "upgrade_required", "this path is a WebSocket");
    response.headers.set("Upgrade", "websocket");
    return refused(std::move(response));
  }
  auto accepted = accept_websocket(request, endpoint->protocols);
  if (auto* response = std::get_if<Response>(&accepted)) return refused(std::move(*response));
  last_taken_ = true;
  slots_.push_back({.interim = std::get<std::string>(std::move(accepted)),
                    .change = Switch{std::move(endpoint), std::move(incoming.request)},
                    .ready = true});
}

// The new owner gets it from the loop, never from within somebody's answer.
void Connection::switch_protocol(std::string out, Slot slot) {
  if (ended_) return drop();
  stream_->write(out + slot.interim);
  stream_->pause();
  auto socket = make_websocket(server_.loop, std::exchange(stream_, nullptr), decoder_.take_rest(),
                               slot.change->endpoint->limits);
  server_.loop.post([gate = server_.gate, change = *std::move(slot.change), socket]() mutable {
    if (!gate->on_loop_thread()) return socket->close();  // the server is gone
    change.endpoint->open(std::move(change.request), std::move(socket));
  });
  leave();
}

Connection::Slot* Connection::find(std::uint64_t number) {
  const std::uint64_t index = number - first_number_;
  return number >= first_number_ && index < slots_.size() ? &slots_[index] : nullptr;
}

void Connection::answer(std::uint64_t number, Response response) {
  Slot* slot = closed_ ? nullptr : find(number);
  if (!slot) return;
  slot->response = std::move(response);
  ready_bytes_ += slot->response.body.size();
  slot->ready = true;
  slot->gone = nullptr;
  if (pumping_ || !flush()) return;
  if (decoder_.buffered() == 0) return settle();
  // More requests wait. Their handler must not run inside the caller, who may be in the middle of
  // answering a list of waiting requests.
  server_.loop.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();
  });
}

void Connection::begin_stream(std::uint64_t number, Response head) {
  Slot* slot = closed_ ? nullptr : find(number);
  if (!slot) return;
  slot->response = std::move(head);
  slot->options.chunked = true;
  slot->streamed = true;
  slot->ready = true;
  slot->gone = nullptr;
  if (slot->options.http10) {
    slot->options.keep_alive = false;  // the end of the connection is the end of the body
    last_taken_ = true;
  }
  if (!pumping_ && flush()) settle();
}

// Pieces wait in their slot until it is their turn; the stream below has its own buffer.
void Connection::write_piece(std::uint64_t number, std::string_view bytes,
                             std::function<void(bool)> taken) {
  Slot* slot = closed_ ? nullptr : find(number);
  if (!slot || !slot->streamed || slot->ended) {
    if (taken) taken(false);
    return;
  }
  if (slot->options.without_body) bytes = {};
  if (slot->options.http10) {
    slot->pieces += bytes;
  } else {
    encode_chunk(bytes, slot->pieces);
  }
  if (taken) slot->taken.push_back(std::move(taken));
  if (pumping_) return;
  flush();
  settle();
}

void Connection::end_stream(std::uint64_t number) {
  Slot* slot = closed_ ? nullptr : find(number);
  if (!slot || !slot->streamed || slot->ended) return;
  slot->ended = true;
  slot->gone = nullptr;
  if (!slot->options.http10 && !slot->options.without_body) slot->pieces += kLastChunk;
  if (pumping_) return;
  flush();
  server_.loop.post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->pump();  // requests that waited for their turn
  });
}

void Connection::abort_stream(std::uint64_t number) {
  const Slot* slot = closed_ ? nullptr : find(number);
  if (slot && slot->streamed && !slot->ended) drop();
}

void Connection::tell_taken() {
  if (stream_->unsent() > 0) return;
  for (const auto& call : std::exchange(taken_, {})) call(true);
}

void Connection::tell_lost() {
  auto calls = std::exchange(taken_, {});
  for (Slot& slot : slots_)
    for (auto& call : std::exchange(slot.taken, {})) calls.push_back(std::move(call));
  for (const auto& call : calls) call(false);
}

void Connection::when_gone(std::uint64_t number, std::function<void()> fn) {
  Slot* slot = closed_ ? nullptr : find(number);
  const bool answered = number < first_number_ || (slot && slot->over());
  if (answered) return;
  if (!slot || ended_) return fn();
  slot->gone = std::move(fn);
}

// Writes the answers whose turn it is, as one piece where they are small. True if there were any.
bool Connection::flush() {
  std::string out;
  bool any = false;
  while (!closed_ && !last_sent_ && !slots_.empty() && slots_.front().ready) {
    if (slots_.front().change) {
      switch_protocol(std::move(out), std::move(slots_.front()));
      return true;
    }
    if (slots_.front().streamed) {
      const std::size_t before = out.size();
      encode_stream(slots_.front(), out);
      any = any || out.size() > before;
      if (!slots_.front().ended) break;
      last_sent_ = !slots_.front().options.keep_alive;
    } else {
      encode(slots_.front(), out);
    }
    slots_.pop_front();
    ++first_number_;
    any = true;
  }
  stream_->write(std::move(out));
  if (any) since_ = std::chrono::steady_clock::now();
  return any;
}

void Connection::encode(Slot& slot, std::string& out) {
  if (!slot.interim.empty()) {
    out += slot.interim;
    return;
  }
  ready_bytes_ -= slot.response.body.size();
  const bool last = server_.stopping && slots_.size() == 1;
  slot.options.keep_alive = slot.options.keep_alive && !last;
  slot.options.date = server_.date();
  last_sent_ = !slot.options.keep_alive;
  encode_head(slot.response, slot.options, out);
  if (!has_body(slot.response, slot.options)) return;
  if (out.size() + slot.response.body.size() <= kOneWrite) {
    out += slot.response.body;
  } else {
    stream_->write(std::exchange(out, {}));
    stream_->write(std::move(slot.response.body));
  }
}

void Connection::encode_stream(Slot& slot, std::string& out) {
  if (!std::exchange(slot.begun, true)) {
    slot.options.date = server_.date();
    encode_head(slot.response, slot.options, out);
  }
  out += std::exchange(slot.pieces, {});
  for (auto& call : std::exchange(slot.taken, {})) taken_.push_back(std::move(call));
}

// After every event: closes what is over, holds back a client that is too fast, sets the timer.
void Connection::settle() {
  if (closed_) return;
  last_taken_ = last_taken_ || last_sent_;
  const bool over = slots_.empty() && (ended_ || (server_.stopping && decoder_.between_requests()));
  if ((last_sent_ || over) && stream_->unsent() == 0) return finish();

  if (!can_begin() && !last_taken_ && decoder_.buffered() > kReadAhead) {
    stream_->pause();
  } else {
    stream_->resume();
  }
  arm_timer();
  // Posted: a writer must not go on from within its own write.
  if (!taken_.empty() && stream_->unsent() == 0)
    server_.loop.post([weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && !self->closed_) self->tell_taken();
    });
}

void Connection::finish() {
  if (!last_sent_ || ended_) return drop();
  server_.linger(stream_);
  leave();
}

void Connection::drop() {
  stream_->close();
  leave();
}

void Connection::leave() {
  if (closed_) return;
  closed_ = true;
  server_.loop.cancel(timer_);
  tell_lost();
  slots_.clear();  // may drop Responders, which find us closed
  server_.connections.erase(shared_from_this());
}

Connection::State Connection::state() const {
  if (stream_->unsent() > 0) return State::Sending;
  if (!slots_.empty()) return State::Parked;
  return decoder_.between_requests() ? State::Idle : State::Receiving;
}

SteadyTime Connection::deadline() const {
  switch (state_) {
    case State::Parked:
      return SteadyTime::max();  // the handler's time, not the client's
    case State::Receiving:
      return since_ + server_.limits.request_timeout;
    case State::Idle:
    case State::Sending:
      break;
  }
  return since_ + server_.limits.idle_timeout;
}

// A timer that is due too early is left alone and looks again: most deadlines only move away, and
// a request should not cost a timer.
void Connection::arm_timer() {
  const State now_in = state();
  const std::size_t unsent = stream_->unsent();
  if (now_in != state_ || unsent < unsent_) since_ = std::chrono::steady_clock::now();
  state_ = now_in;
  unsent_ = unsent;

  const SteadyTime at = deadline();
  if (at == SteadyTime::max() || (timer_ != 0 && timer_at_ <= at)) return;
  server_.loop.cancel(timer_);
  timer_at_ = at;
  const auto delay = std::chrono::ceil<Duration>(at - std::chrono::steady_clock::now());
  timer_ = server_.loop.run_after(delay, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->on_timer();
  });
}

void Connection::on_timer() {
  timer_ = 0;
  if (closed_) return;
  arm_timer();  // sees what was sent meanwhile
  if (std::chrono::steady_clock::now() < deadline()) return;
  if (state_ == State::Receiving) {
    refuse(
        {.status = 408, .code = "request_timeout", .detail = "the request did not arrive in time"});
    return pump();
  }
  announce_gone();
  drop();
}

void Exchange::send(Response response) {
  if (answered_.exchange(true)) return;
  if (gate_->on_loop_thread()) {
    if (const auto connection = connection_.lock())
      connection->answer(number_, std::move(response));
    return;
  }
  gate_->post([weak = connection_, number = number_, answer = std::move(response)]() mutable {
    if (const auto connection = weak.lock()) connection->answer(number, std::move(answer));
  });
}

std::shared_ptr<Body> Exchange::stream(Response head) {
  auto body = std::make_shared<StreamedBody>(gate_, connection_, number_);
  if (answered_.exchange(true)) return body;
  const auto begin = [weak = connection_, number = number_,
                      sent = std::make_shared<Response>(std::move(head))] {
    if (const auto connection = weak.lock()) connection->begin_stream(number, std::move(*sent));
  };
  if (gate_->on_loop_thread()) {
    begin();
  } else {
    gate_->post(begin);
  }
  return body;
}

StreamedBody::~StreamedBody() {
  if (ended_) return;
  gate_->post([weak = connection_, number = number_] {
    if (const auto connection = weak.lock()) connection->abort_stream(number);
  });
}

// At once on the loop thread, else there, if there is still a client.
template <class Work>
void StreamedBody::with_connection(Work work) {
  if (gate_->on_loop_thread()) return work(connection_.lock());
  gate_->post([weak = connection_, work = std::move(work)]() mutable { work(weak.lock()); });
}

void StreamedBody::write(std::string bytes, std::function<void(bool)> taken) {
  with_connection([number = number_, piece = std::move(bytes),
                   call = std::move(taken)](const std::shared_ptr<Connection>& connection) mutable {
    if (connection) return connection->write_piece(number, piece, std::move(call));
    if (call) call(false);
  });
}

void StreamedBody::end() {
  if (ended_.exchange(true)) return;
  with_connection([number = number_](const std::shared_ptr<Connection>& connection) {
    if (connection) connection->end_stream(number);
  });
}

void StreamedBody::on_gone(std::function<void()> fn) {
  gate_->post([weak = connection_, number = number_, call = std::move(fn)]() mutable {
    if (const auto connection = weak.lock()) return connection->when_gone(number, std::move(call));
    call();
  });
}

// Posted, so that `fn` never runs inside the handler that registers it.
void Exchange::on_gone(std::function<void()> fn) {
  if (answered_) return;
  gate_->post([weak = connection_, number = number_, call = std::move(fn)]() mutable {
    if (const auto connection = weak.lock()) return connection->when_gone(number, std::move(call));
    call();
  });
}

// Released clients join a host that ends in a slash with the path and ask for "//…".
std::shared_ptr<const WebSocketEndpoint> Core::endpoint(std::string_view path) const {
  while (path.starts_with("//")) path.remove_prefix(1);
  for (const auto& candidate : endpoints) {
    const bool same = path.starts_with(candidate->path);
    const std::string_view rest = same ? path.substr(candidate->path.size()) : path;
    if (same && (rest.empty() || rest == "/")) return candidate;
  }
  return nullptr;
}

void Core::accept(const std::shared_ptr<net::Stream>& stream, bool tls) {
  if (connections.size() >= limits.connections) return refuse(stream);
  auto connection = std::make_shared<Connection>(*this, stream, tls);
  connections.insert(connection);
  connection->start();
}

// A client more than we serve gets an answer, if only this.
void Core::refuse(const std::shared_ptr<net::Stream>& stream) {
  const Response response = problem(503, "unavailable", "too many connections");
  std::string out;
  encode_head(response, {.keep_alive = false, .date = date()}, out);
  stream->write(out + response.body);
  linger(stream);
}

void Core::linger(const std::shared_ptr<net::Stream>& stream) {
  std::erase_if(lingering, [](const auto& weak) { return weak.expired(); });
  if (lingering.size() >= kMaxLingering) return stream->close();
  lingering.push_back(stream);
  stream->finish();
}

void Core::stop() {
  stopping = true;
  for (const auto& listener : listeners) listener->close();
  const auto all = connections;  // settling takes idle ones out
  for (const auto& connection : all) connection->settle();
}

void Core::close_all() {
  {
    const std::lock_guard lock(gate->mutex);
    gate->loop = nullptr;
  }
  for (const auto& listener : listeners) listener->close();
  const auto all = connections;
  for (const auto& connection : all) connection->drop();
  for (const auto& weak : lingering) {
    if (const auto stream = weak.lock()) stream->close();
  }
}

std::string_view Core::date() {
  const std::time_t now = std::time(nullptr);
  if (now != date_at_) {
    date_at_ = now;
    date_ = http_date(now);
  }
  return date_;
}

}  // namespace

struct Server::Impl : Core {
  using Core::Core;
};

Server::Server(net::EventLoop& loop, Handler handler, ServerLimits limits)
    : impl_(std::make_shared<Impl>(loop, std::move(handler), std::move(limits))) {}

Server::~Server() { impl_->close_all(); }

void Server::on_upgrade(WebSocketEndpoint endpoint) {
  impl_->endpoints.push_back(std::make_shared<const WebSocketEndpoint>(std::move(endpoint)));
}

Result<std::string> Server::listen(const std::string& address, net::ListenOptions options) {
  const bool tls = options.tls != nullptr;
  TRY(const auto listener, net::Listener::open(impl_->loop, address, std::move(options)));
  impl_->loop.post([weak = std::weak_ptr<Impl>(impl_), listener, tls] {
    const auto impl = weak.lock();
    if (!impl || impl->stopping) return listener->close();
    impl->listeners.push_back(listener);
    listener->start([weak, tls](std::shared_ptr<net::Stream> stream) {
      if (const auto server = weak.lock()) server->accept(stream, tls);
    });
  });
  return listener->address();
}

void Server::stop_accepting() {
  impl_->loop.post([weak = std::weak_ptr<Impl>(impl_)] {
    if (const auto impl = weak.lock()) impl->stop();
  });
}

}  // namespace jobmill::http
