// SPDX-License-Identifier: Apache-2.0
#include "front/request.h"

#include <utility>

#include "amqp/message.h"

namespace jobmill::front {

std::string_view Request::text(std::string_view key) const {
  const amqp::Value* value = amqp::find(properties, key);
  return value == nullptr ? std::string_view() : value->text().value_or("");
}

Result<Request> read_request(std::string_view message) {
  TRY(const amqp::Sections sections, amqp::split(message));
  TRY(amqp::Properties properties, amqp::decode_properties(sections.properties));
  TRY(amqp::Map application, amqp::decode_map_section(sections.application_properties));
  TRY(amqp::Value body, amqp::decode_value_section(sections.body));
  return Request{.message_id = std::move(properties.message_id),
                 .reply_to = std::move(properties.reply_to).value_or(""),
                 .properties = std::move(application),
                 .body = std::move(body)};
}

std::string write_answer(const amqp::Value& correlation_id, const amqp::Map& properties,
                         const amqp::Value& body) {
  std::string out;
  amqp::encode_properties(out, {.correlation_id = correlation_id});
  amqp::encode_map_section(out, amqp::kApplicationProperties, properties);
  amqp::encode_value_section(out, body);
  return out;
}

}  // namespace jobmill::front
