// SPDX-License-Identifier: Apache-2.0
#include "amqp/message.h"

#include <doctest/doctest.h>

#include "amqp/codec.h"
#include "amqp_values.h"

using namespace jobmill;
using namespace jobmill::amqp;

namespace {

std::string section(std::uint64_t descriptor, Value value) {
  return encoded(Described{descriptor, std::move(value)});
}

const std::string kHeader = section(0x70, List{true});
const std::string kDelivery = section(0x71, Map{{Symbol{"d"}, 1}});
const std::string kMessage = section(0x72, Map{{Symbol{"m"}, 2}});
const std::string kProperties = section(0x73, List{"id"});
const std::string kApplication = section(0x74, Map{{"a", 3}});
const std::string kData = section(0x75, Binary{"data"});
const std::string kSequence = section(0x76, List{1, 2});
const std::string kValue = section(0x77, "value");
const std::string kFooter = section(0x78, Map{{Symbol{"f"}, 4}});

void check_no_message(const std::string& bytes) {
  CAPTURE(hex(bytes));
  const auto sections = split(bytes);
  REQUIRE_FALSE(sections);
  CHECK(sections.error().code == Code::InvalidArgument);
}

// Any message, its sections after each other in `bytes`.
Sections any_message(std::string& bytes) {
  const auto maybe = [] { return *rc::gen::arbitrary<bool>(); };
  const auto maybe_map = [&](std::uint64_t descriptor) {
    std::string map;
    if (maybe()) encode_map_section(map, descriptor, any_map(2));
    return map;
  };
  std::string header;
  if (maybe()) encode_header(header, {.durable = true, .delivery_count = 300});
  std::string properties;
  if (maybe()) encode_properties(properties, {.message_id = any_text(), .group_id = any_text()});
  std::string body;
  switch (*rc::gen::inRange(0, 4)) {
    case 0:
      encode_value_section(body, any_value(3));
      break;
    case 1:
      for (int left = *rc::gen::inRange(1, 4); left > 0; --left) body += section(0x76, any_list(2));
      break;
    case 2:
      for (int left = *rc::gen::inRange(1, 4); left > 0; --left)
        encode_data_section(body, any_bytes());
      break;
    default:
      break;
  }
  const std::string parts[] = {
      header, maybe_map(0x71), maybe_map(0x72), properties, maybe_map(0x74), body, maybe_map(0x78)};
  for (const std::string& part : parts) bytes += part;
  std::size_t at = 0;
  const auto next = [&](int part) {
    const auto view = std::string_view(bytes).substr(at, parts[part].size());
    at += view.size();
    return view;
  };
  Sections sections;
  sections.header = next(0);
  sections.delivery_annotations = next(1);
  sections.message_annotations = next(2);
  sections.properties = next(3);
  sections.application_properties = next(4);
  sections.body = next(5);
  sections.footer = next(6);
  return sections;
}

bool same(const Sections& a, const Sections& b) {
  return a.header == b.header && a.delivery_annotations == b.delivery_annotations &&
         a.message_annotations == b.message_annotations && a.properties == b.properties &&
         a.application_properties == b.application_properties && a.body == b.body &&
         a.footer == b.footer;
}

}  // namespace

TEST_CASE("message: sections are found and kept byte for byte") {
  const std::string bytes =
      kHeader + kDelivery + kMessage + kProperties + kApplication + kData + kData + kFooter;
  const auto sections = split(bytes);
  REQUIRE(sections);
  CHECK(sections->header == kHeader);
  CHECK(sections->delivery_annotations == kDelivery);
  CHECK(sections->message_annotations == kMessage);
  CHECK(sections->properties == kProperties);
  CHECK(sections->application_properties == kApplication);
  CHECK(sections->body == kData + kData);
  CHECK(sections->footer == kFooter);
  CHECK(sections->header.data() == bytes.data());

  CHECK(rc::check("split", [] {
    std::string any;
    const Sections expected = any_message(any);
    const auto found = split(any);
    RC_ASSERT(bool(found));
    RC_ASSERT(same(*found, expected));
  }));
}

TEST_CASE("message: every section may be missing") {
  const auto only_body = split(kValue);
  REQUIRE(only_body);
  CHECK(only_body->body == kValue);
  CHECK(only_body->header.empty());
  CHECK(split(kSequence + kSequence)->body == kSequence + kSequence);
  CHECK(split(kProperties)->body.empty());
  CHECK(split("")->body.empty());
}

