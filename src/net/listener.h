// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "net/event_loop.h"
#include "net/stream.h"
#include "net/tls.h"

namespace jobmill::net {

struct ListenOptions {
  std::shared_ptr<const TlsContext> tls{};  // null: without TLS
  // The largest TCP segment of its connections, at both ends. Over loopback Linux uses 65483, and
  // an AMQP client that reads TCP_MAXSEG and sets it again is refused above 32767.
  std::optional<int> max_segment{};
};

// Accepts connections on one address.
class Listener {
 public:
  using Accept = std::function<void(std::shared_ptr<Stream>)>;

  virtual ~Listener() = default;

  // "127.0.0.1:8000", "[::1]:8000", "localhost:8000", ":0" (loopback, a free port); "[::]:8000"
  // is IPv4 too. From now on peers can connect; they wait until start(). From any thread.
  // Conflict: the address is in use (by whom, where /proc tells).
  static Result<std::shared_ptr<Listener>> open(EventLoop& loop, const std::string& address,
                                                ListenOptions options = {});

  // On the loop thread. `accept` is called there for every connection, until close().
  virtual void start(Accept accept) = 0;
  virtual void close() = 0;

  virtual const std::string& address() const = 0;  // the real one: "127.0.0.1:40312"
};

}  // namespace jobmill::net
