// SPDX-License-Identifier: Apache-2.0
#include "api/atom_xml.h"

#include <array>
#include <charconv>
#include <sstream>

#include <fmt/core.h>
#include <pugixml.hpp>

#include "api/queue_text.h"
#include "base/duration.h"

namespace jobmill::api {
namespace {

using broker::AuthorizationRule;
using broker::EntityStatus;
using broker::QueueDescription;
using broker::QueueInfo;
using broker::Right;

constexpr char kConnect[] = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect";
constexpr char kCounts[] = "http://schemas.microsoft.com/netservices/2011/06/servicebus";
constexpr char kInstance[] = "http://www.w3.org/2001/XMLSchema-instance";

// --- writing -----------------------------------------------------------------------------------

// The children of one element, in the order written.
class Elements {
 public:
  explicit Elements(pugi::xml_node parent) : parent_(parent) {}

  pugi::xml_node add(const char* name) { return parent_.append_child(name); }
  void text(const char* name, const std::string& value) { add(name).text().set(value.c_str()); }
  void flag(const char* name, bool value) { text(name, value ? "true" : "false"); }
  void number(const char* name, std::int64_t value) { text(name, std::to_string(value)); }
  void duration(const char* name, const std::optional<Duration>& value) {
    text(name, limit_text(value));
  }
  void instant(const char* name, TimePoint at) { text(name, format_instant(at)); }
  void optional_text(const char* name, const std::string& value) {
    if (!value.empty()) text(name, value);
  }

