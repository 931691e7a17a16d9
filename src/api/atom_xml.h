// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "broker/entity.h"

namespace jobmill::api {

// Service Bus' management documents: Atom (RFC 4287) around descriptions whose elements have a
// fixed order. Clients index into them, so what we write is complete and in that order; what we
// read may come in any order and with any prefixes.

// Where an entity is seen from: "https://localhost:5443".
struct AtomPlace {
  std::string base{};
  std::string name_space{};
};

std::string queue_entry(const broker::QueueInfo& queue, const AtomPlace& place);
// `title` as the clients expect it: "Queues", or "Publicly Listed Services" for what is not there.
// `next`: the query of the next page, for clients that follow a second link; empty when there is
// none.
std::string queue_feed(std::string_view title, const std::vector<broker::QueueInfo>& queues,
                       const AtomPlace& place, TimePoint now, const std::string& next = "");
std::string namespace_entry(const AtomPlace& place, TimePoint created);
// `detail` begins with "SubCode=40900. ".
std::string atom_error(int status, std::string_view detail);

// What kind of description an entry holds: "QueueDescription". InvalidArgument: not an entry.
Result<std::string> described_kind(std::string_view entry);
// Elements that are absent keep what `onto` has.
Result<broker::QueueDescription> read_queue(std::string_view entry, broker::QueueDescription onto);

}  // namespace jobmill::api
