// SPDX-License-Identifier: Apache-2.0
#include "jobs/payload.h"

#include <doctest/doctest.h>

namespace jobmill::jobs {

TEST_CASE("payload: the same values are the same payload however they are written") {
  const Payload mail{.kind = "mail", .args = R"([{"to":"a","copies":2}])", .meta = ""};
  CHECK(same_payload(mail, mail));
  CHECK(same_payload(mail,
                     {.kind = "mail", .args = R"([ {"copies": 2.0, "to": "a"} ])", .meta = "{}"}));
  CHECK_FALSE(same_payload(mail, {.kind = "post", .args = mail.args, .meta = ""}));
  CHECK_FALSE(same_payload(mail, {.kind = "mail", .v = 2, .args = mail.args, .meta = ""}));
  CHECK_FALSE(same_payload(mail, {.kind = "mail", .args = "[]", .meta = ""}));
  CHECK_FALSE(
      same_payload(mail, {.kind = "mail", .args = R"([{"to":"a","copies":"2"}])", .meta = ""}));
  CHECK_FALSE(same_payload(mail, {.kind = "mail", .args = R"([{"to":"a"}])", .meta = ""}));
  CHECK_FALSE(same_payload(mail, {.kind = "mail", .args = mail.args, .meta = R"({"a":1})"}));
}

TEST_CASE("payload: numbers are compared as exactly as they are written") {
  const auto same = [](std::string_view a, std::string_view b) {
    return same_payload({.kind = "k", .args = a, .meta = ""}, {.kind = "k", .args = b, .meta = ""});
  };
  CHECK(same("[9007199254740993 ]", "[9007199254740993]"));
  CHECK_FALSE(same("[9007199254740993]", "[9007199254740992]"));
  CHECK_FALSE(same("[1, 2]", "[2, 1]"));
}

}  // namespace jobmill::jobs