 private:
  pugi::xml_node parent_;
};

void write_rule(pugi::xml_node into, const AuthorizationRule& rule) {
  into.append_attribute("i:type") = "SharedAccessAuthorizationRule";
  Elements out(into);
  out.text("ClaimType", "SharedAccessKey");
  out.text("ClaimValue", "None");
  Elements rights(out.add("Rights"));
  for (const Right right : {Right::Manage, Right::Listen, Right::Send})
    if (rule.rights.has(right)) rights.text("AccessRights", std::string(right_text(right)));
  out.instant("CreatedTime", rule.created_at);
  out.instant("ModifiedTime", rule.updated_at);
  out.text("KeyName", rule.name);
  out.text("PrimaryKey", rule.primary_key.reveal());
  out.text("SecondaryKey", rule.secondary_key.reveal());
}

void write_counts(pugi::xml_node into, const broker::Counts& counts) {
  into.append_attribute("xmlns:d2p1") = kCounts;
  Elements out(into);
  out.number("d2p1:ActiveMessageCount", counts.active);
  out.number("d2p1:DeadLetterMessageCount", counts.dead_letter);
  out.number("d2p1:ScheduledMessageCount", counts.scheduled);
  out.number("d2p1:TransferMessageCount", counts.transfer);
  out.number("d2p1:TransferDeadLetterMessageCount", counts.transfer_dead_letter);
}

void write_queue(pugi::xml_node into, const QueueInfo& info) {
  const QueueDescription& queue = info.description;
  Elements out(into);
  out.duration("LockDuration", queue.lock_duration);
  out.number("MaxSizeInMegabytes", queue.max_size_mb);
  out.flag("RequiresDuplicateDetection", queue.requires_duplicate_detection);
  out.flag("RequiresSession", queue.requires_session);
  out.duration("DefaultMessageTimeToLive", queue.default_ttl);
  out.flag("DeadLetteringOnMessageExpiration", queue.dead_letter_on_expiration);
  out.duration("DuplicateDetectionHistoryTimeWindow", queue.duplicate_window);
  out.number("MaxDeliveryCount", queue.max_delivery_count);
  out.flag("EnableBatchedOperations", queue.batched_operations);
  out.number("SizeInBytes", info.size_bytes);
  out.number("MessageCount", info.counts.total());
  out.flag("IsAnonymousAccessible", false);
  const auto rules = out.add("AuthorizationRules");
  for (const AuthorizationRule& rule : queue.rules)
    write_rule(pugi::xml_node(rules).append_child("AuthorizationRule"), rule);
  out.text("Status", std::string(status_text(queue.status)));
  out.optional_text("ForwardTo", queue.forward_to);
  out.optional_text("UserMetadata", queue.user_metadata);
  out.instant("CreatedAt", info.created_at);
  out.instant("UpdatedAt", info.updated_at);
  out.text("AccessedAt",
           info.accessed_at ? format_instant(*info.accessed_at) : "0001-01-01T00:00:00Z");
  out.flag("SupportOrdering", true);
  write_counts(out.add("CountDetails"), info.counts);
  out.duration("AutoDeleteOnIdle", queue.auto_delete_on_idle);
  out.flag("EnablePartitioning", queue.partitioning);
  out.text("EntityAvailabilityStatus", "Available");
  out.optional_text("ForwardDeadLetteredMessagesTo", queue.forward_dead_letters_to);
  out.flag("EnableExpress", queue.express);
  out.number("MaxMessageSizeInKilobytes", queue.max_message_kb);
}

std::string to_text(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, "", pugi::format_raw | pugi::format_no_declaration);
  return std::move(out).str();
}

pugi::xml_node begin_atom(pugi::xml_node parent, const char* name) {
  pugi::xml_node node = parent.append_child(name);
  node.append_attribute("xmlns") = "http://www.w3.org/2005/Atom";
  return node;
}

// What every entry and feed begins with.
void write_head(pugi::xml_node into, const std::string& url, std::string_view title) {
  Elements out(into);
  out.text("id", url);
  pugi::xml_node heading = out.add("title");
  heading.append_attribute("type") = "text";
  heading.text().set(std::string(title).c_str());
}

void write_link(pugi::xml_node into, const std::string& url, const char* relation = "self") {
  pugi::xml_node link = into.append_child("link");
  link.append_attribute("rel") = relation;
  link.append_attribute("href") = url.c_str();
}

pugi::xml_node write_entry(pugi::xml_node parent, const AtomPlace& place, const std::string& name,
                           TimePoint created, TimePoint updated, const char* kind) {
  const std::string url = place.base + "/" + name;
  pugi::xml_node entry = begin_atom(parent, "entry");
  write_head(entry, url, name);
  Elements out(entry);
  out.instant("published", created);
  out.instant("updated", updated);
  Elements(out.add("author")).text("name", place.name_space);
  write_link(entry, url);
  pugi::xml_node content = out.add("content");
  content.append_attribute("type") = "application/xml";
  pugi::xml_node description = content.append_child(kind);
  description.append_attribute("xmlns") = kConnect;
  description.append_attribute("xmlns:i") = kInstance;
  return description;
}

void write_queue_entry(pugi::xml_node parent, const QueueInfo& queue, const AtomPlace& place) {
  write_queue(write_entry(parent, place, queue.description.name, queue.created_at, queue.updated_at,
                          "QueueDescription"),
              queue);
}

// --- reading -----------------------------------------------------------------------------------

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

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

Fault wrong(std::string_view element, std::string_view text, std::string_view wish) {
  return fail(Code::InvalidArgument, fmt::format("{}: '{}' is not {}", element, text, wish));
}

Status read_text(std::string_view, std::string_view text, std::string& into) {
  into = std::string(text);
  return {};
}

Status read_flag(std::string_view name, std::string_view text, bool& into) {
  if (text != "true" && text != "false" && text != "1" && text != "0")
    return wrong(name, text, "true or false");
  into = text == "true" || text == "1";
  return {};
}

template <class Number>
Status read_number(std::string_view name, std::string_view text, Number& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  if (error != std::errc() || end != text.data() + text.size())
    return wrong(name, text, "a whole number");
  return {};
}

Fault wrong(std::string_view element, const Fault& why) {
  return fail(Code::InvalidArgument, fmt::format("{}: {}", element, why.message));
}

Status read_limit(std::string_view name, std::string_view text, std::optional<Duration>& into) {
  const auto limit = parse_limit(text);
  if (!limit) return wrong(name, limit.error());
  into = *limit;
  return {};
}

Status read_duration(std::string_view name, std::string_view text, Duration& into) {
  const auto duration = parse_finite(text);
  if (!duration) return wrong(name, duration.error());
  into = *duration;
  return {};
}

Status read_status(std::string_view name, std::string_view text, EntityStatus& into) {
  const auto status = parse_status(text);
  if (!status) return wrong(name, status.error());
  into = *status;
  return {};
}

Status read_rule(const pugi::xml_node& node, AuthorizationRule& rule) {
  rule.name = child(node, "KeyName").text().get();
  rule.primary_key = Secret(child(node, "PrimaryKey").text().get());
  rule.secondary_key = Secret(child(node, "SecondaryKey").text().get());
  for (const pugi::xml_node& one : child(node, "Rights").children()) {
    if (one.type() != pugi::node_element) continue;
    const auto right = parse_right(trimmed(one.text().get()));
    if (!right) return wrong("AccessRights", right.error());
    rule.rights.bits |= static_cast<std::uint8_t>(*right);
  }
  if (rule.name.empty()) return fail(Code::InvalidArgument, "AuthorizationRule: KeyName required");
  return {};
}

Status read_rules(const pugi::xml_node& node, std::vector<AuthorizationRule>& rules) {
  rules.clear();
  for (const pugi::xml_node& one : node.children()) {
    if (one.type() != pugi::node_element) continue;
    TRY_VOID(read_rule(one, rules.emplace_back()));
  }
  return {};
}

// How each element that a client may set gets into the description.
struct Element {
  std::string_view name;
  Status (*read)(std::string_view name, std::string_view text, QueueDescription& queue);
};

template <auto Read, auto Member>
Status into(std::string_view name, std::string_view text, QueueDescription& queue) {
  return Read(name, text, queue.*Member);
}

constexpr std::array kElements{
    Element{"LockDuration", into<read_duration, &QueueDescription::lock_duration>},
    Element{"MaxSizeInMegabytes", into<read_number<std::int64_t>, &QueueDescription::max_size_mb>},
    Element{"RequiresDuplicateDetection",
            into<read_flag, &QueueDescription::requires_duplicate_detection>},
    Element{"RequiresSession", into<read_flag, &QueueDescription::requires_session>},
    Element{"DefaultMessageTimeToLive", into<read_limit, &QueueDescription::default_ttl>},
    Element{"DeadLetteringOnMessageExpiration",
            into<read_flag, &QueueDescription::dead_letter_on_expiration>},
    Element{"DuplicateDetectionHistoryTimeWindow",
            into<read_duration, &QueueDescription::duplicate_window>},
    Element{"MaxDeliveryCount",
            into<read_number<std::uint32_t>, &QueueDescription::max_delivery_count>},
    Element{"EnableBatchedOperations", into<read_flag, &QueueDescription::batched_operations>},
    Element{"Status", into<read_status, &QueueDescription::status>},
    Element{"ForwardTo", into<read_text, &QueueDescription::forward_to>},
    Element{"ForwardDeadLetteredMessagesTo",
            into<read_text, &QueueDescription::forward_dead_letters_to>},
    Element{"UserMetadata", into<read_text, &QueueDescription::user_metadata>},
    Element{"AutoDeleteOnIdle", into<read_limit, &QueueDescription::auto_delete_on_idle>},
    Element{"EnablePartitioning", into<read_flag, &QueueDescription::partitioning>},
    Element{"EnableExpress", into<read_flag, &QueueDescription::express>},
    Element{"MaxMessageSizeInKilobytes",
            into<read_number<std::int64_t>, &QueueDescription::max_message_kb>},
};

// The description inside <entry><content>.
Result<pugi::xml_node> load(pugi::xml_document& document, std::string_view entry) {
  if (!document.load_buffer(entry.data(), entry.size()))
    return fail(Code::InvalidArgument, "the body is no XML");
  const pugi::xml_node content = child(child(document, "entry"), "content");
  for (const pugi::xml_node& node : content.children())
    if (node.type() == pugi::node_element) return node;
  return fail(Code::InvalidArgument, "the body is no Atom entry with a description in it");
}

}  // namespace

