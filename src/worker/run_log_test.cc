// SPDX-License-Identifier: Apache-2.0
#include "worker/run_log.h"

#include <doctest/doctest.h>

#include <string>

namespace jobmill::worker {
namespace {

using jobs::LineLevel;

std::vector<std::string> texts(const std::vector<jobs::LogLine>& lines) {
  std::vector<std::string> all;
  for (const jobs::LogLine& line : lines) all.push_back(line.text);
  return all;
}

using Texts = std::vector<std::string>;

void add(RunLog& log, std::string_view text) { log.add(LineLevel::Info, TimePoint{}, text); }

}  // namespace

TEST_CASE("run log: each line of a text is a line") {
  RunLog log;
  CHECK(log.empty());
  add(log, "a\nb");
  add(log, "c\n");
  add(log, "");
  CHECK(texts(log.take(100)) == Texts{"a", "b", "c", ""});
  CHECK(log.empty());
}

TEST_CASE("run log: the oldest lines go, and a line says how many") {
  RunLog log({.lines = 2, .bytes = 100});
  for (const char* text : {"a", "b", "c", "d"}) add(log, text);
  const auto lines = log.take(100);
  CHECK(texts(lines) == Texts{"2 lines are missing here", "c", "d"});
  CHECK(lines.front().level == LineLevel::Warn);

  RunLog small({.lines = 100, .bytes = 4});
  add(small, "abc");
  add(small, "de");
  CHECK(texts(small.take(100)) == Texts{"1 line is missing here", "de"});
}

TEST_CASE("run log: a line that is longer than one may be is cut") {
  RunLog log;
  add(log, std::string(jobs::kMaxLineBytes + 1, 'x'));
  CHECK(log.take(1).front().text.size() == jobs::kMaxLineBytes);
}

TEST_CASE("run log: it is sent in parts, and what could not be sent comes first again") {
  RunLog log;
  for (const char* text : {"aaaa", "bbbb", "cccc"}) add(log, text);
  auto part = log.take(8);
  CHECK(texts(part) == Texts{"aaaa", "bbbb"});
  log.put_back(std::move(part));
  CHECK(texts(log.take(1)) == Texts{"aaaa"});
  CHECK(texts(log.take(100)) == Texts{"bbbb", "cccc"});
}

}  // namespace jobmill::worker
