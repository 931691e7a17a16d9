// SPDX-License-Identifier: Apache-2.0
#include "targets/process/log_file.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("log file: it rotates by size and keeps so many") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/web.log";
  auto file = LogFile::open(path, {.bytes = 10, .keep = 2});
  REQUIRE(file);
  for (const char* line : {"one 4567\n", "two 4567\n", "three 67\n", "four 567\n"}) {
    REQUIRE(file->write(line));
  }

  CHECK(contents(path) == "four 567\n");
  CHECK(contents(path + ".1") == "three 67\n");
  CHECK(contents(path + ".2") == "two 4567\n");
  CHECK_FALSE(std::filesystem::exists(path + ".3"));
}

TEST_CASE("log file: it goes on where it ended") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/web.log";
  REQUIRE(LogFile::open(path, {.bytes = 10, .keep = 1})->write("first\n"));
  auto again = LogFile::open(path, {.bytes = 10, .keep = 1});
  REQUIRE(again->write("2nd\n"));
  CHECK(contents(path) == "first\n2nd\n");
  REQUIRE(again->write("x"));
  CHECK(contents(path) == "x");
}

TEST_CASE("log file: a text that is larger than a file is kept whole") {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/web.log";
  auto file = LogFile::open(path, {.bytes = 4, .keep = 1});
  REQUIRE(file->write("0123456789"));
  CHECK(contents(path) == "0123456789");
}

TEST_CASE("log file: a folder that does not exist is an error that names the file") {
  const auto file = LogFile::open("/nonexistent/web.log", {});
  REQUIRE_FALSE(file);
  CHECK(file.error().message.find("/nonexistent/web.log") != std::string::npos);
}

TEST_CASE("tail: it holds the newest bytes") {
  Tail tail(4);
  tail.append("ab");
  CHECK(tail.text() == "ab");
  tail.append("cdef");
  CHECK(tail.text() == "cdef");
  tail.append("g");
  CHECK(tail.text() == "defg");
  tail.append("0123456789");
  CHECK(tail.text() == "6789");
}

}  // namespace jobmill::targets
