// SPDX-License-Identifier: Apache-2.0
#include "app/retry_config.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include <fmt/core.h>

#include "base/duration.h"

namespace jobmill::app {
namespace {

using std::chrono::milliseconds;
using Retry = ServerOptions::Retry;

constexpr double kFarthest = 1e9;  // seconds
constexpr std::string_view kKeys =
    "kind, if_error, do_not_retry, delays, base, factor, cap, jitter";

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value >= 0 && value <= kFarthest ? std::optional(value) : std::nullopt;
}

// One entry of the file.
class Entry {
 public:
  Entry(const Node& node, const std::string& file) : node_(node), file_(file) {}

  Result<Retry> read() {
    if (!node_.is_object()) return wrong(node_, fmt::format("expected an entry with {}", kKeys));
    for (const Node::Member& member : node_.members) TRY_VOID(set(member));
    TRY_VOID(check());
    return retry_;
  }

 private:
  Fault wrong(const Node& node, std::string_view reason) const {
    return fail(Code::InvalidArgument, fmt::format("{}:{}: {}", file_, node.line, reason));
  }

  Status set(const Node::Member& member) {
    const Node& value = member.value;
    if (member.key == "kind") return set_text(retry_.kind, value);
    if (member.key == "if_error") return set_text(retry_.error, value);
    if (member.key == "do_not_retry") return set_never(value);
    if (member.key == "delays") return set_delays(value);
    if (member.key == "base") return set_base(value);
    if (member.key == "factor") return set_factor(value);
    if (member.key == "cap") return set_duration(retry_.cap, value);
    if (member.key == "jitter") return set_jitter(value);
    return wrong(value, fmt::format("unknown key 'retry.{}'; known: {}", member.key, kKeys));
  }

  Status set_text(std::string& out, const Node& value) const {
    if (value.text.empty()) return wrong(value, "expected a text");
    out = value.text;
    return {};
  }

  Status set_never(const Node& value) {
    const auto flag = value.as_bool();
    if (!flag) return wrong(value, "expected true or false");
    retry_.never = *flag;
    return {};
  }

  Result<milliseconds> duration(const Node& place, const std::string& text) const {
    if (const auto seconds = number(text)) return milliseconds(std::llround(*seconds * 1000));
    const auto parsed = parse_duration(text);
    if (!parsed) return wrong(place, parsed.error().message);
    return std::chrono::round<milliseconds>(*parsed);
  }

  Status set_duration(milliseconds& out, const Node& value) const {
    TRY(out, duration(value, value.text));
    return {};
  }

  // A list, or a text with commas.
  Status set_delays(const Node& value) {
    for (const Node& item : value.items) {
      TRY(const milliseconds delay, duration(item, item.text));
      retry_.delays.push_back(delay);
    }
    for (std::string_view rest = value.text; !rest.empty();) {
      const auto comma = std::min(rest.find(','), rest.size());
      TRY(const milliseconds delay, duration(value, std::string(rest.substr(0, comma))));
      retry_.delays.push_back(delay);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    if (retry_.delays.empty() || retry_.delays.size() > jobs::kMostRetries)
      return wrong(value, "expected 1 to 1000 delays");
    return {};
  }

  // Alone it is the factor, too.
  Status set_base(const Node& value) {
    TRY_VOID(set_duration(retry_.base, value));
    if (node_.find("factor") != nullptr) return {};
    const auto whole = std::chrono::floor<std::chrono::seconds>(retry_.base);
    if (whole != retry_.base || whole.count() < 1)
      return wrong(value, "a base without a factor must be whole seconds");
    retry_.factor = whole.count();
    return {};
  }

  Status set_factor(const Node& value) {
    const auto factor = value.as_int();
    if (!factor || *factor < 1) return wrong(value, "expected a whole number from 1 on");
    retry_.factor = *factor;
    return {};
  }

  Status set_jitter(const Node& value) {
    const auto jitter = value.as_double();
    if (!jitter || !(*jitter >= 0 && *jitter <= 1)) return wrong(value, "expected 0 to 1");
    retry_.jitter = *jitter;
    return {};
  }

  bool has(std::string_view key) const { return node_.find(key) != nullptr; }

  Status check() const {
    const bool grows = has("base") || has("factor") || has("cap");
    if (has("delays") && grows) return wrong(node_, "delays exclude base, factor and cap");
    if (retry_.never && (grows || has("delays") || has("jitter")))
      return wrong(node_, "do_not_retry excludes delays, base, factor, cap and jitter");
    if (!retry_.never && !grows && !has("delays") && !has("jitter"))
      return wrong(node_, "the entry says nothing; add delays, base or do_not_retry");
    return {};
  }

  const Node& node_;
  const std::string& file_;
  Retry retry_;
};

jobs::RetryPolicy policy_of(const Retry& entry) {
  return {.delays = {entry.delays.begin(), entry.delays.end()},
          .base = entry.base,
          .factor = entry.factor,
          .cap = entry.cap,
          .jitter = entry.jitter};
}

}  // namespace

Result<std::vector<Retry>> read_retry_rules(const Node& node, const std::string& file) {
  std::vector<Retry> entries;
  if (!node.is_array()) {
    TRY(entries.emplace_back(), Entry(node, file).read());
    return entries;
  }
  for (const Node& item : node.items) {
    TRY(entries.emplace_back(), Entry(item, file).read());
  }
  return entries;
}

// An entry for everything is the default, which also gives the delays of jobs that say only how
// often they are retried. What comes after it is never reached.
jobs::RetryRules retry_rules(const std::vector<Retry>& entries, int retries) {
  jobs::RetryRules rules;
  rules.retries = retries;
  for (const Retry& entry : entries) {
    const bool everything = entry.kind.empty() && entry.error.empty();
    if (everything && !entry.never) {
      rules.policy = policy_of(entry);
      return rules;
    }
    rules.list.push_back({.kind = entry.kind,
                          .error = entry.error,
                          .policy = entry.never ? std::nullopt : std::optional(policy_of(entry)),
                          .never = entry.never});
  }
  return rules;
}

}  // namespace jobmill::app
