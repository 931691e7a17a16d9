// SPDX-License-Identifier: Apache-2.0
#include "api/queue_json.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/core.h>

#include "api/queue_text.h"
#include "base/duration.h"
#include "base/nearest.h"

namespace jobmill::api {
namespace {

using broker::EntityStatus;
using broker::QueueDescription;
using broker::QueueInfo;

// Empty: it was taken. Otherwise what was expected.
using Wish = std::string;

Wish take(const Node& value, bool& out) {
  const auto flag = value.as_bool();
  if (!flag) return "expected true or false";
  out = *flag;
  return {};
}

template <std::integral Int>
requires(!std::same_as<Int, bool>) Wish take(const Node& value, Int& out) {
  const auto number = value.as_int();
  if (!number || *number < 0 || *number > 1'000'000'000) return "expected a whole number";
  out = static_cast<Int>(*number);
  return {};
}

Wish take(const Node& value, std::string& out) {
  const auto text = value.as_string();
  if (!text) return "expected a text";
  out = std::string(*text);
  return {};
}

// What is written as a text; anything else reads as an empty one.
template <class Value, class Out>
Wish take_text(const Result<Value>& parsed, Out& out) {
  if (!parsed) return parsed.error().message;
  out = *parsed;
  return {};
}

Wish take(const Node& value, std::optional<Duration>& out) {
  return take_text(parse_limit(value.as_string().value_or("")), out);
}

Wish take(const Node& value, Duration& out) {
  return take_text(parse_finite(value.as_string().value_or("")), out);
}

Wish take(const Node& value, EntityStatus& out) {
  return take_text(parse_status(value.as_string().value_or("")), out);
}

void put(JsonWriter& json, std::string_view name, bool value) { json.member(name, value); }
template <std::integral Int>
requires(!std::same_as<Int, bool>) void put(JsonWriter& json, std::string_view name, Int value) {
  json.member(name, value);
}
void put(JsonWriter& json, std::string_view name, const std::string& value) {
  if (!value.empty()) json.member(name, value);
}
void put(JsonWriter& json, std::string_view name, Duration value) {
  json.member(name, format_iso(value));
}
void put(JsonWriter& json, std::string_view name, const std::optional<Duration>& value) {
  json.member(name, limit_text(value));
}
void put(JsonWriter& json, std::string_view name, EntityStatus value) {
  json.member(name, status_text(value));
}

// What a user may set. A property is one line here.
struct Property {
  std::string_view name;
  Wish (*read)(const Node& value, QueueDescription& queue);
  void (*write)(JsonWriter& json, std::string_view name, const QueueDescription& queue);
};

template <auto Member>
constexpr Property property(std::string_view name) {
  return {name,
          [](const Node& value, QueueDescription& queue) { return take(value, queue.*Member); },
          [](JsonWriter& json, std::string_view as, const QueueDescription& queue) {
            put(json, as, queue.*Member);
          }};
}

constexpr std::array kProperties{
    property<&QueueDescription::auto_delete_on_idle>("autoDeleteOnIdle"),
    property<&QueueDescription::dead_letter_on_expiration>("deadLetteringOnMessageExpiration"),
    property<&QueueDescription::default_ttl>("defaultMessageTimeToLive"),
    property<&QueueDescription::duplicate_window>("duplicateDetectionHistoryTimeWindow"),
    property<&QueueDescription::batched_operations>("enableBatchedOperations"),
    property<&QueueDescription::express>("enableExpress"),
    property<&QueueDescription::partitioning>("enablePartitioning"),
    property<&QueueDescription::forward_dead_letters_to>("forwardDeadLetteredMessagesTo"),
    property<&QueueDescription::forward_to>("forwardTo"),
    property<&QueueDescription::lock_duration>("lockDuration"),
    property<&QueueDescription::max_delivery_count>("maxDeliveryCount"),
    property<&QueueDescription::max_message_kb>("maxMessageSizeInKilobytes"),
    property<&QueueDescription::max_size_mb>("maxSizeInMegabytes"),
    property<&QueueDescription::requires_duplicate_detection>("requiresDuplicateDetection"),
    property<&QueueDescription::requires_session>("requiresSession"),
    property<&QueueDescription::status>("status"),
    property<&QueueDescription::user_metadata>("userMetadata"),
};

constexpr std::array<std::string_view, 6> kServerSays{"accessedAt",   "countDetails", "createdAt",
                                                      "messageCount", "sizeInBytes",  "updatedAt"};

void write_settings(JsonWriter& json, const QueueDescription& queue) {
  for (const Property& one : kProperties) one.write(json, one.name, queue);
}

std::string unknown(const std::string& name) {
  std::vector<std::string_view> known;
  for (const Property& one : kProperties) known.push_back(one.name);
  const std::string_view near = nearest(name, known);
  return near.empty() ? "is no property of a queue"
                      : fmt::format("is unknown; did you mean {}?", near);
}

}  // namespace

void write_queue_properties(JsonWriter& json, const QueueInfo& queue) {
  json.object();
  if (queue.accessed_at) json.member("accessedAt", format_instant(*queue.accessed_at));
  json.key("countDetails")
      .object()
      .member("activeMessageCount", queue.counts.active)
      .member("deadLetterMessageCount", queue.counts.dead_letter)
      .member("scheduledMessageCount", queue.counts.scheduled)
      .member("transferDeadLetterMessageCount", queue.counts.transfer_dead_letter)
      .member("transferMessageCount", queue.counts.transfer)
      .end()
      .member("createdAt", format_instant(queue.created_at))
      .member("messageCount", queue.counts.total())
      .member("sizeInBytes", queue.size_bytes)
      .member("updatedAt", format_instant(queue.updated_at));
  write_settings(json, queue.description);
  json.end();
}

bool same_settings(const QueueDescription& a, const QueueDescription& b) {
  const auto text = [](const QueueDescription& queue) {
    JsonWriter json;
    json.object();
    write_settings(json, queue);
    return std::move(json.end()).text();
  };
  return text(a) == text(b);
}

void read_queue_properties(const Node& properties, QueueDescription& queue,
                           std::vector<FieldError>& errors) {
  for (const Node::Member& member : properties.members) {
    if (member.value.is_null() || std::ranges::find(kServerSays, member.key) != kServerSays.end())
      continue;
    const auto found = std::ranges::find(kProperties, member.key, &Property::name);
    const std::string wrong =
        found == kProperties.end() ? unknown(member.key) : found->read(member.value, queue);
    if (!wrong.empty()) errors.push_back({"properties." + member.key, wrong});
  }
}

}  // namespace jobmill::api
