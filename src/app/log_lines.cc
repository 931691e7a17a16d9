// SPDX-License-Identifier: Apache-2.0
#include "app/log_lines.h"

#include <algorithm>

#include "base/json_writer.h"

namespace jobmill::app {
namespace {

std::string_view word(std::string_view& line) {
  const std::string_view first = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(first.size() + 1, line.size()));
  return first;
}

}  // namespace

LogLine split_log_line(std::string_view line) {
  LogLine split;
  split.time = word(line);
  split.stream = word(line);
  split.text = line;
  return split;
}

bool is_of_container(std::string_view line, std::string_view container) {
  const std::string_view stream = split_log_line(line).stream;
  if (stream == "jobmill") return true;
  const auto colon = stream.find(':');
  return container == (colon == stream.npos ? std::string_view() : stream.substr(colon + 1));
}

std::string log_line_json(std::string_view line) {
  const LogLine split = split_log_line(line);
  JsonWriter json;
  json.object()
      .member("TimeStamp", split.time)
      .member("Stream", split.stream)
      .member("Log", split.text)
      .end();
  return std::move(json).text();
}

void each_line(std::string_view text, const std::function<void(std::string_view line)>& use) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    use(line);
  }
}

}  // namespace jobmill::app
