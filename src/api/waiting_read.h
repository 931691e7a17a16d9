// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/message.h"

namespace jobmill::api {

// A read that may be held until its value changes: `If-None-Match: <etag>` with
// `Prefer: wait=<seconds>` (RFC 7240), at most 30 s.
struct WaitingRead {
  std::string etag;
  TimePoint until{};
};

// None: a plain read, or a wait that cannot be read.
std::optional<WaitingRead> waiting_read(const http::Request& request, TimePoint now);

std::string etag_of(std::string_view value);  // "\"…\"": the same value, the same tag

// 200 with ETag and Vary: Prefer, which tell a client that it may wait; 304.
http::Response waiting_response(std::string json, const std::string& etag);
http::Response not_modified(const std::string& etag);

}  // namespace jobmill::api
