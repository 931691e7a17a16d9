// SPDX-License-Identifier: Apache-2.0
#include "api/atom_xml.h"

#include <doctest/doctest.h>

#include <vector>

namespace jobmill::api {
namespace {

using namespace std::chrono_literals;
using broker::EntityStatus;
using broker::QueueDescription;
using broker::QueueInfo;

constexpr char kConnect[] = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect";

std::string entry_with(const std::string& elements) {
  return R"(<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">)"
         R"(<QueueDescription xmlns=")" +
         std::string(kConnect) + R"(" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">)" +
         elements + "</QueueDescription></content></entry>";
}

// Names of the elements directly below the first one of that name, in order.
std::vector<std::string> children_of(const std::string& xml, const std::string& name) {
  std::vector<std::string> names;
  int depth = -1;
  std::size_t at = xml.find("<" + name + " ");
  if (at == std::string::npos) at = xml.find("<" + name + ">");
  for (; at < xml.size(); at = xml.find('<', at + 1)) {
    const bool closes = xml[at + 1] == '/';
    const auto end = xml.find('>', at);
    if (!closes && depth == 0) {
      const auto begin = at + 1;
      names.push_back(xml.substr(begin, xml.find_first_of(" />", begin) - begin));
    }
    if (closes) --depth;
    if (!closes && xml[end - 1] != '/') ++depth;
    if (depth < 0) break;
  }
  return names;
}

bool has(const std::string& xml, const std::string& part) {
  return xml.find(part) != std::string::npos;
}

QueueInfo full_queue() {
  QueueInfo info;
  info.description.name = "Orders";
  info.description.forward_to = "next";
  info.description.forward_dead_letters_to = "dead";
  info.description.user_metadata = "a < b & c";
  info.created_at = info.updated_at = ManualClock().now();
  info.accessed_at = info.created_at;
  info.counts = {.active = 5, .locked = 2, .scheduled = 1, .deferred = 4, .dead_letter = 3};
  info.size_bytes = 77;
  return info;
}

