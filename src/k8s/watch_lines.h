// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/document.h"
#include "base/result.h"

namespace jobmill::k8s {

// The JSON objects of a watch, one a line, from bytes that come in any pieces.
class WatchLines {
 public:
  explicit WatchLines(std::size_t longest = 16u << 20) : longest_(longest) {}

  void feed(std::string_view bytes);

  // The next whole object; nothing: more bytes are needed. Exhausted: a line is too long;
  // InvalidArgument: it is no JSON object. After an error there is nothing more.
  Result<std::optional<Node>> next();

 private:
  const std::size_t longest_;
  std::string bytes_;
  std::size_t begin_ = 0;    // of the line
  std::size_t scanned_ = 0;  // no line ends between begin_ and here
};

}  // namespace jobmill::k8s
