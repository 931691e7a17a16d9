// SPDX-License-Identifier: Apache-2.0
//
// Decides again what a server decided, from nothing but the records that it kept: one a line on
// stdin, as GET /api/autoscaling/TARGET/decisions gives them. Says which do not give the same
// number for the same reason; exit 0 if all do.
#include <fmt/core.h>

#include <iostream>
#include <string>

#include "base/document.h"
#include "scale/decision.h"

namespace {

using jobmill::Node;

// What was written under this name, as text.
std::string text(const Node& record, std::string_view name) {
  const Node* found = record.find(name);
  return found != nullptr ? found->text : std::string();
}

// What differs; empty: nothing does.
std::string difference(const Node& record) {
  const auto again = jobmill::scale::decision_from(record);
  if (!again) return again.error().message;
  const Node now = to_document(*again);
  for (const std::string_view name :
       {"kind", "from", "to", "limitingRule", "sentence", "inputsHash"})
    if (text(now, name) != text(record, name))
      return fmt::format("{} was '{}' and is '{}'", name, text(record, name), text(now, name));
  return {};
}

}  // namespace

int main() {
  int good = 0;
  int bad = 0;
  for (std::string line; std::getline(std::cin, line);) {
    const auto record = jobmill::parse_json(line);
    const std::string wrong = record ? difference(*record) : record.error().message;
    if (wrong.empty()) {
      ++good;
      continue;
    }
    ++bad;
    fmt::print("{}: {}\n", record ? text(*record, "id") : line.substr(0, 80), wrong);
  }
  fmt::print("{} decided again, {} differ\n", good + bad, bad);
  return bad == 0 && good > 0 ? 0 : 1;
}
