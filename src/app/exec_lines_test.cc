// SPDX-License-Identifier: Apache-2.0
#include "app/exec_lines.h"

#include <doctest/doctest.h>

#include <vector>

namespace jobmill::app {
namespace {

std::vector<std::string> lines_of(const std::vector<std::string>& pieces, std::size_t longest) {
  std::vector<std::string> lines;
  const auto take = [&](std::string_view line) { lines.emplace_back(line); };
  LineCutter cutter(longest);
  for (const std::string& piece : pieces) cutter.feed(piece, take);
  cutter.finish(take);
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("exec: lines are put together from pieces, and the last one needs no end") {
  CHECK(lines_of({"a", "b\nc\r\n", "\n", "d"}, 100) == Lines{"ab", "c", "", "d"});
  CHECK(lines_of({}, 100).empty());
  CHECK(lines_of({"a\n"}, 100) == Lines{"a"});
}

TEST_CASE("exec: a line that is too long becomes several, between characters") {
  CHECK(lines_of({"abcdef\n"}, 4) == Lines{"abcd", "ef"});
  CHECK(lines_of({"abcd", "ef"}, 4) == Lines{"abcd", "ef"});
  CHECK(lines_of({"abc\xc3\xa9x\n"}, 4) == Lines{"abc", "\xc3\xa9x"});
  CHECK(lines_of({"\x80\x80\x80\x80\x80\x80\n"}, 4) == Lines{"\x80\x80\x80\x80", "\x80\x80"});
}

}  // namespace jobmill::app
