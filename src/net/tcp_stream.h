// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "net/event_loop.h"
#include "net/stream.h"

namespace jobmill::net {

// Takes over a connected socket (a file descriptor) of the given address family.
std::shared_ptr<Stream> make_tcp_stream(EventLoop& loop, int socket, bool ipv6);

}  // namespace jobmill::net
