// SPDX-License-Identifier: Apache-2.0
#include "amqp/message.h"

#include "amqp/codec.h"
#include "amqp/composite.h"
#include "amqp/short_list.h"
#include "amqp/usual_fields.h"
#include "base/hex.h"

namespace jobmill::amqp {

template <>
struct Composite<Header> {
  static constexpr std::uint64_t kDescriptor = 0x70;
  static constexpr const char* kName = "header";
  static auto fields(auto& header, auto&& each) {
    return each(header.durable, header.priority, header.ttl, header.first_acquirer,
                header.delivery_count);
  }
};

template <>
struct Composite<Properties> {
  static constexpr std::uint64_t kDescriptor = 0x73;
  static constexpr const char* kName = "properties";
  static auto fields(auto& properties, auto&& each) {
    return each(properties.message_id, binary(properties.user_id), properties.to,
                properties.subject, properties.reply_to, properties.correlation_id,
                symbol(properties.content_type), symbol(properties.content_encoding),
                timestamp(properties.absolute_expiry_time), timestamp(properties.creation_time),
                properties.group_id, properties.group_sequence, properties.reply_to_group_id);
  }
};

namespace {

constexpr std::uint64_t kHeader = 0x70;
constexpr std::uint64_t kProperties = 0x73;
constexpr std::uint64_t kData = 0x75;
constexpr std::uint64_t kSequence = 0x76;
constexpr std::uint64_t kValue = 0x77;
constexpr std::uint64_t kFooter = 0x78;

constexpr std::uint32_t kExpiryField = 8;
constexpr std::uint32_t kGroupIdField = 10;

Fault malformed(const char* what) { return fail(Code::InvalidArgument, what); }

// Over what the section's descriptor says must follow. Sizes are checked, items are not.
Status skip_content(Reader& in, std::uint64_t section) {
  switch (section) {
    case kHeader:
    case kProperties:
    case kSequence: {
      const auto list = in.list_items();
      return list ? Status() : Status(list.error());
    }
    case kDeliveryAnnotations:
    case kMessageAnnotations:
    case kApplicationProperties:
    case kFooter: {
      const auto map = in.map_items();
      return map ? Status() : Status(map.error());
    }
    case kData: {
      const auto bytes = in.binary();
      if (bytes && !*bytes) return malformed("a data section is null");
      return bytes ? Status() : Status(bytes.error());
    }
    case kValue:
      return in.skip();
    default:
      return malformed("not a section of an AMQP message");
  }
}

std::string_view* place(Sections& sections, std::uint64_t section) {
  switch (section) {
    case kHeader:
      return &sections.header;
    case kDeliveryAnnotations:
      return &sections.delivery_annotations;
    case kMessageAnnotations:
      return &sections.message_annotations;
    case kProperties:
      return &sections.properties;
    case kApplicationProperties:
      return &sections.application_properties;
    case kFooter:
      return &sections.footer;
    default:
      return &sections.body;
  }
}

// The descriptors' numbers are in the order of the sections. Only data and sequences repeat, and
// kinds of body do not mix.
bool may_follow(std::uint64_t section, std::uint64_t before) {
  const bool body_before = before == kData || before == kSequence || before == kValue;
  if (section == before) return section == kData || section == kSequence;
  if (body_before) return section == kFooter;
  return section > before;
}

// The list or map of a section that has this descriptor.
Status enter(Reader& in, std::uint64_t section) {
  TRY(const std::uint64_t code, in.descriptor());
  if (code != section) return malformed("another section of an AMQP message is expected");
  return {};
}

template <class T>
Result<T> decode_section(std::string_view section) {
  T composite;
  if (section.empty()) return composite;
  Reader in(section);
  TRY_VOID(read_composite(in, composite));
  if (!in.at_end()) return malformed("bytes follow a section of an AMQP message");
  return composite;
}

bool has_list(std::uint8_t section) {
  return section == kHeader || section == kProperties || section == kSequence;
}
bool has_map(std::uint8_t section) {
  return section >= kDeliveryAnnotations && section <= kFooter && !has_list(section) &&
         section != kData && section != kValue;
}

struct UsualSection {
  std::uint8_t descriptor = 0;
  std::size_t size = 0;  // 0: look closer
};

// The section that is next, with the descriptor and sizes that nearly every message has. The
// checks are those of skip_content().
UsualSection usual_section(std::string_view rest) {
  const auto byte = [rest](std::size_t at) { return static_cast<std::uint8_t>(rest[at]); };
  if (rest.size() < 5 || byte(0) != 0 || byte(1) != 0x53) return {};
  const std::uint8_t descriptor = byte(2);
  const std::uint8_t format = byte(3);
  const auto kind = static_cast<std::uint8_t>(format & 0x0F);  // 0 binary or list, 1 map
  const bool compound = format >= 0xC0;
  if (descriptor == kData ? format != 0xA0 && format != 0xB0
                          : !(has_list(descriptor) && (format == 0xC0 || format == 0xD0)) &&
                                !(has_map(descriptor) && (format == 0xC1 || format == 0xD1)))
    return {};
  const std::size_t width = (format & 0x10) == 0 ? 1 : 4;  // of size and of count
  const std::size_t head = 4 + width;
  const auto number = [&](std::size_t at) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < width; ++i) value = value << 8 | byte(at + i);
    return value;
  };
  if (rest.size() < head) return {};
  const std::size_t size = number(4);
  if (size > rest.size() - head) return {};
  if (compound) {
    if (size < width) return {};
    const std::size_t count = number(head);
    if (count > size - width || (kind == 1 && count % 2 != 0)) return {};
  }
  return {descriptor, head + size};
}

