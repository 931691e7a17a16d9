// SPDX-License-Identifier: Apache-2.0
#include "conformance/scale_target.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

namespace jobmill::scale {
namespace {

std::set<std::string> names(const ScaleTarget& target) {
  std::set<std::string> names;
  for (const Replica& replica : target.replicas()) names.insert(replica.name);
  return names;
}

int in_phase(const ScaleTarget& target, ReplicaPhase phase) {
  return static_cast<int>(std::ranges::count(target.replicas(), phase, &Replica::phase));
}

bool consistent(const ScaleTarget& target) {
  const ReplicaCounts counts = target.counts();
  return counts.starting == in_phase(target, ReplicaPhase::Starting) &&
         counts.ready == in_phase(target, ReplicaPhase::Ready) &&
         counts.draining == in_phase(target, ReplicaPhase::Draining);
}

}  // namespace

void exercise_scale_target(const MakeScaleTargetWorld& make) {
  const auto world = make();
  ScaleTarget& target = world->target();
  const auto settled = [&](int replicas) {
    world->run_until([&] {
      CHECK(consistent(target));
      return target.counts().ready == replicas &&
             target.replicas().size() == static_cast<std::size_t>(replicas);
    });
  };

  SUBCASE("nothing runs before it is wanted") {
    CHECK(target.wanted() == 0);
    CHECK(target.counts().current() == 0);
    CHECK(target.replicas().empty());
  }

  SUBCASE("what is wanted counts at once, and becomes ready") {
    target.scale_to(3);
    CHECK(target.wanted() == 3);
    world->run_until([&] { return target.counts().current() == 3; });
    settled(3);
    CHECK(names(target).size() == 3);
  }

  SUBCASE("growing leaves those that run alone") {
    target.scale_to(1);
    settled(1);
    const auto before = names(target);
    target.scale_to(3);
    settled(3);
    CHECK(std::ranges::includes(names(target), before));
  }

  SUBCASE("shrinking keeps the rest, and the others end") {
    target.scale_to(3);
    settled(3);
    const auto before = names(target);
    target.scale_to(1);
    settled(1);
    CHECK(std::ranges::includes(before, names(target)));
  }

  SUBCASE("to zero and back") {
    target.scale_to(2);
    settled(2);
    const auto before = names(target);
    target.scale_to(0);
    settled(0);
    CHECK(target.counts().current() == 0);
    target.scale_to(1);
    settled(1);
    CHECK_FALSE(std::ranges::includes(before, names(target)));
  }

  SUBCASE("the last wish counts, also while the one before is carried out") {
    for (const int wish : {3, 0, 2, 1, 4, 2}) target.scale_to(wish);
    CHECK(target.wanted() == 2);
    settled(2);
  }

  SUBCASE("the same wish again changes nothing") {
    target.scale_to(2);
    settled(2);
    const auto before = names(target);
    target.scale_to(2);
    settled(2);
    CHECK(names(target) == before);
  }
}

}  // namespace jobmill::scale
