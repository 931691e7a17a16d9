// SPDX-License-Identifier: Apache-2.0
#include "http/websocket.h"

#include <doctest/doctest.h>

#include <functional>
#include <future>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "http/problem.h"
#include "http/server.h"
#include "net/certificates.h"
#include "net/connect.h"
#include "net/stream_rig.h"
#include "raw_socket.h"
#include "temporary_folder.h"

using namespace jobmill;
using namespace jobmill::http;
using namespace std::chrono_literals;
using jobmill::net::testing::Echo;
using jobmill::net::testing::LoopThread;
using jobmill::testing::RawSocket;
using jobmill::testing::TemporaryFolder;

namespace {

constexpr int kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10;
constexpr const char* kPath = "/$servicebus/websocket";

struct FrameOptions {
  bool fin = true;
  bool masked = true;
  int reserved = 0;
};

std::string header(int opcode, std::uint64_t size, FrameOptions options = {}) {
  std::string out(1, static_cast<char>((options.fin ? 0x80 : 0) | options.reserved | opcode));
  const int mask = options.masked ? 0x80 : 0;
  const int width = size < 126 ? 0 : size < 65536 ? 2 : 8;
  out += static_cast<char>(mask | (width == 0 ? static_cast<int>(size) : width == 2 ? 126 : 127));
  for (int shift = (width - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift);
  return out;
}

// A client's frame.
std::string frame(int opcode, std::string_view payload, FrameOptions options = {}) {
  std::string out = header(opcode, payload.size(), options);
  const std::string mask = options.masked ? "\x12\x34\x56\x78" : std::string(4, '\0');
  if (options.masked) out += mask;
  for (std::size_t i = 0; i < payload.size(); ++i)
    out += static_cast<char>(payload[i] ^ mask[i % 4]);
  return out;
}

// A server's frame.
std::string plain(int opcode, std::string_view payload) {
  return frame(opcode, payload, {.masked = false});
}

std::string close_payload(int code, std::string_view reason = {}) {
  return std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + std::string(reason);
}

struct Decoded {
  std::string payload;
  std::string output;
  bool ended = false;
  std::string fault;
  bool operator==(const Decoded&) const = default;
};

Decoded decode(const std::vector<std::string_view>& pieces, const WebSocketLimits& limits = {}) {
  WebSocketCodec codec(limits);
  Decoded decoded;
  for (const auto piece : pieces) {
    codec.feed(piece, decoded.payload);
    decoded.output += codec.take_output();
  }
  decoded.ended = codec.ended();
  decoded.fault = codec.fault();
  return decoded;
}

Request upgrade_request() {
  Request request{.method = "GET", .target = kPath, .path = kPath};
  request.headers.add("Host", "localhost");
  request.headers.add("Upgrade", "WebSocket");
  request.headers.add("Connection", "keep-alive, Upgrade");
  request.headers.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  request.headers.add("Sec-WebSocket-Version", "13");
  request.headers.add("Sec-WebSocket-Protocol", "mqtt, AMQPWSB10");
  return request;
}

std::string upgrade_text(const std::string& path = kPath) {
  return "GET " + path +
         " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
         "Sec-WebSocket-Protocol: AMQPWSB10\r\n\r\n";
}

// A server with one WebSocket that echoes.
struct Service {
  explicit Service(WebSocketLimits limits = {}) {
    server.emplace(thread.loop, [this](Request request, Responder responder) {
      if (request.path == "/wait") return waiting.set_value(std::move(responder));
      responder.send({.status = 200, .body = "http"});
    });
    server->on_upgrade({.path = kPath,
                        .protocols = {"AMQPWSB10", "amqp"},
                        .limits = limits,
                        .refuse = [](const Request& request) -> std::optional<Response> {
                          if (!request.parameter("foreign")) return std::nullopt;
                          return problem(403, "permission_denied", "another origin");
                        },
                        .open =
                            [this](Request request, std::shared_ptr<net::Stream> stream) {
                              over_tls = request.tls;
                              auto echo = std::make_shared<Echo>(stream);
                              stream->start(echo);
                              streams.push_back(stream);
                              if (streams.size() == 1) first.set_value(std::move(echo));
                            }});
    const auto bound = server->listen(":0");
    REQUIRE(bound);
    address = *bound;
  }
  ~Service() {
    thread.stop();
    for (const auto& weak : streams) {
      if (const auto stream = weak.lock()) stream->close();
    }
    server.reset();
  }

  LoopThread thread;
  std::optional<Server> server;
  std::string address;
  bool over_tls = false;
  std::promise<Responder> waiting;
  std::promise<std::shared_ptr<Echo>> first;
  std::vector<std::weak_ptr<net::Stream>> streams;
};

struct Client {
  explicit Client(const Service& service, const std::string& with_the_request = {})
      : socket(service.address) {
    socket.send(upgrade_text() + with_the_request);
    head = socket.receive_until("\r\n\r\n");
  }

  // One frame of the server; its payload.
  std::string receive(int opcode) {
    const std::string start = socket.receive(2);
    CHECK(static_cast<unsigned char>(start[0]) == (0x80 | opcode));
    auto size = static_cast<std::size_t>(static_cast<unsigned char>(start[1]));
    if (size == 126) {
      const std::string wide = socket.receive(2);
      size = static_cast<std::size_t>(static_cast<unsigned char>(wide[0])) << 8 |
             static_cast<unsigned char>(wide[1]);
    }
    REQUIRE(size < (1u << 16));
    return socket.receive(size);
  }

  RawSocket socket;
  std::string head;
};

}  // namespace

TEST_CASE("websocket: the handshake of the standard's example") {
  const auto accepted = accept_websocket(upgrade_request(), {"amqp", "AMQPWSB10"});
  REQUIRE(std::holds_alternative<std::string>(accepted));
  CHECK(std::get<std::string>(accepted) ==
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sec-WebSocket-Protocol: AMQPWSB10\r\n\r\n");
}

TEST_CASE("websocket: handshakes that are refused") {
  struct Case {
    const char* field;
    const char* value;
    int status;
  };
  for (const auto& [field, value, status] : {
           Case{"Sec-WebSocket-Version", "8", 426},
           Case{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j", 400},
           Case{"Sec-WebSocket-Key", "?", 400},
           Case{"Sec-WebSocket-Protocol", "mqtt", 400},
           Case{"Sec-WebSocket-Protocol", "", 400},
       }) {
    CAPTURE(field);
    CAPTURE(value);
    Request request = upgrade_request();
    request.headers.set(field, value);
    const auto refused = accept_websocket(request, {"AMQPWSB10"});
    REQUIRE(std::holds_alternative<Response>(refused));
    const auto& response = std::get<Response>(refused);
    CHECK(response.status == status);
    CHECK(response.headers.get("Sec-WebSocket-Version").has_value() == (status == 426));
  }
}

TEST_CASE("websocket: what asks for it, and what only looks so") {
  CHECK(wants_websocket(upgrade_request()));
  Request post = upgrade_request();
  post.method = "POST";
  CHECK_FALSE(wants_websocket(post));
  Request other = upgrade_request();
  other.headers.set("Upgrade", "h2c");
  CHECK_FALSE(wants_websocket(other));
  Request hop = upgrade_request();
  hop.headers.set("Connection", "keep-alive");
  CHECK_FALSE(wants_websocket(hop));
}

// The result of the whole, after every way to cut the bytes in two and into single ones.
static Decoded decode_all_ways(const std::string& bytes) {
  const Decoded whole = decode({bytes});
  const std::string_view view = bytes;
  for (std::size_t at = 0; at <= view.size(); ++at) {
    CAPTURE(at);
    CHECK(decode({view.substr(0, at), view.substr(at)}) == whole);
  }
  std::vector<std::string_view> single;
  for (std::size_t at = 0; at < view.size(); ++at) single.push_back(view.substr(at, 1));
  CHECK(decode(single) == whole);
  return whole;
}

TEST_CASE("websocket: messages become one stream of bytes, however they are cut") {
  const Decoded whole = decode_all_ways(
      frame(kBinary, "one ") + frame(kBinary, "") + frame(kBinary, "two ", {.fin = false}) +
      frame(kPing, "there?") + frame(kContinuation, "three ", {.fin = false}) +
      frame(kContinuation, "four ") + frame(kPong, "unasked") +
      frame(kBinary, std::string(200, 'x')));
  CHECK(whole.payload == "one two three four " + std::string(200, 'x'));
  CHECK(whole.output == plain(kPong, "there?"));
  CHECK_FALSE(whole.ended);
}

TEST_CASE("websocket: a Close is answered, and nothing is read after it") {
  const Decoded whole =
      decode_all_ways(frame(kBinary, "last") + frame(kClose, close_payload(1001, "bye")) +
                      frame(kBinary, "late") + frame(kPing, "late"));
  CHECK(whole.payload == "last");
  CHECK(whole.output == plain(kClose, close_payload(1001, "bye")));
  CHECK(whole.ended);
  CHECK(whole.fault.empty());
  CHECK(decode({frame(kClose, "")}).output == plain(kClose, ""));
}

TEST_CASE("websocket: large messages are handed on as they come") {
  const std::string payload(70'000, 'x');
  CHECK(decode({frame(kBinary, payload)}).payload == payload);
  const Decoded begun = decode({header(kBinary, 100u << 20) + "mask" + std::string(1000, 'x')});
  CHECK(begun.payload.size() == 1000);
  CHECK_FALSE(begun.ended);
}

TEST_CASE("websocket: what a client must not send") {
  const WebSocketLimits limits{.message_bytes = 1000};
  struct Case {
    const char* what;
    std::string bytes;
    int code;  // 0: a Close without one
  };
  for (const auto& [what, bytes, code] : {
           Case{"unmasked", frame(kBinary, "x", {.masked = false}), 1002},
           Case{"unmasked Close", frame(kClose, "", {.masked = false}), 1002},
           Case{"reserved bit", frame(kBinary, "x", {.reserved = 0x40}), 1002},
           Case{"reserved opcode", frame(3, "x"), 1002},
           Case{"continuation of nothing", frame(kContinuation, "x"), 1002},
           Case{"message in a message", frame(kBinary, "", {.fin = false}) + frame(kBinary, "x"),
                1002},
           Case{"text", frame(kText, "x"), 1003},
           Case{"large frame", header(kBinary, 1001) + "mask", 1009},
           Case{"large message",
                frame(kBinary, std::string(600, 'x'), {.fin = false}) + header(kContinuation, 401),
                1009},
           Case{"length of 2^63", header(kBinary, 1ull << 63) + "mask", 0},
           Case{"large ping", frame(kPing, std::string(126, 'x')), 0},
           Case{"ping in pieces", frame(kPing, "x", {.fin = false}), 0},
           Case{"impossible code", frame(kClose, close_payload(1005)), 1002},
           Case{"reason that is not UTF-8", frame(kClose, close_payload(1000, "\xff")), 1007},
       }) {
    CAPTURE(what);
    const Decoded refused = decode({bytes + "mask" + frame(kBinary, "after")}, limits);
    CHECK(refused.ended);
    CHECK_FALSE(refused.fault.empty());
    CHECK(refused.payload.size() == (std::string_view(what) == "large message" ? 600 : 0));
    CHECK(refused.output == plain(kClose, code == 0 ? "" : close_payload(code)));
  }
}

TEST_CASE("websocket: what we send is cut into messages that every client takes") {
  WebSocketCodec codec;
  std::string expected;
  for (const std::size_t size : {1u, 125u, 126u, 16384u}) {
    codec.send(std::string(size, 'x'));
    expected += plain(kBinary, std::string(size, 'x'));
  }
  codec.send(std::string(16385, 'y'));
  expected += plain(kBinary, std::string(16384, 'y')) + plain(kBinary, "y");
  codec.send("");
  CHECK(codec.take_output() == expected);
  codec.close(1000);
  codec.close(1001);
  codec.send("late");
  CHECK(codec.take_output() == plain(kClose, close_payload(1000)));
}

TEST_CASE("websocket: a connection of a server becomes a stream") {
  Service service;
  Client client(service);
  CHECK(client.head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
  client.socket.send(frame(kBinary, "hel") + frame(kBinary, "lo") + frame(kPing, "?"));
  // The pong may go before the payload's echo: it answers while the frames are being read.
  CHECK(client.receive(kPong) == "?");
  CHECK(client.receive(kBinary) == "hello");
  client.socket.send(frame(kClose, close_payload(1000)));
  CHECK(client.receive(kClose) == close_payload(1000));
  CHECK(client.socket.receive_all().empty());
  const auto echo = service.first.get_future().get();
  echo->finished.get_future().get();
}

TEST_CASE("websocket: frames may come with the request") {
  Service service;
  Client client(service, frame(kBinary, "early"));
  CHECK(client.receive(kBinary) == "early");
}

TEST_CASE("websocket: earlier requests are answered first") {
  Service service;
  RawSocket socket(service.address);
  socket.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n" + upgrade_text() + frame(kBinary, "early"));
  service.waiting.get_future().get().send({.status = 200, .body = "first"});
  CHECK(socket.receive_until("first").starts_with("HTTP/1.1 200"));
  CHECK(socket.receive_until("\r\n\r\n").starts_with("HTTP/1.1 101"));
  CHECK(socket.receive(7) == plain(kBinary, "early"));
}

TEST_CASE("websocket: what the server refuses stays HTTP") {
  Service service;
  struct Case {
    std::string request;
    const char* status;
  };
  const std::string get = " HTTP/1.1\r\nHost: h\r\n\r\n";
  for (const auto& [request, status] : {
           Case{"GET " + std::string(kPath) + get, "HTTP/1.1 426"},
           Case{upgrade_text(std::string(kPath) + "?foreign=1"), "HTTP/1.1 403"},
           Case{upgrade_text("/other"), "HTTP/1.1 200"},
           Case{upgrade_text(std::string(kPath) + "/more"), "HTTP/1.1 200"},
           Case{upgrade_text(std::string(kPath) + "/"), "HTTP/1.1 101"},
       }) {
    CAPTURE(request);
    RawSocket socket(service.address);
    socket.send(request + "GET /next" + get);
    CHECK(socket.receive_until("\r\n\r\n").starts_with(status));
  }
}

TEST_CASE("websocket: a server that stops accepts none") {
  Service service;
  RawSocket socket(service.address);
  socket.send("GET /wait HTTP/1.1\r\nHost: h\r\n\r\n");
  const Responder responder = service.waiting.get_future().get();
  service.server->stop_accepting();
  service.thread.call([] {});  // it has stopped
  socket.send(upgrade_text());
  responder.send({});
  const std::string answers = socket.receive_all();
  CHECK(answers.find("HTTP/1.1 101") == std::string::npos);
}

TEST_CASE("websocket: a fault is told to both ends") {
  Service service;
  Client client(service);
  const auto echo = service.first.get_future().get();
  client.socket.send(frame(kBinary, "x", {.masked = false}));
  CHECK(client.receive(kClose) == close_payload(1002));
  CHECK(client.socket.receive_all().empty());
  CHECK(echo->broken.get_future().get() ==
        "WebSocket: unmasked frame or other protocol error (1002)");
}

TEST_CASE("websocket: an end without Close breaks the stream") {
  Service service;
  Client client(service);
  const auto echo = service.first.get_future().get();
  client.socket.end();
  CHECK(echo->broken.get_future().get() == "WebSocket: the connection ended without Close");
}

TEST_CASE("websocket: finish says Close after the last words") {
  Service service;
  Client client(service);
  const auto echo = service.first.get_future().get();
  service.thread.call([&] {
    echo->stream->write("bye");
    echo->stream->finish();
    echo->stream->write("late");
  });
  CHECK(client.receive(kBinary) == "bye");
  CHECK(client.receive(kClose) == close_payload(1000));
  client.socket.send(frame(kClose, close_payload(1000)));
  CHECK(client.socket.receive_all().empty());
}

TEST_CASE("websocket: a client that does not read makes us pause, not lose and not grow") {
  constexpr std::size_t kSize = 32u << 20;  // more than the sockets hold
  Service service;
  Client client(service);
  const auto echo = service.first.get_future().get();
  std::jthread sender([&] {
    const std::string message = frame(kBinary, std::string(64u << 10, 'x'));
    for (std::size_t sent = 0; sent < kSize; sent += 64u << 10) client.socket.send(message);
  });
  echo->full.get_future().get();
  std::size_t received = 0;
  while (received < kSize) received += client.receive(kBinary).size();
  CHECK(received == kSize);
  sender.join();
  client.socket.send(frame(kClose, close_payload(1000)));
  CHECK(client.receive(kClose) == close_payload(1000));
  CHECK(echo->finished.get_future().get() <= 80u << 10);  // one read, as frames
}

TEST_CASE("websocket: a client that pings and does not read is not read from") {
  constexpr int kPings = 200'000;  // their pongs are more than the sockets hold
  Service service;
  Client client(service);
  const auto echo = service.first.get_future().get();
  std::jthread sender([&] {
    const std::string ping = frame(kPing, std::string(125, '?'));
    std::string batch;
    for (int i = 0; i < 100; ++i) batch += ping;
    for (int i = 0; i < kPings; i += 100) client.socket.send(batch);
    client.socket.send(frame(kBinary, "done"));
  });
  std::size_t most = 0;
  std::promise<void> grown;
  const std::function<void()> look = [&] {
    if (echo->stream->unsent() > 0) return grown.set_value();
    service.thread.loop.run_after(1ms, look);
  };
  service.thread.loop.post(look);
  grown.get_future().get();
  for (int i = 0; i < kPings; ++i) {
    if (client.receive(kPong).size() != 125) FAIL("not a pong");
    if (i % 10'000 == 0) {
      service.thread.call([&] { most = std::max(most, echo->stream->unsent()); });
    }
  }
  CHECK(client.receive(kBinary) == "done");
  CHECK(most <= 192u << 10);  // the limit and one read
}

TEST_CASE("websocket: over TLS") {
  Service service;
  const TemporaryFolder folder;
  const auto made = net::ensure_development_certificates(folder.path(), {}, SystemClock().now());
  REQUIRE(made);
  const auto address = service.server->listen(":0", {.tls = *net::TlsContext::open(made->server)});
  REQUIRE(address);

  struct Reader final : net::Stream::Events {
    void on_bytes(std::string_view more) override {
      bytes += more;
      if (bytes.ends_with(plain(kBinary, "hello")))
        return stream->write(frame(kClose, close_payload(1000)));
      if (!bytes.ends_with(plain(kClose, close_payload(1000)))) return;
      stream->close();
      all.set_value(bytes);
    }
    void on_end() override {}
    void on_drained() override {}
    void on_broken() override { all.set_value("broken: " + stream->failure()); }
    std::shared_ptr<net::Stream> stream;
    std::string bytes;
    std::promise<std::string> all;
  };
  const auto reader = std::make_shared<Reader>();
  const auto trust = net::TlsTrust::open(made->authority);
  REQUIRE(trust);
  net::connect(service.thread.loop, "localhost", net::parse_address(*address)->port,
               {.tls = *trust}, [&](Result<std::shared_ptr<net::Stream>> stream) {
                 REQUIRE(stream);
                 reader->stream = *stream;
                 reader->stream->start(reader);
                 reader->stream->write(upgrade_text() + frame(kBinary, "hello"));
               });
  const std::string all = reader->all.get_future().get();
  CHECK(all.starts_with("HTTP/1.1 101"));
  CHECK(service.over_tls);
}
