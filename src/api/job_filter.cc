// SPDX-License-Identifier: Apache-2.0
#include "api/job_filter.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/duration.h"
#include "base/json_writer.h"

namespace jobmill::api {
namespace {

using jobs::ArgumentFilter;
using Op = ArgumentFilter::Op;

struct OpName {
  std::string_view name;
  Op op;
};
// Of operators that begin alike the longer one first, as a text is searched for them in this order.
constexpr std::array kOps{
    OpName{"!=", Op::NotEqual}, OpName{"<=", Op::AtMost}, OpName{">=", Op::AtLeast},
    OpName{"=", Op::Equal},     OpName{"<", Op::Less},    OpName{">", Op::Greater},
    OpName{"~", Op::Contains},
};
constexpr std::array kWords{
    OpName{"eq", Op::Equal},      OpName{"ne", Op::NotEqual},       OpName{"lt", Op::Less},
    OpName{"le", Op::AtMost},     OpName{"gt", Op::Greater},        OpName{"ge", Op::AtLeast},
    OpName{"exists", Op::Exists}, OpName{"contains", Op::Contains},
};

std::optional<Op> op_of(std::string_view name) {
  for (const auto& [known, op] : kOps)
    if (known == name) return op;
  for (const auto& [known, op] : kWords)
    if (known == name) return op;
  return std::nullopt;
}

std::string_view name_of(Op op) {
  if (op == Op::Exists || op == Op::Contains) return op == Op::Exists ? "exists" : "contains";
  return std::ranges::find(kOps, op, &OpName::op)->name;
}

bool is_scalar(const Node& node) { return !node.is_object() && !node.is_array(); }

// In a query a text needs no quotes, unless it reads as another scalar.
std::string scalar_of(std::string_view text) {
  const auto parsed = parse_json(text);
  return parsed && is_scalar(*parsed) ? jobmill::to_json(*parsed) : json_quote(text);
}

void read_value(ObjectReader& in, ArgumentFilter& arg) {
  const Node* value = in.any("value");
  if (value == nullptr || arg.op == Op::Exists) return;
  if (!is_scalar(*value)) return in.wrong("value", "expected a text, a number, true or false");
  if (arg.op == Op::Contains && !value->is_string())
    return in.wrong("value", "expected a text with contains");
  arg.value = arg.op == Op::Contains ? value->text : jobmill::to_json(*value);
}

void read_arg(ObjectReader in, ArgumentFilter& arg) {
  std::string op = "=";
  in.text("path", arg.path, Field::Required);
  in.text("op", op);
  if (const auto known = op_of(op))
    arg.op = *known;
  else
    in.wrong("op", "expected =, !=, <, <=, >, >=, contains or exists");
  // null is a value like any other, which the reader takes for none.
  arg.value = arg.op == Op::Exists || arg.op == Op::Contains ? "" : "null";
  read_value(in, arg);
  in.close();
}

// "0.customer=42"; a path alone asks whether there is anything.
ArgumentFilter arg_of(std::string_view text) {
  ArgumentFilter arg{.path = std::string(text), .op = Op::Exists};
  const auto at = text.find_first_of("!<>=~");
  if (at == std::string_view::npos) return arg;
  const std::string_view rest = text.substr(at);
  for (const auto& [name, op] : kOps) {
    if (!rest.starts_with(name)) continue;
    const std::string_view value = rest.substr(name.size());
    return {.path = std::string(text.substr(0, at)),
            .op = op,
            .value = op == Op::Contains ? std::string(value) : scalar_of(value)};
  }
  return arg;
}

template <class In>
void read_states(In& in, std::vector<jobs::JobState>& states) {
  std::vector<std::string> names;
  in.texts("state", names);
  for (const std::string& name : names) {
    const auto state = jobs::job_state(name);
    if (!state) return in.wrong("state", "no such state");
    if (std::ranges::find(states, *state) == states.end()) states.push_back(*state);
  }
}

template <class In>
void read_members(In& in, jobs::JobFilter& filter) {
  read_states(in, filter.states);
  in.text("name", filter.name);
  in.text("kind", filter.kind);
  in.text("queue", filter.queue);
  in.texts("label", filter.labels);
  in.text("errorType", filter.error_type);
  in.text("errorText", filter.error_text);
  in.text("failureFingerprint", filter.failure_fingerprint);
  in.text("recurringId", filter.recurring_id);
  in.instant("createdAfter", filter.created_after);
  in.instant("createdBefore", filter.created_before);
  in.instant("updatedAfter", filter.updated_after);
  in.instant("updatedBefore", filter.updated_before);
  in.instant("scheduledAfter", filter.scheduled_after);
  in.instant("scheduledBefore", filter.scheduled_before);
  constexpr std::int64_t kMostMs = 1'000'000'000'000;
  std::optional<std::int64_t> ms;
  in.integer("minDurationMs", ms, 0, kMostMs);
  if (ms) filter.min_duration = std::chrono::milliseconds(*ms);
  in.integer("minAttempt", filter.min_attempt, 0, 1'000'000);
  in.text("text", filter.text);
}

void write_text(JsonWriter& json, std::string_view name, const std::string& text) {
  if (!text.empty()) json.member(name, text);
}

void write_instant(JsonWriter& json, std::string_view name, const std::optional<TimePoint>& at) {
  if (at) json.member(name, format_instant(*at));
}

void write_lists(JsonWriter& json, const jobs::JobFilter& filter) {
  if (!filter.states.empty()) {
    json.key("state").array();
    for (const jobs::JobState state : filter.states) json.value(to_string(state));
    json.end();
  }
  if (!filter.labels.empty()) {
    json.key("label").array();
    for (const std::string& label : filter.labels) json.value(label);
    json.end();
  }
}

void write_arg(JsonWriter& json, const ArgumentFilter& arg) {
  json.key("arg").object().member("path", arg.path).member("op", name_of(arg.op));
  if (arg.op == Op::Contains)
    json.member("value", arg.value);
  else if (arg.op != Op::Exists)
    json.raw_member("value", arg.value);
  json.end();
}

}  // namespace

void read_filter(ObjectReader in, jobs::JobFilter& filter, std::vector<FieldError>& errors) {
  read_members(in, filter);
  if (const Node* arg = in.object("arg"))
    read_arg({*arg, in.path_of("arg"), errors}, filter.arg.emplace());
  in.close();
}

void read_filter(QueryReader& in, jobs::JobFilter& filter) {
  read_members(in, filter);
  std::string arg;
  in.text("arg", arg);
  if (!arg.empty()) filter.arg = arg_of(arg);
  if (filter.arg && filter.arg->path.empty()) in.wrong("arg", "expected a path, as 0.customer=42");
}

std::string to_json(const jobs::JobFilter& filter) {
  JsonWriter json;
  json.object();
  write_lists(json, filter);
  write_text(json, "name", filter.name);
  write_text(json, "kind", filter.kind);
  write_text(json, "queue", filter.queue);
  write_text(json, "errorType", filter.error_type);
  write_text(json, "errorText", filter.error_text);
  write_text(json, "failureFingerprint", filter.failure_fingerprint);
  write_text(json, "recurringId", filter.recurring_id);
  write_instant(json, "createdAfter", filter.created_after);
  write_instant(json, "createdBefore", filter.created_before);
  write_instant(json, "updatedAfter", filter.updated_after);
  write_instant(json, "updatedBefore", filter.updated_before);
  write_instant(json, "scheduledAfter", filter.scheduled_after);
  write_instant(json, "scheduledBefore", filter.scheduled_before);
  if (filter.min_duration)
    json.member("minDurationMs",
                std::chrono::floor<std::chrono::milliseconds>(*filter.min_duration).count());
  if (filter.min_attempt) json.member("minAttempt", *filter.min_attempt);
  if (filter.arg) write_arg(json, *filter.arg);
  write_text(json, "text", filter.text);
  return std::move(json.end()).text();
}

}  // namespace jobmill::api
