// SPDX-License-Identifier: Apache-2.0
#include "app/log_lines.h"

#include <doctest/doctest.h>

#include <vector>

namespace jobmill::app {
namespace {

TEST_CASE("log lines: time, stream, and the text with all its blanks") {
  const LogLine line = split_log_line("2026-11-22T03:14:15.926Z stderr  two  blanks ");
  CHECK(line.time == "2026-11-22T03:14:15.926Z");
  CHECK(line.stream == "stderr");
  CHECK(line.text == " two  blanks ");
  CHECK(split_log_line("2026-11-22T03:14:15.926Z stdout ").text.empty());
  CHECK(split_log_line("").time.empty());
}

TEST_CASE("log lines: as JSON, one object a line") {
  CHECK(log_line_json("t stdout say \"hello\"") ==
        R"({"TimeStamp":"t","Stream":"stdout","Log":"say \"hello\""})");
}

TEST_CASE("log lines: a text is taken line by line, whether or not it ends with one") {
  std::vector<std::string> lines;
  each_line("a\n\nb\n", [&](std::string_view line) { lines.emplace_back(line); });
  CHECK(lines == std::vector<std::string>{"a", "", "b"});
}

TEST_CASE("log lines: each is of one container, and notes of the server are of all") {
  constexpr char kOwn[] = "2026-11-22T03:14:15.926Z stderr text";
  constexpr char kBeside[] = "2026-11-22T03:14:15.926Z stdout:sidecar text: more";
  CHECK(is_of_container(kOwn, ""));
  CHECK_FALSE(is_of_container(kOwn, "sidecar"));
  CHECK(is_of_container(kBeside, "sidecar"));
  CHECK_FALSE(is_of_container(kBeside, ""));
  CHECK(is_of_container("2026-11-22T03:14:15.926Z jobmill 5 bytes are missing", "sidecar"));
}

}  // namespace
}  // namespace jobmill::app
