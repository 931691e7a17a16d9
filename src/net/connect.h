// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/stream.h"
#include "net/tls.h"

namespace jobmill::net {

struct ConnectOptions {
  std::shared_ptr<const TlsTrust> tls{};        // null: without TLS
  std::string server_name{};                    // what the certificate must name; empty: the host
  Duration timeout = std::chrono::seconds(10);  // for all of it
};

// Connects to a name (all of its addresses in turn) or an address. From any thread; `done` is
// called once, on the loop thread, never from within this call, and starts or closes the stream
// there. Unavailable: nobody listens, no such host, TLS failed; Timeout.
void connect(EventLoop& loop, const std::string& host, std::uint16_t port, ConnectOptions options,
             std::function<void(Result<std::shared_ptr<Stream>>)> done);

}  // namespace jobmill::net
