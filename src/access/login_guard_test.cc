// SPDX-License-Identifier: Apache-2.0
#include "access/login_guard.h"

#include <doctest/doctest.h>

namespace jobmill::access {
namespace {

using namespace std::chrono_literals;

int allowed(LoginGuard& guard, const std::string& address, TimePoint now, int attempts) {
  int count = 0;
  for (int i = 0; i < attempts; ++i)
    if (guard.attempt(address, now) == Duration::zero()) ++count;
  return count;
}

TEST_CASE("login: after five failures within a minute an address waits until it is over") {
  ManualClock clock;
  LoginGuard guard;
  CHECK(allowed(guard, "10.0.0.1", clock.now(), 3) == 3);
  clock.advance(20s);
  CHECK(allowed(guard, "10.0.0.1", clock.now(), 10) == 2);
  CHECK(guard.attempt("10.0.0.1", clock.now()) == 40s);
  CHECK(allowed(guard, "10.0.0.2", clock.now(), 10) == 5);  // another one does not suffer

  clock.advance(40s);  // the first three are a minute old
  CHECK(allowed(guard, "10.0.0.1", clock.now(), 10) == 3);
}

TEST_CASE("login: who succeeds may come as often as he likes, but his failures stay") {
  ManualClock clock;
  LoginGuard guard;
  for (int i = 0; i < 20; ++i) {
    REQUIRE(guard.attempt("10.0.0.1", clock.now()) == Duration::zero());
    guard.succeeded("10.0.0.1");
  }
  CHECK(allowed(guard, "10.0.0.1", clock.now(), 4) == 4);
  REQUIRE(guard.attempt("10.0.0.1", clock.now()) == Duration::zero());
  guard.succeeded("10.0.0.1");
  CHECK(allowed(guard, "10.0.0.1", clock.now(), 4) == 1);
}

TEST_CASE("login: an address is without its port") {
  CHECK(address_of("127.0.0.1:40312") == "127.0.0.1");
  CHECK(address_of("[2001:db8::1]:8000") == "2001:db8::1");
}

}  // namespace
}  // namespace jobmill::access
