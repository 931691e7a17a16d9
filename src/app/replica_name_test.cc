// SPDX-License-Identifier: Apache-2.0
#include "app/replica_name.h"

#include <doctest/doctest.h>

namespace jobmill::app {

TEST_CASE("replica name: a namespace is said, or any may be meant") {
  CHECK(read_replica_name("shop-1/web-0") == ReplicaName{"shop-1", "web-0"});
  CHECK(read_replica_name("web-0") == ReplicaName{"", "web-0"});
  CHECK(read_replica_name("/web-0") == ReplicaName{"", "web-0"});
  CHECK(read_replica_name("$(POD_NAMESPACE)/web-0") == ReplicaName{"", "web-0"});
  CHECK(read_replica_name("") == ReplicaName{"", ""});

  CHECK(read_replica_name("shop/web-0").may_be_in("shop"));
  CHECK_FALSE(read_replica_name("shop/web-0").may_be_in("bank"));
  CHECK(read_replica_name("web-0").may_be_in("bank"));
}

}  // namespace jobmill::app
