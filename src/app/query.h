// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/document.h"
#include "base/result.h"

namespace jobmill::app {

// Picks parts of a document, for --query. The expressions that scripts use, with the meaning that
// JMESPath gives them:
//
//   a.b  "a-b"  [0]  [-1]  [*]  []  [?a.b=='text']  [a, b]  {x: a, y: b.c}
//
// What a member does not have is null; [*], [] and [?…] go on with each element and leave nulls
// out. Everything else of JMESPath (pipes, functions, slices, …) is refused by its name.
class Query {
 public:
  // InvalidArgument says what is not known, and where.
  static Result<Query> parse(std::string_view text);

  Node apply(const Node& document) const;

 private:
  struct Step {
    enum class Kind { Field, Index, Each, Flatten, Filter, List, Object };
    Kind kind = Kind::Field;
    std::string text{};                                  // Field: its name; Filter: the text
    std::int64_t index = 0;                              // Index
    std::vector<std::pair<std::string, Query>> parts{};  // Filter: the left side; List; Object
  };
  class Parser;
  using Steps = std::vector<Step>;

  static Node run(Steps::const_iterator step, Steps::const_iterator end, const Node& value);
  static Node single(const Step& step, const Node& value);

  Steps steps_;
};

}  // namespace jobmill::app
