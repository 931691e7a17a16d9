// SPDX-License-Identifier: Apache-2.0
#include "app/az_output.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/core.h>

namespace jobmill::app {
namespace {

// Never a column of their own.
constexpr std::array<std::string_view, 4> kNoColumns{"id", "type", "etag", "revision"};

Node sorted(const Node& node) {
  Node copy = node;
  for (Node& item : copy.items) item = sorted(item);
  for (Node::Member& member : copy.members) member.value = sorted(member.value);
  std::ranges::sort(copy.members, {}, &Node::Member::key);
  return copy;
}

bool plain(const Node& node) { return !node.is_object() && !node.is_array(); }

// --- tsv ---------------------------------------------------------------------------------------

// What is inside of a cell is counted, not shown.
std::string tsv_cell(const Node& node) {
  if (node.is_null()) return "";
  if (plain(node)) return node.text;
  return std::to_string(node.items.size() + node.members.size());
}

std::string tsv_line(const Node& node, bool picked) {
  if (plain(node)) return tsv_cell(node) + "\n";
  const Node ordered = picked ? node : sorted(node);
  std::string line;
  bool first = true;
  const auto cell = [&](const Node& value) {
    line += (std::exchange(first, false) ? "" : "\t") + tsv_cell(value);
  };
  for (const Node& item : ordered.items) cell(item);
  for (const Node::Member& member : ordered.members) cell(member.value);
  return line + "\n";
}

std::string tsv(const Node& result, bool picked) {
  if (!result.is_array()) return tsv_line(result, picked);
  std::string text;
  for (const Node& item : result.items) text += tsv_line(item, picked);
  return text;
}

// --- table -------------------------------------------------------------------------------------

using Row = std::vector<std::pair<std::string, std::string>>;  // column, cell

std::string table_cell(const Node& node) {
  if (const auto flag = node.as_bool()) return *flag ? "True" : "False";
  return node.is_null() ? "" : node.text;
}

std::string column_of(std::string name) {
  if (!name.empty() && name[0] >= 'a' && name[0] <= 'z')
    name[0] = static_cast<char>(name[0] - 'a' + 'A');
  return name;
}

Row table_row(const Node& item, bool picked) {
  if (plain(item)) return {{"Result", table_cell(item)}};
  Row row;
  for (std::size_t i = 0; i < item.items.size(); ++i)
    row.emplace_back(fmt::format("Column{}", i + 1), table_cell(item.items[i]));
  const Node ordered = picked ? item : sorted(item);
  for (const auto& [key, value, line, column] : ordered.members) {
    const bool hidden = std::ranges::find(kNoColumns, key) != kNoColumns.end();
    if (plain(value) && !value.is_null() && (picked || !hidden))
      row.emplace_back(column_of(key), table_cell(value));
  }
  return row;
}

std::string cell_of(const Row& row, const std::string& column) {
  const auto found = std::ranges::find(row, column, &Row::value_type::first);
  return found == row.end() ? "" : found->second;
}

std::string line_of(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i)
    line += fmt::format("{}{:<{}}", i == 0 ? "" : "  ", cells[i], widths[i]);
  while (line.ends_with(' ')) line.pop_back();
  return line + "\n";
}

std::string table_of(const std::vector<Row>& rows) {
  std::vector<std::string> columns;
  for (const Row& row : rows)
    for (const auto& [column, text] : row)
      if (std::ranges::find(columns, column) == columns.end()) columns.push_back(column);
  if (columns.empty()) return "";
  std::vector<std::vector<std::string>> lines{columns};
  for (const Row& row : rows) {
    auto& line = lines.emplace_back();
    for (const std::string& column : columns) line.push_back(cell_of(row, column));
  }
  std::vector<std::size_t> widths(columns.size());
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  std::vector<std::string> dashes;
  for (const std::size_t width : widths) dashes.emplace_back(width, '-');
  lines.insert(lines.begin() + 1, dashes);
  std::string text;
  for (const auto& line : lines) text += line_of(line, widths);
  return text;
}

std::string table(const Node& result, bool picked) {
  std::vector<Row> rows;
  if (!result.is_array()) return table_of({table_row(result, picked)});
  for (const Node& item : result.items) rows.push_back(table_row(item, picked));
  return table_of(rows);
}

// "/subscriptions/s/resourceGroups/g/…" -> "g"
std::string group_of(std::string_view id) {
  constexpr std::string_view kGroups = "/resourceGroups/";
  const auto at = id.find(kGroups);
  if (at == std::string_view::npos) return "";
  id.remove_prefix(at + kGroups.size());
  return std::string(id.substr(0, id.find('/')));
}

Node each(const Node& list, Node (*shown)(Node)) {
  Node resources = Node::array();
  if (const Node* value = list.find("value"))
    for (const Node& one : value->items) resources.push(shown(one));
  return resources;
}

}  // namespace

std::optional<AzOutput> az_output_named(std::string_view text) {
  if (text.empty() || text == "json" || text == "jsonc") return AzOutput::Json;
  if (text == "table") return AzOutput::Table;
  if (text == "tsv") return AzOutput::Tsv;
  if (text == "yaml") return AzOutput::Yaml;
  if (text == "none") return AzOutput::None;
  return std::nullopt;
}

std::string az_text(const Node& result, AzOutput output, bool picked) {
  if (result.is_null()) return "";
  switch (output) {
    case AzOutput::Json:
      return to_json_pretty(sorted(result)) + "\n";
    case AzOutput::Table:
      return table(result, picked);
    case AzOutput::Tsv:
      return tsv(result, picked);
    case AzOutput::Yaml:
      return to_yaml(sorted(result));
    case AzOutput::None:
      break;
  }
  return "";
}

Node az_resource(Node resource) {
  Node lifted = Node::object();
  for (Node::Member& member : resource.members)
    if (member.key == "properties")
      for (Node::Member& property : member.value.members)
        lifted.set(property.key, std::move(property.value));
    else
      lifted.set(member.key, std::move(member.value));
  return az_plain_resource(std::move(lifted));
}

Node az_plain_resource(Node resource) {
  if (const Node* id = resource.find("id"))
    if (const std::string group = group_of(id->text); !group.empty())
      resource.set("resourceGroup", Node::string(group));
  return resource;
}

Node az_resources(const Node& list) { return each(list, az_resource); }
Node az_plain_resources(const Node& list) { return each(list, az_plain_resource); }

}  // namespace jobmill::app
