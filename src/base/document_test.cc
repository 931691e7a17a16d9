// SPDX-License-Identifier: Apache-2.0
#include "base/document.h"

#include <doctest/doctest.h>

#include "base/json_check.h"

using jobmill::Code;
using jobmill::DocumentLimits;
using jobmill::Node;
using Kind = jobmill::Node::Kind;

namespace {

// Both judges of JSON, who must agree.
jobmill::Result<Node> read_json(std::string_view text, const DocumentLimits& limits = {}) {
  auto node = jobmill::parse_json(text, limits);
  const auto kind = jobmill::check_json(text, limits);
  REQUIRE(bool(kind) == bool(node));
  CHECK((kind ? *kind == node->kind : kind.error().message == node.error().message));
  return node;
}

Node json(std::string_view text) {
  auto node = read_json(text);
  REQUIRE_MESSAGE(node, std::string(text));
  return *std::move(node);
}

Node yaml(std::string_view text) {
  auto documents = jobmill::parse_yaml(text);
  if (!documents) FAIL(documents.error().message);
  REQUIRE(documents->size() == 1);
  return std::move(documents->front());
}

std::string json_error(std::string_view text, const DocumentLimits& limits = {}) {
  const auto node = read_json(text, limits);
  REQUIRE_FALSE(node);
  CHECK(node.error().code == Code::InvalidArgument);
  return node.error().message;
}

std::string yaml_error(std::string_view text, const DocumentLimits& limits = {}) {
  const auto documents = jobmill::parse_yaml(text, limits);
  REQUIRE_FALSE(documents);
  CHECK(documents.error().code == Code::InvalidArgument);
  return documents.error().message;
}

}  // namespace

TEST_CASE("json: values keep their kind, text and order") {
  const Node node = json(R"( {"b": 1, "a": [true, null, -1.50e+3, "x\n\u00e9\ud83d\ude00"]} )");
  CHECK(node.members[0].key == "b");
  CHECK(node.members[1].key == "a");
  CHECK(node.find("b")->as_int() == 1);
  const Node& list = *node.find("a");
  CHECK(list.items[0].as_bool() == true);
  CHECK(list.items[1].is_null());
  CHECK(list.items[2].kind == Kind::Number);
  CHECK(list.items[2].text == "-1.50e+3");
  CHECK(list.items[2].as_double() == -1500.0);
  CHECK(list.items[3].text == "x\n\xC3\xA9\xF0\x9F\x98\x80");
}

TEST_CASE("json: every value knows its line and column") {
  const Node node = json("{\n  \"a\\\"\": [1,\n   {\"b\": \"\xC3\xA9\"}, 22]\n}");
  CHECK(node.line == 1);
  CHECK(node.column == 1);
  CHECK(node.members[0].line == 2);
  const Node& list = node.members[0].value;
  CHECK(list.line == 2);
  CHECK(list.column == 10);
  CHECK(list.items[0].column == 11);
  CHECK(list.items[1].line == 3);
  CHECK(list.items[1].column == 4);
  CHECK(list.items[1].find("b")->column == 10);
  CHECK(list.items[2].column == 16);  // é is one character
}

TEST_CASE("json: a place is known behind strings with quotes and backslashes") {
  const Node node = json(R"(["\\","\\\"","\"", "", 7])");
  CHECK(node.items[1].text == "\\\"");
  CHECK(node.items.back().column == 24);
}

TEST_CASE("json: places count characters, however far the line goes") {
  for (std::size_t pad = 0; pad < 20; ++pad) {
    CAPTURE(pad);
    const std::string filler(pad, 'x');
    const Node node = json("[\"" + filler + "\xC3\xA9\", 1,\n\"\\u00e9" + filler + "\", 2]");
    CHECK(node.items[1].column == static_cast<int>(pad) + 7);
    CHECK(node.items[2].line == 2);
    CHECK(node.items[3].line == 2);
    CHECK(node.items[3].column == static_cast<int>(pad) + 11);
  }
}

TEST_CASE("json: integers that fit no machine word keep their text") {
  CHECK(json("9223372036854775807").as_int() == INT64_MAX);
  CHECK(json("-9223372036854775808").as_int() == INT64_MIN);
  const Node big = json("123456789012345678901234567890");
  CHECK(big.kind == Kind::Integer);
  CHECK_FALSE(big.as_int());
  CHECK(big.as_double() == 123456789012345678901234567890.0);
  CHECK(big.text == "123456789012345678901234567890");
  CHECK_FALSE(json("1e999").as_double());
}

TEST_CASE("json: what is not JSON is refused with its place") {
  CHECK(json_error("{\n \"a\": tru }").starts_with("line 2, column "));
  for (const char* text :
       {"", "  ", "{", "[1,]", "{\"a\":1,}", "01", "1.", "+1", "'a'", "nul", "[1] 2", "// c\n1",
        "\"\\ud800\"", "\"\xff\"", "\"a", "NaN", "{1:2}", "\"a\nb\"", "\xEF\xBB\xBF{}"}) {
    CAPTURE(text);
    CHECK_FALSE(read_json(text));
  }
}

