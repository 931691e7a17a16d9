// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <doctest/doctest.h>

namespace jobmill {

TEST_CASE("text: letters of ASCII have a lower case, others stay") {
  CHECK(lower("Job-ÄZ [@`{") == "job-Äz [@`{");
  CHECK(lower("") == "");
  CHECK(same_letters("Orders", "oRDERS"));
  CHECK_FALSE(same_letters("orders", "order"));
  CHECK_FALSE(same_letters("Ä", "ä"));
}

}  // namespace jobmill
