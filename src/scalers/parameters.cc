// SPDX-License-Identifier: Apache-2.0
#include "scalers/parameters.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <chrono>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "base/document.h"
#include "base/duration.h"
#include "http/message.h"
#include "scale/metric_name.h"
#include "scale/metric_value.h"

namespace jobmill::scalers {
namespace {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\n\r\v\f";
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view first_name(const Parameter& parameter) {
  return parameter.names.substr(0, parameter.names.find('|'));
}

std::string_view look_up(const scale::TriggerSpec::Texts& texts, std::string_view key) {
  const auto found = texts.find(key);
  return found == texts.end() ? std::string_view() : trim(found->second);
}

std::string_view look_up(const scale::TriggerSpec& spec, char source, std::string_view name) {
  if (source == 'm') return look_up(spec.metadata, name);
  if (source == 'a') return look_up(spec.auth, name);
  const auto variable = look_up(spec.metadata, fmt::format("{}FromEnv", name));
  return variable.empty() ? variable : look_up(spec.env, variable);
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// "-0", "12", but not "+1", "007" or "1.0".
std::optional<std::int64_t> parse_integer(std::string_view text) {
  std::string_view digits = text;
  if (digits.starts_with('-')) digits.remove_prefix(1);
  if (!all_digits(digits) || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<double> parse_number(std::string_view text) {
  const auto node = parse_json(text);
  return node ? node->as_double() : std::nullopt;
}

std::optional<bool> parse_boolean(std::string_view text) {
  constexpr std::array<std::string_view, 6> kTrue{"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::array<std::string_view, 6> kFalse{"0", "f", "F", "FALSE", "false", "False"};
  if (std::ranges::find(kTrue, text) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, text) != kFalse.end()) return false;
  return std::nullopt;
}

std::optional<Duration> parse_milliseconds(std::string_view text) {
  const auto value = parse_integer(text);
  constexpr auto kMost = std::chrono::floor<std::chrono::milliseconds>(Duration::max()).count();
  if (!value || *value < 0 || *value > kMost) return std::nullopt;
  return std::chrono::milliseconds(*value);
}

std::optional<Duration> parse_trigger_duration(std::string_view text) {
  if (const auto value = parse_milliseconds(text)) return value;
  const auto value = parse_go_duration(text);
  if (!value || *value < Duration::zero()) return std::nullopt;
  return *value;
}

std::optional<Duration> parse_iso(std::string_view text) {
  const auto value = parse_iso_duration(text);
  if (!value || value->negative()) return std::nullopt;
  return to_duration(*value);
}

bool is_word(const Parameter& parameter, std::string_view text) {
  const auto words = split(parameter.words, '|');
  return std::ranges::find(words, text) != words.end();
}

std::optional<scale::MetricType> metric_type(std::string_view text) {
  if (text == "AverageValue") return scale::MetricType::AverageValue;
  if (text == "Value") return scale::MetricType::Value;
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Flaw flaw) {
  constexpr std::array<std::string_view, 11> kNames{
      "auth-incomplete", "boolean", "conflict",          "duration", "enum",       "missing",
      "number",          "range",   "removed-parameter", "syntax",   "unsupported"};
  return kNames[static_cast<std::size_t>(flaw)];
}

Parameters::Parameters(const scale::TriggerSpec& spec, std::span<const Parameter> table)
    : spec_(spec), table_(table) {}

const Parameter& Parameters::row(std::string_view name) const {
  const auto found = std::ranges::find(table_, name, first_name);
  assert(found != table_.end());
  return *found;
}

std::optional<Parameters::Given> Parameters::given(const Parameter& parameter) const {
  for (const char source : parameter.sources)
    for (const std::string_view name : split(parameter.names, '|'))
      if (const auto text = look_up(spec_, source, name); !text.empty())
        return Given{std::string(text), source == 'm'};
  return std::nullopt;
}

bool Parameters::has(std::string_view name) const { return given(row(name)).has_value(); }

std::optional<Parameters::Given> Parameters::value(const Parameter& parameter) {
  if (auto text = given(parameter)) return text;
  if (!parameter.fallback.empty()) return Given{std::string(parameter.fallback), true};
  if (parameter.required) complain(Flaw::Missing, fmt::format("{} is missing", parameter.names));
  return std::nullopt;
}

void Parameters::refuse(Flaw flaw, const Parameter& parameter, const Given& text,
                        std::string_view wish) {
  // What comes from authentication or the environment may be a secret.
  const std::string shown = text.printable ? fmt::format(", not {}", json_quote(text.value)) : "";
  complain(flaw, fmt::format("{} must be {}{}", first_name(parameter), wish, shown));
}

std::string Parameters::text(std::string_view name) {
  const Parameter& parameter = row(name);
  const auto text = value(parameter);
  if (!text) return {};
  if (parameter.type != ParameterType::Word || is_word(parameter, text->value)) return text->value;
  refuse(Flaw::Enum, parameter, *text,
         fmt::format("one of {}", fmt::join(split(parameter.words, '|'), ", ")));
  return std::string(parameter.fallback);
}

std::optional<double> Parameters::number(std::string_view name) {
  const Parameter& parameter = row(name);
  const auto text = value(parameter);
  if (!text) return 0;
  if (const auto number = parse_number(text->value)) return number;
  refuse(Flaw::Number, parameter, *text, "a number such as 5 or 0.5");
  return std::nullopt;
}

std::optional<std::int64_t> Parameters::integer(std::string_view name) {
  const Parameter& parameter = row(name);
  const auto text = value(parameter);
  if (!text) return 0;
  if (const auto number = parse_integer(text->value)) return number;
  refuse(Flaw::Number, parameter, *text, "a whole number such as 5");
  return std::nullopt;
}

bool Parameters::boolean(std::string_view name) {
  const Parameter& parameter = row(name);
  const auto text = value(parameter);
  if (!text) return false;
  if (const auto truth = parse_boolean(text->value)) return *truth;
  refuse(Flaw::Boolean, parameter, *text, "true or false");
  return false;
}

Duration Parameters::duration(std::string_view name) {
  const Parameter& parameter = row(name);
  const auto text = value(parameter);
  if (!text) return Duration::zero();
  const bool iso = parameter.type == ParameterType::IsoDuration;
  if (const auto time = (iso ? parse_iso : parse_trigger_duration)(text->value)) return *time;
  refuse(Flaw::Duration, parameter, *text,
         iso ? "an ISO 8601 duration such as PT2M"
             : "a duration such as 1.5s, 500ms or a number of milliseconds");
  return Duration::zero();
}

std::vector<std::string> Parameters::list(std::string_view name) {
  const Parameter& parameter = row(name);
  const auto text = value(parameter);
  if (!text) return {};
  std::vector<std::string> parts;
  for (const std::string_view part : split(text->value, ',')) parts.emplace_back(trim(part));
  if (parameter.type != ParameterType::WordList) return parts;
  if (std::ranges::all_of(parts, [&](const auto& part) { return is_word(parameter, part); }))
    return parts;
  refuse(Flaw::Enum, parameter, *text,
         fmt::format("a list of {}", fmt::join(split(parameter.words, '|'), ", ")));
  return {};
}

std::vector<std::pair<std::string, std::string>> Parameters::query(std::string_view name) {
  const Parameter& parameter = row(name);
  const auto text = value(parameter);
  std::vector<std::pair<std::string, std::string>> pairs;
  if (!text) return pairs;
  for (const std::string_view pair : split(text->value, '&')) {
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    auto key = http::url_decode(pair.substr(0, equals), true);
    auto decoded = equals == std::string_view::npos
                       ? std::string()
                       : http::url_decode(pair.substr(equals + 1), true);
    if (key && decoded) {
      pairs.emplace_back(*std::move(key), *std::move(decoded));
      continue;
    }
    refuse(Flaw::Syntax, parameter, *text, "a query string such as a=1&b=2");
    return {};
  }
  return pairs;
}

scale::MetricSpec Parameters::metric(std::string_view name, double target,
                                     scale::MetricType otherwise) {
  scale::MetricSpec metric{.name = scale::metric_name(name, spec_.index),
                           .type = otherwise,
                           .target_milli = scale::to_milli(target)};
  if (spec_.metric_type.empty()) return metric;
  if (const auto type = metric_type(spec_.metric_type))
    metric.type = *type;
  else
    complain(Flaw::Unsupported, fmt::format("metricType must be AverageValue or Value, not {}",
                                            json_quote(spec_.metric_type)));
  return metric;
}

void Parameters::complain(Flaw flaw, std::string text) {
  flaws_.insert(flaw);
  complaints_.push_back(std::move(text));
}

Status Parameters::status() const {
  if (complaints_.empty()) return {};
  const Code code =
      flaws_ == std::set{Flaw::Unsupported} ? Code::Unsupported : Code::InvalidArgument;
  return fail(code, fmt::format("trigger {} ({}): {}", spec_.index, spec_.type,
                                fmt::join(complaints_, "; ")));
}

}  // namespace jobmill::scalers