TEST_CASE("atom: elements of a queue stand in the order that clients count on") {
  const std::string xml = queue_entry(full_queue(), {"https://localhost:5443", "ns"});
  CHECK(children_of(xml, "QueueDescription") ==
        std::vector<std::string>{"LockDuration",
                                 "MaxSizeInMegabytes",
                                 "RequiresDuplicateDetection",
                                 "RequiresSession",
                                 "DefaultMessageTimeToLive",
                                 "DeadLetteringOnMessageExpiration",
                                 "DuplicateDetectionHistoryTimeWindow",
                                 "MaxDeliveryCount",
                                 "EnableBatchedOperations",
                                 "SizeInBytes",
                                 "MessageCount",
                                 "IsAnonymousAccessible",
                                 "AuthorizationRules",
                                 "Status",
                                 "ForwardTo",
                                 "UserMetadata",
                                 "CreatedAt",
                                 "UpdatedAt",
                                 "AccessedAt",
                                 "SupportOrdering",
                                 "CountDetails",
                                 "AutoDeleteOnIdle",
                                 "EnablePartitioning",
                                 "EntityAvailabilityStatus",
                                 "ForwardDeadLetteredMessagesTo",
                                 "EnableExpress",
                                 "MaxMessageSizeInKilobytes"});
  CHECK(children_of(xml, "CountDetails") ==
        std::vector<std::string>{"d2p1:ActiveMessageCount", "d2p1:DeadLetterMessageCount",
                                 "d2p1:ScheduledMessageCount", "d2p1:TransferMessageCount",
                                 "d2p1:TransferDeadLetterMessageCount"});
  CHECK(has(xml, R"(<title type="text">Orders</title>)"));
  CHECK(has(xml, "<d2p1:ActiveMessageCount>5<"));
  CHECK(has(xml, "<MessageCount>13<"));  // deferred ones count only here
  CHECK(has(xml, "<UserMetadata>a &lt; b &amp; c<"));
  CHECK(has(xml, R"(href="https://localhost:5443/Orders")"));
}

TEST_CASE("atom: what a queue lacks is left out, but nothing that clients need") {
  QueueInfo info;
  info.description.name = "q";
  const std::string xml = queue_entry(info, {"http://localhost", "ns"});
  for (const char* absent : {"<ForwardTo", "<UserMetadata", "<ForwardDeadLetteredMessagesTo"})
    CHECK_FALSE_MESSAGE(has(xml, absent), absent);
  for (const char* there : {"<MessageCount>0<", "<CreatedAt>", "<UpdatedAt>",
                            "<AccessedAt>0001-01-01T00:00:00Z<", "<AuthorizationRules/>"})
    CHECK_MESSAGE(has(xml, there), there);
  CHECK(has(xml, "<DefaultMessageTimeToLive>P10675199DT2H48M5.4775807S<"));
  CHECK(has(xml, "<AutoDeleteOnIdle>P10675199DT2H48M5.4775807S<"));
}

TEST_CASE("atom: any order and any prefixes are read, what is absent stays") {
  const auto read = read_queue(
      R"(<?xml version="1.0"?><a:entry xmlns:a="http://www.w3.org/2005/Atom">
      <a:title>ignored</a:title><a:content type="application/xml">
      <s:QueueDescription xmlns:s="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">
        <s:MaxDeliveryCount> 4 </s:MaxDeliveryCount>
        <s:Status>SendDisabled</s:Status>
        <s:RequiresSession>true</s:RequiresSession>
        <s:LockDuration>PT45S</s:LockDuration>
        <s:ForwardTo></s:ForwardTo>
        <s:Unheard>x</s:Unheard>
      </s:QueueDescription></a:content></a:entry>)",
      {.duplicate_window = 3min, .forward_to = "before"});
  REQUIRE_MESSAGE(read, (read ? "" : read.error().message));
  CHECK(read->max_delivery_count == 4);
  CHECK(read->status == EntityStatus::SendDisabled);
  CHECK(read->requires_session);
  CHECK(read->lock_duration == 45s);
  CHECK(read->duplicate_window == 3min);
  CHECK(read->forward_to.empty());
}

TEST_CASE("atom: never comes rounded from some clients") {
  const auto read = read_queue(
      entry_with("<DefaultMessageTimeToLive>P10675199DT2H48M5.477539S</DefaultMessageTimeToLive>"
                 "<AutoDeleteOnIdle>PT10M</AutoDeleteOnIdle>"),
      {.default_ttl = 5min});
  REQUIRE(read);
  CHECK_FALSE(read->default_ttl);
  CHECK(read->auto_delete_on_idle == 10min);
}

TEST_CASE("atom: rules of a queue come back as they went in") {
  const auto read = read_queue(entry_with(
                                   R"(<AuthorizationRules>
            <AuthorizationRule i:type="SharedAccessAuthorizationRule">
              <ClaimType>SharedAccessKey</ClaimType><ClaimValue>None</ClaimValue>
              <Rights><AccessRights>Send</AccessRights> <AccessRights>Listen</AccessRights></Rights>
              <KeyName>both</KeyName><PrimaryKey>p==</PrimaryKey><SecondaryKey>s==</SecondaryKey>
            </AuthorizationRule></AuthorizationRules>)"),
                               {.name = "q"});
  REQUIRE_MESSAGE(read, (read ? "" : read.error().message));
  REQUIRE(read->rules.size() == 1);
  const auto& rule = read->rules[0];
  CHECK(rule.name == "both");
  CHECK(rule.rights.has(broker::Right::Send));
  CHECK(rule.rights.has(broker::Right::Listen));
  CHECK_FALSE(rule.rights.has(broker::Right::Manage));
  CHECK(rule.primary_key.reveal() == "p==");
  CHECK(rule.secondary_key.reveal() == "s==");

  QueueInfo info;
  info.description = *read;
  const std::string xml = queue_entry(info, {"http://localhost", "ns"});
  CHECK(children_of(xml, "AuthorizationRule") ==
        std::vector<std::string>{"ClaimType", "ClaimValue", "Rights", "CreatedTime", "ModifiedTime",
                                 "KeyName", "PrimaryKey", "SecondaryKey"});
  const auto again = read_queue(xml, {});
  REQUIRE(again);
  CHECK(again->rules.at(0).rights == rule.rights);
  CHECK(again->rules.at(0).primary_key.reveal() == "p==");
}

TEST_CASE("atom: what an entry says is read back from it") {
  QueueDescription queue{.name = "q",
                         .lock_duration = 30s,
                         .max_size_mb = 2048,
                         .requires_duplicate_detection = true,
                         .requires_session = true,
                         .default_ttl = 2h,
                         .dead_letter_on_expiration = true,
                         .duplicate_window = 1min,
                         .max_delivery_count = 7,
                         .batched_operations = false,
                         .status = EntityStatus::ReceiveDisabled,
                         .user_metadata = "note",
                         .auto_delete_on_idle = 24h,
                         .partitioning = true,
                         .express = true,
                         .max_message_kb = 512};
  QueueInfo info;
  info.description = queue;
  const auto read = read_queue(queue_entry(info, {"http://localhost", "ns"}), {.name = "q"});
  REQUIRE(read);
  QueueInfo again;
  again.description = *read;
  CHECK(queue_entry(info, {}) == queue_entry(again, {}));
}

TEST_CASE("atom: errors name the element and the wish") {
  const auto refused = [](const std::string& elements) {
    const auto read = read_queue(entry_with(elements), {});
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Code::InvalidArgument);
    return read.error().message;
  };
  CHECK(refused("<LockDuration>5m</LockDuration>") ==
        "LockDuration: '5m' is not a duration like PT1M");
  CHECK(refused("<LockDuration>P10675199D</LockDuration>") ==
        "LockDuration: 'P10675199D' is not a finite duration");
  CHECK(refused("<RequiresSession>yes</RequiresSession>") ==
        "RequiresSession: 'yes' is not true or false");
  CHECK(refused("<MaxDeliveryCount>1.5</MaxDeliveryCount>") ==
        "MaxDeliveryCount: '1.5' is not a whole number");
  CHECK(refused("<Status>Off</Status>").find("Status: 'Off' is not Active") == 0);
  CHECK(refused("<AuthorizationRules><AuthorizationRule><KeyName>r</KeyName><Rights><AccessRights>"
                "Read</AccessRights></Rights></AuthorizationRule></AuthorizationRules>") ==
        "AccessRights: 'Read' is not Send, Listen or Manage");
  CHECK_FALSE(read_queue("not xml", {}));
  CHECK_FALSE(read_queue("<entry/>", {}));
}

