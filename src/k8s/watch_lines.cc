// SPDX-License-Identifier: Apache-2.0
#include "k8s/watch_lines.h"

#include <algorithm>
#include <utility>

namespace jobmill::k8s {

void WatchLines::feed(std::string_view bytes) {
  bytes_.erase(0, std::exchange(begin_, 0));
  scanned_ = bytes_.size();
  bytes_.append(bytes);
}

Result<std::optional<Node>> WatchLines::next() {
  for (;;) {
    const std::size_t end = bytes_.find('\n', scanned_);
    const std::size_t length = std::min(end, bytes_.size()) - begin_;
    if (length > longest_) return fail(Code::Exhausted, "an object of the watch is too large");
    if (end == bytes_.npos) {
      scanned_ = bytes_.size();
      return std::optional<Node>();
    }
    const std::string_view line = std::string_view(bytes_).substr(begin_, length);
    begin_ = scanned_ = end + 1;
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    TRY(Node node, parse_json(line, {.bytes = longest_}));
    if (!node.is_object()) return fail(Code::InvalidArgument, "the watch sent no object");
    return std::optional<Node>(std::move(node));
  }
}

}  // namespace jobmill::k8s
