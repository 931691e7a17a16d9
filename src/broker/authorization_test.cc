// SPDX-License-Identifier: Apache-2.0
#include "broker/authorization.h"

#include <chrono>
#include <vector>

#include <doctest/doctest.h>

#include "base/base64.h"
#include "base/hmac.h"
#include "broker/address.h"

namespace jobmill::broker {
namespace {

using std::chrono::hours;

constexpr Rights kSend{static_cast<std::uint8_t>(Right::Send)};
constexpr Rights kListen{static_cast<std::uint8_t>(Right::Listen)};
constexpr Rights kManage{static_cast<std::uint8_t>(Right::Manage)};

struct Fixture {
  ManualClock clock;
  std::vector<AuthorizationRule> rules{
      {.name = "Root", .rights = kManage, .primary_key = Secret("SAS_KEY_VALUE")},
      {.name = "reader",
       .rights = kListen,
       .primary_key = Secret("first"),
       .secondary_key = Secret("second")}};

  Result<Claim> verify(std::string_view token) {
    return verify_sas(
        token, [this](std::string_view) { return std::span<const AuthorizationRule>(rules); },
        clock.now());
  }
  TimePoint later() const { return clock.now() + hours(1); }
  // As a client that encodes in its own way: it signs the text that it sends.
  std::string token_of(const std::string& signed_text, const std::string& sent_text) const {
    const std::string expiry = std::to_string(
        std::chrono::floor<std::chrono::seconds>(later().time_since_epoch()).count());
    std::string sig =
        base64_encode(hmac_sha256(Secret("SAS_KEY_VALUE"), signed_text + "\n" + expiry));
    std::string encoded;
    for (const char c : sig)
      encoded += c == '+' ? "%2b" : c == '/' ? "%2f" : c == '=' ? "%3d" : std::string(1, c);
    return "SharedAccessSignature skn=Root&se=" + expiry + "&sig=" + encoded + "&sr=" + sent_text;
  }
};

TEST_CASE_FIXTURE(Fixture, "sas: a token gives the rights of its rule on its path") {
  const auto claim =
      verify(make_sas("sb://localhost:5672/Queue1", "reader", Secret("first"), later()));
  REQUIRE(claim);
  CHECK(claim->path == "queue1");
  CHECK(claim->principal == "reader");
  CHECK(claim->expires_at == later());
  CHECK(claim->rights.has(Right::Listen));
  CHECK_FALSE(claim->rights.has(Right::Send));
}

TEST_CASE_FIXTURE(Fixture, "sas: both keys of a rule sign, an empty one never does") {
  CHECK(verify(make_sas("sb://h/q", "reader", Secret("second"), later())));
  CHECK_FALSE(verify(make_sas("sb://h/q", "Root", Secret(""), later())));
}

TEST_CASE_FIXTURE(Fixture, "sas: upper, lower and mixed encodings of the resource verify") {
  CHECK(verify(token_of("sb%3A%2F%2Fhost%2Fqueue1", "sb%3A%2F%2Fhost%2Fqueue1")));
  CHECK(verify(token_of("sb%3a%2f%2fhost%2fqueue1", "sb%3a%2f%2fhost%2fqueue1")));
  CHECK(verify(token_of("sb%3a%2f%2fhost%2fqueue1", "sb%3A%2F%2Fhost%2Fqueue1")));
  CHECK(verify(token_of("sb%3A%2F%2Fhost%2FQueue1", "sb%3a%2f%2fhost%2fQueue1")));
  CHECK(verify(token_of("sb%3a%2f%2fhost%2fqueue1", "sb%3A%2F%2Fhost%2FQueue1")));
  CHECK_FALSE(verify(token_of("sb%3a%2f%2fhost%2fqueue1", "sb%3a%2f%2fhost%2fqueue2")));
}

TEST_CASE_FIXTURE(Fixture, "sas: expired, unknown rule, wrong key and torn tokens are denied") {
  const std::string good = make_sas("sb://h/q", "Root", Secret("SAS_KEY_VALUE"), later());
  CHECK(verify(good));
  clock.advance(hours(1));
  const auto expired = verify(good);
  REQUIRE_FALSE(expired);
  CHECK(expired.error().code == Code::PermissionDenied);
  CHECK(expired.error().message == "the token has expired");
  CHECK_FALSE(verify(make_sas("sb://h/q", "nobody", Secret("SAS_KEY_VALUE"), later())));
  CHECK_FALSE(verify(make_sas("sb://h/q", "Root", Secret("other"), later())));
  const std::string again = make_sas("sb://h/q", "Root", Secret("SAS_KEY_VALUE"), later());
  for (std::size_t size = 0; size < again.size() - 4; ++size)
    CHECK_FALSE(verify(std::string_view(again).substr(0, size)));
}

TEST_CASE("claim: it covers its path and what is below it") {
  const Claim claim{.path = "a"};
  CHECK(claim.covers("a"));
  CHECK(claim.covers("a/b"));
  CHECK_FALSE(claim.covers("ab"));
  CHECK_FALSE(claim.covers("b"));
  CHECK(Claim{}.covers("anything"));
}

TEST_CASE_FIXTURE(Fixture, "plain: a rule and either of its keys log in") {
  rules[1].rights = kSend;
  CHECK(verify_plain("reader", Secret("first"), rules)->rights == kSend);
  CHECK(verify_plain("reader", Secret("second"), rules));
  CHECK_FALSE(verify_plain("reader", Secret("third"), rules));
  CHECK_FALSE(verify_plain("Root", Secret(""), rules));
  CHECK_FALSE(verify_plain("nobody", Secret("first"), rules));
}

}  // namespace
}  // namespace jobmill::broker
