// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "amqp/value.h"
#include "base/result.h"

namespace jobmill::amqp {

// A message is a sequence of encoded sections (part 3, section 3.2). We keep them byte for byte and
// look into as few as we must; each view below is one whole section with its descriptor, empty when
// the message has none. All are views of the bytes given.
struct Sections {
  std::string_view header{};
  std::string_view delivery_annotations{};
  std::string_view message_annotations{};
  std::string_view properties{};
  std::string_view application_properties{};
  std::string_view body{};  // all data, amqp-sequence or amqp-value sections, one after the other
  std::string_view footer{};
};

// InvalidArgument: not a message, sections twice or out of order, or cut off.
Result<Sections> split(std::string_view message);

inline constexpr std::uint32_t kMessageFormat = 0;
// Service Bus' envelope of several messages: its body is one data section for each, and each holds
// a whole encoded message.
inline constexpr std::uint32_t kBatchFormat = 0x80013700;
// The payloads of the data sections of a body, in order; views.
Result<std::vector<std::string_view>> data_sections(std::string_view body);

struct Header {
  bool durable = false;
  std::uint8_t priority = 4;
  std::optional<std::uint32_t> ttl{};  // milliseconds
  bool first_acquirer = false;
  std::uint32_t delivery_count = 0;
};
Result<Header> decode_header(std::string_view section);  // of an empty one: the defaults
void encode_header(std::string& out, const Header& header);

// Part 3, section 3.2.4. Ids are kept as values: a string, ulong, uuid or binary.
struct Properties {
  Value message_id{};
  std::optional<std::string> user_id{};
  std::optional<std::string> to{};
  std::optional<std::string> subject{};
  std::optional<std::string> reply_to{};
  Value correlation_id{};
  std::optional<std::string> content_type{};
  std::optional<std::string> content_encoding{};
  std::optional<std::int64_t> absolute_expiry_time{};
  std::optional<std::int64_t> creation_time{};
  std::optional<std::string> group_id{};
  std::optional<std::uint32_t> group_sequence{};
  std::optional<std::string> reply_to_group_id{};
};
Result<Properties> decode_properties(std::string_view section);
void encode_properties(std::string& out, const Properties& properties);

// What a broker looks at in every message, without building the rest.
struct Ids {
  std::string message_id{};  // as id_text() says it; empty when absent
  std::optional<std::string_view> group_id{};
  std::optional<std::int64_t> absolute_expiry_time{};
};
Result<Ids> decode_ids(std::string_view properties_section);

// A text for an id of any of its types: what duplicate detection and people see.
std::string id_text(const Value& id);

// The map of a delivery-annotations, message-annotations, application-properties or footer section;
// empty for an empty section.
Result<Map> decode_map_section(std::string_view section);
inline constexpr std::uint64_t kDeliveryAnnotations = 0x71;
inline constexpr std::uint64_t kMessageAnnotations = 0x72;
inline constexpr std::uint64_t kApplicationProperties = 0x74;
void encode_map_section(std::string& out, std::uint64_t descriptor, const Map& map);

void encode_data_section(std::string& out, std::string_view bytes);
void encode_value_section(std::string& out, const Value& value);  // amqp-value
// The value of a body that is one amqp-value section.
Result<Value> decode_value_section(std::string_view body);

}  // namespace jobmill::amqp
