// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"
#include "http/websocket.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "net/stream.h"

namespace jobmill::http {

// The body of an answer that is sent while it is made: events, exports. Safe from any thread. Let
// go without end(), it closes the connection, so that the client sees that the end is missing.
class Body {
 public:
  virtual ~Body() = default;

  // `taken` is called, on the loop thread, once the client's socket has taken all so far: what a
  // writer of much waits for before it goes on. With false: the client is gone.
  virtual void write(std::string bytes, std::function<void(bool alive)> taken = {}) = 0;
  virtual void end() = 0;

  // Called, on the loop thread, if the client goes before end().
  virtual void on_gone(std::function<void()> fn) = 0;
};

// The right to answer one request, once, from any thread. Copies share that right; a second
// answer is dropped. If all copies go without an answer, the client gets 500.
class Responder {
 public:
  struct Sink {
    virtual ~Sink() = default;
    virtual void send(Response response) = 0;  // from any thread; the first call counts
    // Also an answer: the first call of both counts. Null: this client can take no such body.
    virtual std::shared_ptr<Body> stream(Response head) = 0;
    virtual void on_gone(std::function<void()> fn) = 0;
  };

  explicit Responder(std::shared_ptr<Sink> sink) : sink_(std::move(sink)) {}
  void send(Response response) const { sink_->send(std::move(response)); }

  // Sends `head`, whose body is empty, and what is written to the body after it (chunked; to a
  // client of HTTP/1.0 until the connection closes). Null: the caller answers with send() instead.
  std::shared_ptr<Body> stream(Response head) const { return sink_->stream(std::move(head)); }

  // Called (on the loop thread) if the client closes before it was answered: a long poll's end.
  void on_gone(std::function<void()> fn) const { sink_->on_gone(std::move(fn)); }

 private:
  std::shared_ptr<Sink> sink_;
};

// Called on the loop thread; must not block.
using Handler = std::function<void(Request, Responder)>;

struct ServerLimits {
  std::size_t header_bytes = 16u << 10;
  std::size_t body_bytes = 4u << 20;
  Duration idle_timeout = std::chrono::seconds(75);     // between requests
  Duration request_timeout = std::chrono::seconds(30);  // for the whole request to arrive
  std::size_t connections = 10'000;
  // Larger bodies for some requests; returns the limit for method and target.
  std::function<std::size_t(std::string_view method, std::string_view target)> body_limit{};
};

// A path at which clients turn their connection into a WebSocket.
struct WebSocketEndpoint {
  std::string path;                      // as decoded; a slash more at its end is taken too
  std::vector<std::string> protocols{};  // sub-protocols of which a client must name one
  WebSocketLimits limits{};
  // On the loop thread, like the handler. A Response refuses the client.
  std::function<std::optional<Response>(const Request&)> refuse{};
  // Takes the connection: bytes in and out are the payload of binary messages. Call start() or
  // close() on it. From here on the server knows nothing of it.
  std::function<void(Request, std::shared_ptr<net::Stream>)> open;
};

// HTTP/1.1 with keep-alive, pipelining answered in order, chunked request bodies and
// Expect: 100-continue. What cannot be parsed is answered with a problem+json and closed:
// 400 malformed, 408 too slow, 413 body, 431 header, 501 transfer coding, 505 version.
// A connection over the limit is answered with 503. HEAD reaches the handler as GET; its answer
// goes out without the body. The server sets Content-Length, Connection and Date.
class Server {
 public:
  Server(net::EventLoop& loop, Handler handler, ServerLimits limits = {});
  ~Server();  // closes everything; call on the loop thread or after the loop has ended

  // Before listen(). A request for the path that is no WebSocket's is answered with 426.
  void on_upgrade(WebSocketEndpoint endpoint);

  // "127.0.0.1:8000", "[::1]:8000", ":0" (loopback, free port), as often as there are addresses.
  // The real address, or why not (Conflict: in use). Clients can connect from now on, and are
  // served while the loop runs. From any thread.
  Result<std::string> listen(const std::string& address, net::ListenOptions options = {});

  // No new connections; idle ones close now, the others after their answer. From any thread.
  void stop_accepting();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace jobmill::http
