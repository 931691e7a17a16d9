// SPDX-License-Identifier: Apache-2.0
#include "targets/process/hosts_file.h"

#include <doctest/doctest.h>

namespace jobmill::targets {

TEST_CASE("hosts file: a name leads here when all its addresses do") {
  constexpr char hosts[] =
      "# 127.0.0.1 comment\n127.0.0.1\tlocalhost Shop.example # mail.example\n"
      "::1 localhost six\n10.0.0.1 db\n127.0.0.1 both\n10.0.0.1 both\n127.0.1.1 last";
  CHECK(leads_here(hosts, "localhost"));
  CHECK(leads_here(hosts, "shop.EXAMPLE"));
  CHECK(leads_here(hosts, "six"));
  CHECK(leads_here(hosts, "last"));
  CHECK_FALSE(leads_here(hosts, "comment"));
  CHECK_FALSE(leads_here(hosts, "mail.example"));
  CHECK_FALSE(leads_here(hosts, "db"));
  CHECK_FALSE(leads_here(hosts, "both"));
  CHECK_FALSE(leads_here(hosts, "local"));
  CHECK_FALSE(leads_here("", "localhost"));
}

TEST_CASE("hosts file: names are added, and lead nowhere else any more") {
  CHECK(with_local_names("127.0.0.1 localhost\n", {"a.example", "b.example"}) ==
        "127.0.0.1 localhost\n127.0.0.1 a.example b.example\n");
  CHECK(with_local_names("127.0.0.1 localhost", {"a"}) == "127.0.0.1 localhost\n127.0.0.1 a\n");
  CHECK(with_local_names("10.0.0.1 A b # c\n10.0.0.2 a\n# a\n", {"a"}) ==
        "10.0.0.1 b\n# a\n127.0.0.1 a\n");
  CHECK(with_local_names("::1 six\n", {}) == "::1 six\n");
}

TEST_CASE("hosts file: the resolver is asked for all addresses of a name") {
  CHECK(resolves_here("localhost"));
  CHECK(resolves_here("127.0.0.1"));
  CHECK(resolves_here("::1"));
  CHECK_FALSE(resolves_here("192.0.2.1"));
  CHECK_FALSE(resolves_here("2001:db8::1"));
}

}  // namespace jobmill::targets
