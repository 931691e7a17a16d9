// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "k8s/watch_lines.h"
#include "k8s/watch_state.h"

using namespace jobmill;
using namespace jobmill::k8s;

namespace {

std::vector<std::string> objects(std::string_view bytes, std::size_t piece) {
  WatchLines lines(4096);
  std::vector<std::string> found;
  while (!bytes.empty()) {
    lines.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (;;) {
      const auto next = lines.next();
      if (!next) return found;
      if (!*next) break;
      found.push_back(to_json(**next));
    }
  }
  return found;
}

}  // namespace

// The first byte says into what pieces the rest is cut. The objects must be the same as from one
// piece, and a reflector must be able to take each of them.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const auto found = objects(bytes, 1 + data[0]);
  if (found != objects(bytes, std::max<std::size_t>(1, bytes.size()))) std::abort();

  const TimePoint now(std::chrono::hours(1));
  for (const std::string& object : found) {
    WatchState state({.verb = "watch", .resource = resources::kPods}, std::chrono::minutes(5));
    (void)state.start();
    (void)state.list_came(*parse_json(R"({"metadata":{"resourceVersion":"1"},"items":[]})"), now);
    (void)state.watch_begun(now);
    (void)state.line_came(*parse_json(object), now);
    (void)state.list_came(*parse_json(object), now);
  }
  return 0;
}
