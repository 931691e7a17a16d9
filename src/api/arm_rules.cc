// SPDX-License-Identifier: Apache-2.0
#include "api/arm_rules.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "api/arm_names.h"
#include "api/json.h"
#include "api/queue_text.h"
#include "api/rule_keys.h"
#include "api/service_bus_api.h"
#include "base/json_writer.h"
#include "broker/address.h"
#include "broker/root_rule.h"

namespace jobmill::api {
namespace {

using broker::AuthorizationRule;
using broker::Right;

using broker::kRootRule;

// The namespace or the queue that the path names, with its rules.
struct Owner {
  std::string id{};
  broker::StoredNamespace name_space{};
  std::optional<broker::QueueInfo> queue{};

  const std::vector<AuthorizationRule>& rules() const {
    return queue ? queue->description.rules : name_space.rules;
  }
  std::string path() const { return queue ? queue->description.name : ""; }
};

bool names_queue(const Call& call) {
  return std::ranges::find(call.path, "q", &Parameters::value_type::first) != call.path.end();
}

Result<Owner> owner_of(const ApiContext& context, const Call& call) {
  Owner owner;
  TRY(owner.name_space, namespace_of(context, call));
  owner.id = id_of(call, owner.name_space);
  if (!names_queue(call)) return owner;
  TRY(owner.queue, queue_of(context, call));
  owner.id = id_of(call, owner.name_space, *owner.queue);
  return owner;
}

template <class Rules>
auto find(Rules& rules, std::string_view name) {
  return std::ranges::find_if(
      rules, [&](const AuthorizationRule& one) { return http::iequals(one.name, name); });
}

Fault no_rule(std::string_view name) {
  return fail(Code::NotFound, fmt::format("The authorization rule '{}' could not be found.", name));
}

Result<AuthorizationRule> rule_of(const Owner& owner, const Call& call) {
  const std::string& name = call.parameter("rule");
  const auto rule = find(owner.rules(), name);
  if (rule == owner.rules().end()) return no_rule(name);
  return *rule;
}

void write_rule(JsonWriter& json, const Owner& owner, const AuthorizationRule& rule) {
  json.object()
      .member("id", owner.id + "/authorizationRules/" + rule.name)
      .member("name", rule.name)
      .member("type", owner.queue ? "Microsoft.ServiceBus/namespaces/queues/authorizationRules"
                                  : "Microsoft.ServiceBus/namespaces/authorizationRules")
      .key("properties")
      .object()
      .key("rights")
      .array();
  for (const Right right : {Right::Manage, Right::Listen, Right::Send})
    if (rule.rights.has(right)) json.value(right_text(right));
  json.end().end().end();
}

void answer_rule(const Call& call, const Owner& owner, const AuthorizationRule& rule) {
  JsonWriter json;
  write_rule(json, owner, rule);
  call.responder.send(json_response(200, std::move(json).text()));
}

void answer_keys(const ApiContext& context, const Call& call, const Owner& owner,
                 const AuthorizationRule& rule) {
  // One that has a single key has it twice, so that whoever reads the second gets in too.
  const Secret& second = rule.secondary_key.empty() ? rule.primary_key : rule.secondary_key;
  const auto line = [&](const Secret& key) {
    return context.bus->connection_string(owner.name_space.name, rule.name, key, owner.path());
  };
  JsonWriter json;
  json.object()
      .member("keyName", rule.name)
      .member("primaryConnectionString", line(rule.primary_key))
      .member("primaryKey", rule.primary_key.reveal())
      .member("secondaryConnectionString", line(second))
      .member("secondaryKey", second.reveal())
      .end();
  call.responder.send(json_response(200, std::move(json).text()));
}

void store(ApiContext& context, const Owner& owner, std::vector<AuthorizationRule> rules,
           broker::Broker::Done done) {
  broker::Broker& broker = context.bus->broker;
  if (owner.queue) {
    broker::QueueDescription queue = owner.queue->description;
    queue.rules = std::move(rules);
    return broker.update(std::move(queue), context.clock.now(), std::move(done));
  }
  // The root rule is not stored: its key is the server's.
  std::erase_if(rules, [](const AuthorizationRule& rule) { return rule.name == kRootRule; });
  broker.put_namespace_rules(owner.name_space.name, std::move(rules), std::move(done));
}

Result<broker::Rights> read_rights(const Node* properties) {
  broker::Rights rights;
  const Node* list = properties == nullptr ? nullptr : properties->find("rights");
  if (list == nullptr || !list->is_array() || list->items.empty())
    return fail(Code::InvalidArgument, "properties.rights: expected Send, Listen or Manage");
  for (const Node& one : list->items) {
    const auto right = parse_right(one.as_string().value_or(""));
    if (!right) return fail(Code::InvalidArgument, "properties.rights: " + right.error().message);
    rights.bits |= static_cast<std::uint8_t>(*right);
  }
  return rights;
}

Status check_changeable(const Owner& owner, const Call& call) {
  if (owner.queue || !http::iequals(call.parameter("rule"), kRootRule)) return {};
  return fail(
      Code::InvalidArgument,
      fmt::format("{} is the server's own rule; its key is that of --servicebus-key", kRootRule));
}

void list_rules(ApiContext& context, Call call) {
  const auto owner = owner_of(context, call);
  if (!owner) return call.responder.send(to_response(owner.error()));
  JsonWriter json;
  json.object().key("value").array();
  for (const AuthorizationRule& rule : owner->rules()) write_rule(json, *owner, rule);
  call.responder.send(json_response(200, std::move(json.end().end()).text()));
}

void get_rule(ApiContext& context, Call call) {
  const auto owner = owner_of(context, call);
  if (!owner) return call.responder.send(to_response(owner.error()));
  const auto rule = rule_of(*owner, call);
  if (!rule) return call.responder.send(to_response(rule.error()));
  answer_rule(call, *owner, *rule);
}

// Keys of a rule that exists stay as they are.
void put_rule(ApiContext& context, Call call) {
  const auto owner = owner_of(context, call);
  if (!owner) return call.responder.send(to_response(owner.error()));
  if (const Status may = check_changeable(*owner, call); !may)
    return call.responder.send(to_response(may.error()));
  JsonBody body(call.request);
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  const auto rights = read_rights(body.root().find("properties"));
  if (!rights) return call.responder.send(to_response(rights.error()));

  const TimePoint now = context.clock.now();
  std::vector<AuthorizationRule> rules = owner->rules();
  auto rule = find(rules, call.parameter("rule"));
  if (rule == rules.end()) {
    rules.push_back({.name = call.parameter("rule")});
    complete_rules(rules, now);
    rule = rules.end() - 1;
  }
  rule->rights = *rights;
  rule->updated_at = now;
  store(context, *owner, rules, [call, owner = *owner, rule = *rule](const Status& status) {
    if (!status) return call.responder.send(refusal_of(status.error()));
    answer_rule(call, owner, rule);
  });
}

void delete_rule(ApiContext& context, Call call) {
  const auto owner = owner_of(context, call);
  if (!owner) return call.responder.send(to_response(owner.error()));
  if (const Status may = check_changeable(*owner, call); !may)
    return call.responder.send(to_response(may.error()));
  std::vector<AuthorizationRule> rules = owner->rules();
  const auto rule = find(rules, call.parameter("rule"));
  if (rule == rules.end()) return call.responder.send(to_response(no_rule(call.parameter("rule"))));
  rules.erase(rule);
  store(context, *owner, std::move(rules), [call](const Status& status) {
    call.responder.send(status ? no_content() : to_response(status.error()));
  });
}

void list_keys(ApiContext& context, Call call) {
  const auto owner = owner_of(context, call);
  if (!owner) return call.responder.send(to_response(owner.error()));
  const auto rule = rule_of(*owner, call);
  if (!rule) return call.responder.send(to_response(rule.error()));
  answer_keys(context, call, *owner, *rule);
}

// {"keyType": "PrimaryKey" or "SecondaryKey", "key": "…"}; without a key a new one is made.
void regenerate_keys(ApiContext& context, Call call) {
  const auto owner = owner_of(context, call);
  if (!owner) return call.responder.send(to_response(owner.error()));
  if (const Status may = check_changeable(*owner, call); !may)
    return call.responder.send(to_response(may.error()));
  JsonBody body(call.request);
  std::string type, key;
  auto in = body.reader();
  in.text("keyType", type, Field::Required);
  in.text("key", key);
  if (!type.empty() && type != "PrimaryKey" && type != "SecondaryKey")
    in.wrong("keyType", "expected PrimaryKey or SecondaryKey");
  in.close();
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));

