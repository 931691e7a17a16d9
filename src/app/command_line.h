// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace jobmill::app {

// What commands are made of. CLI11 sits behind parse() and nowhere else.
struct Flag {
  const char* name;  // "--queue", "-f,--filename", "-n,--name,--queue-name"
  // "Q"; empty: a switch; "Q…": may be repeated; "Q …": takes several, as az has it; "[Q …]": or
  // none, then its value is empty; "[true|false]": empty when nothing follows.
  const char* value = "";
  const char* help = "";
};

struct Arguments {
  std::map<std::string, std::vector<std::string>, std::less<>>
      flags;  // by their first long name, without dashes
  std::vector<std::string> positional;

  bool has(std::string_view flag) const { return flags.find(flag) != flags.end(); }
  std::string get(std::string_view flag, std::string_view fallback = "") const;
  std::vector<std::string> all(std::string_view flag) const;
};

enum Exit : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kNotFound = 3,  // of the commands that mirror az
  kBadInput = 64,
  kUnreachable = 69,
  kDataInUse = 73,
  kTemporary = 75,
  kPermission = 77,
  kConfiguration = 78,
};

struct Command {
  const char* path;        // "job enqueue"
  const char* positional;  // "KIND [ARGS]", "ID…"; empty: none
  const char* help;
  std::span<const Flag> flags;
  bool talks_to_server;  // adds --server, --user, --password-file, --token, -o, -n
  int (*run)(const Arguments& arguments);
  bool like_az = false;  // its flags are those of az: -o, --query, -g, … in place of -o and -n
};

struct Program {
  const char* name;
  const char* description;
  std::span<const Command> commands;  // in the order of the help
};

// Every command of jobmill.
std::span<const Command> commands();
// Those that a program named az has: what az calls them, and nothing else.
std::span<const Command> az_commands();

// Parses and runs; the exit code. Prints usage errors and help itself.
int run_command_line(const Program& program, int argc, char** argv);

}  // namespace jobmill::app
