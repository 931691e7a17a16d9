// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "api/route.h"
#include "base/clock.h"
#include "base/result.h"
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

// What a read that may be held found. While it is held, only `state` counts as change: a latency
// grows all the time, but nobody needs to hear each millisecond of it.
struct Reading {
  std::string json;
  std::string state;
  std::optional<TimePoint> again{};  // it will be another one at this instant, without any event
  bool unfinished = false;           // for answer_or_wait: what is waited for has not come

  std::string etag() const;
  bool same_state(std::string_view etag) const;
};

// Answers with what `look` finds. If the client waits (see WaitingRead) and knows that state
// already, the answer is held, without a thread, until another one is found after a change of the
// store, or the time is up. `look` is called on the pool.
void answer_or_hold(ApiContext& context, const Call& call,
                    std::function<Result<Reading>(TimePoint now)> look);

// The same for a read that says itself how long to wait: held while what it finds is unfinished.
void answer_or_wait(ApiContext& context, const Call& call, Duration wait,
                    std::function<Result<Reading>(TimePoint now)> look);

}  // namespace jobmill::api
