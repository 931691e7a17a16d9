// SPDX-License-Identifier: Apache-2.0
#include "http/websocket.h"

#include <openssl/evp.h>
#include <wslay/wslay.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "base/base64.h"
#include "http/problem.h"

namespace jobmill::http {
namespace {

// Some clients take no larger messages unless they are told to (Go's websocket: 32 KiB).
constexpr std::size_t kMessageBytes = 16u << 10;
constexpr std::size_t kMaxAnswers = 64u << 10;  // pongs that the client has not read
constexpr std::string_view kVersion = "13";

// --- the handshake -------------------------------------------------------------------------

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// The words of a comma-separated field, which may come several times (RFC 9110, 5.3).
std::vector<std::string_view> words_of(const Request& request, std::string_view name) {
  std::vector<std::string_view> words;
  for (const auto& [field, value] : request.headers.fields()) {
    if (!iequals(field, name)) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (const auto word = trim(rest.substr(0, comma)); !word.empty()) words.push_back(word);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return words;
}

bool names(const Request& request, std::string_view field, std::string_view word) {
  const auto words = words_of(request, field);
  return std::any_of(words.begin(), words.end(), [word](auto w) { return iequals(w, word); });
}

std::string accept_key(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  return base64_encode({reinterpret_cast<const char*>(digest.data()), size});
}

bool is_key(std::optional<std::string_view> key) {
  const auto bytes = key ? base64_decode(trim(*key)) : std::nullopt;
  return bytes && bytes->size() == 16;
}

std::optional<std::string> choose(const std::vector<std::string_view>& offered,
                                  const std::vector<std::string>& spoken) {
  for (const auto& protocol : offered) {
    if (std::find(spoken.begin(), spoken.end(), protocol) != spoken.end())
      return std::string(protocol);
  }
  return std::nullopt;
}

Response malformed(std::string_view detail) { return problem(400, "invalid_argument", detail); }

Response other_version() {
  Response response = problem(426, "upgrade_required", "this server speaks WebSocket version 13");
  response.headers.set("Upgrade", "websocket");
  response.headers.set("Sec-WebSocket-Version", std::string(kVersion));
  return response;
}

}  // namespace

bool wants_websocket(const Request& request) {
  return request.method == "GET" && names(request, "Connection", "upgrade") &&
         names(request, "Upgrade", "websocket");
}

std::variant<std::string, Response> accept_websocket(const Request& request,
                                                     const std::vector<std::string>& protocols) {
  if (!names(request, "Sec-WebSocket-Version", kVersion)) return other_version();
  const auto key = request.headers.get("Sec-WebSocket-Key");
  if (!is_key(key)) return malformed("Sec-WebSocket-Key is not the base64 form of 16 bytes");
  const auto protocol = choose(words_of(request, "Sec-WebSocket-Protocol"), protocols);
  if (!protocol) {
    return malformed("Sec-WebSocket-Protocol does not name " +
                     (protocols.empty() ? "one of ours" : protocols.front()));
  }
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " +
         accept_key(trim(*key)) + "\r\nSec-WebSocket-Protocol: " + *protocol + "\r\n\r\n";
}

// --- frames --------------------------------------------------------------------------------

// wslay calls back for bytes and with frames. It does not keep the messages (no_buffering), so the
// only thing that it stores is a control frame, of 125 bytes at most.
struct WebSocketCodec::Impl {
  explicit Impl(const WebSocketLimits& l) : limits(l) {
    wslay_event_callbacks callbacks{};
    callbacks.recv_callback = &Impl::read;
    callbacks.send_callback = &Impl::write;
    callbacks.on_frame_recv_start_callback = &Impl::on_frame;
    callbacks.on_frame_recv_chunk_callback = &Impl::on_chunk;
    if (wslay_event_context_server_init(&context, &callbacks, this) != 0) throw std::bad_alloc();
    wslay_event_config_set_no_buffering(context, 1);
    wslay_event_config_set_max_recv_msg_length(context, limits.message_bytes);
  }
  ~Impl() { wslay_event_context_free(context); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  static Impl& of(void* self) { return *static_cast<Impl*>(self); }
  static ssize_t read(wslay_event_context_ptr context, std::uint8_t* to, std::size_t size, int,
                      void* self);
  static ssize_t write(wslay_event_context_ptr, const std::uint8_t* from, std::size_t size, int,
                       void* self);
  static void on_frame(wslay_event_context_ptr, const wslay_event_on_frame_recv_start_arg* frame,
                       void* self);
  static void on_chunk(wslay_event_context_ptr, const wslay_event_on_frame_recv_chunk_arg* chunk,
                       void* self);

  void refuse(wslay_status_code code);
  void judge_end();

  const WebSocketLimits limits;
  wslay_event_context_ptr context = nullptr;
  std::string_view in;
  std::string* payload = nullptr;  // during feed()
  std::string out;
  std::uint64_t message_bytes = 0;  // of the message that is arriving
  bool is_data = false;             // the frame that is arriving
  bool ended = false;
  std::string fault;
};

ssize_t WebSocketCodec::Impl::read(wslay_event_context_ptr context, std::uint8_t* to,
                                   std::size_t size, int, void* self) {
  std::string_view& in = of(self).in;
  const std::size_t count = std::min(size, in.size());
  if (count == 0) {
    wslay_event_set_error(context, WSLAY_ERR_WOULDBLOCK);
    return -1;
  }
  std::memcpy(to, in.data(), count);
  in.remove_prefix(count);
  return static_cast<ssize_t>(count);
}

ssize_t WebSocketCodec::Impl::write(wslay_event_context_ptr, const std::uint8_t* from,
                                    std::size_t size, int, void* self) {
  of(self).out.append(reinterpret_cast<const char*>(from), size);
  return static_cast<ssize_t>(size);
}

void WebSocketCodec::Impl::on_frame(wslay_event_context_ptr,
                                    const wslay_event_on_frame_recv_start_arg* frame, void* self) {
  Impl& codec = of(self);
  codec.is_data = !wslay_is_ctrl_frame(frame->opcode);
  if (!codec.is_data) return;
  if (frame->opcode == WSLAY_TEXT_FRAME) return codec.refuse(WSLAY_CODE_UNSUPPORTED_DATA);
  // wslay looks at the frames one by one.
  if (frame->opcode != WSLAY_CONTINUATION_FRAME) codec.message_bytes = 0;
  codec.message_bytes += frame->payload_length;
  if (codec.message_bytes > codec.limits.message_bytes) codec.refuse(WSLAY_CODE_MESSAGE_TOO_BIG);
}

void WebSocketCodec::Impl::on_chunk(wslay_event_context_ptr,
                                    const wslay_event_on_frame_recv_chunk_arg* chunk, void* self) {
  Impl& codec = of(self);
  if (!codec.is_data || wslay_event_get_read_enabled(codec.context) == 0) return;
  codec.payload->append(reinterpret_cast<const char*>(chunk->data), chunk->data_length);
}

void WebSocketCodec::Impl::refuse(wslay_status_code code) {
  (void)wslay_event_queue_close(context, code, nullptr, 0);  // fails when we have closed already
  wslay_event_shutdown_read(context);
}

// Reading stops at the client's Close and at its faults; for those wslay has queued a Close of
// ours.
void WebSocketCodec::Impl::judge_end() {
  ended = true;
  if (wslay_event_get_close_received(context) != 0) return;
  (void)wslay_event_send(context);  // its code is known when it is written
  switch (wslay_event_get_status_code_sent(context)) {
    case WSLAY_CODE_UNSUPPORTED_DATA:
      fault = "text message (1003)";
      break;
    case WSLAY_CODE_INVALID_FRAME_PAYLOAD_DATA:
      fault = "reason of Close is not UTF-8 (1007)";
      break;
    case WSLAY_CODE_MESSAGE_TOO_BIG:
      fault = "message too large (1009)";
      break;
    default:
      fault = "unmasked frame or other protocol error (1002)";
  }
}

WebSocketCodec::WebSocketCodec(const WebSocketLimits& limits)
    : impl_(std::make_unique<Impl>(limits)) {}
WebSocketCodec::~WebSocketCodec() = default;

void WebSocketCodec::feed(std::string_view bytes, std::string& payload) {
  if (impl_->ended) return;
  impl_->in = bytes;
  impl_->payload = &payload;
  const int outcome = wslay_event_recv(impl_->context);
  impl_->in = {};
  impl_->payload = nullptr;
  if (outcome != 0 || wslay_event_get_read_enabled(impl_->context) == 0) impl_->judge_end();
}

void WebSocketCodec::send(std::string_view payload) {
  while (!payload.empty()) {
    const std::string_view message = payload.substr(0, kMessageBytes);
    const wslay_event_msg binary{.opcode = WSLAY_BINARY_FRAME,
                                 .msg = reinterpret_cast<const std::uint8_t*>(message.data()),
                                 .msg_length = message.size()};
    if (wslay_event_queue_msg(impl_->context, &binary) != 0) return;
    (void)wslay_event_send(impl_->context);  // cannot fail: write() takes all
    payload.remove_prefix(message.size());
  }
}

void WebSocketCodec::close(std::uint16_t code) {
  (void)wslay_event_queue_close(impl_->context, code, nullptr, 0);  // fails the second time
}

std::string WebSocketCodec::take_output() {
  (void)wslay_event_send(impl_->context);  // cannot fail: write() takes all
  return std::exchange(impl_->out, {});
}

bool WebSocketCodec::ended() const { return impl_->ended; }
const std::string& WebSocketCodec::fault() const { return impl_->fault; }

// --- the stream ----------------------------------------------------------------------------

namespace {

class WebSocketStream final : public net::Stream,
                              public net::Stream::Events,
                              public std::enable_shared_from_this<WebSocketStream> {
 public:
  using Reader = std::shared_ptr<net::Stream::Events>;

  WebSocketStream(net::EventLoop& loop, std::shared_ptr<net::Stream> connection,
                  std::string received, const WebSocketLimits& limits)
      : loop_(loop),
        connection_(std::move(connection)),
        received_(std::move(received)),
        codec_(limits) {}

  void start(Reader events) override;
  void pause() override;
  void resume() override;
  void write(std::string bytes) override;
  std::size_t unsent() const override { return connection_->unsent(); }
  void finish() override;
  void close() override;
  bool closed() const override { return closed_ || connection_->closed(); }
  const std::string& peer() const override { return connection_->peer(); }
  std::string failure() const override { return failure_; }

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_broken() override { fail(connection_->failure()); }

 private:
  void read_received();
  void flush();
  void announce_end();
  void fail(std::string why);

  net::EventLoop& loop_;
  std::shared_ptr<net::Stream> connection_;
  std::string received_;
  WebSocketCodec codec_;
  Reader events_;
  std::string failure_;
  std::size_t answers_ = 0;  // bytes of pongs since all was sent
  bool paused_ = false;
  bool held_ = false;     // paused on account of the answers
  bool end_due_ = false;  // the client's Close came while we were paused
  bool closed_ = false;
};

void WebSocketStream::start(Reader events) {
  events_ = std::move(events);
  connection_->start(shared_from_this());
  resume();
}

void WebSocketStream::pause() {
  paused_ = true;
  connection_->pause();
}

void WebSocketStream::resume() {
  paused_ = false;
  if (held_) return;
  if (received_.empty() && !end_due_) return connection_->resume();
  loop_.post([self = shared_from_this()] { self->read_received(); });
}

void WebSocketStream::read_received() {
  if (paused_ || closed() || !events_) return;
  if (std::exchange(end_due_, false)) announce_end();
  if (!received_.empty()) on_bytes(std::exchange(received_, {}));
  if (!paused_ && !held_ && !closed()) connection_->resume();
}

void WebSocketStream::on_bytes(std::string_view bytes) {
  const auto self = shared_from_this();  // an owner may let go of us in an event
  if (codec_.ended()) return;
  std::string payload;
  payload.reserve(bytes.size());
  codec_.feed(bytes, payload);
  flush();
  const auto events = events_;
  if (events && !payload.empty()) events->on_bytes(payload);
  if (!codec_.ended() || closed() || !events_) return;
  paused_ ? void(end_due_ = true) : announce_end();
}

// What is in the output after a read are answers.
void WebSocketStream::flush() {
  std::string answers = codec_.take_output();
  if (answers.empty()) return;
  answers_ += answers.size();
  connection_->write(std::move(answers));
  if (unsent() == 0) answers_ = 0;
  if (answers_ <= kMaxAnswers) return;
  held_ = true;
  connection_->pause();
}

void WebSocketStream::announce_end() {
  if (!codec_.fault().empty()) return fail("WebSocket: " + codec_.fault());
  if (const auto events = events_) events->on_end();
}

void WebSocketStream::on_drained() {
  answers_ = 0;
  if (std::exchange(held_, false) && !paused_) connection_->resume();
  if (const auto events = events_) events->on_drained();
}

// The peers of a WebSocket say Close before they leave (RFC 6455, 7.1.5).
void WebSocketStream::on_end() {
  if (!codec_.ended()) fail("WebSocket: the connection ended without Close");
}

void WebSocketStream::write(std::string bytes) {
  if (closed()) return;
  codec_.send(bytes);
  connection_->write(codec_.take_output());
}

void WebSocketStream::finish() {
  if (closed()) return;
  closed_ = true;
  events_.reset();
  codec_.close(WSLAY_CODE_NORMAL_CLOSURE);
  connection_->write(codec_.take_output());
  connection_->finish();
}

void WebSocketStream::close() {
  if (!closed()) {
    codec_.close(WSLAY_CODE_GOING_AWAY);
    connection_->write(codec_.take_output());
  }
  closed_ = true;
  events_.reset();
  connection_->close();
}

// The client can still read the Close that says what it did wrong.
void WebSocketStream::fail(std::string why) {
  const auto self = shared_from_this();
  failure_ = std::move(why);
  closed_ = true;
  const auto events = std::exchange(events_, nullptr);
  connection_->finish();
  if (events) events->on_broken();
}

}  // namespace

std::shared_ptr<net::Stream> make_websocket(net::EventLoop& loop,
                                            std::shared_ptr<net::Stream> connection,
                                            std::string received, const WebSocketLimits& limits) {
  return std::make_shared<WebSocketStream>(loop, std::move(connection), std::move(received),
                                           limits);
}

}  // namespace jobmill::http
