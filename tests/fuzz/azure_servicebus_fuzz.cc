// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>

#include "scalers/azure_servicebus_admin.h"

using namespace jobmill;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)scalers::parse_connection(Secret(text));
  const http::Response response{.body = text};
  for (const auto kind : {scalers::EntityKind::Queue, scalers::EntityKind::Subscription}) {
    (void)scalers::read_entity(kind, response);
    auto page = scalers::read_listing(kind, response);
    scalers::Listing listing;
    if (page) (void)listing.add(*std::move(page));
  }
  return 0;
}
