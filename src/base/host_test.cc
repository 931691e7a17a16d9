// SPDX-License-Identifier: Apache-2.0
#include "base/host.h"

#include <doctest/doctest.h>

namespace jobmill {

TEST_CASE("the kernel tells of memory, load and time") {
  const HostFacts facts = host_facts();
  CHECK(facts.memory_total > facts.memory_available);
  CHECK(facts.memory_available > 0);
  CHECK(facts.process_memory > 1 << 20);
  CHECK(facts.process_memory < facts.memory_total);
  CHECK(facts.load >= 0);
  CHECK(facts.uptime >= Duration::zero());
  CHECK(host_facts().uptime >= facts.uptime);
}

}  // namespace jobmill
