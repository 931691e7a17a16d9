// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/problem.h"
#include "base/clock.h"
#include "base/document.h"
#include "http/message.h"

namespace jobmill::api {

enum class Field { Optional, Required };

// Reads the members of one JSON object and notes everything that is wrong with them, so that the
// caller learns all of it at once. A missing or null member leaves its variable as it was.
//
//   in.text("kind", spec.kind, Field::Required);
//   in.integer("priority", spec.priority, 0, 9);
//   in.close();  // what nobody asked for is an error
class ObjectReader {
 public:
  ObjectReader(const Node& node, std::string path, std::vector<FieldError>& errors);

  void text(std::string_view name, std::string& out, Field field = Field::Optional);
  void texts(std::string_view name, std::vector<std::string>& out);
  void instant(std::string_view name, std::optional<TimePoint>& out);
  void duration(std::string_view name, std::optional<Duration>& out);  // ISO 8601, not negative
  void number(std::string_view name, std::optional<double>& out);      // not negative
  void flag(std::string_view name, bool& out);

  template <class Int>
  void integer(std::string_view name, Int& out, std::int64_t least = 0,
               std::int64_t most = std::numeric_limits<Int>::max()) {
    if (const auto value = integer_in(name, least, most)) out = static_cast<Int>(*value);
  }
  template <class Int>
  void integer(std::string_view name, std::optional<Int>& out, std::int64_t least = 0,
               std::int64_t most = std::numeric_limits<Int>::max()) {
    if (const auto value = integer_in(name, least, most)) out = static_cast<Int>(*value);
  }

  // The member itself, checked for its kind; null when it is missing or of another kind.
  const Node* object(std::string_view name, Field field = Field::Optional);
  const Node* array(std::string_view name);
  const Node* any(std::string_view name);

  bool has(std::string_view name) const;
  void wrong(std::string_view name, std::string reason);
  std::string path_of(std::string_view name) const;

  void close();

 private:
  const Node* find(std::string_view name, Field field = Field::Optional);
  const Node* find_kind(std::string_view name, Node::Kind kind, Field field = Field::Optional);
  std::optional<std::int64_t> integer_in(std::string_view name, std::int64_t least,
                                         std::int64_t most);

  const Node& node_;
  std::string path_;
  std::vector<FieldError>& errors_;
  std::vector<std::string_view> known_;
};

// The JSON object in a request's body; nothing counts as {}.
class JsonBody {
 public:
  explicit JsonBody(const http::Request& request, const DocumentLimits& limits = {});

  const Node& root() const { return root_; }
  ObjectReader reader() { return {root_, "", errors_}; }
  std::vector<FieldError>& errors() { return errors_; }

  // What to answer if anything was wrong with the body.
  std::optional<Problem> problem() const;

 private:
  Node root_ = Node::object();
  std::vector<FieldError> errors_;
  std::optional<Problem> unreadable_;
};

}  // namespace jobmill::api