TEST_CASE("json: a key that comes twice is refused where it comes again") {
  const std::string message = json_error("{\"a\": 1,\n \"b\": 2,\n \"a\": 3}");
  CHECK(message == "line 3, column 2: duplicate key \"a\"");
  CHECK_FALSE(read_json(R"({"x": {"a": 1, "\u0061": 2}})"));
  CHECK_FALSE(read_json(R"([{"b": {"a": {"a": 1}, "c": 2}, "a": 3, "b": 4}])"));
  CHECK(read_json(R"([{"b": {"a": {"a": 1}, "c": 2}, "a": 3}, {"a": 1, "": 2, "\u0062": 3}])"));
}

TEST_CASE("json: limits on size, depth and number of values") {
  CHECK(json_error("[1, 2]", {.bytes = 5}).find("more than 5 bytes") != std::string::npos);
  CHECK(json_error("[[[1]]]", {.depth = 2}).find("nested deeper than 2") != std::string::npos);
  CHECK(read_json("[[1]]", {.depth = 2}));
  CHECK(json_error("[1,2,3]", {.nodes = 3}).find("more than 3 values") != std::string::npos);
  CHECK(read_json("[1,2]", {.nodes = 3}));
  CHECK_FALSE(read_json(std::string(2'000'000, '[')));
}

TEST_CASE("yaml: scalars resolve as Kubernetes' reader does") {
  const Node node = yaml(R"(
s: text
quoted: "5"
number: 5
hex: 0x1F
octal: 0o17
mode: 0644
float: 1.50
exponent: 1e3
yes: True
no: false
nothing: ~
empty:
date: 2024-01-01
version: 1.2.3
block: |
  a
  b
folded: 'it''s'
)");
  CHECK(node.find("s")->as_string() == "text");
  CHECK(node.find("quoted")->as_string() == "5");
  CHECK(node.find("number")->as_int() == 5);
  CHECK(node.find("hex")->as_int() == 31);
  CHECK(node.find("octal")->as_int() == 15);
  CHECK(node.find("mode")->as_int() == 420);
  CHECK(node.find("float")->kind == Kind::Number);
  CHECK(node.find("float")->text == "1.50");
  CHECK(node.find("exponent")->as_double() == 1000.0);
  CHECK(node.find("yes")->as_bool() == true);
  CHECK(node.find("no")->as_bool() == false);
  CHECK(node.find("nothing")->is_null());
  CHECK(node.find("empty")->is_null());
  CHECK(node.find("date")->is_string());
  CHECK(node.find("version")->is_string());
  CHECK(node.find("block")->text == "a\nb\n");
  CHECK(node.find("folded")->text == "it's");
}

TEST_CASE("yaml: values and keys know their lines") {
  const Node node = yaml("a:\n  - b: 1\n    c: [x,\n      y]\n");
  const Node& item = node.find("a")->items[0];
  CHECK(item.line == 2);
  CHECK(item.column == 5);
  CHECK(item.members[1].line == 3);
  CHECK(item.find("c")->items[1].line == 4);
  CHECK(item.find("c")->items[1].column == 7);
}

TEST_CASE("yaml: a stream holds many documents, empty ones do not count") {
  const auto documents = jobmill::parse_yaml("---\n# only words\n---\na: 1\n---\n---\n- 2\n...\n");
  REQUIRE(documents);
  REQUIRE(documents->size() == 2);
  CHECK((*documents)[0].find("a")->line == 4);
  CHECK((*documents)[1].items[0].as_int() == 2);
  CHECK(jobmill::parse_yaml("")->empty());
}

TEST_CASE("yaml: anchors and merges stand for what they name") {
  const Node node = yaml(R"(
base: &base {a: 1, b: 2}
again: *base
mine:
  <<: *base
  b: 3
all:
  <<: [{x: 1}, {x: 2, y: 2}]
)");
  CHECK(node.find("again")->find("b")->as_int() == 2);
  CHECK(node.find("mine")->find("a")->as_int() == 1);
  CHECK(node.find("mine")->find("b")->as_int() == 3);
  CHECK(node.find("all")->find("x")->as_int() == 1);
  CHECK(node.find("all")->find("y")->as_int() == 2);
}

