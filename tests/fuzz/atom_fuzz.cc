// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "api/atom_xml.h"

using namespace jobmill;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)api::described_kind(text);
  const auto queue = api::read_queue(text, broker::QueueDescription{});
  if (queue) (void)api::queue_entry({.description = *queue}, {.base = "http://localhost"});
  return 0;
}