TEST_CASE("atom: the kind of a description, whatever it is") {
  CHECK(*described_kind(entry_with("")) == "QueueDescription");
  CHECK(*described_kind("<e:entry xmlns:e='x'><e:content><t:TopicDescription xmlns:t='y'/>"
                        "</e:content></e:entry>") == "TopicDescription");
  CHECK_FALSE(described_kind(""));
}

TEST_CASE("atom: feeds, namespaces and errors") {
  const AtomPlace place{"http://localhost:5300", "ns"};
  const TimePoint now = ManualClock().now();
  QueueInfo info = full_queue();
  const std::string feed = queue_feed("Queues", {info, info}, place, now);
  CHECK(has(feed, R"(<title type="text">Queues</title>)"));
  CHECK(children_of(feed, "feed") ==
        std::vector<std::string>{"id", "title", "updated", "link", "entry", "entry"});
  const std::string empty = queue_feed("Publicly Listed Services", {}, place, now);
  CHECK_FALSE(has(empty, "<entry"));
  const std::string ns = namespace_entry(place, now);
  CHECK(children_of(ns, "NamespaceInfo") ==
        std::vector<std::string>{"Alias", "CreatedTime", "MessagingSKU", "MessagingUnits",
                                 "ModifiedTime", "Name", "NamespaceType"});
  CHECK(has(ns, "<NamespaceType>Messaging<"));
  CHECK(atom_error(409, "SubCode=40900. there") ==
        "<Error><Code>409</Code><Detail>SubCode=40900. there</Detail></Error>");
}

}  // namespace
}  // namespace jobmill::api
