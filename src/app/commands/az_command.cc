// SPDX-License-Identifier: Apache-2.0
#include "app/commands/az_command.h"

#include <charconv>

#include <fmt/core.h>

#include "http/message.h"

namespace jobmill::app {

std::optional<std::string> required(const AzClient& client, const Arguments& arguments,
                                    std::string_view flag) {
  std::string text = arguments.get(flag);
  if (!text.empty()) return text;
  client.usage_error(fmt::format("--{} is required", flag));
  return std::nullopt;
}

std::optional<std::int64_t> whole(const AzClient& client, const Arguments& arguments,
                                  std::string_view flag, std::int64_t least, bool& wrong) {
  if (!arguments.has(flag)) return std::nullopt;
  const std::string text = arguments.get(flag);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size() && value >= least) return value;
  client.usage_error(
      fmt::format("--{} takes a whole number from {} on, not '{}'", flag, least, text));
  wrong = true;
  return std::nullopt;
}

std::string encoded_path(std::string_view path) {
  std::string encoded;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view segment = path.substr(0, path.find('/'));
    encoded += "/" + http::url_encode(segment);
    path.remove_prefix(segment.size());
  }
  return encoded;
}

}  // namespace jobmill::app
