// SPDX-License-Identifier: Apache-2.0
#include "base/node_path.h"

namespace jobmill {

const Node* find_at(const Node& root, std::initializer_list<std::string_view> path) {
  const Node* found = &root;
  for (const std::string_view key : path) {
    found = found->find(key);
    if (found == nullptr) return nullptr;
  }
  return found;
}

std::string text_at(const Node& root, std::initializer_list<std::string_view> path) {
  const Node* found = find_at(root, path);
  const bool is_text =
      found != nullptr && !found->is_object() && !found->is_array() && !found->is_null();
  return is_text ? found->text : std::string();
}

}  // namespace jobmill
