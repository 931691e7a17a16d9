// SPDX-License-Identifier: Apache-2.0
// What senders and strangers give the broker besides frames: messages, addresses, tokens.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "broker/address.h"
#include "broker/authorization.h"
#include "broker/message.h"

using namespace jobmill;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)broker::parse_address(text);
  const broker::FindRules no_rules = [](std::string_view) {
    return std::span<const broker::AuthorizationRule>();
  };
  (void)broker::verify_sas("SharedAccessSignature " + std::string(text), no_rules, TimePoint());
  const auto message = broker::read_message(text, TimePoint());
  if (!message) return 0;
  // What was taken in can be handed out, and with more properties too.
  const broker::LockToken token{};
  (void)broker::render_whole(*message, {.locked_until = TimePoint(), .lock_token = &token});
  amqp::Map properties;
  amqp::set_string(properties, "DeadLetterReason", "why");
  (void)broker::with_properties(*message->bytes, properties);
  return 0;
}
