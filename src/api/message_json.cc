// SPDX-License-Identifier: Apache-2.0
#include "api/message_json.h"

#include <cmath>

#include <fmt/core.h>

#include "amqp/message.h"
#include "api/json.h"
#include "api/queue_text.h"
#include "base/base64.h"
#include "base/duration.h"
#include "base/utf8.h"

namespace jobmill::api {
namespace {

std::string_view name_of(broker::MessageState state) {
  switch (state) {
    case broker::MessageState::Ready:
      return "active";
    case broker::MessageState::Deferred:
      return "deferred";
    case broker::MessageState::Scheduled:
      return "scheduled";
  }
  return "";
}

void put(JsonWriter& json, std::string_view name, const std::optional<std::string>& value) {
  if (value) json.member(name, *value);
}
void put(JsonWriter& json, std::string_view name, const std::optional<TimePoint>& value) {
  if (value) json.member(name, format_instant(*value));
}
void put(JsonWriter& json, std::string_view name, const amqp::Value& id) {
  if (!id.null()) json.member(name, amqp::id_text(id));
}

// Those of a dead letter also by themselves.
void write_application_properties(JsonWriter& json, std::string_view section) {
  const auto map = amqp::decode_map_section(section);
  if (!map || map->empty()) return;
  for (const amqp::MapEntry& entry : *map)
    for (const auto& [name, as] :
         {std::pair<std::string_view, std::string_view>("DeadLetterReason", "deadLetterReason"),
          {"DeadLetterErrorDescription", "deadLetterErrorDescription"}})
      if (entry.key.text() == name && entry.value.text()) json.member(as, *entry.value.text());
  json.key("applicationProperties").object();
  for (const amqp::MapEntry& entry : *map) {
    const auto key = entry.key.text();
    if (!key) continue;
    json.key_text(*key);
    write_value(json, entry.value);
  }
  json.end();
}

void write_body(JsonWriter& json, std::string_view sections, Bodies bodies) {
  const std::string bytes = body_bytes(sections);
  json.member("size", bytes.size());
  if (bodies == Bodies::Hidden) return;
  if (is_utf8(bytes))
    json.member("body", bytes);
  else
    json.member("bodyBase64", base64_encode(bytes));
}

amqp::Value to_value(const Node& node) {
  if (const auto flag = node.as_bool()) return amqp::Value(*flag);
  if (const auto number = node.as_int()) return amqp::Value(*number);
  if (const auto real = node.as_double()) return amqp::Value(*real);
  return amqp::Value(node.text);
}

amqp::Map read_application_properties(const Node& node) {
  amqp::Map map;
  for (const Node::Member& member : node.members)
    amqp::set_string(map, member.key, to_value(member.value));
  return map;
}

std::optional<std::string> given(std::string text) {
  if (text.empty()) return std::nullopt;
  return text;
}

// What one object says.
struct Draft {
  amqp::Properties properties{};
  amqp::Map application{};
  std::optional<Duration> ttl{};
  std::optional<TimePoint> scheduled{};
  std::string body{};
};

Draft read_draft(ObjectReader& in) {
  Draft draft;
  std::string message_id, session, subject, type, correlation, to, reply_to, base64;
  in.text("messageId", message_id);
  in.text("sessionId", session);
  in.text("subject", subject);
  in.text("contentType", type);
  in.text("correlationId", correlation);
  in.text("to", to);
  in.text("replyTo", reply_to);
  in.text("body", draft.body);
  in.text("bodyBase64", base64);
  in.duration("timeToLive", draft.ttl);
  in.instant("scheduledEnqueueTime", draft.scheduled);
  if (const Node* properties = in.object("applicationProperties"))
    draft.application = read_application_properties(*properties);
  if (!base64.empty()) {
    if (auto bytes = base64_decode(base64))
      draft.body = *std::move(bytes);
    else
      in.wrong("bodyBase64", "is not base64");
  }
  if (!message_id.empty()) draft.properties.message_id = amqp::Value(message_id);
  if (!correlation.empty()) draft.properties.correlation_id = amqp::Value(correlation);
  draft.properties.group_id = given(session);
  draft.properties.subject = given(subject);
  draft.properties.content_type = given(type);
  draft.properties.to = given(to);
  draft.properties.reply_to = given(reply_to);
  return draft;
}

std::string encode(const Draft& draft) {
  std::string out;
  amqp::Header header{.durable = true};
  if (draft.ttl)
    header.ttl = static_cast<std::uint32_t>(std::min<std::int64_t>(
        std::chrono::ceil<std::chrono::milliseconds>(*draft.ttl).count(), 0xffffffff));
  amqp::encode_header(out, header);
  if (draft.scheduled) {
    const auto ms =
        std::chrono::floor<std::chrono::milliseconds>(draft.scheduled->time_since_epoch());
    amqp::Map annotations;
    amqp::set_symbol(annotations, "x-opt-scheduled-enqueue-time", amqp::Timestamp{ms.count()});
    amqp::encode_map_section(out, amqp::kMessageAnnotations, annotations);
  }
  amqp::encode_properties(out, draft.properties);
  if (!draft.application.empty())
    amqp::encode_map_section(out, amqp::kApplicationProperties, draft.application);
  amqp::encode_data_section(out, draft.body);
  return out;
}

}  // namespace

std::string body_bytes(std::string_view sections) {
  std::string bytes;
  if (const auto data = amqp::data_sections(sections); data && !data->empty()) {
    for (const std::string_view part : *data) bytes += part;
    return bytes;
  }
  const auto value = amqp::decode_value_section(sections);
  if (!value) return bytes;
  if (const auto text = value->text()) return std::string(*text);
  if (const auto* binary = value->as<amqp::Binary>()) return binary->bytes;
  JsonWriter json;
  write_value(json, *value);
  return std::move(json).text();
}

void write_value(JsonWriter& json, const amqp::Value& value) {
  if (value.null()) {
    json.raw("null");
  } else if (const auto flag = value.boolean()) {
    json.value(*flag);
  } else if (const auto* at = value.as<amqp::Timestamp>()) {
    json.value(format_instant(TimePoint(std::chrono::milliseconds(at->ms))));
  } else if (const auto number = value.integer()) {
    json.value(*number);
  } else if (const auto* real = value.as<double>(); real && std::isfinite(*real)) {
    json.raw(Node::number(*real).text);
  } else if (const auto* single = value.as<float>(); single && std::isfinite(*single)) {
    json.raw(Node::number(static_cast<double>(*single)).text);
  } else if (const auto text = value.text()) {
    json.value(*text);
  } else if (const auto* uuid = value.as<amqp::Uuid>()) {
    json.value(uuid_text(uuid->bytes));
  } else if (const auto* binary = value.as<amqp::Binary>()) {
    json.value(base64_encode(binary->bytes));
  } else {
    json.value("(a list or map)");
  }
}

void write_message(JsonWriter& json, const broker::Message& message, Bodies bodies) {
  json.object()
      .member("sequenceNumber", message.sequence)
      .member("state", name_of(message.state))
      .member("messageId", message.message_id)
      .member("deliveryCount", message.delivery_count)
      .member("enqueuedTime", format_instant(message.enqueued_at));
  put(json, "sessionId", message.session_id);
  put(json, "partitionKey", message.partition_key);
  put(json, "expiresAt", message.expires_at);
  put(json, "scheduledEnqueueTime", message.scheduled_for);
  if (!message.dead_letter_source.empty())
    json.member("deadLetterSource", message.dead_letter_source);
  const auto sections = amqp::split(*message.bytes);
  if (sections) {
    if (const auto properties = amqp::decode_properties(sections->properties)) {
      put(json, "subject", properties->subject);
      put(json, "contentType", properties->content_type);
      put(json, "correlationId", properties->correlation_id);
      put(json, "to", properties->to);
      put(json, "replyTo", properties->reply_to);
    }
    write_application_properties(json, sections->application_properties);
    write_body(json, sections->body, bodies);
  }
  json.end();
}

std::string read_message_json(const Node& node, std::vector<FieldError>& errors) {
  ObjectReader in(node, "", errors);
  const Draft draft = read_draft(in);
  in.close();
  return encode(draft);
}

}  // namespace jobmill::api
