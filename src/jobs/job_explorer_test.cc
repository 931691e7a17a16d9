// SPDX-License-Identifier: Apache-2.0
#include "jobs/job_explorer.h"

#include <doctest/doctest.h>

namespace jobmill::jobs {

TEST_CASE("failures of one type at one place are alike, whatever their numbers") {
  const std::string one = fingerprint_of("IOError", "  at copy (disk.cc:17) 0x7f3a\nat main", "a");
  CHECK(one.size() == 16);
  CHECK(one == fingerprint_of("IOError", "\nat copy (disk.cc:18) 0xFFe0\nat other", "b"));
  CHECK(one != fingerprint_of("IOError", "at move (disk.cc:17) 0x7f3a", "a"));
  CHECK(one != fingerprint_of("NetError", "at copy (disk.cc:17) 0x7f3a", "a"));
}

TEST_CASE("without a stack the message says what failures have in common") {
  CHECK(fingerprint_of("E", "", "order 17 is gone") ==
        fingerprint_of("E", " \n", "order 4 is gone"));
  CHECK(fingerprint_of("E", "", "order 17 is gone") != fingerprint_of("E", "", "order 17 is late"));
  CHECK(fingerprint_of("ab", "", "c") != fingerprint_of("a", "", "bc"));
}

}  // namespace jobmill::jobs
