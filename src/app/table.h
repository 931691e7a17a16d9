// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/api_client.h"
#include "base/clock.h"
#include "base/document.h"

namespace jobmill::app {

// Rows with kubectl's look: a head, three blanks between columns, no lines.
class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.size() == 1; }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// A member as text for a table; "" when it is missing or null.
std::string cell(const Node& node, std::string_view key);

// "3d4h", "5m12s", "42s": how long ago, as kubectl prints it.
std::string age(TimePoint from, TimePoint now);
std::string age_of(const Node& node, std::string_view key);  // of an RFC 3339 member, by our clock

// Prints documents as the user asked. `names`: one "kind/name" a line.
int print(Output output, const Node& document, const Table& table,
          const std::vector<std::string>& names);

}  // namespace jobmill::app
