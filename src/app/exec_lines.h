// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace jobmill::app {

// Cuts a stream that comes in pieces into lines. A line that is longer than the limit becomes
// several; a character is not cut in two.
class LineCutter {
 public:
  using Take = std::function<void(std::string_view line)>;

  explicit LineCutter(std::size_t longest) : longest_(longest) {}

  void feed(std::string_view text, const Take& take);
  void finish(const Take& take);  // what has no end of line is a line, too

 private:
  void put(std::string_view line, const Take& take);

  std::size_t longest_;
  std::string begun_;
};

}  // namespace jobmill::app
