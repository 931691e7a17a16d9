// SPDX-License-Identifier: Apache-2.0
#include "targets/process/child_environment.h"

#include <doctest/doctest.h>

#include <cstdlib>

namespace jobmill::targets {

TEST_CASE("child environment: what the manifest declares wins") {
  const Texts inherited{{"PATH", "/bin"}, {"HOME", "/root"}};
  const Texts provided{{"JOBMILL_URL", "http://127.0.0.1:8000"}, {"JOBMILL_REPLICA", "web-x"}};
  const Texts declared{{"HOME", "/app"}, {"JOBMILL_URL", "http://elsewhere"}, {"A", ""}};

  CHECK(child_environment(inherited, provided, declared) ==
        Texts{{"A", ""},
              {"HOME", "/app"},
              {"JOBMILL_REPLICA", "web-x"},
              {"JOBMILL_URL", "http://elsewhere"},
              {"PATH", "/bin"}});
}

TEST_CASE("child environment: of ours it gets five variables and no other") {
  ::setenv("JOBMILL_TEST_SECRET", "no", 1);
  ::setenv("LANG", "C.UTF-8", 1);
  const Texts inherited = inherited_environment();
  CHECK(inherited.at("LANG") == "C.UTF-8");
  CHECK(inherited.count("JOBMILL_TEST_SECRET") == 0);
  CHECK(inherited.size() <= 5);
  ::unsetenv("JOBMILL_TEST_SECRET");
}

}  // namespace jobmill::targets
