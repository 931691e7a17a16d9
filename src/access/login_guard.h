// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"

namespace jobmill::access {

// Slows down who guesses passwords: after five failures within a minute an address has to wait
// until that minute is over. An attempt counts from its beginning, so that many at once are no way
// around it, and what succeeds is taken back.
class LoginGuard {
 public:
  static constexpr std::size_t kMost = 5;
  static constexpr Duration kWindow = std::chrono::minutes(1);

  // Zero: the attempt may be made, and counts as failed until succeeded() is called. Else how long
  // the address has to wait.
  Duration attempt(const std::string& address, TimePoint now);
  void succeeded(const std::string& address);

 private:
  void forget_old(TimePoint now);

  std::unordered_map<std::string, std::deque<TimePoint>> failures_;  // of the last minute
};

// "127.0.0.1:40312" -> "127.0.0.1", "[::1]:8000" -> "::1": one machine has many ports.
std::string address_of(std::string_view peer);

}  // namespace jobmill::access
