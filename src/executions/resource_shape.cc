// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cctype>

#include "executions/job_fields.h"

namespace jobmill::executions {
namespace {

constexpr std::array<std::string_view, 3> kFreeMaps{"tags", "metadata", "userAssignedIdentities"};
constexpr std::array<std::string_view, 10> kOfProperties{
    "environmentId",      "managedEnvironmentId", "configuration",
    "template",           "workloadProfileName",  "jobmill",
    "provisioningState",  "runningStatus",        "outboundIpAddresses",
    "eventStreamEndpoint"};
constexpr std::array<std::string_view, 4> kReadOnly{"id", "systemData", "resourceGroup", "etag"};
constexpr std::array<std::string_view, 4> kReadOnlyProperties{
    "provisioningState", "runningStatus", "outboundIpAddresses", "eventStreamEndpoint"};
constexpr std::array<std::string_view, 3> kReadOnlyOfIdentity{"principalId", "clientId",
                                                              "tenantId"};

template <class Names>
bool is_in(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

template <class Names>
void drop(Node& node, const Names& names) {
  std::erase_if(node.members, [&](const Node::Member& member) { return is_in(names, member.key); });
}

std::string camel_case(std::string_view name) {
  if (name == "outboundIPAddresses") return "outboundIpAddresses";
  std::string camel;
  for (const char c : name) {
    const bool after_bar = camel.ends_with('_') && camel.size() > 1;
    if (after_bar) camel.pop_back();
    camel += after_bar ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
  }
  return camel;
}

// Keys that people chose stay as they are.
void to_camel_case(Node& node, bool free = false) {
  for (Node& item : node.items) to_camel_case(item);
  for (Node::Member& member : node.members) {
    std::string camel = free ? member.key : camel_case(member.key);
    if (!node.find(camel)) member.key = std::move(camel);
    to_camel_case(member.value, is_in(kFreeMaps, member.key));
  }
}

void move_below_properties(Node& resource) {
  const auto goes = [&](const Node::Member& member) {
    const Node* properties = resource.find("properties");
    return is_in(kOfProperties, member.key) && !(properties && properties->find(member.key)) &&
           !(properties && !properties->is_object());
  };
  std::vector<Node::Member> moved;
  std::vector<Node::Member> stay;
  for (const Node::Member& member : resource.members)
    (goes(member) ? moved : stay).push_back(member);
  if (moved.empty()) return;
  resource.members = std::move(stay);
  if (!resource.find("properties")) resource.set("properties", Node::object());
  Node& properties = *resource.find("properties");
  for (Node::Member& member : moved) properties.members.push_back(std::move(member));
}

void rename_environment(Node& properties) {
  const Node* wanted = properties.find("environmentId");
  Node* older = properties.find("managedEnvironmentId");
  if (!older) return;
  if (!wanted || wanted->is_null()) properties.set("environmentId", *older);
  drop(properties, std::array<std::string_view, 1>{"managedEnvironmentId"});
}

void drop_read_only(Node& resource) {
  drop(resource, kReadOnly);
  if (Node* properties = resource.find("properties")) drop(*properties, kReadOnlyProperties);
  Node* identity = resource.find("identity");
  if (!identity) return;
  drop(*identity, kReadOnlyOfIdentity);
  Node* users = identity->find("userAssignedIdentities");
  if (!users) return;
  for (Node::Member& user : users->members) drop(user.value, kReadOnlyOfIdentity);
}

bool replaced_whole(std::string_view path) {
  return path == "/properties/configuration/eventTriggerConfig/scale";
}

Node merged(const Node& resource, const Node& change, const std::string& path) {
  if (!change.is_object() || !resource.is_object() || replaced_whole(path)) return change;
  Node result = resource;
  for (const Node::Member& member : change.members) {
    if (member.value.is_null()) continue;
    const Node* old = resource.find(member.key);
    result.set(member.key, merged(old ? *old : Node(), member.value, path + "/" + member.key));
  }
  return result;
}

}  // namespace

Node shaped(Node resource) {
  if (!resource.is_object()) return resource;
  to_camel_case(resource);
  move_below_properties(resource);
  if (Node* properties = resource.find("properties")) rename_environment(*properties);
  return resource;
}

Node tidy_resource(Node resource) {
  resource = shaped(std::move(resource));
  drop_read_only(resource);
  return resource;
}

Node merge_resource(const Node& resource, const Node& change) {
  return merged(resource, tidy_resource(change), "");
}

}  // namespace jobmill::executions
