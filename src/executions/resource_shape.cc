// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

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

// The member that to_camel_case() gives that name.
const Node::Member* member_named(const Node& node, std::string_view name) {
  const auto found = std::find_if(node.members.begin(), node.members.end(), [&](const auto& one) {
    return one.key == name || camel_case(one.key) == name;
  });
  return found == node.members.end() ? nullptr : &*found;
}

// "containers[0]": the name, and the numbers of elements.
std::pair<std::string_view, std::string_view> name_and_numbers(std::string_view step) {
  const std::size_t bracket = std::min(step.find('['), step.size());
  return {step.substr(0, bracket), step.substr(bracket)};
}

const Node* element(const Node& list, std::string_view numbers) {
  const Node* node = &list;
  while (!numbers.empty() && node != nullptr) {
    std::size_t index = 0;
    (void)std::from_chars(numbers.data() + 1, numbers.data() + numbers.size(), index);
    node = index < node->items.size() ? &node->items[index] : nullptr;
    numbers.remove_prefix(numbers.find(']') + 1);
  }
  return node;
}

}  // namespace

std::string path_as_written(const Node& written, std::string_view path) {
  std::string said;
  const Node* node = &written;
  while (!path.empty()) {
    const std::string_view step = path.substr(0, path.find('.'));
    const auto [name, numbers] = name_and_numbers(step);
    const std::string_view rest = path.substr(std::min(step.size() + 1, path.size()));
    const Node::Member* member = node != nullptr ? member_named(*node, name) : nullptr;
    const auto next = name_and_numbers(rest.substr(0, rest.find('.'))).first;
    path = rest;
    // Members that he put beside `properties`.
    if (node == &written && name == "properties" && is_in(kOfProperties, next) &&
        !(member != nullptr && member_named(member->value, next) != nullptr) &&
        member_named(written, next) != nullptr)
      continue;
    said += (said.empty() ? "" : ".") + (member ? member->key : std::string(name));
    said += numbers;
    node = member != nullptr ? element(member->value, numbers) : nullptr;
  }
  return said;
}

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
