// SPDX-License-Identifier: Apache-2.0
// The HTTP decoder under arbitrary bytes. The first byte chooses how they are cut; the requests
// must be the same as of the whole, and nothing may be kept beyond the limits. Refusals may differ:
// of a line that is cut, a fault shows when its header is complete or too large.
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

std::string describe(const RequestDecoder::Incoming& incoming) {
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
  std::vector<std::string> requests;
  while (!bytes.empty()) {
    decoder.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (auto event = decoder.next(); !std::holds_alternative<RequestDecoder::NeedMore>(event);
         event = decoder.next()) {
      if (const auto* incoming = std::get_if<RequestDecoder::Incoming>(&event)) {
        requests.push_back(describe(*incoming));
      }
    }
    require(decoder.buffered() <= kLimits.header_bytes + 4);
  }
  return requests;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = 1 + data[0] % 64;
  require(decode(bytes, bytes.size()) == decode(bytes, piece));
  return 0;
}
