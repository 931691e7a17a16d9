// SPDX-License-Identifier: Apache-2.0
#include "app/query.h"

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

constexpr char kDocument[] = R"({
  "name": "orders", "a-b": 1, "nothing": null,
  "properties": {"status": "Active", "counts": {"active": 3}},
  "list": [{"name": "x", "n": 1, "tags": ["p", "q"]},
           {"name": "y", "n": 2, "tags": ["r"]},
           {"n": 3, "tags": []}],
  "nested": [[1, 2], [3, [4]], 5]
})";

std::string picked(std::string_view query) {
  const auto document = parse_json(kDocument);
  const auto parsed = Query::parse(query);
  REQUIRE_MESSAGE(parsed, (parsed ? "" : parsed.error().message));
  return to_json(parsed->apply(*document));
}

std::string refusal(std::string_view query) {
  const auto parsed = Query::parse(query);
  REQUIRE_FALSE_MESSAGE(parsed, query);
  CHECK(parsed.error().code == Code::InvalidArgument);
  return parsed.error().message;
}

TEST_CASE("query: picks what the expression names") {
  struct Case {
    const char* query;
    const char* result;
  };
  for (const auto& [query, result] : {
           Case{"name", R"("orders")"},
           Case{"\"a-b\"", "1"},
           Case{"properties.counts.active", "3"},
           Case{"properties . status", R"("Active")"},
           Case{"missing.more", "null"},
           Case{"name.more", "null"},
           Case{"list[0].name", R"("x")"},
           Case{"list[-1].n", "3"},
           Case{"list[7]", "null"},
           Case{"name[0]", "null"},
           Case{"list[*].name", R"(["x","y"])"},
           Case{"list[].name", R"(["x","y"])"},
           Case{"list[*].tags", R"([["p","q"],["r"],[]])"},
           Case{"list[].tags[]", R"(["p","q","r"])"},
           Case{"list[*].tags[0]", R"(["p","r"])"},
           Case{"nested[]", "[1,2,3,[4],5]"},
           Case{"nested[][]", "[1,2,3,4,5]"},
           Case{"name[*]", "null"},
           Case{"list[?name=='y'].n", "[2]"},
           Case{"list[?name=='none']", "[]"},
           Case{"list[?tags[0] == 'p'].name", R"(["x"])"},
           Case{"list[*].[name, n]", R"([["x",1],["y",2],[null,3]])"},
           Case{"[name, properties.status, missing]", R"(["orders","Active",null])"},
           Case{"{who: name, state: properties.status}", R"({"who":"orders","state":"Active"})"},
           Case{"list[].{id: n, \"first tag\": tags[0]}",
                R"([{"id":1,"first tag":"p"},{"id":2,"first tag":"r"},{"id":3,"first tag":null}])"},
           Case{"missing.{x: name}", "null"},
       })
    CHECK_MESSAGE(picked(query) == result, query);
}

TEST_CASE("query: what is not known is named, with its place") {
  CHECK(refusal("list | [0]").find("the pipe '|' is not supported in queries (at 6)") == 0);
  CHECK(refusal("length(list)").find("the function length() is not supported") == 0);
  CHECK(refusal("list[0:2]").find("a slice is not supported") == 0);
  CHECK(refusal("list[:2]").find("a slice is not supported") == 0);
  CHECK(refusal("list[?n>`1`]").find("'>' is not supported") == 0);
  CHECK(refusal("list[?n==`1`]").find("a literal in `` is not supported") == 0);
  CHECK(refusal("list[?name!='x']").find("'!=' is not supported") == 0);
  CHECK(refusal("list[?name=='x' && n=='y']").find("'&&' is not supported") == 0);
  CHECK(refusal("list[?name=='x' || n=='y']").find("'||' is not supported") == 0);
  CHECK(refusal("@").find("the current node '@' is not supported") == 0);
  CHECK(refusal("properties.*").find("the wildcard '*' is not supported") == 0);
  CHECK(refusal("name name").find("'n' is not supported in queries (at 6)") == 0);
}

TEST_CASE("query: what is cut off is refused") {
  for (const char* text : {"", " ", "list[", "list[0", "list[*", "list[?name", "list[?name==", "{x",
                           "{x:", "{x: a", "[a,", "a."})
    CHECK_MESSAGE(refusal(text).find("the query ends too early") == 0, text);
  CHECK(refusal("list[?name=='x").find("a quote without its end") == 0);
  CHECK(refusal("\"name").find("a quote without its end") == 0);
}

}  // namespace
}  // namespace jobmill::app