TEST_CASE("message: sections twice or out of order are no message") {
  check_no_message(kHeader + kHeader + kData);
  check_no_message(kDelivery + kHeader);
  check_no_message(kApplication + kProperties);
  check_no_message(kData + kHeader);
  check_no_message(kData + kApplication);
  check_no_message(kFooter + kData);
  check_no_message(kFooter + kFooter);
  check_no_message(kValue + kValue);
  check_no_message(kData + kValue);
  check_no_message(kData + kSequence);
  check_no_message(kSequence + kData);
}

TEST_CASE("message: sections have the shape that belongs to them") {
  for (const std::uint64_t list : {0x70, 0x73, 0x76}) {
    check_no_message(section(list, Map{}));
    check_no_message(section(list, Value()));
  }
  for (const std::uint64_t map : {0x71, 0x72, 0x74, 0x78}) check_no_message(section(map, List{}));
  check_no_message(section(0x75, "text"));
  check_no_message(section(0x75, Value()));
  check_no_message(section(0x79, List{}));
  check_no_message(section(0x10, List{}));
  check_no_message(encoded("text"));
  check_no_message(unhex("005375 b0ffffffff00"));
  check_no_message(unhex("005374 d100000004 00000001"));
}

TEST_CASE("message: what is cut off is no message, unless between two sections") {
  CHECK(rc::check("cut", [] {
    std::string bytes;
    (void)any_message(bytes);
    bytes += kFooter.substr(0, *rc::gen::inRange<std::size_t>(1, kFooter.size()));
    RC_ASSERT_FALSE(bool(split(bytes)));
  }));
  CHECK(rc::check("damage", [] {
    std::string any;
    (void)any_message(any);
    const std::string bytes = damaged(any);
    const auto sections = split(bytes);
    if (!sections) return;
    // Whatever is in there: answers, no accidents.
    (void)decode_header(sections->header);
    (void)decode_properties(sections->properties);
    (void)decode_ids(sections->properties);
    (void)decode_map_section(sections->application_properties);
    (void)data_sections(sections->body);
    (void)decode_value_section(sections->body);
    std::string again;
    for (const std::string_view part :
         {sections->header, sections->delivery_annotations, sections->message_annotations,
          sections->properties, sections->application_properties, sections->body, sections->footer})
      again += part;
    RC_ASSERT(again == bytes);
  }));
}

TEST_CASE("message: the envelope of a batch holds messages") {
  std::string batch;
  encode_data_section(batch, kProperties + kData);
  encode_data_section(batch, kValue);
  const auto sections = split(batch);
  REQUIRE(sections);
  const auto messages = data_sections(sections->body);
  REQUIRE(messages);
  REQUIRE(messages->size() == 2);
  CHECK(split((*messages)[0])->properties == kProperties);
  CHECK((*messages)[1] == kValue);
  CHECK_FALSE(data_sections(kValue));
  CHECK_FALSE(data_sections(kData + kSequence));
  CHECK(data_sections("")->empty());
}

