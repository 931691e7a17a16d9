// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

namespace jobmill::http {

struct ClientRequest {
  std::string method = "GET";
  std::string url{};
  Headers headers{};
  std::string body{};
  Duration timeout = std::chrono::seconds(3);
  bool verify_tls = true;
  bool follow_redirects = false;  // at most 10
  std::string connect_to{};       // "host:port" to connect to instead; Host stays
  std::size_t max_response_bytes = 32u << 20;
  // Client certificate and CA, PEM texts; empty: none, the system's CAs.
  std::string tls_cert{}, tls_key{}, tls_ca{};
};

// Unavailable: could not connect, or the connection broke (the message names the URL without its
// query and credentials); Timeout; Exhausted: the answer is too large. Any status is an answer.
using ClientResult = Result<Response>;

// What becomes of an answer that is read as it comes, in this order. All are needed.
struct StreamEvents {
  std::function<void(const Response& head)> begun{};  // of any status; without the body
  std::function<void(std::string_view bytes)> data{};
  std::function<void(Status)> ended{};  // nothing wrong: the body is whole. Called once.
};

// Keeps connections open between requests. A request with a body is never sent twice by itself, so
// after Unavailable the server may have carried it out or not. Proxies are taken from the
// environment, but not for loopback. Safe from any thread.
class Client {
 public:
  Client();   // starts one thread (libcurl's multi interface)
  ~Client();  // unanswered requests and streams end with Unavailable

  // `done` is called on the client's thread; it must only post.
  void send(ClientRequest request, std::function<void(ClientResult)> done);

  // An answer without an end, such as a watch: `timeout` is for connecting only, no size is too
  // large, and redirects are answers. `events` are called on the client's thread; they must only
  // post. Dropping the handle closes the connection, silently: from another thread than the
  // client's, a call that has begun may still be running then. The handle may outlive the client.
  [[nodiscard]] std::shared_ptr<void> stream(ClientRequest request, StreamEvents events);

  // On the caller's thread, with a connection from a small pool.
  ClientResult fetch(const ClientRequest& request);

 private:
  struct Impl;
  struct Handle;
  std::shared_ptr<Impl> impl_;  // a stream's handle knows it weakly
};

}  // namespace jobmill::http
