// SPDX-License-Identifier: Apache-2.0
#include "targets/process/masks.h"

#include <doctest/doctest.h>

namespace jobmill::targets {
namespace {

std::string masked(std::vector<Secret> secrets, std::string text) {
  Masks(secrets).apply(text);
  return text;
}

}  // namespace

TEST_CASE("masks: a secret is hidden wherever it stands") {
  CHECK(masked({Secret("swordfish")}, "swordfish, xswordfishy swordfis") == "***, x***y swordfis");
  CHECK(masked({}, "swordfish") == "swordfish");
  CHECK(Masks({Secret("swordfish"), Secret("0123456789ab")}).longest() == 12);
}

TEST_CASE("masks: what is shorter than eight characters may be an innocent word") {
  CHECK(masked({Secret("trustno"), Secret("")}, "trustno one") == "trustno one");
  CHECK(masked({Secret("trustno1")}, "trustno1") == "***");
}

TEST_CASE("masks: of one secret within another the longer is hidden as a whole") {
  CHECK(masked({Secret("password"), Secret("password-2025")}, "password-2025 password") ==
        "*** ***");
}

TEST_CASE("masks: each line of a secret counts") {
  CHECK(masked({Secret("-----BEGIN-----\r\nMIIEvQIBADAN\nAA\n")}, "MIIEvQIBADAN AA") == "*** AA");
}

}  // namespace jobmill::targets
