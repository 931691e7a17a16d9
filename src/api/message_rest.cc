// SPDX-License-Identifier: Apache-2.0
#include "api/message_rest.h"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <iomanip>
#include <locale>
#include <optional>
#include <sstream>
#include <type_traits>
#include <vector>

#include <fmt/core.h>

#include "amqp/message.h"
#include "api/message_json.h"
#include "api/message_wait.h"
#include "api/queue_text.h"
#include "base/document.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "broker/address.h"
#include "http/codec.h"

namespace jobmill::api {
namespace {

using broker::Address;
using broker::Delivery;
using broker::LockToken;
using http::Request;
using http::Responder;
using http::Response;

constexpr char kMessages[] = "/messages";
constexpr char kBatchType[] = "application/vnd.microsoft.servicebus.json";

Response plain(int status, std::string text) {
  Response response{.status = status, .headers = {}, .body = std::move(text)};
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  return response;
}

// A lost lock is 410 here, not a conflict.
Response refuse(const Fault& fault) {
  switch (fault.code) {
    case Code::Conflict:
      return plain(410, fault.message);
    case Code::PermissionDenied:  // disabled
      return plain(403, fault.message);
    case Code::NotFound:
      return plain(404, fault.message);
    case Code::InvalidArgument:
    case Code::Unsupported:
      return plain(400, fault.message);
    case Code::Exhausted:
      return plain(403, fault.message);
    case Code::Unavailable:
      return plain(503, fault.message);
    default:
      return plain(500, fault.message);
  }
}

// "/orders/messages/12/token" -> "orders" and {"12", "token"}.
struct Place {
  std::string entity{};
  std::vector<std::string> rest{};
};

std::optional<Place> place_of(std::string_view path) {
  const auto at = path.rfind(kMessages);
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  std::string_view rest = path.substr(at + sizeof kMessages - 1);
  if (!rest.empty() && rest.front() != '/') return std::nullopt;
  Place place{.entity = std::string(path.substr(0, at)), .rest = {}};
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const auto slash = std::min(rest.find('/'), rest.size());
    if (slash > 0) place.rest.emplace_back(rest.substr(0, slash));
    rest.remove_prefix(slash);
  }
  return place;
}

// --- sending -----------------------------------------------------------------------------------

// One message in the making, from BrokerProperties, user properties and a body.
struct Draft {
  amqp::Header header{.durable = true};
  amqp::Properties properties{};
  amqp::Map annotations{};
  amqp::Map application{};
};

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7), as .NET writes times, or RFC 3339.
std::optional<TimePoint> read_http_date(const std::string& text) {
  std::istringstream in(text);
  in.imbue(std::locale::classic());
  std::tm parts{};
  in >> std::get_time(&parts, "%a, %d %b %Y %H:%M:%S GMT");
  if (in.fail()) return std::nullopt;
  return TimePoint(std::chrono::seconds(timegm(&parts)));
}

std::string write_http_date(TimePoint at) {
  return http::http_date(std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count());
}

Result<TimePoint> any_instant(const std::string& text) {
  if (auto at = parse_instant(text)) return at;
  if (auto at = read_http_date(text)) return *at;
  return fail(Code::InvalidArgument, fmt::format("'{}' is no time", text));
}

// A property that is a text, by where it goes.
Status set_text(Draft& draft, std::string_view name, std::string_view text) {
  amqp::Properties& to = draft.properties;
  const auto put = [&](auto& field) { field = std::remove_reference_t<decltype(field)>(text); };
  if (name == "MessageId")
    put(to.message_id);
  else if (name == "CorrelationId")
    put(to.correlation_id);
  else if (name == "SessionId")
    put(to.group_id);
  else if (name == "Label" || name == "Subject")
    put(to.subject);
  else if (name == "To")
    put(to.to);
  else if (name == "ReplyTo")
    put(to.reply_to);
  else if (name == "ReplyToSessionId")
    put(to.reply_to_group_id);
  else if (name == "ContentType")
    put(to.content_type);
  else if (name == "PartitionKey")
    amqp::set_symbol(draft.annotations, "x-opt-partition-key", text);
  else if (name == "ScheduledEnqueueTimeUtc") {
    TRY(const TimePoint at, any_instant(std::string(text)));
    const auto ms = std::chrono::floor<std::chrono::milliseconds>(at.time_since_epoch()).count();
    amqp::set_symbol(draft.annotations, "x-opt-scheduled-enqueue-time", amqp::Timestamp{ms});
  }
  return {};
}

