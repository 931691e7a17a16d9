// SPDX-License-Identifier: Apache-2.0
#include "jobs/extra.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/duration.h"

namespace jobmill::jobs {
namespace {

Fault wrong(std::string_view field, std::string_view reason) {
  return fail(Code::InvalidArgument, fmt::format("{}: {}", field, reason));
}

bool is_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view hex) { return hex.find_first_not_of('0') == hex.npos; }

std::optional<Duration> seconds_in(const Node& node) {
  const auto value = node.as_double();
  if (!value || std::abs(*value) > 1e11) return std::nullopt;
  return std::chrono::round<Duration>(std::chrono::duration<double>(*value));
}

void read_seconds(const Node& object, std::string_view name, Duration& out) {
  const Node* member = object.find(name);
  if (member == nullptr) return;
  out = seconds_in(*member).value_or(out);
}

std::string text_in(const Node& object, std::string_view name) {
  const Node* member = object.find(name);
  return member != nullptr && member->is_string() ? member->text : std::string();
}

void write_seconds(JsonWriter& json, std::string_view name, Duration value) {
  if (value != Duration::zero()) json.raw_member(name, seconds_json(value));
}

}  // namespace

bool is_traceparent(std::string_view text) {
  if (text.size() != 55 || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const auto trace = text.substr(3, 32);
  const auto span = text.substr(36, 16);
  return text.starts_with("00") && is_hex(trace) && is_hex(span) && is_hex(text.substr(53)) &&
         !is_zero(trace) && !is_zero(span);
}

Status check(const Extra& extra) {
  if (extra.retry)
    if (const Status fine = check(*extra.retry); !fine)
      return fail(fine.error().code, "retry." + fine.error().message);
  if (extra.timeout < Duration::zero()) return wrong("timeout_s", "must not be negative");
  if (extra.progress_timeout < Duration::zero())
    return wrong("progress_timeout_s", "must not be negative");
  if (extra.result_ttl && *extra.result_ttl < Duration::zero())
    return wrong("result_ttl", "must not be negative");
  if (!extra.trace.parent.empty() && !is_traceparent(extra.trace.parent))
    return wrong("trace.traceparent", "expected 00-<32 hex digits>-<16 hex digits>-<2 hex digits>");
  if (!extra.trace.state.empty() && extra.trace.parent.empty())
    return wrong("trace.tracestate", "needs a traceparent");
  if (extra.trace.state.size() > kMaxTraceState)
    return wrong("trace.tracestate", "longer than 512 bytes");
  return {};
}

void write_policy(JsonWriter& json, const RetryPolicy& policy) {
  const RetryPolicy usual;
  json.object();
  if (policy.delays.empty()) {
    json.raw_member("base", seconds_json(policy.base)).member("factor", policy.factor);
    if (policy.cap != usual.cap) json.raw_member("cap", seconds_json(policy.cap));
  } else {
    json.key("delays").array();
    for (const Duration delay : policy.delays) json.raw(seconds_json(delay));
    json.end();
  }
  if (policy.jitter != 0) json.raw_member("jitter", fmt::format("{}", policy.jitter));
  json.end();
}

RetryPolicy read_policy(const Node& object) {
  RetryPolicy policy;
  if (const Node* delays = object.find("delays"))
    for (const Node& delay : delays->items)
      policy.delays.push_back(seconds_in(delay).value_or(Duration::zero()));
  read_seconds(object, "base", policy.base);
  if (const Node* factor = object.find("factor"))
    policy.factor = factor->as_int().value_or(policy.factor);
  read_seconds(object, "cap", policy.cap);
  if (const Node* jitter = object.find("jitter")) policy.jitter = jitter->as_double().value_or(0);
  return policy;
}

void write_members(JsonWriter& json, const Extra& extra) {
  if (extra.retry) write_policy(json.key("retry"), *extra.retry);
  write_seconds(json, "timeout_s", extra.timeout);
  write_seconds(json, "progress_timeout_s", extra.progress_timeout);
  if (!extra.trace.parent.empty()) {
    json.key("trace").object().member("traceparent", extra.trace.parent);
    if (!extra.trace.state.empty()) json.member("tracestate", extra.trace.state);
    json.end();
  }
  if (extra.result_ttl) json.member("result_ttl", format_iso(*extra.result_ttl));
}

Extra read_extra(const Node& object) {
  Extra extra;
  if (const Node* retry = object.find("retry"); retry != nullptr && retry->is_object())
    extra.retry = read_policy(*retry);
  read_seconds(object, "timeout_s", extra.timeout);
  read_seconds(object, "progress_timeout_s", extra.progress_timeout);
  if (const Node* trace = object.find("trace"))
    extra.trace = {text_in(*trace, "traceparent"), text_in(*trace, "tracestate")};
  if (const auto ttl = parse_iso_duration(text_in(object, "result_ttl")))
    extra.result_ttl = to_duration(*ttl);
  return extra;
}

std::string to_text(const Extra& extra) {
  if (extra == Extra{}) return {};
  JsonWriter json;
  json.object();
  write_members(json, extra);
  return std::move(json.end()).text();
}

Result<Extra> extra_of(std::string_view text) {
  if (text.empty()) return Extra{};
  TRY(const Node node, parse_json(text));
  return read_extra(node);
}

}  // namespace jobmill::jobs
