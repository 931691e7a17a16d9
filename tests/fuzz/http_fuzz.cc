// SPDX-License-Identifier: Apache-2.0
// The HTTP decoder under arbitrary bytes. The first byte chooses how they are cut, and the events
// must be the same as for the whole; nothing may be kept beyond the limits.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http/codec.h"

using namespace jobmill::http;

namespace {

const DecoderLimits kLimits{.header_bytes = 512, .body_bytes = 256};

void require(bool holds) {
  if (!holds) std::abort();
}

std::string describe(const RequestDecoder::Event& event) {
  if (const auto* refusal = std::get_if<RequestDecoder::Refusal>(&event)) {
    require(refusal->status >= 400 && refusal->status <= 505);
    return std::to_string(refusal->status);
  }
  const auto& incoming = std::get<RequestDecoder::Incoming>(event);
  const Request& request = incoming.request;
  require(request.body.size() <= kLimits.body_bytes);
  require(!request.method.empty() && !request.path.empty());
  std::string text = request.method + ' ' + request.target + ' ' + request.path;
  for (const auto& [name, value] : request.query) text += '?' + name + '=' + value;
  for (const auto& [name, value] : request.headers.fields()) text += '\n' + name + ':' + value;
  return text + '\n' + request.body + (incoming.keep_alive ? "1" : "0");
}

std::vector<std::string> decode(std::string_view bytes, std::size_t piece) {
  RequestDecoder decoder(kLimits);
  std::vector<std::string> events;
  while (!bytes.empty()) {
    decoder.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (auto event = decoder.next(); !std::holds_alternative<RequestDecoder::NeedMore>(event);
         event = decoder.next()) {
      // Whether a client is told to go on depends on how its bytes arrive, nothing else does.
      if (std::holds_alternative<RequestDecoder::Continue>(event)) continue;
      events.push_back(describe(event));
    }
    require(decoder.buffered() <= kLimits.header_bytes + 4);
  }
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = 1 + data[0] % 64;
  require(decode(bytes, bytes.size()) == decode(bytes, piece));
  return 0;
}