bool is_text_property(std::string_view name) {
  static constexpr std::string_view kTexts[] = {"MessageId",
                                                "CorrelationId",
                                                "SessionId",
                                                "Label",
                                                "Subject",
                                                "To",
                                                "ReplyTo",
                                                "ContentType",
                                                "PartitionKey",
                                                "ReplyToSessionId",
                                                "ScheduledEnqueueTimeUtc"};
  return std::ranges::find(kTexts, name) != std::end(kTexts);
}

// What receivers are told (SequenceNumber, …) is not for senders, and is ignored; null is absent.
Status set_property(Draft& draft, const std::string& name, const Node& value) {
  if (value.is_null()) return {};
  if (is_text_property(name)) {
    if (!value.is_string()) return fail(Code::InvalidArgument, name + ": expected a text");
    return set_text(draft, name, value.text);
  }
  if (name == "TimeToLive") {
    const auto seconds = value.as_double();
    if (!seconds || *seconds <= 0)
      return fail(Code::InvalidArgument, "TimeToLive: expected seconds");
    draft.header.ttl = static_cast<std::uint32_t>(std::min(*seconds * 1000, 4294967295.0));
  }
  return {};
}

Status set_properties(Draft& draft, const Node& broker_properties) {
  if (broker_properties.is_null()) return {};
  if (!broker_properties.is_object())
    return fail(Code::InvalidArgument, "BrokerProperties: expected an object");
  for (const Node::Member& member : broker_properties.members)
    TRY_VOID(set_property(draft, member.key, member.value));
  return {};
}

// Texts come quoted, as JSON has them; numbers and booleans as they are.
amqp::Value user_value(std::string_view text) {
  const auto node = parse_json(text);
  if (!node) return amqp::Value(text);
  if (const auto flag = node->as_bool()) return amqp::Value(*flag);
  if (const auto number = node->as_int()) return amqp::Value(*number);
  if (const auto real = node->as_double()) return amqp::Value(*real);
  return amqp::Value(node->is_string() ? std::string_view(node->text) : text);
}

// Headers of HTTP and of this interface; all others are the user's.
bool is_user_header(std::string_view name) {
  static constexpr std::string_view kOurs[] = {"authorization",
                                               "host",
                                               "content-type",
                                               "content-length",
                                               "content-encoding",
                                               "connection",
                                               "keep-alive",
                                               "upgrade",
                                               "te",
                                               "trailer",
                                               "brokerproperties",
                                               "user-agent",
                                               "accept",
                                               "accept-encoding",
                                               "expect",
                                               "transfer-encoding",
                                               "date",
                                               "servicebusauthorization",
                                               "servicebussupplementaryauthorization"};
  return std::ranges::none_of(kOurs,
                              [&](std::string_view ours) { return http::iequals(ours, name); });
}

// Whether an answer may carry a property of a message under this name.
bool is_free_header(std::string_view name) {
  static constexpr std::string_view kAnswers[] = {
      "location", "server", "set-cookie", "www-authenticate", "retry-after", "proxy-authenticate"};
  return is_user_header(name) && std::ranges::none_of(kAnswers, [&](std::string_view ours) {
           return http::iequals(ours, name);
         });
}

std::string encode(const Draft& draft, std::string_view body) {
  std::string out;
  amqp::encode_header(out, draft.header);
  if (!draft.annotations.empty())
    amqp::encode_map_section(out, amqp::kMessageAnnotations, draft.annotations);
  amqp::encode_properties(out, draft.properties);
  if (!draft.application.empty())
    amqp::encode_map_section(out, amqp::kApplicationProperties, draft.application);
  amqp::encode_data_section(out, body);
  return out;
}

Result<std::string> read_one(const Request& request) {
  Draft draft;
  if (const auto type = request.headers.get("Content-Type"))
    draft.properties.content_type = std::string(*type);
  if (const auto text = request.headers.get("BrokerProperties")) {
    TRY(const Node properties, parse_json(*text));
    TRY_VOID(set_properties(draft, properties));
  }
  for (const auto& [name, value] : request.headers.fields())
    if (is_user_header(name)) amqp::set_string(draft.application, name, user_value(value));
  return encode(draft, request.body);
}

Result<std::string> read_item(const Node& item) {
  if (!item.is_object()) return fail(Code::InvalidArgument, "a message must be an object");
  Draft draft;
  if (const Node* properties = item.find("BrokerProperties"))
    TRY_VOID(set_properties(draft, *properties));
  const Node* user = item.find("UserProperties");
  if (user != nullptr && !user->is_null() && !user->is_object())
    return fail(Code::InvalidArgument, "UserProperties: expected an object");
  if (user != nullptr)
    for (const Node::Member& member : user->members)
      if (!member.value.is_null())
        amqp::set_string(draft.application, member.key, user_value(to_json(member.value)));
  const Node* body = item.find("Body");
  if (body != nullptr && !body->is_null() && !body->is_string())
    return fail(Code::InvalidArgument, "Body: expected a text");
  return encode(draft, body == nullptr ? std::string_view() : std::string_view(body->text));
}

