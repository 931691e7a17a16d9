// SPDX-License-Identifier: Apache-2.0
#include "api/csv.h"

namespace jobmill::api {
namespace {

// Spreadsheets skip blanks of any kind before they look for a formula.
bool is_formula(std::string_view cell) {
  const auto first = cell.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos &&
         std::string_view("=+-@").find(cell[first]) != std::string_view::npos;
}

void add_cell(std::string& line, std::string_view cell) {
  const bool quoted = cell.find_first_of(",\"\r\n") != std::string_view::npos;
  if (quoted) line += '"';
  if (is_formula(cell)) line += '\'';
  for (const char c : cell) {
    if (c == '"') line += '"';
    line += c;
  }
  if (quoted) line += '"';
}

}  // namespace

std::string csv_line(std::initializer_list<std::string_view> cells) {
  std::string line;
  bool first = true;
  for (const std::string_view cell : cells) {
    if (!first) line += ',';
    first = false;
    add_cell(line, cell);
  }
  return line + "\r\n";
}

}  // namespace jobmill::api
