// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "app/command_line.h"

namespace jobmill::app {

struct CommandTrial {
  int exit = 0;
  Arguments arguments{};
};

// What the command line makes of these words, by the command's own table of flags; the command
// itself is not run. `before`: what stands between the program and the nouns.
inline CommandTrial try_command(std::string_view path, const std::vector<std::string>& words,
                                const std::vector<std::string>& before = {}) {
  static Arguments parsed;  // a Command's function has no state of its own
  parsed = {};
  const auto known = std::ranges::find_if(
      commands(), [&](const Command& command) { return path == command.path; });
  REQUIRE_MESSAGE(known != commands().end(), path);
  Command command = *known;
  command.run = [](const Arguments& arguments) {
    parsed = arguments;
    return 0;
  };
  std::vector<std::string> line{"jobmill"};
  line.insert(line.end(), before.begin(), before.end());
  std::istringstream nouns{std::string(path)};
  for (std::string noun; nouns >> noun;) line.push_back(noun);
  line.insert(line.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (std::string& word : line) argv.push_back(word.data());
  const int exit =
      run_command_line({"jobmill", "", {&command, 1}}, static_cast<int>(argv.size()), argv.data());
  return {exit, parsed};
}

}  // namespace jobmill::app
