// SPDX-License-Identifier: Apache-2.0
#include "scalers/azure_servicebus_admin.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/core.h>
#include <pugixml.hpp>

#include "base/base64.h"
#include "base/duration.h"
#include "base/hmac.h"
#include "base/text.h"

namespace jobmill::scalers {
namespace {

constexpr std::string_view kVersion = "api-version=2021-05";

std::string_view trim(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  const auto begin = std::min(text.find_first_not_of(kBlanks), text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

Fault bad(std::string_view what) {
  return fail(Code::InvalidArgument, fmt::format("the connection string {}", what));
}

void set(ServiceBusConnection& connection, std::string_view name, std::string_view value) {
  if (http::iequals(name, "Endpoint")) connection.endpoint = value;
  if (http::iequals(name, "SharedAccessKeyName")) connection.key_name = value;
  if (http::iequals(name, "SharedAccessKey")) connection.key = Secret(std::string(value));
  if (http::iequals(name, "SharedAccessSignature"))
    connection.signature = Secret(std::string(value));
  if (http::iequals(name, "EntityPath")) connection.entity_path = value;
}

Result<std::string> host_of(std::string_view endpoint) {
  if (endpoint.empty()) return bad("has no Endpoint");
  const auto scheme = endpoint.find("://");
  if (scheme == std::string_view::npos)
    return bad("has an Endpoint that does not begin with sb://");
  const std::string_view rest = endpoint.substr(scheme + 3);
  const std::string_view host = rest.substr(0, rest.find_first_of("/?#"));
  if (host.empty()) return bad("has an Endpoint without a host");
  return std::string(host);
}

// Names of entities may hold "/", which separates segments here as well.
std::string encode_path(std::string_view name) {
  std::string path;
  for (;;) {
    const auto end = name.find('/');
    path += http::url_encode(name.substr(0, end));
    if (end == std::string_view::npos) return path;
    path += '/';
    name.remove_prefix(end + 1);
  }
}

// --- Atom ---------------------------------------------------------------------------------------

// XML namespaces are not looked at: the client does not, and emulators leave them out.
std::string_view local_name(const pugi::xml_node& node) {
  const std::string_view name = node.name();
  const auto colon = name.rfind(':');
  return colon == std::string_view::npos ? name : name.substr(colon + 1);
}

pugi::xml_node child(const pugi::xml_node& parent, std::string_view name) {
  for (const pugi::xml_node& node : parent.children())
    if (node.type() == pugi::node_element && local_name(node) == name) return node;
  return {};
}

std::string_view text_of(const pugi::xml_node& parent, std::string_view name) {
  return trim(child(parent, name).child_value());
}

Fault unreadable(std::string_view what) { return fail(Code::Unavailable, std::string(what)); }

// A missing element counts 0 where the client takes it so.
Result<std::int64_t> count(const pugi::xml_node& parent, std::string_view name, bool required) {
  const std::string_view text = text_of(parent, name);
  if (text.empty() && !required) return 0;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return unreadable(fmt::format("the answer has no number in {}", name));
  return value;
}

bool is_time(std::string_view text) { return text == "0001-01-01T00:00:00" || parse_instant(text); }

Status check_times(const pugi::xml_node& description) {
  for (const std::string_view name : {"CreatedAt", "UpdatedAt", "AccessedAt"})
    if (!is_time(text_of(description, name)))
      return unreadable(fmt::format("the answer has no time in {}", name));
  return {};
}

// Service Bus leaves CountDetails out when it throttles.
Result<EntityCount> read_entry(EntityKind kind, const pugi::xml_node& entry) {
  const bool queue = kind == EntityKind::Queue;
  EntityCount out{.name = std::string(text_of(entry, "title"))};
  if (out.name.empty()) return unreadable("the answer has an entry without title");
  const auto description =
      child(child(entry, "content"), queue ? "QueueDescription" : "SubscriptionDescription");
  if (!description) return unreadable("the answer has an entry without description");
  TRY_VOID(check_times(description));
  const auto details = child(description, "CountDetails");
  if (!details) return unreadable("the answer has no CountDetails");
  TRY_VOID(count(description, "MessageCount", !queue));
  for (const std::string_view other : {"DeadLetterMessageCount", "ScheduledMessageCount",
                                       "TransferMessageCount", "TransferDeadLetterMessageCount"})
    TRY_VOID(count(details, other, false));
  TRY(out.active, count(details, "ActiveMessageCount", !queue));
  return out;
}

Fault refused(int status) {
  const Code code = status == 401 || status == 403 ? Code::PermissionDenied : Code::Unavailable;
  return fail(code, fmt::format("answers with status {}", status));
}

Result<pugi::xml_node> root_of(pugi::xml_document& document, std::string_view body) {
  if (!document.load_buffer(body.data(), body.size()) || !document.document_element())
    return unreadable("the answer is not XML");
  return document.document_element();
}

bool is_good(int status) { return status >= 200 && status < 300; }

}  // namespace

Result<ServiceBusConnection> parse_connection(const Secret& text) {
  ServiceBusConnection connection;
  std::string_view rest = text.reveal();
  while (!rest.empty()) {
    const auto end = std::min(rest.find(';'), rest.size());
    const std::string_view part = trim(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (part.empty()) continue;
    const auto equals = part.find('=');
    if (equals == std::string_view::npos) return bad("has a part without \"=\"");
    set(connection, trim(part.substr(0, equals)), trim(part.substr(equals + 1)));
  }
  TRY(connection.host, host_of(connection.endpoint));
  if (!connection.signature.empty()) return connection;
  if (connection.key_name.empty()) return bad("has no SharedAccessKeyName");
  if (connection.key.empty()) return bad("has no SharedAccessKey");
  return connection;
}

std::string entity_url(std::string_view host, const ServiceBusTrigger& trigger) {
  const std::string path = trigger.topic.empty() ? encode_path(trigger.queue)
                                                 : encode_path(trigger.topic) + "/Subscriptions/" +
                                                       encode_path(trigger.subscription);
  return fmt::format("https://{}/{}?{}", host, path, kVersion);
}

std::string listing_url(std::string_view host, const ServiceBusTrigger& trigger, std::size_t skip) {
  const std::string path =
      trigger.topic.empty() ? "$Resources/Queues" : encode_path(trigger.topic) + "/Subscriptions";
  const std::string from = skip > 0 ? fmt::format("%24skip={}&", skip) : "";
  return fmt::format("https://{}/{}?{}{}", host, path, from, kVersion);
}

std::string shared_access_signature(std::string_view url, std::string_view key_name,
                                    const Secret& key, TimePoint expires_at) {
  const std::string resource = lower(http::url_encode(url));
  const auto expiry =
      std::chrono::floor<std::chrono::seconds>(expires_at.time_since_epoch()).count();
  const std::string signature =
      base64_encode(hmac_sha256(key, fmt::format("{}\n{}", resource, expiry)));
  return fmt::format("SharedAccessSignature sr={}&sig={}&se={}&skn={}", resource,
                     http::url_encode(signature), expiry, key_name);
}

bool may_be_tried_again(int status) {
  constexpr std::array kPassing{408, 429, 500, 502, 503, 504};
  return std::ranges::find(kPassing, status) != kPassing.end();
}

Result<std::optional<EntityCount>> read_entity(EntityKind kind, const http::Response& response) {
  if (response.status == 404) return std::optional<EntityCount>();
  if (!is_good(response.status)) return refused(response.status);
  pugi::xml_document document;
  TRY(const pugi::xml_node root, root_of(document, response.body));
  if (local_name(root) == "feed") {
    if (text_of(root, "title") == "Publicly Listed Services") return std::optional<EntityCount>();
    return unreadable("the answer is a feed where an entry was asked for");
  }
  if (local_name(root) != "entry") return unreadable("the answer is no Atom entry");
  TRY(EntityCount entity, read_entry(kind, root));
  return std::optional(std::move(entity));
}

Result<std::vector<EntityCount>> read_listing(EntityKind kind, const http::Response& response) {
  if (!is_good(response.status)) return refused(response.status);
  pugi::xml_document document;
  TRY(const pugi::xml_node root, root_of(document, response.body));
  if (local_name(root) != "feed") return unreadable("the answer is no Atom feed");
  std::vector<EntityCount> entities;
  for (const pugi::xml_node& entry : root.children()) {
    if (entry.type() != pugi::node_element || local_name(entry) != "entry") continue;
    TRY(EntityCount entity, read_entry(kind, entry));
    entities.push_back(std::move(entity));
  }
  return entities;
}

bool Listing::add(std::vector<EntityCount> page) {
  received_ += page.size();
  bool news = false;
  for (EntityCount& entity : page) {
    if (!names_.insert(entity.name).second) continue;
    entities_.push_back(std::move(entity));
    news = true;
  }
  return news;
}

}  // namespace jobmill::scalers