  std::vector<AuthorizationRule> rules = owner->rules();
  const auto rule = find(rules, call.parameter("rule"));
  if (rule == rules.end()) return call.responder.send(to_response(no_rule(call.parameter("rule"))));
  (type == "PrimaryKey" ? rule->primary_key : rule->secondary_key) =
      key.empty() ? random_rule_key() : Secret(key);
  rule->updated_at = context.clock.now();
  store(context, *owner, rules,
        [&context, call, owner = *owner, rule = *rule](const Status& status) {
          if (!status) return call.responder.send(to_response(status.error()));
          answer_keys(context, call, owner, rule);
        });
}

// ?rule=&entity=&tls=true: how a client gets in, by a rule of the entity or of a namespace.
void connection_string(ApiContext& context, Call call) {
  const auto parameter = [&](std::string_view name, std::string_view otherwise) {
    return std::string(call.request.parameter(name).value_or(otherwise));
  };
  const auto name_space = namespace_of(context, call);
  if (!name_space) return call.responder.send(to_response(name_space.error()));
  const std::string entity = parameter("entity", "");
  if (!entity.empty() && !context.bus->broker.queue(broker::lower(entity)))
    return call.responder.send(to_response(fail(
        Code::NotFound, fmt::format("The messaging entity '{}' could not be found.", entity))));
  const auto rules = context.bus->broker.rules(broker::lower(entity));
  const std::string wanted = parameter("rule", kRootRule);
  const auto rule = find(rules, wanted);
  if (rule == rules.end()) return call.responder.send(to_response(no_rule(wanted)));
  const bool tls = parameter("tls", "") == "true";
  if (tls && !context.bus->tls_connection_string)
    return call.responder.send(to_response(
        fail(Code::NotFound, "this server has no TLS listener; start it with --amqps")));
  const auto& line = tls ? context.bus->tls_connection_string : context.bus->connection_string;
  JsonWriter json;
  json.object()
      .member("connectionString", line(name_space->name, rule->name, rule->primary_key, entity))
      .end();
  call.responder.send(json_response(200, std::move(json).text()));
}

