// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include <fmt/core.h>

#include "app/az_client.h"
#include "app/commands/az_command.h"
#include "app/commands/commands.h"
#include "app/commands/servicebus_names.h"
#include "base/text.h"
#include "http/message.h"

// Namespaces, queues and their rules, as `az servicebus` has them.
namespace jobmill::app {
namespace {

// One of the words, in any case; complains and answers none when it is another one.
std::optional<std::string> word(const AzClient& client, const Arguments& arguments,
                                std::string_view flag, std::span<const std::string_view> words) {
  const std::string text = arguments.get(flag);
  std::string known;
  for (const std::string_view one : words) {
    if (lower(std::string(one)) == lower(text)) return std::string(one);
    known += (known.empty() ? "" : ", ") + std::string(one);
  }
  client.usage_error(fmt::format("--{} is one of {}, not '{}'", flag, known, text));
  return std::nullopt;
}

int show_resource(const AzClient& client, const Reply& reply) {
  return reply ? client.print(az_resource(reply.document)) : client.refused(reply);
}

int show_list(const AzClient& client, const Reply& reply) {
  return reply ? client.print(az_resources(reply.document)) : client.refused(reply);
}

int delete_resource(const Arguments& arguments, AzClient& client, const std::string& resource,
                    std::string_view what) {
  const std::string question = fmt::format("Delete {}?", what);
  if (const auto exit = client.confirm(arguments, question)) return *exit;
  const Reply reply = client.api().remove(client.path(resource));
  return reply ? kOk : client.refused(reply);
}

// --- namespaces --------------------------------------------------------------------------------

std::string namespace_named(const std::string& name) {
  return "Microsoft.ServiceBus/namespaces/" + http::url_encode(name);
}

Node tags_of(const Arguments& arguments) {
  Node tags = Node::object();
  for (const std::string& tag : arguments.all("tags")) {
    const auto equals = std::min(tag.find('='), tag.size());
    tags.set(tag.substr(0, equals), Node::string(tag.substr(std::min(equals + 1, tag.size()))));
  }
  return tags;
}

int create_namespace(const Arguments& arguments, AzClient& client, const std::string& name) {
  static constexpr std::array<std::string_view, 3> kSkus{"Basic", "Standard", "Premium"};
  std::string sku = "Standard";
  if (arguments.has("sku")) {
    const auto chosen = word(client, arguments, "sku", kSkus);
    if (!chosen) return kUsage;
    sku = *chosen;
  }
  Node body = Node::object();
  body.set("location", Node::string(arguments.get("location", "local")));
  Node& tier = body.set("sku", Node::object());
  tier.set("name", Node::string(sku));
  tier.set("tier", Node::string(sku));
  if (arguments.has("tags")) body.set("tags", tags_of(arguments));
  return show_resource(client, client.api().put(client.path(namespace_named(name)), body));
}

int show_namespace(const Arguments&, AzClient& client, const std::string& name) {
  const Reply reply = client.api().get(client.path(namespace_named(name)));
  if (reply)
    client.warn(
        fmt::format("for clients of this machine to find the name, add a line to "
                    "/etc/hosts: 127.0.0.1 {}.servicebus.windows.net",
                    lower(name)));
  return show_resource(client, reply);
}

int list_namespaces(const Arguments& arguments) {
  auto client = AzClient::from(arguments);
  if (!client) return kUsage;
  return show_list(*client,
                   client->api().get(client->path_of_list("Microsoft.ServiceBus/namespaces")));
}

int delete_namespace(const Arguments& arguments, AzClient& client, const std::string& name) {
  return delete_resource(arguments, client, namespace_named(name),
                         fmt::format("the namespace {} with all its queues and messages", name));
}

// --- authorization rules -----------------------------------------------------------------------

// "namespaces/ns/authorizationRules/name", or below the queue that --queue-name names.
std::optional<std::string> rules_resource(const AzClient& client, const Arguments& arguments,
                                          bool of_queue) {
  std::string resource = namespace_resource(arguments);
  if (of_queue) {
    const auto queue = required(client, arguments, "queue-name");
    if (!queue) return std::nullopt;
    resource += "/queues/" + http::url_encode(*queue);
  }
  return resource + "/authorizationRules";
}

template <bool OfQueue>
int list_rules(const Arguments& arguments) {
  auto client = AzClient::from(arguments);
  if (!client) return kUsage;
  const auto resource = rules_resource(*client, arguments, OfQueue);
  if (!resource) return kUsage;
  return show_list(*client, client->api().get(client->path(*resource)));
}

template <bool OfQueue>
int show_rule(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto resource = rules_resource(client, arguments, OfQueue);
  if (!resource) return kUsage;
  return show_resource(client,
                       client.api().get(client.path(*resource + "/" + http::url_encode(name))));
}

template <bool OfQueue>
int create_rule(const Arguments& arguments, AzClient& client, const std::string& name) {
  static constexpr std::array<std::string_view, 3> kRights{"Listen", "Manage", "Send"};
  const auto resource = rules_resource(client, arguments, OfQueue);
  if (!resource) return kUsage;
  Node rights = Node::array();
  for (const std::string& right : arguments.all("rights")) {
    Arguments one;
    one.flags["rights"] = {right};
    const auto known = word(client, one, "rights", kRights);
    if (!known) return kUsage;
    rights.push(Node::string(*known));
  }
  if (rights.items.empty()) rights.push(Node::string("Listen"));  // as az does it
  Node body = Node::object();
  body.set("properties", Node::object()).set("rights", std::move(rights));
  return show_resource(
      client, client.api().put(client.path(*resource + "/" + http::url_encode(name)), body));
}

template <bool OfQueue>
int delete_rule(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto resource = rules_resource(client, arguments, OfQueue);
  if (!resource) return kUsage;
  return delete_resource(arguments, client, *resource + "/" + http::url_encode(name),
                         "the rule " + name);
}

int post_keys(const AzClient& client, const Reply& reply) {
  return reply ? client.print(reply.document) : client.refused(reply);
}

template <bool OfQueue>
int list_keys(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto resource = rules_resource(client, arguments, OfQueue);
  if (!resource) return kUsage;
  return post_keys(
      client, client.api().post(client.path(*resource + "/" + http::url_encode(name) + "/listKeys"),
                                Node::object()));
}

template <bool OfQueue>
int renew_keys(const Arguments& arguments, AzClient& client, const std::string& name) {
  static constexpr std::array<std::string_view, 2> kKeys{"PrimaryKey", "SecondaryKey"};
  const auto resource = rules_resource(client, arguments, OfQueue);
  if (!resource) return kUsage;
  const auto key = word(client, arguments, "key", kKeys);
  if (!key) return kUsage;
  Node body = Node::object();
  body.set("keyType", Node::string(*key));
  if (arguments.has("key-value")) body.set("key", Node::string(arguments.get("key-value")));
  return post_keys(
      client, client.api().post(
                  client.path(*resource + "/" + http::url_encode(name) + "/regenerateKeys"), body));
}

int connection_string(const Arguments& arguments) {
  auto client = AzClient::from(arguments);
  if (!client) return kUsage;
  std::string path =
      fmt::format("/v1/servicebus/{}/connection-string?tls={}",
                  http::url_encode(arguments.get("namespace-name", kDefaultNamespace)),
                  arguments.has("tls") ? "true" : "false");
  for (const char* flag : {"rule", "entity"})
    if (arguments.has(flag))
      path += fmt::format("&{}={}", flag, http::url_encode(arguments.get(flag)));
  const Reply reply = client->api().get(path);
  if (!reply) return client->refused(reply);
  const Node* text = reply.document.find("connectionString");
  return client->print_text(text == nullptr ? "" : text->text);
}

// --- queues ------------------------------------------------------------------------------------

// A flag of `queue create` and `update`, and the property that it sets.
struct QueueFlag {
  enum class Kind { Text, Whole, Flag, Status };
  const char* flag;
  const char* property;
  Kind kind;
};
using Kind = QueueFlag::Kind;

constexpr std::array kQueueProperties{
    QueueFlag{"lock-duration", "lockDuration", Kind::Text},
    QueueFlag{"max-delivery-count", "maxDeliveryCount", Kind::Whole},
    QueueFlag{"default-message-time-to-live", "defaultMessageTimeToLive", Kind::Text},
    QueueFlag{"enable-dead-lettering-on-message-expiration", "deadLetteringOnMessageExpiration",
              Kind::Flag},
    QueueFlag{"enable-duplicate-detection", "requiresDuplicateDetection", Kind::Flag},
    QueueFlag{"duplicate-detection-history-time-window", "duplicateDetectionHistoryTimeWindow",
              Kind::Text},
    QueueFlag{"enable-session", "requiresSession", Kind::Flag},
    QueueFlag{"forward-to", "forwardTo", Kind::Text},
    QueueFlag{"forward-dead-lettered-messages-to", "forwardDeadLetteredMessagesTo", Kind::Text},
    QueueFlag{"auto-delete-on-idle", "autoDeleteOnIdle", Kind::Text},
    QueueFlag{"max-size", "maxSizeInMegabytes", Kind::Whole},
    QueueFlag{"max-message-size", "maxMessageSizeInKilobytes", Kind::Whole},
    QueueFlag{"status", "status", Kind::Status},
    QueueFlag{"enable-batched-operations", "enableBatchedOperations", Kind::Flag},
    QueueFlag{"enable-partitioning", "enablePartitioning", Kind::Flag},
    QueueFlag{"enable-express", "enableExpress", Kind::Flag},
};

std::optional<Node> property_of(const AzClient& client, const Arguments& arguments,
                                const QueueFlag& flag) {
  static constexpr std::array<std::string_view, 2> kFlags{"true", "false"};
  static constexpr std::array<std::string_view, 4> kStatus{"Active", "Disabled", "SendDisabled",
                                                           "ReceiveDisabled"};
  bool wrong = false;
  switch (flag.kind) {
    case Kind::Text:
      return Node::string(arguments.get(flag.flag));
    case Kind::Whole: {
      const auto value = whole(client, arguments, flag.flag, 0, wrong);
      return value ? std::optional(Node::integer(*value)) : std::nullopt;
    }
    case Kind::Flag: {
      if (arguments.get(flag.flag).empty()) return Node::boolean(true);
      const auto value = word(client, arguments, flag.flag, kFlags);
      return value ? std::optional(Node::boolean(*value == "true")) : std::nullopt;
    }
    case Kind::Status: {
      const auto value = word(client, arguments, flag.flag, kStatus);
      return value ? std::optional(Node::string(*value)) : std::nullopt;
    }
  }
  return std::nullopt;
}

// What the flags say, onto `properties`. False: one of them is wrong, and that was said.
bool set_properties(const AzClient& client, const Arguments& arguments, Node& properties) {
  for (const QueueFlag& flag : kQueueProperties) {
    if (!arguments.has(flag.flag)) continue;
    auto value = property_of(client, arguments, flag);
    if (!value) return false;
    properties.set(flag.property, *std::move(value));
  }
  return true;
}

std::string queue_resource(const Arguments& arguments, const std::string& name) {
  return namespace_resource(arguments) + "/queues/" + http::url_encode(name);
}

int create_queue(const Arguments& arguments, AzClient& client, const std::string& name) {
  Node body = Node::object();
  Node& properties = body.set("properties", Node::object());
  if (!set_properties(client, arguments, properties)) return kUsage;
  const std::string path = client.path(queue_resource(arguments, name));
  return show_resource(client, client.api().put(path, body));
}

// What is there, with what the flags change.
int update_queue(const Arguments& arguments, AzClient& client, const std::string& name) {
  Node changed = Node::object();
  if (!set_properties(client, arguments, changed)) return kUsage;
  const std::string path = client.path(queue_resource(arguments, name));
  const Reply is = client.api().get(path);
  if (!is) return client.refused(is);
  Node body = Node::object();
  Node& properties = body.set("properties", Node::object());
  if (const Node* all = is.document.find("properties")) properties = *all;
  for (Node::Member& member : changed.members) properties.set(member.key, std::move(member.value));
  return show_resource(client, client.api().put(path, body));
}

int show_queue(const Arguments& arguments, AzClient& client, const std::string& name) {
  return show_resource(client, client.api().get(client.path(queue_resource(arguments, name))));
}

int list_queues(const Arguments& arguments) {
  auto client = AzClient::from(arguments);
  if (!client) return kUsage;
  bool wrong = false;
  std::string query;
  for (const char* flag : {"skip", "top"})
    if (const auto value = whole(*client, arguments, flag, 0, wrong))
      query += fmt::format("{}${}={}", query.empty() ? "?" : "&", flag, *value);
  if (wrong) return kUsage;
  const std::string path = client->path(namespace_resource(arguments) + "/queues");
  return show_list(*client, client->api().get(path + query));
}

int delete_queue(const Arguments& arguments, AzClient& client, const std::string& name) {
  return delete_resource(arguments, client, queue_resource(arguments, name),
                         fmt::format("the queue {} with its messages", name));
}

// --- the table ---------------------------------------------------------------------------------

constexpr Flag kNamespaceName{"--namespace-name", "NAME", "the namespace (default: sbemulatorns)"};

constexpr Flag kThisNamespace{"-n,--name,--namespace-name", "NAME", "the namespace"};
constexpr std::array kNamespaceCreateFlags{
    kThisNamespace,
    Flag{"--sku", "SKU", "Basic, Standard (default) or Premium; a label"},
    Flag{"-l,--location", "PLACE", "a label"},
    Flag{"--tags", "K=V …", "labels"},
    kNoWait,
};
constexpr std::array kNamespaceShowFlags{kThisNamespace};
constexpr std::array kNamespaceDeleteFlags{kThisNamespace, kYes, kNoWait};

constexpr Flag kRule{"-n,--name,--authorization-rule-name", "NAME", "the rule"};
constexpr Flag kRights{"--rights", "RIGHT …", "Listen (default), Send, Manage"};
constexpr Flag kKey{"--key", "KEY", "PrimaryKey or SecondaryKey"};
constexpr Flag kKeyValue{"--key-value", "TEXT", "the new key (default: a random one)"};
constexpr Flag kQueueName{"--queue-name", "QUEUE", "the queue"};
constexpr std::array kRuleListFlags{kNamespaceName};
constexpr std::array kRuleFlags{kRule, kNamespaceName};
constexpr std::array kRuleCreateFlags{kRule, kNamespaceName, kRights};
constexpr std::array kRuleDeleteFlags{kRule, kNamespaceName, kYes};
constexpr std::array kKeysRenewFlags{kRule, kNamespaceName, kKey, kKeyValue};
constexpr std::array kQueueRuleListFlags{kQueueName, kNamespaceName};
constexpr std::array kQueueRuleFlags{kRule, kQueueName, kNamespaceName};
constexpr std::array kQueueRuleCreateFlags{kRule, kQueueName, kNamespaceName, kRights};
constexpr std::array kQueueRuleDeleteFlags{kRule, kQueueName, kNamespaceName, kYes};
constexpr std::array kQueueKeysRenewFlags{kRule, kQueueName, kNamespaceName, kKey, kKeyValue};
constexpr std::array kConnectionStringFlags{
    kNamespaceName,
    Flag{"--tls", "", "for the TLS listener"},
    Flag{"--rule", "RULE", "of this rule (default: RootManageSharedAccessKey)"},
    Flag{"--entity", "ENTITY", "for this queue, with EntityPath"},
};

constexpr Flag kThisQueue{"-n,--name,--queue-name", "QUEUE", "the queue"};
constexpr char kFlagValue[] = "[true|false]";
constexpr std::array kQueueSettingFlags{
    kThisQueue,
    kNamespaceName,
    Flag{"--lock-duration", "DURATION", "ISO 8601, PT5S to PT5M (default PT1M)"},
    Flag{"--max-delivery-count", "N", "1 to 2000 (default 10)"},
    Flag{"--default-message-time-to-live", "DURATION", "ISO 8601 (default: for ever)"},
    Flag{"--enable-dead-lettering-on-message-expiration,--message-expiration", kFlagValue,
         "dead-letter what expires"},
    Flag{"--enable-duplicate-detection,--duplicate-detection", kFlagValue,
         "drop what repeats a message id; fixed after creation"},
    Flag{"-d,--duplicate-detection-history-time-window", "DURATION", "for this long (PT10M)"},
    Flag{"--enable-session", kFlagValue, "messages belong to sessions; fixed after creation"},
    Flag{"--forward-to", "QUEUE", "messages go on to this queue"},
    Flag{"--forward-dead-lettered-messages-to", "QUEUE", "dead letters go on to this queue"},
    Flag{"--auto-delete-on-idle", "DURATION", "delete the queue when idle for this long"},
    Flag{"--max-size,--max-size-in-megabytes", "N", "MiB of messages (1024)"},
    Flag{"--max-message-size,--max-message-size-in-kilobytes", "N", "KiB of one message (1024)"},
    Flag{"--status", "STATUS", "Active, Disabled, SendDisabled, ReceiveDisabled"},
    Flag{"--enable-batched-operations", kFlagValue, "a label"},
    Flag{"--enable-partitioning", kFlagValue, "a label; fixed after creation"},
    Flag{"--enable-express", kFlagValue, "a label"},
};
constexpr std::array kQueueShowFlags{kThisQueue, kNamespaceName};
constexpr std::array kQueueDeleteFlags{kThisQueue, kNamespaceName, kYes};
constexpr std::array kQueueListFlags{kNamespaceName,
                                     Flag{"--skip", "N", "leave out the first ones"},
                                     Flag{"--top", "N", "at most this many"}};

}  // namespace

const std::array<Command, 22> kServiceBusCommands{
    az("servicebus namespace create", "Create a namespace.", kNamespaceCreateFlags,
       named<create_namespace>),
    az("servicebus namespace show", "Show a namespace, and how its name leads here.",
       kNamespaceShowFlags, named<show_namespace>),
    az("servicebus namespace list", "List the namespaces.", {}, list_namespaces),
    az("servicebus namespace delete", "Delete a namespace with its queues.", kNamespaceDeleteFlags,
       named<delete_namespace>),
    az("servicebus namespace authorization-rule create", "Create or change a rule.",
       kRuleCreateFlags, named<create_rule<false>>),
    az("servicebus namespace authorization-rule show", "Show a rule.", kRuleFlags,
       named<show_rule<false>>),
    az("servicebus namespace authorization-rule list", "List the rules.", kRuleListFlags,
       list_rules<false>),
    az("servicebus namespace authorization-rule delete", "Delete a rule.", kRuleDeleteFlags,
       named<delete_rule<false>>),
    az("servicebus namespace authorization-rule keys list", "Show keys and connection strings.",
       kRuleFlags, named<list_keys<false>>),
    az("servicebus namespace authorization-rule keys renew", "Replace a key.", kKeysRenewFlags,
       named<renew_keys<false>>),
    az("servicebus queue create", "Create a queue, or change one.", kQueueSettingFlags,
       named<create_queue>),
    az("servicebus queue update", "Change settings of a queue; the others stay.",
       kQueueSettingFlags, named<update_queue>),
    az("servicebus queue show", "Show a queue.", kQueueShowFlags, named<show_queue>),
    az("servicebus queue list", "List the queues of a namespace.", kQueueListFlags, list_queues),
    az("servicebus queue delete", "Delete a queue with its messages.", kQueueDeleteFlags,
       named<delete_queue>),
    az("servicebus queue authorization-rule create", "Create or change a rule.",
       kQueueRuleCreateFlags, named<create_rule<true>>),
    az("servicebus queue authorization-rule show", "Show a rule.", kQueueRuleFlags,
       named<show_rule<true>>),
    az("servicebus queue authorization-rule list", "List the rules.", kQueueRuleListFlags,
       list_rules<true>),
    az("servicebus queue authorization-rule delete", "Delete a rule.", kQueueRuleDeleteFlags,
       named<delete_rule<true>>),
    az("servicebus queue authorization-rule keys list", "Show keys and connection strings.",
       kQueueRuleFlags, named<list_keys<true>>),
    az("servicebus queue authorization-rule keys renew", "Replace a key.", kQueueKeysRenewFlags,
       named<renew_keys<true>>),
    az("servicebus connection-string", "Print how a client connects to this server.",
       kConnectionStringFlags, connection_string),
};

}  // namespace jobmill::app
