// SPDX-License-Identifier: Apache-2.0
#include "jobs/log_line.h"

#include <string>

#include <doctest/doctest.h>

namespace jobmill::jobs {

TEST_CASE("log line: levels have names, in any case") {
  for (const LineLevel level : {LineLevel::Info, LineLevel::Warn, LineLevel::Error})
    CHECK(line_level(to_string(level)) == level);
  CHECK(line_level("warn") == LineLevel::Warn);
  CHECK_FALSE(line_level("debug"));
}

TEST_CASE("log line: a long one is cut, but not in a character") {
  CHECK(shortened_line("short") == "short");
  CHECK(shortened_line(std::string(kMaxLineBytes, 'x')).size() == kMaxLineBytes);
  std::string text = "x";
  while (text.size() <= kMaxLineBytes) text += "\xc3\xbc";
  CHECK(shortened_line(text).size() == kMaxLineBytes - 1);
}

TEST_CASE("log line: an attempt keeps so many lines and so many bytes") {
  LogSize size;
  for (std::int64_t i = 0; i < kMaxLogLines; ++i) size.add(1);
  CHECK_FALSE(size.too_large());
  size.add(1);
  CHECK(size.too_large());
  size.drop(1);
  CHECK_FALSE(size.too_large());
  CHECK(size.first == 1);
  size.add(kMaxLogBytes);
  CHECK(size.too_large());
}

}  // namespace jobmill::jobs
