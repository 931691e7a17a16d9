// SPDX-License-Identifier: Apache-2.0
#include "app/table.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/duration.h"

namespace jobmill::app {

std::string Table::text() const {
  std::vector<std::size_t> width(rows_.front().size());
  for (const auto& row : rows_)
    for (std::size_t i = 0; i < row.size(); ++i) width[i] = std::max(width[i], row[i].size());
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}", row[i], width[i] + 3);
    while (line.ends_with(' ')) line.pop_back();
    text += line + "\n";
  }
  return text;
}

std::string cell(const Node& node, std::string_view key) {
  const Node* found = node.find(key);
  if (found == nullptr || found->is_null()) return "";
  if (found->is_array()) {
    std::string text;
    for (const Node& item : found->items) text += (text.empty() ? "" : ",") + item.text;
    return text;
  }
  return found->is_object() ? to_json(*found) : found->text;
}

std::string age(TimePoint from, TimePoint now) {
  const auto seconds = std::max<std::int64_t>(
      0, std::chrono::duration_cast<std::chrono::seconds>(now - from).count());
  if (seconds < 120) return fmt::format("{}s", seconds);
  if (seconds < 600) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  if (seconds < 3600 * 3) return fmt::format("{}m", seconds / 60);
  if (seconds < 86400) return fmt::format("{}h", seconds / 3600);
  return fmt::format("{}d{}h", seconds / 86400, seconds / 3600 % 24);
}

std::string age_of(const Node& node, std::string_view key) {
  const auto at = parse_instant(cell(node, key));
  return at ? age(*at, SystemClock().now()) : "";
}

int print(Output output, const Node& document, const Table& table,
          const std::vector<std::string>& names) {
  switch (output) {
    case Output::Json:
      fmt::print("{}\n", to_json_pretty(document));
      break;
    case Output::Yaml:
      fmt::print("{}", to_yaml(document));
      break;
    case Output::Name:
      for (const std::string& name : names) fmt::print("{}\n", name);
      break;
    case Output::Table:
      fmt::print("{}", table.text());
      break;
  }
  return kOk;
}

}  // namespace jobmill::app
