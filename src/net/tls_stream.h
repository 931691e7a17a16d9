// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/stream.h"

struct ssl_st;  // OpenSSL's SSL

namespace jobmill::net {

struct FreeSsl {
  void operator()(ssl_st* ssl) const;
};
using Ssl = std::unique_ptr<ssl_st, FreeSsl>;

// TLS over a stream, for net/tls.cc. OpenSSL sees memory only; the stream below keeps the socket.
// The handshake begins with start(); a peer that does not finish it in time is dropped.
std::shared_ptr<Stream> make_tls_server_stream(EventLoop& loop, std::shared_ptr<Stream> plain,
                                               Ssl ssl, Duration handshake_timeout);

// Begins the handshake at once, for as long as the caller waits. `done` gets a stream to start(),
// or why there is none.
void make_tls_client_stream(EventLoop& loop, std::shared_ptr<Stream> plain, Ssl ssl,
                            std::function<void(Result<std::shared_ptr<Stream>>)> done);

// The oldest error that OpenSSL keeps for this thread; forgets them all.
std::string take_tls_error();

}  // namespace jobmill::net