std::optional<Header> usual_header(std::string_view section) {
  Header header;
  UsualFields fields(section, kHeader);
  fields.flag(header.durable);
  fields.ubyte(header.priority);
  fields.uint(header.ttl);
  fields.flag(header.first_acquirer);
  fields.uint(header.delivery_count);
  if (!fields.done() || !fields.after().empty()) return std::nullopt;
  return header;
}

std::optional<Ids> usual_ids(std::string_view section) {
  std::optional<std::string_view> id;
  Ids ids;
  UsualFields fields(section, kProperties);
  fields.text(id);
  for (std::uint32_t field = 1; field < kExpiryField; ++field) fields.skip();
  fields.timestamp(ids.absolute_expiry_time);
  fields.skip();
  fields.text(ids.group_id);
  if (!fields.good()) return std::nullopt;
  if (id) ids.message_id = *id;
  return ids;
}

}  // namespace

Result<Sections> split(std::string_view message) {
  Sections sections;
  Reader in(message);
  std::uint64_t before = 0;
  while (!in.at_end()) {
    const std::size_t start = in.position();
    const UsualSection usual = usual_section(in.rest());
    std::uint64_t section = usual.descriptor;
    if (usual.size > 0) {
      in = Reader(message, start + usual.size);
    } else {
      TRY(section, in.descriptor());
      TRY_VOID(skip_content(in, section));
    }
    if (!may_follow(section, before))
      return malformed("the sections of an AMQP message are out of order");
    std::string_view& view = *place(sections, section);
    const std::string_view bytes = message.substr(start, in.position() - start);
    view = view.empty() ? bytes : std::string_view(view.data(), view.size() + bytes.size());
    before = section;
  }
  return sections;
}

Result<std::vector<std::string_view>> data_sections(std::string_view body) {
  std::vector<std::string_view> payloads;
  Reader in(body);
  while (!in.at_end()) {
    TRY_VOID(enter(in, kData));
    TRY(const auto payload, in.binary());
    if (!payload) return malformed("a data section is null");
    payloads.push_back(*payload);
  }
  return payloads;
}

Result<Header> decode_header(std::string_view section) {
  if (const auto usual = usual_header(section)) return *usual;
  return decode_section<Header>(section);
}

void encode_header(std::string& out, const Header& header) {
  ShortList list(kHeader, 5);
  list.boolean(header.durable);
  list.ubyte(header.priority);
  list.uint(header.ttl);
  list.boolean(header.first_acquirer);
  list.uint(header.delivery_count);
  list.append_to(out);
}

Result<Properties> decode_properties(std::string_view section) {
  return decode_section<Properties>(section);
}

void encode_properties(std::string& out, const Properties& properties) {
  Writer writer(out);
  write_composite(writer, properties);
}

Result<Ids> decode_ids(std::string_view properties_section) {
  Ids ids;
  if (properties_section.empty()) return ids;
  if (auto usual = usual_ids(properties_section)) return *std::move(usual);
  Reader section(properties_section);
  TRY_VOID(enter(section, kProperties));
  TRY(const Reader::Items items, section.list_items());
  Reader in(items.bytes);
  if (items.count > 0) {
    TRY(const Value id, in.value());
    ids.message_id = id_text(id);
  }
  if (items.count <= kExpiryField) return ids;
  for (std::uint32_t field = 1; field < kExpiryField; ++field) TRY_VOID(in.skip());
  TRY(ids.absolute_expiry_time, in.integer());
  if (items.count <= kGroupIdField) return ids;
  TRY_VOID(in.skip());
  TRY(ids.group_id, in.text());
  return ids;
}

std::string id_text(const Value& id) {
  if (const auto text = id.text()) return std::string(*text);
  if (const auto* uuid = id.as<Uuid>()) return uuid_text(std::as_bytes(std::span(uuid->bytes)));
  if (const auto* binary = id.as<Binary>())
    return hex_text(std::as_bytes(std::span(binary->bytes)));
  if (const auto number = id.unsigned_integer()) return std::to_string(*number);
  return {};
}

Result<Map> decode_map_section(std::string_view section) {
  if (section.empty()) return Map();
  Reader in(section);
  TRY(const std::uint64_t code, in.descriptor());
  if (code != kDeliveryAnnotations && code != kMessageAnnotations &&
      code != kApplicationProperties && code != kFooter)
    return malformed("not a section with a map");
  Map map;
  TRY_VOID(Field<Map>::read(in, map));
  if (!in.at_end()) return malformed("bytes follow a section of an AMQP message");
  return map;
}

void encode_map_section(std::string& out, std::uint64_t descriptor, const Map& map) {
  Writer writer(out);
  writer.descriptor(descriptor);
  writer.map(map);
}

void encode_data_section(std::string& out, std::string_view bytes) {
  Writer writer(out);
  writer.descriptor(kData);
  writer.binary(bytes);
}

void encode_value_section(std::string& out, const Value& value) {
  Writer writer(out);
  writer.descriptor(kValue);
  writer.value(value);
}

Result<Value> decode_value_section(std::string_view body) {
  Reader in(body);
  TRY_VOID(enter(in, kValue));
  TRY(Value value, in.value());
  if (!in.at_end()) return malformed("bytes follow a section of an AMQP message");
  return value;
}

}  // namespace jobmill::amqp
