// SPDX-License-Identifier: Apache-2.0
#include "jobs/payload.h"

#include <algorithm>

#include "base/document.h"

namespace jobmill::jobs {
namespace {

bool same(const Node& a, const Node& b);

bool same_members(const Node& a, const Node& b) {
  return a.members.size() == b.members.size() &&
         std::ranges::all_of(a.members, [&](const Node::Member& member) {
           const Node* other = b.find(member.key);
           return other != nullptr && same(member.value, *other);
         });
}

bool same(const Node& a, const Node& b) {
  if (a.is_object() && b.is_object()) return same_members(a, b);
  if (a.is_array() && b.is_array()) return std::ranges::equal(a.items, b.items, same);
  if (a.kind == b.kind && a.text == b.text) return true;
  // Whole numbers beyond what a double tells apart are the same only if they are written so.
  const auto number = a.as_double();
  return number && a.kind != b.kind && number == b.as_double();
}

bool same_json(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto left = parse_json(a);
  const auto right = parse_json(b);
  return left && right && same(*left, *right);
}

std::string_view object(std::string_view meta) { return meta.empty() ? "{}" : meta; }

}  // namespace

bool same_payload(const Payload& a, const Payload& b) {
  return a.kind == b.kind && a.v == b.v && same_json(a.args, b.args) &&
         same_json(object(a.meta), object(b.meta));
}

}  // namespace jobmill::jobs
