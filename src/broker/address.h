// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jobmill::broker {

// The message containers of one queue or subscription.
enum class SubQueue : std::uint8_t { Main = 0, DeadLetter = 1, TransferDeadLetter = 2 };

// Where a link, a token or a request points to.
struct Address {
  std::string path{};  // of the entity, in lower case: "orders", "news/subscriptions/eu"
  SubQueue sub_queue = SubQueue::Main;
  bool management = false;  // ends in /$management
  bool cbs = false;         // the node $cbs of the connection
};

// "queue1", "amqps://host:5671/Queue1/$DeadLetterQueue/$management", "topic/Subscriptions/sub":
// the scheme and host are dropped, names compare without case, slashes at the ends do not count.
// InvalidArgument: empty, or a name that no entity can have.
Result<Address> parse_address(std::string_view text);

// A name may have letters, digits, - . _ and /, begins and ends with a letter or digit, and has at
// most 260 characters.
Status check_entity_name(std::string_view name);

// The path that the resource or audience of a token names: without scheme, host, query and the
// suffixes of an address. Empty: the whole namespace.
std::string resource_path(std::string_view resource);

std::string lower(std::string_view text);  // ASCII

}  // namespace jobmill::broker
