// SPDX-License-Identifier: Apache-2.0
#include "app/job_spec.h"

#include <charconv>
#include <chrono>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "base/duration.h"

namespace jobmill::app {
namespace {

// ARGS-JSON as the member that it is of the spec.
Status read_args(const std::string& text, Node& spec) {
  auto parsed = parse_json(text);
  if (!parsed)
    return fail(
        Code::InvalidArgument,
        fmt::format("ARGS-JSON is no JSON ({}); give an array such as '[\"bob\", 3]', or an "
                    "object",
                    parsed.error().message));
  if (!parsed->is_array() && !parsed->is_object())
    return fail(Code::InvalidArgument,
                fmt::format("ARGS-JSON is of the wrong kind ({}); give an array or an object",
                            to_string(parsed->kind)));
  const bool named = parsed->is_object();
  spec.set(named ? "named" : "args", *std::move(parsed));
  return {};
}

void read_labels(const Arguments& arguments, Node& spec) {
  if (!arguments.has("label")) return;
  Node& labels = spec.set("labels", Node::array());
  for (const std::string& label : arguments.all("label")) labels.push(Node::string(label));
}

}  // namespace

std::optional<std::int64_t> whole_number(const ApiClient& client, const Arguments& arguments,
                                         std::string_view flag, int& exit) {
  const std::string text = arguments.get(flag);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  exit = client.complain(kUsage, fmt::format("--{} takes a whole number, not '{}'", flag, text));
  return std::nullopt;
}

std::optional<Duration> duration(const ApiClient& client, const Arguments& arguments,
                                 std::string_view flag, int& exit) {
  const auto value = parse_duration(arguments.get(flag));
  if (value) return *value;
  exit = client.complain(
      kBadInput, fmt::format("--{} is no duration ({}); give one such as 30s, 5m or PT5M", flag,
                             value.error().message));
  return std::nullopt;
}

std::optional<Node> job_spec(const ApiClient& client, const Arguments& arguments, std::size_t first,
                             int& exit) {
  Node spec = Node::object();
  spec.set("kind", Node::string(arguments.positional.at(first)));
  if (arguments.positional.size() > first + 1) {
    if (const Status read = read_args(arguments.positional[first + 1], spec); !read) {
      exit = client.complain(kBadInput, read.error().message);
      return std::nullopt;
    }
  }
  if (arguments.has("queue")) spec.set("queue", Node::string(arguments.get("queue")));
  for (const char* flag : {"priority", "retries"}) {
    if (!arguments.has(flag)) continue;
    const auto value = whole_number(client, arguments, flag, exit);
    if (!value) return std::nullopt;
    spec.set(flag, Node::integer(*value));
  }
  if (arguments.has("timeout")) {
    const auto timeout = duration(client, arguments, "timeout", exit);
    if (!timeout) return std::nullopt;
    spec.set("timeout_s", Node::number(std::chrono::duration<double>(*timeout).count()));
  }
  read_labels(arguments, spec);
  return spec;
}

}  // namespace jobmill::app
