// SPDX-License-Identifier: Apache-2.0
// The WebSocket codec under arbitrary bytes. The first byte chooses how they are cut; the payload
// must be the same as of the whole, and neither it nor the answers may outgrow the input.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "http/websocket.h"

using namespace jobmill::http;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::string decode(std::string_view bytes, std::size_t piece) {
  const std::size_t size = bytes.size();
  WebSocketCodec codec({.message_bytes = 300});
  std::string payload;
  std::string output;
  while (!bytes.empty()) {
    codec.feed(bytes.substr(0, piece), payload);
    output += codec.take_output();
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  require(payload.size() <= size);
  require(output.size() <= size + 4);  // a Close of ours
  require(codec.fault().empty() || codec.ended());
  return payload;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = 1 + data[0] % 64;
  require(decode(bytes, bytes.size()) == decode(bytes, piece));
  return 0;
}
