// SPDX-License-Identifier: Apache-2.0
// JSON and YAML under arbitrary bytes, with small limits so that they are reached. What was read is
// written as JSON and read again: the text must then stay the same. Both judges of JSON must agree.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/document.h"
#include "base/json_check.h"

using namespace jobmill;

namespace {

constexpr DocumentLimits kLimits{.bytes = 64u << 10, .depth = 20, .nodes = 2000};

void require(bool holds) {
  if (!holds) std::abort();
}

constexpr DocumentLimits kWritten{.bytes = 4u << 20, .depth = 21, .nodes = 4000};

void check_written(const Node& node) {
  const std::string text = to_json(node);
  const auto again = parse_json(text, kWritten);
  require(again && to_json(*again) == text);
  const auto pretty = parse_json(to_json_pretty(node), kWritten);
  require(pretty && to_json(*pretty) == text);
}

void check_yaml(const Node& node) {
  check_written(node);
  const auto again = parse_yaml(to_yaml(node), kWritten);
  require(static_cast<bool>(again));
  if (!again->empty()) require(to_json(again->front()) == to_json(node));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = parse_json(text, kLimits);
  const auto kind = check_json(text, kLimits);
  require(bool(kind) == bool(json) && (!kind || *kind == json->kind));
  if (json) check_written(*json);
  if (const auto documents = parse_yaml(text, kLimits))
    for (const Node& document : *documents) check_yaml(document);
  return 0;
}
