// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include <fmt/format.h>

#include "base/document.h"
#include "base/duration.h"
#include "jobmill/jobs.h"

// The JSON of job arguments: what the public header's codecs are made of.
namespace jobmill::detail {
namespace {

using std::chrono::nanoseconds;

Node parsed(std::string_view json, Node::Kind kind, std::string_view what) {
  auto node = parse_json(json);
  if (!node || node->kind != kind) not_a(what, json);
  return *std::move(node);
}

// ".5" for half a second; nothing for none.
std::string fraction(std::int64_t nanos) {
  if (nanos == 0) return {};
  std::string digits = fmt::format(".{:09}", nanos);
  digits.erase(digits.find_last_not_of('0') + 1);
  return digits;
}

// The part of a second's fraction that is finer than the microseconds of parse_instant.
nanoseconds below_microseconds(std::string_view instant) {
  const auto dot = instant.find('.');
  if (dot == std::string_view::npos) return nanoseconds(0);
  std::int64_t nanos = 0;
  for (std::size_t i = 1; i <= 9; ++i) {
    const char c = dot + i < instant.size() ? instant[dot + i] : '0';
    if (c < '0' || c > '9') {
      for (; i <= 9; ++i) nanos *= 10;
      break;
    }
    nanos = nanos * 10 + (c - '0');
  }
  return nanoseconds(nanos % 1000);
}

}  // namespace

void not_a(std::string_view what, std::string_view json) {
  throw fatal(fmt::format("expected {}, got {}", what, json.substr(0, 80)));
}

std::string_view trimmed(std::string_view json) {
  const auto begin = json.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return json.substr(begin, json.find_last_not_of(" \t\r\n") - begin + 1);
}

std::string put_text(std::string_view text) { return json_quote(text); }

std::string get_text(std::string_view json) {
  return parsed(json, Node::Kind::String, "a string").text;
}

bool get_bool(std::string_view json) {
  json = trimmed(json);
  if (json != "true" && json != "false") not_a("true or false", json);
  return json == "true";
}

std::string put_double(double value) {
  if (!std::isfinite(value)) throw std::invalid_argument("JSON has no infinities and no NaN");
  return to_json(Node::number(value));
}

double get_double(std::string_view json) {
  const auto node = parse_json(json);
  const auto value = node ? node->as_double() : std::nullopt;
  if (!value) not_a("a number", json);
  return *value;
}

std::string put_duration(nanoseconds value) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(value);
  const auto nanos = static_cast<std::int32_t>((value - whole).count());
  return put_text(canonical(IsoDuration{whole.count(), nanos}));
}

nanoseconds get_duration(std::string_view json) {
  const auto value = parse_iso_duration(get_text(json));
  if (!value) not_a("an ISO 8601 duration", json);
  return std::chrono::seconds(value->seconds) + nanoseconds(value->nanos);
}

std::string put_instant(std::chrono::sys_time<nanoseconds> at) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(at);
  std::string text = format_instant(whole);
  text.insert(text.size() - 1, fraction((at - whole).count()));
  return put_text(text);
}

std::chrono::sys_time<nanoseconds> get_instant(std::string_view json) {
  const std::string text = get_text(json);
  const auto at = parse_instant(text);
  if (!at) not_a("an RFC 3339 instant", json);
  return std::chrono::time_point_cast<nanoseconds>(*at) + below_microseconds(text);
}

std::vector<std::string> get_items(std::string_view json) {
  std::vector<std::string> items;
  for (const Node& item : parsed(json, Node::Kind::Array, "an array").items)
    items.push_back(to_json(item));
  return items;
}

std::vector<std::pair<std::string, std::string>> get_members(std::string_view json) {
  std::vector<std::pair<std::string, std::string>> members;
  for (const Node::Member& member : parsed(json, Node::Kind::Object, "an object").members)
    members.emplace_back(member.key, to_json(member.value));
  return members;
}

}  // namespace jobmill::detail