TEST_CASE("message: a header that is missing or short has the defaults of the standard") {
  for (const std::string& bytes : {std::string(), section(0x70, List{})}) {
    const auto header = decode_header(bytes);
    REQUIRE(header);
    CHECK_FALSE(header->durable);
    CHECK(header->priority == 4);
    CHECK_FALSE(header->ttl);
    CHECK_FALSE(header->first_acquirer);
    CHECK(header->delivery_count == 0);
  }
  const auto header = decode_header(section(0x70, List{true, std::uint8_t{9}, 60'000u}));
  REQUIRE(header);
  CHECK(header->durable);
  CHECK(header->priority == 9);
  CHECK(header->ttl == 60'000u);

  std::string written;
  encode_header(written, {.durable = true, .ttl = 5u, .delivery_count = 1});
  CHECK(hex(written) ==
        "005370c00905"
        "41"
        "5004"
        "5205"
        "42"
        "5201");
  CHECK_FALSE(decode_header(kProperties));
  CHECK_FALSE(decode_header(kHeader + "x"));
}

TEST_CASE("message: properties are written and read") {
  const Properties all{.message_id = std::uint64_t{7},
                       .user_id = "user",
                       .to = "to",
                       .subject = "subject",
                       .reply_to = "reply-to",
                       .correlation_id = Uuid{{1}},
                       .content_type = "text/plain",
                       .content_encoding = "gzip",
                       .absolute_expiry_time = 1,
                       .creation_time = 2,
                       .group_id = "group",
                       .group_sequence = 3u,
                       .reply_to_group_id = "reply-to-group"};
  std::string bytes;
  encode_properties(bytes, all);
  const auto again = decode_properties(bytes);
  REQUIRE(again);
  std::string twice;
  encode_properties(twice, *again);
  CHECK(twice == bytes);

  Reader in(bytes);
  const auto types = in.value();
  REQUIRE(types);
  const List& fields = *types->undescribed().as<List>();
  REQUIRE(fields.size() == 13);
  CHECK(fields[0] == Value(std::uint64_t{7}));
  CHECK(fields[1] == Value(Binary{"user"}));
  CHECK(fields[5] == Value(Uuid{{1}}));
  CHECK(fields[6] == Value(Symbol{"text/plain"}));
  CHECK(fields[7] == Value(Symbol{"gzip"}));
  CHECK(fields[8] == Value(Timestamp{1}));
  CHECK(fields[10] == Value("group"));
  CHECK(fields[11] == Value(3u));

  const auto none = decode_properties("");
  REQUIRE(none);
  CHECK(none->message_id.null());
  CHECK_FALSE(none->group_id);
  CHECK_FALSE(decode_properties(section(0x73, List{"id", "user id is no string"})));
}

TEST_CASE("message: ids are read without the rest") {
  std::string bytes;
  encode_properties(bytes, {.message_id = "id", .subject = "subject", .group_id = "group"});
  const auto ids = decode_ids(bytes);
  REQUIRE(ids);
  CHECK(ids->message_id == "id");
  CHECK(ids->group_id == "group");
  CHECK(ids->group_id->data() > bytes.data());

  CHECK(decode_ids("")->message_id.empty());
  CHECK(decode_ids(section(0x73, List{}))->message_id.empty());
  const auto short_list = decode_ids(kProperties);
  CHECK(short_list->message_id == "id");
  CHECK_FALSE(short_list->group_id);
  const List ten_fields(10);
  CHECK_FALSE(decode_ids(section(0x73, ten_fields))->group_id);
  CHECK_FALSE(decode_ids(kHeader));
  CHECK_FALSE(decode_ids(bytes.substr(0, bytes.size() - 1)));
}

TEST_CASE("message: ids read alone are those of the properties, whatever these are") {
  CHECK(rc::check("ids", [] {
    const auto maybe_text = [] {
      return *rc::gen::arbitrary<bool>() ? std::optional(any_text()) : std::nullopt;
    };
    std::string bytes;
    encode_properties(
        bytes, {.message_id = *rc::gen::element<Value>("id", std::uint64_t{7}, Uuid{}, Value(),
                                                       Binary{"x"}, any_text()),
                .user_id = maybe_text(),
                .to = maybe_text(),
                .correlation_id = *rc::gen::element<Value>("id", std::uint64_t{7}, Uuid{}),
                .content_type = "text/plain",
                .absolute_expiry_time = *rc::gen::arbitrary<std::int64_t>(),
                .group_id = maybe_text()});
    if (*rc::gen::arbitrary<bool>()) bytes = damaged(bytes);
    const auto properties = decode_properties(bytes);
    if (!properties) return;
    const auto ids = decode_ids(bytes);
    RC_ASSERT(bool(ids));
    RC_ASSERT(ids->message_id == id_text(properties->message_id));
    RC_ASSERT(std::optional<std::string>(ids->group_id) == properties->group_id);
  }));
}

TEST_CASE("message: an id of any type has a text") {
  CHECK(id_text("id") == "id");
  CHECK(id_text(std::uint64_t{18446744073709551615u}) == "18446744073709551615");
  CHECK(id_text(Uuid{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 255}}) ==
        "00010203-0405-0607-0809-0a0b0c0d0eff");
  CHECK(id_text(Binary{"\xab\x01"}) == "ab01");
  CHECK(id_text({}).empty());
}

TEST_CASE("message: sections with maps") {
  for (const std::string& bytes : {kDelivery, kMessage, kApplication, kFooter}) {
    const auto map = decode_map_section(bytes);
    REQUIRE(map);
    CHECK(map->size() == 1);
  }
  CHECK(decode_map_section("")->empty());
  CHECK_FALSE(decode_map_section(kHeader));
  CHECK_FALSE(decode_map_section(kApplication + "x"));
  std::string written;
  encode_map_section(written, kApplicationProperties, {{"a", 3}});
  CHECK(written == kApplication);
  written.clear();
  encode_map_section(written, kMessageAnnotations, {});
  CHECK(hex(written) == "005372c10100");
}

TEST_CASE("message: a body that is one value") {
  std::string body;
  encode_value_section(body, Map{{"operation", "put-token"}});
  const auto value = decode_value_section(body);
  REQUIRE(value);
  CHECK(find(*value->as<Map>(), "operation")->text() == "put-token");
  CHECK_FALSE(decode_value_section(kData));
  CHECK_FALSE(decode_value_section(kValue + kValue));
  CHECK_FALSE(decode_value_section(""));
}
