// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <ostream>
#include <type_traits>

#include <doctest/doctest.h>

namespace jobmill {
namespace {

template <class T>
concept Printable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(Printable<std::string> && !Printable<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string>);

TEST_CASE("secret: it reveals its text only when asked") {
  const Secret secret("swordfish");
  CHECK(secret.reveal() == "swordfish");
  CHECK(secret.equals("swordfish"));
  CHECK_FALSE(secret.equals("swordfisH"));
  CHECK_FALSE(secret.equals("sword"));
  CHECK(Secret().equals(""));
}

TEST_CASE("secret: a moved-from secret keeps nothing, not even a short text in its own bytes") {
  Secret from("short");
  const auto* bytes = from.reveal().data();
  const Secret to = std::move(from);
  CHECK(to.reveal() == "short");
  CHECK(from.empty());
  CHECK(std::string_view(bytes, 5) == std::string_view("\0\0\0\0\0", 5));
}

TEST_CASE("secret: copies are independent") {
  Secret one("one");
  Secret two = one;
  one = Secret("other");
  CHECK(two.reveal() == "one");
  two = one;
  const Secret& same = two;
  two = same;
  CHECK(two.reveal() == "other");
}

}  // namespace
}  // namespace jobmill
