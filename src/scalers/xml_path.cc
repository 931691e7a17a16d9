// SPDX-License-Identifier: Apache-2.0
#include "scalers/xml_path.h"

#include <optional>
#include <string>

#include <fmt/core.h>
#include <pugixml.hpp>

#include "scalers/dot_path.h"

namespace jobmill::scalers {
namespace {

std::string_view local_name(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const auto colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

// The n-th child element of that name; a null node when there is none.
pugi::xml_node child(const pugi::xml_node& parent, std::string_view name, std::size_t n) {
  for (const pugi::xml_node& node : parent.children())
    if (node.type() == pugi::node_element && local_name(node) == name && n-- == 0) return node;
  return {};
}

pugi::xml_node walk(const pugi::xml_node& document, std::string_view path) {
  const auto parts = path_parts(path);
  pugi::xml_node node = document;
  for (std::size_t i = 0; node && i < parts.size(); ++i) {
    const auto index = i + 1 < parts.size() ? path_index(parts[i + 1]) : std::nullopt;
    node = child(node, parts[i], index.value_or(0));
    if (index) ++i;
  }
  return node;
}

// Nothing when there are elements inside.
std::optional<std::string> element_text(const pugi::xml_node& element) {
  std::string text;
  for (const pugi::xml_node& node : element.children()) {
    if (node.type() == pugi::node_element) return std::nullopt;
    if (node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata) text += node.value();
  }
  return text;
}

}  // namespace

Result<double> xml_number(std::string_view xml, std::string_view path) {
  pugi::xml_document document;
  if (!document.load_buffer(xml.data(), xml.size()))
    return fail(Code::Unavailable, "the answer is not XML");
  const pugi::xml_node element = walk(document, path);
  if (!element) return fail(Code::NotFound, fmt::format("no element at {}", path));
  const auto text = element_text(element);
  const auto value = text ? quantity_number(*text) : std::nullopt;
  if (!value) return fail(Code::Unavailable, fmt::format("no number at {}", path));
  return *value;
}

}  // namespace jobmill::scalers
