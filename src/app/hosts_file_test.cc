// SPDX-License-Identifier: Apache-2.0
#include "app/hosts_file.h"

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

TEST_CASE("hosts file: names that are missing get a line, the others stay") {
  CHECK(missing_hosts("127.0.0.1 localhost\n10.0.0.1 A.example B.example # mine\n",
                      {"a.example", "C.example"}) == "127.0.0.1 c.example # jobmill\n");
  CHECK(missing_hosts("# 127.0.0.1 a.example\n", {"a.example"}) ==
        "127.0.0.1 a.example # jobmill\n");
  CHECK(missing_hosts("127.0.0.1 localhost", {"a"}) == "\n127.0.0.1 a # jobmill\n");
  CHECK(missing_hosts("", {"a"}) == "127.0.0.1 a # jobmill\n");
  CHECK(missing_hosts("127.0.0.1 a", {"a"}).empty());
}

}  // namespace
}  // namespace jobmill::app
