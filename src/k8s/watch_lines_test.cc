// SPDX-License-Identifier: Apache-2.0
#include "k8s/watch_lines.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

namespace jobmill::k8s {
namespace {

std::vector<std::string> all(WatchLines& lines) {
  std::vector<std::string> found;
  for (;;) {
    auto next = lines.next();
    REQUIRE(next);
    if (!*next) return found;
    found.push_back(to_json(**next));
  }
}

}  // namespace

TEST_CASE("watch lines: wherever the bytes are cut, the objects are the same") {
  const std::vector<std::string> objects{R"({"type":"ADDED"})", R"({"text":"über \n"})", "{}"};
  const std::string text = objects[0] + "\n\n" + objects[1] + "\r\n" + objects[2] + "\n";
  for (std::size_t first = 0; first <= text.size(); ++first) {
    for (std::size_t second = first; second <= text.size(); ++second) {
      WatchLines lines;
      std::vector<std::string> found;
      for (const auto& part :
           {text.substr(0, first), text.substr(first, second - first), text.substr(second)}) {
        lines.feed(part);
        for (auto& object : all(lines)) found.push_back(std::move(object));
      }
      REQUIRE(found == objects);
    }
  }
}

TEST_CASE("watch lines: a line without an end is kept") {
  WatchLines lines;
  lines.feed(R"({"a":1})");
  CHECK(all(lines).empty());
  lines.feed("\n{");
  CHECK(all(lines) == std::vector<std::string>{R"({"a":1})"});
}

TEST_CASE("watch lines: what is too long is refused, ended or not") {
  for (const std::string end : {"", "\n"}) {
    WatchLines lines(20);
    lines.feed(R"({"a":"0123456789"})"
               "\n" +
               (R"({"a":"01234567890123"})" + end));
    CHECK(*lines.next());
    CHECK(lines.next().error().code == Code::Exhausted);
  }
}

TEST_CASE("watch lines: what is no object is refused") {
  for (const std::string line : {"[]\n", "{\n", "1\n", "{} {}\n", "404 page not found\n"}) {
    CAPTURE(line);
    WatchLines lines;
    lines.feed(line);
    CHECK(lines.next().error().code == Code::InvalidArgument);
  }
}

}  // namespace jobmill::k8s
