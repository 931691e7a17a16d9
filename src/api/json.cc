// SPDX-License-Identifier: Apache-2.0
#include "api/json.h"

#include <fmt/format.h>
#include <algorithm>

#include "base/duration.h"
#include "base/nearest.h"
#include "base/text.h"

namespace jobmill::api {
namespace {

std::string unknown(std::string_view name, const std::vector<std::string_view>& known) {
  const std::string_view meant = nearest(name, known);
  return meant.empty() ? "unknown field" : fmt::format("unknown field; did you mean '{}'?", meant);
}

Problem unreadable(const std::string& reason) {
  return {.detail = reason, .parameter = {}, .errors = {{"body", reason}}};
}

bool is_json(std::string_view content_type) {
  const std::string type = lower(content_type.substr(0, content_type.find(';')));
  return type.starts_with("application/json") || type.starts_with("application/problem+json");
}

}  // namespace

ObjectReader::ObjectReader(const Node& node, std::string path, std::vector<FieldError>& errors)
    : node_(node), path_(std::move(path)), errors_(errors) {
  known_.reserve(16);
}

std::string ObjectReader::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

void ObjectReader::wrong(std::string_view name, std::string reason) {
  errors_.push_back({path_of(name), std::move(reason)});
}

bool ObjectReader::has(std::string_view name) const {
  const Node* member = node_.find(name);
  return member != nullptr && !member->is_null();
}

const Node* ObjectReader::find(std::string_view name, Field field) {
  known_.push_back(name);
  const Node* member = node_.find(name);
  if (member != nullptr && !member->is_null()) return member;
  if (field == Field::Required) wrong(name, "is required");
  return nullptr;
}

const Node* ObjectReader::find_kind(std::string_view name, Node::Kind kind, Field field) {
  const Node* member = find(name, field);
  if (member == nullptr || member->is(kind)) return member;
  wrong(name, fmt::format("expected {}, got {}", to_string(kind), to_string(member->kind)));
  return nullptr;
}

const Node* ObjectReader::object(std::string_view name, Field field) {
  return find_kind(name, Node::Kind::Object, field);
}

const Node* ObjectReader::array(std::string_view name) {
  return find_kind(name, Node::Kind::Array);
}

const Node* ObjectReader::any(std::string_view name) { return find(name); }

void ObjectReader::text(std::string_view name, std::string& out, Field field) {
  const Node* member = find_kind(name, Node::Kind::String, field);
  if (member == nullptr) return;
  if (field == Field::Required && member->text.empty()) return wrong(name, "must not be empty");
  out = member->text;
}

void ObjectReader::texts(std::string_view name, std::vector<std::string>& out) {
  const Node* list = array(name);
  if (list == nullptr) return;
  for (const Node& item : list->items) {
    if (!item.is_string())
      return wrong(name, fmt::format("expected strings, got {}", to_string(item.kind)));
    out.push_back(item.text);
  }
}

void ObjectReader::instant(std::string_view name, std::optional<TimePoint>& out) {
  std::string written;
  text(name, written);
  if (written.empty()) return;
  auto at = parse_instant(written);
  if (!at) return wrong(name, "expected an RFC 3339 instant such as 2025-01-01T00:00:00Z");
  out = *at;
}

void ObjectReader::duration(std::string_view name, std::optional<Duration>& out) {
  const Node* member = find_kind(name, Node::Kind::String);
  if (member == nullptr) return;
  auto parsed = parse_iso_duration(member->text);
  if (!parsed || parsed->negative())
    return wrong(name, "expected an ISO 8601 duration such as PT2M, not negative");
  out = to_duration(*parsed);
}

void ObjectReader::number(std::string_view name, std::optional<double>& out) {
  const Node* member = find(name);
  if (member == nullptr) return;
  const auto value = member->as_double();
  if (!value || *value < 0) return wrong(name, "expected a number, not negative");
  out = *value;
}

void ObjectReader::flag(std::string_view name, bool& out) {
  const Node* member = find(name);
  if (member == nullptr) return;
  const auto value = member->as_bool();
  if (!value) return wrong(name, "expected true or false");
  out = *value;
}

std::optional<std::int64_t> ObjectReader::integer_in(std::string_view name, std::int64_t least,
                                                     std::int64_t most) {
  const Node* member = find(name);
  if (member == nullptr) return std::nullopt;
  const auto value = member->as_int();
  if (value && *value >= least && *value <= most) return value;
  wrong(name, fmt::format("expected an integer from {} to {}", least, most));
  return std::nullopt;
}

void ObjectReader::close() {
  for (const Node::Member& member : node_.members)
    if (std::ranges::find(known_, member.key) == known_.end())
      wrong(member.key, unknown(member.key, known_));
}

JsonBody::JsonBody(const http::Request& request, const DocumentLimits& limits) {
  if (request.body.empty()) return;
  if (const auto type = request.headers.get("Content-Type"); type && !is_json(*type)) {
    unreadable_ = Problem{.status = 415,
                          .code = "unsupported_media_type",
                          .detail = "the body must be application/json"};
    return;
  }
  auto parsed = parse_json(request.body, limits);
  if (!parsed)
    unreadable_ = unreadable(parsed.error().message);
  else if (!parsed->is_object())
    unreadable_ = unreadable("the body must be a JSON object");
  else
    root_ = *std::move(parsed);
}

std::optional<Problem> JsonBody::problem() const {
  if (unreadable_) return unreadable_;
  if (errors_.empty()) return std::nullopt;
  const FieldError& first = errors_.front();
  return Problem{.detail = fmt::format("{}: {}", first.field, first.reason),
                 .parameter = first.field,
                 .errors = errors_};
}

}  // namespace jobmill::api
