// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/message.h"
#include "net/event_loop.h"
#include "net/stream.h"

namespace jobmill::http {

// GET with "Upgrade: websocket". Whether it is a correct one, accept_websocket() says.
bool wants_websocket(const Request& request);

// The answer to such a request: the whole head of "101 Switching Protocols" (RFC 6455, 4.2.2) with
// the first of the client's sub-protocols that we speak, or a refusal: 400, or 426 for another
// version.
std::variant<std::string, Response> accept_websocket(const Request& request,
                                                     const std::vector<std::string>& protocols);

struct WebSocketLimits {
  // Of one message in all its frames. It is handed on as it arrives and takes no memory.
  std::uint64_t message_bytes = 128u << 20;
};

// The server's half of RFC 6455 without I/O. Messages are binary, and what they carry is one stream
// of bytes: their boundaries mean nothing, in both directions. Pings are answered.
class WebSocketCodec {
 public:
  explicit WebSocketCodec(const WebSocketLimits& limits = {});
  ~WebSocketCodec();
  WebSocketCodec(const WebSocketCodec&) = delete;
  WebSocketCodec& operator=(const WebSocketCodec&) = delete;

  // Appends what the client sent to `payload`. How the bytes are cut does not matter. After a Close
  // or a fault of the client nothing more is read, and our answering Close is in the output.
  void feed(std::string_view bytes, std::string& payload);

  void send(std::string_view payload);  // nothing after a Close
  void close(std::uint16_t code);       // 1000: normal; once

  std::string take_output();

  bool ended() const;  // the client has closed, or broke the rules
  // Which rule: "unmasked frame or other protocol error (1002)"; empty: none.
  const std::string& fault() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The payload of a WebSocket as a Stream, over a connection that has switched to it; `received` is
// what came after the request. Reading begins with start(). The client's Close is on_end, and is
// answered by itself, so what is written then goes nowhere; an end without Close is on_broken.
// finish() says Close 1000, close() 1001. A client that sends pings and does not read the answers
// is not read from.
std::shared_ptr<net::Stream> make_websocket(net::EventLoop& loop,
                                            std::shared_ptr<net::Stream> connection,
                                            std::string received, const WebSocketLimits& limits);

}  // namespace jobmill::http