std::string queue_entry(const QueueInfo& queue, const AtomPlace& place) {
  pugi::xml_document document;
  write_queue_entry(document, queue, place);
  return to_text(document);
}

std::string queue_feed(std::string_view title, const std::vector<QueueInfo>& queues,
                       const AtomPlace& place, TimePoint now, const std::string& next) {
  pugi::xml_document document;
  pugi::xml_node feed = begin_atom(document, "feed");
  const std::string url = place.base + "/$Resources/queues";
  write_head(feed, url, title);
  Elements(feed).instant("updated", now);
  write_link(feed, url);
  if (!next.empty()) write_link(feed, url + next, "next");
  for (const QueueInfo& queue : queues) write_queue_entry(feed, queue, place);
  return to_text(document);
}

std::string namespace_entry(const AtomPlace& place, TimePoint created) {
  pugi::xml_document document;
  Elements out(write_entry(document, place, place.name_space, created, created, "NamespaceInfo"));
  out.text("Alias", "");
  out.instant("CreatedTime", created);
  out.text("MessagingSKU", "Premium");
  out.number("MessagingUnits", 1);
  out.instant("ModifiedTime", created);
  out.text("Name", place.name_space);
  out.text("NamespaceType", "Messaging");
  return to_text(document);
}

std::string atom_error(int status, std::string_view detail) {
  pugi::xml_document document;
  Elements out(document.append_child("Error"));
  out.number("Code", status);
  out.text("Detail", std::string(detail));
  return to_text(document);
}

Result<std::string> described_kind(std::string_view entry) {
  pugi::xml_document document;
  TRY(const pugi::xml_node description, load(document, entry));
  return std::string(local_name(description));
}

Result<QueueDescription> read_queue(std::string_view entry, QueueDescription onto) {
  pugi::xml_document document;
  TRY(const pugi::xml_node description, load(document, entry));
  for (const Element& element : kElements) {
    const pugi::xml_node node = child(description, element.name);
    if (!node) continue;
    TRY_VOID(element.read(element.name, trimmed(node.text().get()), onto));
  }
  if (const pugi::xml_node rules = child(description, "AuthorizationRules"))
    TRY_VOID(read_rules(rules, onto.rules));
  return onto;
}

}  // namespace jobmill::api
