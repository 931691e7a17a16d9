// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace jobmill::app {

// One line of a replica's log: "2026-11-22T03:14:15.926Z stdout text".
struct LogLine {
  std::string_view time;
  std::string_view stream;  // stdout or stderr; with a colon and the name of another container
  std::string_view text;
};
LogLine split_log_line(std::string_view line);

// Whether the container wrote it; "": the replica's own. What the server says of the log itself is
// everybody's.
bool is_of_container(std::string_view line, std::string_view container);

// {"TimeStamp": …, "Stream": …, "Log": …}: a line as az prints it.
std::string log_line_json(std::string_view line);

void each_line(std::string_view text, const std::function<void(std::string_view line)>& use);

}  // namespace jobmill::app
