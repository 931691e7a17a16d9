// SPDX-License-Identifier: Apache-2.0
#include "broker/authorization.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>

#include "base/base64.h"
#include "base/hmac.h"
#include "broker/address.h"

namespace jobmill::broker {
namespace {

constexpr std::string_view kPrefix = "SharedAccessSignature ";
constexpr std::string_view kHexUpper = "0123456789ABCDEF";

struct Token {
  std::string_view resource{};  // as encoded: the signature is over this text
  std::string signature{};      // bytes
  std::string_view expiry{};    // seconds since 1970, as text
  std::string rule{};
};

Fault denied(std::string why) { return fail(Code::PermissionDenied, std::move(why)); }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_escape(std::string_view text, std::size_t at) {
  return text[at] == '%' && at + 2 < text.size() && hex_digit(text[at + 1]) >= 0 &&
         hex_digit(text[at + 2]) >= 0;
}

// What is no escape stays as it is: the signature decides, not we.
std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_escape(text, at)) {
      out += text[at];
      continue;
    }
    out += static_cast<char>(hex_digit(text[at + 1]) << 4 | hex_digit(text[at + 2]));
    at += 2;
  }
  return out;
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHexUpper[byte >> 4], kHexUpper[byte & 0xf]};
    }
  }
  return out;
}

// The same text with the digits of its escapes in one case.
std::string with_escapes(std::string_view text, bool upper_case) {
  std::string out(text);
  for (std::size_t at = 0; at < out.size(); ++at) {
    if (!is_escape(text, at)) continue;
    for (std::size_t digit = at + 1; digit <= at + 2; ++digit) {
      const char c = kHexUpper[static_cast<std::size_t>(hex_digit(text[digit]))];
      out[digit] = upper_case || c <= '9' ? c : static_cast<char>(c - 'A' + 'a');
    }
    at += 2;
  }
  return out;
}

Result<Token> read_token(std::string_view text) {
  if (!text.starts_with(kPrefix)) return denied("the token is no shared access signature");
  text.remove_prefix(kPrefix.size());
  Token token;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(text.size(), pair.size() + 1));
    const std::size_t equals = pair.find('=');
    if (equals == pair.npos) continue;
    const std::string_view key = pair.substr(0, equals);
    const std::string_view value = pair.substr(equals + 1);
    if (key == "sr") token.resource = value;
    if (key == "se") token.expiry = value;
    if (key == "skn") token.rule = percent_decode(value);
    if (key == "sig") token.signature = base64_decode(percent_decode(value)).value_or("");
  }
  if (token.resource.empty() || token.expiry.empty() || token.rule.empty() ||
      token.signature.empty())
    return denied("the shared access signature lacks one of sr, sig, se and skn");
  return token;
}

Result<TimePoint> read_expiry(std::string_view text) {
  constexpr std::int64_t kMaxSeconds = 253'402'300'799;  // the end of the year 9999
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0)
    return denied("the shared access signature's se is no time");
  return TimePoint(std::chrono::seconds(std::min(seconds, kMaxSeconds)));
}

bool signed_by(const Secret& key, std::string_view resource, const Token& token) {
  if (key.empty()) return false;
  std::string text(resource);
  text.append("\n").append(token.expiry);
  return equal_in_constant_time(hmac_sha256(key, text), token.signature);
}

// Clients sign what they send, but some encode once more on the way.
bool signed_by(const AuthorizationRule& rule, const Token& token) {
  const std::array forms{std::string(token.resource), with_escapes(token.resource, true),
                         with_escapes(token.resource, false), lower(token.resource)};
  return std::any_of(forms.begin(), forms.end(), [&](const std::string& form) {
    return signed_by(rule.primary_key, form, token) || signed_by(rule.secondary_key, form, token);
  });
}

// An entity may have a rule with the name of a rule of the namespace.
bool named(const AuthorizationRule& rule, std::string_view name) {
  return lower(rule.name) == lower(name);
}

bool opens(const Secret& key, const Secret& given) {
  return !key.empty() && key.equals(given.reveal());
}

}  // namespace

bool Claim::covers(std::string_view entity_path) const {
  return path.empty() || entity_path == path ||
         (entity_path.size() > path.size() && entity_path.starts_with(path) &&
          entity_path[path.size()] == '/');
}

Result<Claim> verify_sas(std::string_view token, const FindRules& rules, TimePoint now) {
  TRY(const Token read, read_token(token));
  TRY(const TimePoint expires_at, read_expiry(read.expiry));
  if (expires_at <= now) return denied("the token has expired");

  Claim claim{.path = resource_path(percent_decode(read.resource)),
              .expires_at = expires_at,
              .principal = read.rule};
  bool known = false;
  for (const AuthorizationRule& rule : rules(claim.path)) {
    if (!named(rule, read.rule)) continue;
    known = true;
    if (!signed_by(rule, read)) continue;
    claim.rights = rule.rights;
    return claim;
  }
  if (!known) return denied("there is no authorization rule '" + read.rule + "'");
  return denied("the signature of the token is not that of the rule's key");
}

std::string make_sas(std::string_view resource, std::string_view rule, const Secret& key,
                     TimePoint expires_at) {
  const std::string encoded = percent_encode(resource);
  const std::string expiry = std::to_string(
      std::chrono::floor<std::chrono::seconds>(expires_at.time_since_epoch()).count());
  const std::string signature = base64_encode(hmac_sha256(key, encoded + "\n" + expiry));
  return std::string(kPrefix) + "sr=" + encoded + "&sig=" + percent_encode(signature) +
         "&se=" + expiry + "&skn=" + percent_encode(rule);
}

Result<Claim> verify_plain(std::string_view rule, const Secret& key,
                           std::span<const AuthorizationRule> rules) {
  for (const AuthorizationRule& candidate : rules) {
    if (!named(candidate, rule)) continue;
    const bool primary = opens(candidate.primary_key, key);
    const bool secondary = opens(candidate.secondary_key, key);
    if (primary || secondary) return Claim{.rights = candidate.rights, .principal = candidate.name};
  }
  return denied("unknown authorization rule or wrong key");
}

}  // namespace jobmill::broker
