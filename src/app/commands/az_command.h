// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "app/az_client.h"
#include "app/command_line.h"

// What commands that mirror az have in common.
namespace jobmill::app {

// A flag that must be there. Complains and answers none when it is not.
std::optional<std::string> required(const AzClient& client, const Arguments& arguments,
                                    std::string_view flag);

// A flag that must be a whole number, if it is there. Complains and sets `wrong` when it is not.
std::optional<std::int64_t> whole(const AzClient& client, const Arguments& arguments,
                                  std::string_view flag, std::int64_t least, bool& wrong);

// Runs what a command does with its client, and with the name that it must be given.
template <int (*Run)(const Arguments&, AzClient&, const std::string& name)>
int named(const Arguments& arguments) {
  auto client = AzClient::from(arguments);
  if (!client) return kUsage;
  const auto name = required(*client, arguments, "name");
  return name ? Run(arguments, *client, *name) : kUsage;
}

// The same without a name.
template <int (*Run)(const Arguments&, AzClient&)>
int with_client(const Arguments& arguments) {
  auto client = AzClient::from(arguments);
  return client ? Run(arguments, *client) : kUsage;
}

// The id of a resource for the request line: its segments may hold what a line may not.
std::string encoded_path(std::string_view path);

inline constexpr Flag kYes{"-y,--yes", "", "do not ask"};
inline constexpr Flag kNoWait{"--no-wait", "", "no effect: it is done at once"};

constexpr Command az(const char* path, const char* help, std::span<const Flag> flags,
                     int (*run)(const Arguments&)) {
  return {path, "", help, flags, true, run, true};
}

}  // namespace jobmill::app
