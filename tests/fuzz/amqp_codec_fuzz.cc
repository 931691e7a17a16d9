// SPDX-License-Identifier: Apache-2.0
// AMQP bodies and messages under arbitrary bytes: what was read is written and read again the same,
// and nothing is larger than its bytes allow.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <variant>

#include "amqp/codec.h"
#include "amqp/message.h"
#include "amqp/performatives.h"

using namespace jobmill;
using namespace jobmill::amqp;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::string encoded(const Value& value) {
  std::string out;
  Writer(out).value(value);
  return out;
}

void check_value(std::string_view bytes) {
  Reader reading(bytes);
  const auto value = reading.value();
  if (!value) return;
  Reader skipping(bytes);
  const auto raw = skipping.raw_value();
  require(raw && raw->size() == reading.position());

  const std::string written = encoded(*value);
  Reader again(written);
  const auto same = again.value();
  require(same && again.at_end() && encoded(*same) == written);
}

void check_performative(std::string_view bytes) {
  const auto performative = decode_performative(bytes);
  if (!performative) return;
  std::string written;
  std::visit([&written](const auto& body) { encode(written, body); }, *performative);
  const auto again = decode_performative(written);
  require(again && again->index() == performative->index());
}

void check_message(std::string_view bytes) {
  const auto sections = split(bytes);
  if (!sections) return;
  std::string joined;
  for (const std::string_view part :
       {sections->header, sections->delivery_annotations, sections->message_annotations,
        sections->properties, sections->application_properties, sections->body, sections->footer})
    joined += part;
  require(joined == bytes);

  const auto ids = decode_ids(sections->properties);
  const auto properties = decode_properties(sections->properties);
  if (properties) require(ids && ids->message_id == id_text(properties->message_id));
  if (properties) {
    std::string written;
    encode_properties(written, *properties);
    require(static_cast<bool>(decode_properties(written)));
  }
  (void)decode_header(sections->header);
  (void)decode_map_section(sections->application_properties);
  (void)data_sections(sections->body);
  (void)decode_value_section(sections->body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check_value(bytes);
  check_performative(bytes);
  (void)decode_sasl(bytes);
  check_message(bytes);
  return 0;
}