TEST_CASE("yaml: aliases cannot grow beyond the limits") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int k = 0; k < 8; ++k) bomb += ", " + last;
    bomb += "]\n";
  }
  CHECK(yaml_error(bomb).find("more than 1000000 values") != std::string::npos);

  std::string long_text = "a: &a " + std::string(100'000, 'x') + "\nb:\n";
  for (int i = 0; i < 100; ++i) long_text += "- *a\n";
  CHECK(yaml_error(long_text).find("aliases stand for more than") != std::string::npos);

  CHECK(yaml_error("a: &a [*a]").find("names no anchor") != std::string::npos);
  CHECK(yaml_error("a: &a [[1]]\nb: [*a]", {.depth = 3}).find("deeper") != std::string::npos);
}

TEST_CASE("yaml: what is not YAML, or means something only elsewhere, is refused with its place") {
  CHECK(yaml_error("a: 1\nb: [1,\nc: }").starts_with("line 3, column "));
  CHECK(yaml_error("a: 1\nb: 2\na: 3") == "line 3, column 1: duplicate key \"a\"");
  CHECK(yaml_error("? [a]\n: 1").find("a key must be a text") != std::string::npos);
  CHECK(yaml_error("a: !custom 1").find("!custom") != std::string::npos);
  CHECK(yaml_error("a: !!int text").find("int") != std::string::npos);
  CHECK(yaml_error("\ta: 1").starts_with("line 1, column "));
  CHECK_FALSE(jobmill::parse_yaml("a: \"\xff\""));
  CHECK(yaml("a: !!str 5").find("a")->as_string() == "5");
  CHECK(yaml("a: !!float 5").find("a")->kind == Kind::Number);
}

TEST_CASE("yaml: limits on size and depth") {
  CHECK(yaml_error("a: 1", {.bytes = 3}).find("more than 3 bytes") != std::string::npos);
  CHECK_FALSE(jobmill::parse_yaml(std::string(101, '[') + std::string(101, ']')));
  CHECK(jobmill::parse_yaml(std::string(100, '[') + std::string(100, ']')));
  CHECK_FALSE(jobmill::parse_yaml(std::string(1'000'000, '[')));
}

TEST_CASE("writer: JSON in one line and with indents") {
  const Node node =
      yaml("a: [1, 0x10, .5, text, ~, true]\nb: {}\nc: []\nd: {e: \"q\\\"\\t\\x7f\"}\n");
  CHECK(to_json(node) ==
        R"({"a":[1,16,0.5,"text",null,true],"b":{},"c":[],"d":{"e":"q\"\t\u007f"}})");
  CHECK(to_json_pretty(json(R"({"a":[1],"b":{}})")) ==
        "{\n  \"a\": [\n    1\n  ],\n  \"b\": {}\n}");
}

TEST_CASE("writer: JSON stays valid when a program puts in broken UTF-8") {
  CHECK(jobmill::json_quote("a\xff\xC3") == "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
  CHECK(jobmill::json_quote("\xED\xA0\x80").find('\xED') == std::string::npos);
  CHECK(jobmill::json_quote("\xEF\xBF\xBD") == "\"\xEF\xBF\xBD\"");
}

TEST_CASE("writer: YAML reads back as the same document") {
  Node node = json(R"({"apiVersion": "keda.sh/v1alpha1", "list": [{"a": "5", "b": 5}, [1, []], {}],
    "": "x: y", "on": "yes", "multi": "a\nb\u2028\u0085", "date": "2024-01-01", "dash": "- a",
    "cron": "*/5 * * * *", "null": null, "s": "null", "url": "http://a:8000/x", "e": "\ud83d\ude00"})");
  node.set(std::string(1500, 'k'), Node::object()).set("inner", Node::number(0.1));
  CHECK(to_json(yaml(to_yaml(node))) == to_json(node));
  CHECK(to_yaml(yaml("a: {b: [{c: d, e: 30s}, x]}")) == "a:\n  b:\n  - c: d\n    e: 30s\n  - x\n");
  CHECK(to_yaml(Node::string("a")) == "a\n");
}

TEST_CASE("node: documents made by programs") {
  Node node;
  node.set("a", Node::integer(1));
  node.set("a", Node::number(1.5));
  node.set("list", Node::array()).push(Node::boolean(false));
  CHECK(to_json(node) == R"({"a":1.5,"list":[false]})");
  CHECK(node.find("b") == nullptr);
  CHECK(node.find("list")->find("a") == nullptr);
  CHECK_FALSE(node.find("a")->as_int());
}

TEST_CASE("yaml: a number beyond every double is text, so that it survives being stored") {
  const auto documents = jobmill::parse_yaml("[5555e55555555551, -1e400, 1e300, 0e99999999999]");
  REQUIRE(documents);
  CHECK(jobmill::to_json(documents->front()) == R"(["5555e55555555551","-1e400",1e300,0])");
  const auto integers = jobmill::parse_yaml("[0xFFFFFFFFFFFFFFFFFF, 99999999999999999999]");
  REQUIRE(integers);
  CHECK(jobmill::to_json(integers->front()) == R"(["0xFFFFFFFFFFFFFFFFFF",99999999999999999999])");
}
