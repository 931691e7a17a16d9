// SPDX-License-Identifier: Apache-2.0
#include "app/local_images.h"

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

LocalImages images(const std::vector<std::pair<std::string, std::string>>& entries) {
  auto made = LocalImages::from(entries);
  REQUIRE(made);
  return *made;
}

}  // namespace

TEST_CASE("images: a pattern without a tag matches every tag") {
  const auto map = images({{"postgres", "off"}, {"worker", "/bin/worker --fast"}});
  CHECK(map.find("postgres:16")->off);
  CHECK(map.find("worker")->command == std::vector<std::string>{"/bin/worker", "--fast"});
  CHECK(map.find("worker:1.0@sha256:00")->command.size() == 2);
  CHECK_FALSE(map.find("registry:5000/worker"));
  CHECK_FALSE(map.find("workers:1"));
}

TEST_CASE("images: the most specific pattern wins, then the first") {
  const auto map = images({{"*", "/bin/any"},
                           {"*/app:*", "/bin/app"},
                           {"r.example/app:2", "/bin/two"},
                           {"r.example/app:?", "/x"}});
  CHECK(map.find("else")->command.front() == "/bin/any");
  CHECK(map.find("r.example/app:1")->command.front() == "/bin/app");
  CHECK(map.find("r.example/app:2")->command.front() == "/bin/two");
}

TEST_CASE("images: a relative program is found from any folder") {
  CHECK(images({{"a", "bin/a"}}).find("a")->command.front().front() == '/');
  CHECK(images({{"a", "python3 x.py"}}).find("a")->command.front() == "python3");
}

TEST_CASE("words: quotes keep blanks") {
  CHECK(*split_words(R"(sh -c 'echo "a  b"' "")") ==
        std::vector<std::string>{"sh", "-c", "echo \"a  b\"", ""});
  CHECK_FALSE(split_words("sh -c 'x"));
  CHECK(split_words("  ")->empty());
}

}  // namespace jobmill::app
