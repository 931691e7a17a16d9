// SPDX-License-Identifier: Apache-2.0
#include "jobs/extra.h"

#include <doctest/doctest.h>

namespace jobmill::jobs {

using namespace std::chrono_literals;

TEST_CASE("extra: a job that says nothing of itself has no text") {
  CHECK(to_text(Extra{}).empty());
  const auto read = extra_of("");
  REQUIRE(read);
  CHECK(*read == Extra{});
}

TEST_CASE("extra: what was written is read back") {
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  Extra all{.retry = RetryPolicy{.delays = {5s, 1500ms}, .jitter = 0.1},
            .timeout = 90s,
            .progress_timeout = 250ms,
            .trace = {trace, "a=1,b=\"2\""},
            .result_ttl = 48h};
  const Extra grown{.retry = RetryPolicy{.base = 500ms, .factor = 4, .cap = 1h}};
  const Extra no_life{.result_ttl = 0s};
  for (const Extra& extra : {all, grown, no_life}) {
    CAPTURE(to_text(extra));
    const auto read = extra_of(to_text(extra));
    REQUIRE(read);
    CHECK(*read == extra);
  }
  CHECK_FALSE(extra_of("{"));
}

TEST_CASE("extra: trace contexts are of version 00, in lower case and not all zeros") {
  CHECK(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
  for (const char* text : {"", "00", "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                           "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
                           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"}) {
    CAPTURE(text);
    CHECK_FALSE(is_traceparent(text));
  }
}

TEST_CASE("extra: what makes no sense is named") {
  const auto reason = [](const Extra& extra) {
    const Status status = check(extra);
    return status ? std::string("fine") : status.error().message;
  };
  CHECK(reason({}) == "fine");
  CHECK(reason({.timeout = -1s}) == "timeout_s: must not be negative");
  CHECK(reason({.progress_timeout = -1s}) == "progress_timeout_s: must not be negative");
  CHECK(reason({.result_ttl = -1s}) == "result_ttl: must not be negative");
  CHECK(reason({.retry = RetryPolicy{.delays = {-1s}}}) == "retry.delays: must not be negative");
  CHECK(reason({.retry = RetryPolicy{.factor = 0}}) == "retry.factor: must be 1 or more");
  CHECK(reason({.retry = RetryPolicy{.jitter = 1.5}}) == "retry.jitter: must be 0 to 1");
  CHECK(reason({.trace = {.state = "a=1"}}) == "trace.tracestate: needs a traceparent");
}

}  // namespace jobmill::jobs
