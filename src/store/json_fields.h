// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/document.h"

namespace jobmill::store {

// A document that our tables keep. Places in our own JSON mean nothing to the user: they are 0.
inline void forget_places(Node& node) {
  node.line = node.column = 0;
  for (Node& item : node.items) forget_places(item);
  for (Node::Member& member : node.members) {
    member.line = member.column = 0;
    forget_places(member.value);
  }
}
inline Result<Node> parse_kept(std::string_view json) {
  TRY(Node node, parse_json(json));
  forget_places(node);
  return node;
}

// Members of JSON that our tables keep. One that is missing, or of another type, leaves `out` as it
// is: with its default.

inline void read(const Node& node, std::string_view key, std::string& out) {
  const Node* found = node.find(key);
  if (found != nullptr && found->as_string()) out = *found->as_string();
}

inline void read(const Node& node, std::string_view key, bool& out) {
  const Node* found = node.find(key);
  if (found != nullptr && found->as_bool()) out = *found->as_bool();
}

template <std::integral T>
void read(const Node& node, std::string_view key, T& out) {
  const Node* found = node.find(key);
  if (found != nullptr && found->as_int()) out = static_cast<T>(*found->as_int());
}

inline void read(const Node& node, std::string_view key, std::vector<std::string>& out) {
  const Node* found = node.find(key);
  if (found == nullptr) return;
  for (const Node& item : found->items) out.emplace_back(item.as_string().value_or(""));
}

// Durations and instants are microseconds.

inline void read(const Node& node, std::string_view key, Duration& out) {
  Duration::rep count = out.count();
  read(node, key, count);
  out = Duration(count);
}

inline void read(const Node& node, std::string_view key, std::optional<Duration>& out) {
  if (node.find(key) != nullptr) read(node, key, out.emplace());
}

inline void read(const Node& node, std::string_view key, TimePoint& out) {
  Duration since_epoch = out.time_since_epoch();
  read(node, key, since_epoch);
  out = TimePoint(since_epoch);
}

}  // namespace jobmill::store
