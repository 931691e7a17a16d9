// SPDX-License-Identifier: Apache-2.0
#include "base/node_path.h"

#include <doctest/doctest.h>

namespace jobmill {

TEST_CASE("node path: what stands at its end, and the text of a scalar") {
  const auto node = parse_json(R"({"a":{"b":"c","n":7,"l":[1]},"z":null})");
  REQUIRE(static_cast<bool>(node));
  CHECK(find_at(*node, {"a", "b"})->text == "c");
  CHECK(find_at(*node, {}) == &*node);
  CHECK(find_at(*node, {"a", "x", "y"}) == nullptr);
  CHECK(find_at(*node, {"a", "b", "c"}) == nullptr);
  CHECK(text_at(*node, {"a", "n"}) == "7");
  CHECK(text_at(*node, {"a"}).empty());
  CHECK(text_at(*node, {"a", "l"}).empty());
  CHECK(text_at(*node, {"x"}).empty());
  CHECK(text_at(*node, {"z"}).empty());
}

}  // namespace jobmill
