// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/document.h"
#include "manifest/object.h"

namespace jobmill::manifest {

// What becomes of members that nobody asked for.
enum class Unknown {
  Refused,  // an error that names the known ones: a typing mistake must not pass unseen
  Named,    // a note: Kubernetes knows it, this machine has no use for it
  Ignored,
};

struct IntegerRange {
  std::int64_t least = std::numeric_limits<std::int32_t>::min();
  std::int64_t most = std::numeric_limits<std::int32_t>::max();
};

// The members of one object while a decoder takes them. A member that is absent or null gives an
// empty value; one of another type also an error that names its line, its path and the type that
// is expected. Members that were not taken are dealt with when the Fields go.
//
//   Fields spec(node, "spec", Unknown::Refused, problems);
//   out.name = spec.required_text("name");
//   spec.each("ports", [&](Fields& port) { out.ports.push_back(decode_port(port)); });
class Fields {
 public:
  Fields(const Node& node, std::string path, Unknown unknown, Problems& problems);
  ~Fields();
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  const Node& node() const { return node_; }
  std::string path_to(std::string_view key) const;
  bool has(std::string_view key) const;  // present and not null
  Problems& problems() { return problems_; }

  std::string text(std::string_view key);
  std::string required_text(std::string_view key);  // not empty either
  std::optional<bool> boolean(std::string_view key);
  std::optional<int> integer(std::string_view key, IntegerRange range = {});
  std::optional<int> required_integer(std::string_view key, IntegerRange range = {});
  std::optional<Duration> seconds(std::string_view key, IntegerRange range = {.least = 0});
  Texts texts(std::string_view key);
  std::vector<std::string> text_list(std::string_view key);
  // One of the words, or nothing.
  std::optional<std::size_t> word(std::string_view key, std::span<const std::string_view> words);

  // Whatever it is, unless null. For members of several types.
  const Node* any(std::string_view key);

  template <class Decode>
  bool object(std::string_view key, Decode decode) {
    const Node* found = take(key, Node::Kind::Object);
    if (found) descend(*found, path_to(key), decode);
    return found != nullptr;
  }

  template <class Decode>
  void required_object(std::string_view key, Decode decode) {
    if (require(key)) object(key, decode);
  }

  // Each element of a list of objects.
  template <class Decode>
  void each(std::string_view key, Decode decode) {
    const Node* list = take(key, Node::Kind::Array);
    for (std::size_t i = 0; list && i < list->items.size(); ++i)
      descend(list->items[i], path_to(key) + "[" + std::to_string(i) + "]", decode);
  }

  // These are known and mean nothing to us.
  void accept(std::initializer_list<std::string_view> keys);
  // These are known, and to be refused when they are written.
  void not_supported_yet(std::initializer_list<std::string_view> keys);

  // An error at a member, or at the object when it has none.
  void error(std::string_view key, std::string text);

 private:
  template <class Decode>
  void descend(const Node& node, std::string path, Decode& decode) {
    Fields below(node, std::move(path), unknown_, problems_);
    if (node.is_object()) decode(below);
  }

  const Node* take(std::string_view key, Node::Kind kind);
  bool require(std::string_view key);
  void wrong_type(const Node& at, const std::string& path, std::string_view expected);
  void report_unknown() const;

  const Node& node_;
  std::string path_;
  Unknown unknown_;
  Problems& problems_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace jobmill::manifest
