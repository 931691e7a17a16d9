// SPDX-License-Identifier: Apache-2.0
#include "scale/memory.h"

#include <doctest/doctest.h>

namespace jobmill::scale {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{std::chrono::seconds(1'704'067'200)};

Decision recommending(TimePoint at, int from, int to, int recommendation) {
  Decision out;
  out.input.at = at;
  out.from = from;
  out.to = to;
  out.recommendation = recommendation;
  return out;
}

DesiredInput recalled(Memory& memory, TimePoint now, bool standing = true) {
  DesiredInput in;
  in.now = now;
  in.current = 5;
  memory.recall(in, standing);
  return in;
}

}  // namespace

TEST_CASE("memory: the size that was found is the first recommendation") {
  Memory memory;
  const DesiredInput in = recalled(memory, kStart);
  REQUIRE(in.recommendations.size() == 1);
  CHECK(in.recommendations[0].replicas == 5);
}

TEST_CASE("memory: the last recommendation stands until the next one is made") {
  Memory memory;
  memory.learn(recommending(kStart, 5, 9, 9));
  CHECK(recalled(memory, kStart + 1h).recommendations[0].until == kStart + 1h);
}

TEST_CASE("memory: the HPA's recommendations count from when they were made") {
  Memory memory;
  memory.learn(recommending(kStart, 5, 9, 9));
  CHECK(recalled(memory, kStart + 10s, false).recommendations[0].until == kStart);
}

TEST_CASE("memory: keeps only what can still hold a size, so it stays small") {
  Memory memory;
  for (int i = 0; i < 10'000; ++i) {
    const TimePoint now = kStart + i * 20ms;
    memory.learn(recommending(now, 5, 5, i % 7));
    CHECK(recalled(memory, now).recommendations.size() <= 7);
  }
}

TEST_CASE("memory: remembers lows as well where the way up has a window") {
  Memory memory;
  memory.learn(recommending(kStart, 5, 5, 2));
  memory.learn(recommending(kStart + 1s, 5, 5, 6));
  CHECK(recalled(memory, kStart + 2s).recommendations.size() == 1);

  Memory both;
  both.learn(recommending(kStart, 5, 5, 2));
  both.learn(recommending(kStart + 1s, 5, 5, 6));
  DesiredInput in;
  in.now = kStart + 2s;
  in.up = up_with_defaults({});
  in.up->stabilization_window = 60s;
  both.recall(in, true);
  CHECK(in.recommendations.size() == 2);
}

TEST_CASE("memory: going to zero forgets what was asked for before") {
  Memory memory;
  memory.learn(recommending(kStart, 5, 9, 9));
  memory.learn(recommending(kStart + 1s, 9, 0, 0));
  DesiredInput in;
  in.now = kStart + 2s;
  memory.recall(in, true);
  CHECK(in.recommendations.empty());
}

TEST_CASE("memory: policies see the changes of their longest period") {
  Memory memory;
  memory.learn(recommending(kStart, 5, 9, 9));
  DesiredInput in;
  in.now = kStart + 59s;
  in.current = 9;
  in.up = ScalingRules{};
  in.up->policies = {{PolicyType::Pods, 4, 60s}};
  memory.recall(in, true);
  REQUIRE(in.events.size() == 1);
  CHECK(in.events[0].change == 4);
  in.now = kStart + 60s;
  memory.recall(in, true);
  CHECK(in.events.empty());
}

}  // namespace jobmill::scale
