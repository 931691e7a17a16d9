// SPDX-License-Identifier: Apache-2.0
#include "api/query_reader.h"

#include <fmt/format.h>
#include <algorithm>
#include <charconv>

#include "base/duration.h"
#include "base/nearest.h"

namespace jobmill::api {
namespace {

std::string unknown(std::string_view name, const std::vector<std::string_view>& known) {
  const std::string_view meant = nearest(name, known);
  return meant.empty() ? "unknown parameter"
                       : fmt::format("unknown parameter; did you mean '{}'?", meant);
}

}  // namespace

void QueryReader::wrong(std::string_view name, std::string reason) {
  errors_.push_back({std::string(name), std::move(reason)});
}

std::optional<std::string_view> QueryReader::find(std::string_view name) {
  known_.push_back(name);
  return request_.parameter(name);
}

void QueryReader::text(std::string_view name, std::string& out) {
  if (const auto value = find(name)) out = *value;
}

void QueryReader::texts(std::string_view name, std::vector<std::string>& out) {
  known_.push_back(name);
  for (const auto& [key, value] : request_.query)
    if (key == name) out.push_back(value);
}

void QueryReader::instant(std::string_view name, std::optional<TimePoint>& out) {
  const auto value = find(name);
  if (!value) return;
  const auto at = parse_instant(*value);
  if (!at) return wrong(name, "expected an RFC 3339 instant such as 2025-01-01T00:00:00Z");
  out = *at;
}

void QueryReader::flag(std::string_view name, bool& out) {
  const auto value = find(name);
  if (!value) return;
  out = *value == "1" || *value == "true";
  if (!out && *value != "0" && *value != "false") wrong(name, "expected true or false");
}

std::optional<std::int64_t> QueryReader::integer_in(std::string_view name, std::int64_t least,
                                                    std::int64_t most) {
  const auto text = find(name);
  if (!text) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  const bool whole = error == std::errc() && end == text->data() + text->size();
  if (whole && value >= least && value <= most) return value;
  wrong(name, fmt::format("expected an integer from {} to {}", least, most));
  return std::nullopt;
}

std::optional<Problem> QueryReader::close() {
  for (const auto& [name, value] : request_.query)
    if (std::ranges::find(known_, name) == known_.end()) wrong(name, unknown(name, known_));
  if (errors_.empty()) return std::nullopt;
  const FieldError& first = errors_.front();
  return Problem{.detail = fmt::format("{}: {}", first.field, first.reason),
                 .parameter = first.field,
                 .errors = errors_};
}

}  // namespace jobmill::api