// [{"Body": "…", "BrokerProperties": {…}, "UserProperties": {…}}, …]
Result<std::vector<std::string>> read_batch(const Request& request) {
  TRY(const Node list, parse_json(request.body, {.bytes = request.body.size() + 1}));
  if (!list.is_array() || list.items.empty())
    return fail(Code::InvalidArgument, "the body is no array of messages");
  std::vector<std::string> messages;
  for (const Node& one : list.items) {
    TRY(std::string message, read_item(one));
    messages.push_back(std::move(message));
  }
  return messages;
}

Result<std::vector<std::string>> read_messages(const Request& request) {
  if (request.headers.get("Content-Type").value_or("").starts_with(kBatchType))
    return read_batch(request);
  TRY(std::string one, read_one(request));
  std::vector<std::string> messages;
  messages.push_back(std::move(one));
  return messages;
}

bool too_large(const broker::Broker& broker, const Address& to,
               const std::vector<std::string>& messages) {
  const std::uint64_t most = broker.max_message_bytes(to.path);
  return most > 0 &&
         std::ranges::any_of(messages, [&](const std::string& one) { return one.size() > most; });
}

// --- receiving ---------------------------------------------------------------------------------

std::optional<LockToken> read_token(std::string_view text) {
  LockToken token{};
  std::size_t digits = 0;
  for (const char c : text) {
    if (c == '-') continue;
    const int value = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (value < 0 || digits == 32) return std::nullopt;
    auto& byte = token.at(digits / 2);
    byte = static_cast<std::uint8_t>(byte << 4 | value);
    ++digits;
  }
  if (digits != 32) return std::nullopt;
  return token;
}

std::string_view name_of(broker::MessageState state) {
  switch (state) {
    case broker::MessageState::Ready:
      return "Active";
    case broker::MessageState::Deferred:
      return "Deferred";
    case broker::MessageState::Scheduled:
      return "Scheduled";
  }
  return "";
}

void write_sent(JsonWriter& json, const amqp::Sections& sections) {
  if (const auto header = amqp::decode_header(sections.header); header && header->ttl)
    json.member("TimeToLive", *header->ttl / 1000);
  if (const auto annotations = amqp::decode_map_section(sections.message_annotations)) {
    const amqp::Value* at = amqp::find(*annotations, "x-opt-scheduled-enqueue-time");
    if (const auto* time = at == nullptr ? nullptr : at->as<amqp::Timestamp>())
      json.member("ScheduledEnqueueTimeUtc",
                  write_http_date(TimePoint(std::chrono::milliseconds(time->ms))));
  }
  const auto properties = amqp::decode_properties(sections.properties);
  if (!properties) return;
  for (const auto& [name, text] : {std::pair("Label", &properties->subject),
                                   {"To", &properties->to},
                                   {"ReplyTo", &properties->reply_to},
                                   {"ReplyToSessionId", &properties->reply_to_group_id}})
    if (*text) json.member(name, **text);
  if (!properties->correlation_id.null())
    json.member("CorrelationId", amqp::id_text(properties->correlation_id));
}

std::string broker_properties(const Delivery& delivery) {
  const broker::Message& message = *delivery.message;
  JsonWriter json;
  json.object()
      .member("DeliveryCount", message.delivery_count + 1)
      .member("EnqueuedSequenceNumber", message.enqueue_sequence)
      .member("EnqueuedTimeUtc", write_http_date(message.enqueued_at))
      .member("MessageId", message.message_id)
      .member("SequenceNumber", message.sequence)
      .member("State", name_of(message.state));
  if (message.session_id) json.member("SessionId", *message.session_id);
  if (delivery.lock != 0)
    json.member("LockToken", uuid_text(delivery.token))
        .member("LockedUntilUtc", write_http_date(delivery.locked_until));
  if (message.partition_key) json.member("PartitionKey", *message.partition_key);
  if (!message.dead_letter_source.empty())
    json.member("DeadLetterSource", message.dead_letter_source);
  if (const auto sections = amqp::split(*message.bytes)) write_sent(json, *sections);
  return std::move(json.end()).text();
}

// A header must be one line of visible characters.
bool fits_header(std::string_view text) {
  return !text.empty() &&
         std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != ':'; });
}

