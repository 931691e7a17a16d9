// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

namespace jobmill {
namespace {

using namespace std::chrono_literals;

TEST_CASE("id: a new id is a UUIDv7 that shows its millisecond") {
  ManualClock clock;
  clock.set(TimePoint(std::chrono::sys_days(std::chrono::year(2100) / 1 / 1)) + 1234us);
  const std::string id = new_id(clock.now());
  CHECK(is_uuid(id));
  CHECK(id[14] == '7');
  CHECK(std::string("89ab").find(id[19]) != std::string::npos);
  CHECK(id.starts_with("03bb2cc3-d801"));
}

TEST_CASE("id: later ids are greater, also when the clock stands still or goes back") {
  const auto start = SystemClock().now();
  std::string last = new_id(start);
  for (int i = 0; i < 10'000; ++i) {
    std::string id = new_id(i % 3 == 0 ? start - 1h : start);
    REQUIRE(id > last);
    last = std::move(id);
  }
}

TEST_CASE("id: threads never get the same id, and each sees its own grow") {
  std::mutex mutex;
  std::set<std::string> all;
  const auto make = [&] {
    std::vector<std::string> mine;
    for (int i = 0; i < 1000; ++i) mine.push_back(new_id(SystemClock().now()));
    const std::lock_guard lock(mutex);
    CHECK(std::is_sorted(mine.begin(), mine.end()));
    all.insert(mine.begin(), mine.end());
  };
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back(make);
  threads.clear();
  CHECK(all.size() == 4000);
}

TEST_CASE("id: a text has one id, everywhere and for ever") {
  CHECK(name_id("nightly-report") == "4999f550-eb78-5a52-9f2b-48d7cae4de34");
  CHECK(name_id("nightly-report") != name_id("nightly-reports"));
  CHECK(name_id("")[14] == '5');
}

TEST_CASE("id: a UUID of the user is taken as it is, other text becomes one") {
  CHECK(canonical_id("0190A0B0-C0D0-7E0F-8000-ABCDEFabcdef") ==
        "0190a0b0-c0d0-7e0f-8000-abcdefabcdef");
  CHECK(canonical_id("order-17") == name_id("order-17"));
  CHECK_FALSE(is_uuid("0190a0b0-c0d0-7e0f-8000-abcdefabcdeg"));
  CHECK_FALSE(is_uuid("0190a0b0c0d07e0f8000abcdefabcdef0000"));
}

TEST_CASE("id: random texts have the length and the letters that they promise") {
  CHECK(random_token(32).size() == 43);
  CHECK(random_token(0).empty());
  CHECK(random_token(16) != random_token(16));
  const std::string suffix = random_suffix(500);
  CHECK(suffix.size() == 500);
  CHECK(suffix.find_first_not_of("bcdfghjklmnpqrstvwxz2456789") == std::string::npos);
}

}  // namespace
}  // namespace jobmill
