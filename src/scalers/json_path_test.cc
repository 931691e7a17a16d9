// SPDX-License-Identifier: Apache-2.0
#include "scalers/json_path.h"

#include <doctest/doctest.h>

namespace jobmill::scalers {
namespace {

using Kind = JsonValue::Kind;

constexpr std::string_view kPeople = R"({
  "name": {"first": "Tom", "last": "Anderson"},
  "age": 37,
  "children": ["Sara", "Alex", "Jack"],
  "fav.movie": "Deer Hunter",
  "friends": [
    {"first": "Dale", "last": "Murphy", "age": 44, "nets": ["ig", "fb", "tw"], "ok": true},
    {"first": "Roger", "last": "Craig", "age": 68, "nets": ["fb", "tw"], "ok": false},
    {"first": "Jane", "last": "Murphy", "age": 47, "nets": ["ig", "tw"]}
  ]
})";

// The text of what is found, "-" for nothing.
std::string at(std::string_view path, std::string_view json = kPeople) {
  const JsonValue value = json_path(json, path);
  return value.kind == Kind::Missing ? "-" : value.text;
}

}  // namespace

TEST_CASE("json path: names, items, counts and escapes") {
  CHECK(at("name.last") == "Anderson");
  CHECK(at("age") == "37");
  CHECK(at("children.#") == "3");
  CHECK(at("children.1") == "Alex");
  CHECK(at("child*.2") == "Jack");
  CHECK(at("c?ildren.0") == "Sara");
  CHECK(at("fav\\.movie") == "Deer Hunter");
  CHECK(at("fav.movie") == "-");
  CHECK(at("friends.#.first") == R"(["Dale","Roger","Jane"])");
  CHECK(at("friends.1.last") == "Craig");
  CHECK(at("friends.3.last") == "-");
  CHECK(at("age.x") == "-");
  CHECK(at("children.-1") == "-");
  CHECK(at("children.01") == "Alex");
}

TEST_CASE("json path: a wildcard that is escaped is a character") {
  CHECK(at("a\\*", R"({"ab":1,"a*":2})") == "2");
  CHECK(at("\\a?\\?", R"({"abc":1,"ab?":2})") == "2");
  CHECK(at("*b*d", R"({"abc":1,"abcbd":2})") == "2");
  CHECK(at("?", "{\"\xC3\xA9\":1}") == "1");
}

TEST_CASE("json path: queries pick the first item, or all that match") {
  CHECK(at(R"(friends.#(last=="Murphy").first)") == "Dale");
  CHECK(at(R"(friends.#(last=="Murphy")#.first)") == R"(["Dale","Jane"])");
  CHECK(at(R"(friends.#(last=="Murphy")#|#)") == "2");
  CHECK(at(R"(friends.#(age>45)#.last)") == R"(["Craig","Murphy"])");
  CHECK(at(R"(friends.#(first%"D*").last)") == "Murphy");
  CHECK(at(R"(friends.#(first!%"D*").last)") == "Craig");
  CHECK(at(R"(friends.#(nets.#(=="fb"))#.first)") == R"(["Dale","Roger"])");
  CHECK(at(R"(children.#(!="Sara"))") == "Alex");
  CHECK(at(R"(children.#(>="J")#)") == R"(["Sara","Jack"])");
  CHECK(at(R"(friends.#(ok).first)") == "Dale");
  CHECK(at(R"(friends.#(ok==false).first)") == "Roger");
  CHECK(at(R"(friends.#(ok==~false).first)") == "Roger");
  CHECK(at(R"(friends.#(ok==~null).first)") == "Jane");
  CHECK(at(R"(friends.#(age>100)#)") == "[]");
  CHECK(at(R"(friends.#(age>100).age)") == "-");
  CHECK(at(R"(friends.#(age>40)") == "-");
}

TEST_CASE("json path: a pipe takes the result as a whole") {
  CHECK(at("friends.#.age|0") == "44");
  CHECK(at("friends.#.age|#") == "3");
  CHECK(at("friends|1|age") == "68");
  CHECK(at("friends.#.nets|@flatten|#") == "7");
}

TEST_CASE("json path: modifiers") {
  CHECK(at("children|@reverse|0") == "Jack");
  CHECK(at("children.@reverse.0") == "Jack");
  CHECK(at("name.@keys.#") == "2");
  CHECK(at("name.@values.1") == "Anderson");
  CHECK(at("name.@reverse.@values.0") == "Anderson");
  CHECK(at("@this.age") == "37");
  CHECK(at("@valid.age") == "37");
  CHECK(at("@valid.a", R"({"a":1)") == "-");
  CHECK(at("@pretty:{\"indent\":\"\"}.age") == "37");
  CHECK(at("a.@fromstr.b", R"({"a":"{\"b\":5}"})") == "5");
  CHECK(json_path(R"({"a":5})", "a.@tostr").kind == Kind::String);
  CHECK(at("@nosuch", R"({"@nosuch":1})") == "1");
}

TEST_CASE("json path: what can be found in broken text is found") {
  CHECK(at("a", R"({"a":1)") == "1");
  CHECK(at("a.#", R"({"a":[1,2)") == "2");
  CHECK(at("a", R"(callback({"a":1});)") == "1");
  CHECK(at("a", R"({"a":"cut o)") == "cut o");
  CHECK(at("b", R"({a:1,"b":2})") == "2");
  CHECK(at("a", "not json") == "-");
  CHECK(at("a", "") == "-");
  CHECK(at("a", R"({"a":)") == "-");
}

TEST_CASE("json path: of repeated names the first that leads somewhere counts") {
  CHECK(at("a", R"({"a":1,"a":2})") == "1");
  CHECK(at("a.b", R"({"a":1,"a":{"b":2}})") == "2");
}

TEST_CASE("json path: kinds and escapes of values") {
  CHECK(json_path("[null]", "0").kind == Kind::Null);
  CHECK(json_path("[true]", "0").kind == Kind::Bool);
  CHECK(json_path("[-1.5e3]", "0").kind == Kind::Number);
  CHECK(json_path("[{}]", "0").kind == Kind::Json);
  CHECK(at("0", R"(["\u00e9\n\ud83d\ude00\ud83d\"\/"])") ==
        "\xC3\xA9\n\xF0\x9F\x98\x80\xEF\xBF\xBD\"/");
  CHECK(at("\xC3\xA9", R"({"\u00e9":7})") == "7");
}

TEST_CASE("json path: a path without end is not followed") {
  std::string path = "@this";
  while (path.size() < 5000) path += "|@this";
  CHECK(at(path) == "-");
}

}  // namespace jobmill::scalers
