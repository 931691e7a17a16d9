// SPDX-License-Identifier: Apache-2.0
#include "scalers/dot_path.h"

#include <charconv>

#include "manifest/quantity.h"

namespace jobmill::scalers {

std::vector<std::string_view> path_parts(std::string_view path) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto dot = path.find('.');
    parts.push_back(path.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    path.remove_prefix(dot + 1);
  }
}

std::optional<std::size_t> path_index(std::string_view part) {
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  if (error != std::errc() || end != part.data() + part.size()) return std::nullopt;
  return index;
}

std::optional<double> quantity_number(std::string_view text) {
  const auto quantity = manifest::Quantity::parse(text);
  if (!quantity) return std::nullopt;
  return quantity->to_double();
}

}  // namespace jobmill::scalers