Response deliver(const Request& request, const Delivery& delivery) {
  Response response{.status = delivery.lock != 0 ? 201 : 200, .headers = {}, .body = {}};
  response.headers.add("BrokerProperties", broker_properties(delivery));
  if (delivery.lock != 0) {
    std::string base = request.path.substr(0, request.path.rfind("/head"));
    response.headers.add(
        "Location",
        fmt::format("http://{}{}/{}/{}", request.headers.get("Host").value_or("localhost"), base,
                    delivery.message->sequence, uuid_text(delivery.token)));
  }
  const auto sections = amqp::split(*delivery.message->bytes);
  if (!sections) return response;
  std::string type = "application/octet-stream";
  if (const auto properties = amqp::decode_properties(sections->properties))
    type = properties->content_type.value_or(type);
  response.headers.add("Content-Type", type);
  if (const auto map = amqp::decode_map_section(sections->application_properties))
    for (const amqp::MapEntry& one : *map) {
      const auto key = one.key.text();
      if (!key || !fits_header(*key) || !is_free_header(*key) || one.value.null()) continue;
      JsonWriter value;
      write_value(value, one.value);
      response.headers.add(std::string(*key), std::move(value).text());
    }
  response.body = body_bytes(sections->body);
  return response;
}

Duration wait_of(const Request& request) {
  const auto text = request.parameter("timeout");
  int seconds = 60;
  if (text) (void)std::from_chars(text->data(), text->data() + text->size(), seconds);
  return std::chrono::seconds(std::clamp(seconds, 0, 60));
}

}  // namespace

bool MessageRest::serves(const Request& request) { return place_of(request.path).has_value(); }

void MessageRest::serve(const Request& request, const Responder& responder) {
  const auto place = place_of(request.path);
  if (!place) return responder.send(plain(404, "no such resource"));
  const auto address = broker::parse_address(place->entity);
  if (!address) return responder.send(refuse(address.error()));
  const bool sending = place->rest.empty();
  // Tokens are for the entity, or for the very URL.
  if (const Status allowed = access_.allow(request, broker::lower(request.path.substr(1)),
                                           sending ? broker::Right::Send : broker::Right::Listen);
      !allowed)
    return responder.send(plain(401, allowed.error().message));
  if (!broker_.exists(*address))
    return responder.send(
        plain(404, fmt::format("The messaging entity '{}' could not be found.", address->path)));
  if (sending && request.method == "POST") return send(request, *address, responder);
  if (place->rest.size() == 1 && place->rest[0] == "head") {
    if (request.method == "POST")
      return receive(request, *address, broker::ReceiveMode::PeekLock, responder);
    if (request.method == "DELETE")
      return receive(request, *address, broker::ReceiveMode::ReceiveAndDelete, responder);
  }
  if (place->rest.size() == 2)
    return settle(request, *address, place->rest[0], place->rest[1], responder);
  responder.send(plain(405, request.method + " is not known here"));
}

void MessageRest::send(const Request& request, const Address& to, const Responder& responder) {
  const auto messages = read_messages(request);
  if (!messages) return responder.send(refuse(messages.error()));
  if (too_large(broker_, to, *messages))
    return responder.send(plain(403, "The message is larger than the queue allows."));
  const std::vector<std::string_view> views(messages->begin(), messages->end());
  broker_.send(to, views, clock_.now(), [responder](const Status& status) {
    responder.send(status ? plain(201, "") : refuse(status.error()));
  });
}

void MessageRest::receive(const Request& request, const Address& from, broker::ReceiveMode mode,
                          const Responder& responder) {
  MessageWish wish{.address = from, .mode = mode};
  wish.wait = wait_of(request);
  receive_messages(broker_, loop_, clock_, wish, responder,
                   [request, responder](Result<std::vector<Delivery>> deliveries) {
                     if (!deliveries) return responder.send(refuse(deliveries.error()));
                     if (deliveries->empty()) return responder.send({.status = 204});
                     responder.send(deliver(request, deliveries->front()));
                   });
}

void MessageRest::settle(const Request& request, const Address& at, const std::string& number,
                         const std::string& text, const Responder& responder) {
  const auto token = read_token(text);
  const auto lock = token ? broker_.find(*token, at) : std::nullopt;
  if (!lock || std::to_string(lock->sequence) != number)
    return responder.send(plain(410, "The lock supplied is invalid."));
  if (request.method == "POST") {
    const auto renewed = broker_.renew(lock->id, clock_.now());
    return responder.send(renewed ? plain(200, "") : refuse(renewed.error()));
  }
  if (request.method != "DELETE" && request.method != "PUT")
    return responder.send(plain(405, request.method + " is not known here"));
  broker::Settlement settlement;
  if (request.method == "PUT") settlement.action = broker::Settlement::Action::Abandon;
  broker_.settle(lock->id, settlement, clock_.now(), [responder](const Status& status) {
    responder.send(status ? plain(200, "") : refuse(status.error()));
  });
}

}  // namespace jobmill::api
