// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/result.h"
#include "broker/broker.h"

namespace jobmill::api {

// Which messages of a queue somebody wants.
struct MessageFilter {
  broker::SequenceNumber from = 0;
  std::size_t most = std::numeric_limits<std::size_t>::max();
  std::string reason{};                          // of a dead letter; empty: any
  std::string description{};                     // likewise
  std::set<broker::SequenceNumber> sequences{};  // empty: any
  std::optional<std::string> session{};
  std::optional<TimePoint> before{};   // enqueued before it
  std::optional<TimePoint> after{};    // not before it
  std::string property{};              // has this application property …
  std::optional<std::string> value{};  // … with this value, as a text
  std::string text{};                  // in its body, letters without case

  // Whether every message up to `most` is wanted.
  bool everything() const;
};

// Why a message was dead-lettered, as its application properties say; empty: they do not.
struct DeadLetterCause {
  std::string reason{};
  std::string description{};
  auto operator<=>(const DeadLetterCause&) const = default;
};
DeadLetterCause dead_letter_cause(const broker::Message& message);

// Looks through a queue, a page at a time, without locking. `take` gets each message that fits, in
// order; then `done` is called, once. On the broker's thread.
void scan_messages(broker::Broker& broker, broker::Address at, MessageFilter filter,
                   std::function<void(std::shared_ptr<const broker::Message>)> take,
                   std::function<void(const Status&)> done);

}  // namespace jobmill::api