// What would be refused if the limits of the cloud held here.
void beyond_the_cloud(ApiContext& context, Call call) {
  const broker::Broker& broker = context.bus->broker;
  JsonWriter json;
  json.object().member("limits", broker.limits() == broker::kCloudLimits ? "cloud" : "open");
  json.key("beyond").array();
  for (const std::string& one : broker.beyond(broker::kCloudLimits)) json.value(one);
  call.responder.send(json_response(200, std::move(json.end().end()).text()));
}

#define JOBMILL_RULES \
  "/subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.ServiceBus/namespaces/{ns}"
#define JOBMILL_RULES_OF(owner)                                                                    \
  Route{"GET", owner "/authorizationRules", Scope::Admin, with_broker<list_rules>},                \
      Route{"GET", owner "/authorizationRules/{rule}", Scope::Admin, with_broker<get_rule>},       \
      Route{"PUT", owner "/authorizationRules/{rule}", Scope::Admin, with_broker<put_rule>},       \
      Route{"DELETE", owner "/authorizationRules/{rule}", Scope::Admin, with_broker<delete_rule>}, \
      Route{"POST", owner "/authorizationRules/{rule}/listKeys", Scope::Admin,                     \
            with_broker<list_keys>},                                                               \
      Route {                                                                                      \
    "POST", owner "/authorizationRules/{rule}/regenerateKeys", Scope::Admin,                       \
        with_broker<regenerate_keys>                                                               \
  }
constexpr std::array kRoutes{
    JOBMILL_RULES_OF(JOBMILL_RULES),
    JOBMILL_RULES_OF(JOBMILL_RULES "/queues/{q}"),
    Route{"GET", "/v1/servicebus/{ns}/connection-string", Scope::Admin,
          with_broker<connection_string>},
    Route{"GET", "/v1/servicebus/limits", Scope::Read, with_broker<beyond_the_cloud>},
};
#undef JOBMILL_RULES_OF
#undef JOBMILL_RULES

}  // namespace

std::span<const Route> arm_rule_routes() { return kRoutes; }

}  // namespace jobmill::api
