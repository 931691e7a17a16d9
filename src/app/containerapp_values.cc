// SPDX-License-Identifier: Apache-2.0
#include "app/containerapp_values.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include <fmt/core.h>

#include "base/text.h"
#include "http/message.h"

namespace jobmill::app {
namespace {

constexpr std::string_view kSecretRef = "secretref:";
constexpr std::string_view kVaultRef = "keyvaultref:";
constexpr std::string_view kIdentityRef = "identityref:";

constexpr char kEnvForm[] =
    "Environment variables must be in the format \"<key>=<value> <key>=secretref:<value> ...\".";
constexpr char kSecretForm[] =
    "Secrets must be in format \"<key>=<value> <key>=<value> ...\" or "
    "\"<key>=<keyvaultref:keyvaulturl,identityref:indentityId> ...\".";
constexpr char kMetadataForm[] = "Metadata must be in format \"<key>=<value> <key>=<value> ...\".";
constexpr char kAuthForm[] =
    "Auth parameters must be in format \"<triggerParameter>=<secretRef> "
    "<triggerParameter>=<secretRef> ...\".";

Fault invalid(std::string text) { return fail(Code::InvalidArgument, std::move(text)); }

using Pair = std::pair<std::string, std::string>;
using Pairs = std::vector<Pair>;

// "key=value", split at the first =. `twice` has a {} for the key.
Result<Pairs> pairs(const Values& values, const char* form, const char* twice) {
  Pairs all;
  for (const std::string& value : values) {
    const auto equals = value.find('=');
    if (equals == std::string::npos) return invalid(form);
    std::string key = value.substr(0, equals);
    if (std::ranges::find(all, key, &Pair::first) != all.end())
      return invalid(fmt::format(fmt::runtime(twice), key));
    all.emplace_back(std::move(key), value.substr(equals + 1));
  }
  return all;
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "keyvaultref:url,identityref:id"; in either order.
Result<Node> vault_secret(const std::string& name, std::string_view value) {
  std::string url, identity;
  while (!value.empty()) {
    const std::string_view part = value.substr(0, value.find(','));
    value.remove_prefix(std::min(part.size() + 1, value.size()));
    if (part.starts_with(kVaultRef)) url = part.substr(kVaultRef.size());
    if (part.starts_with(kIdentityRef)) identity = part.substr(kIdentityRef.size());
  }
  if (identity.empty()) return invalid(std::string("Identityref is missing. ") + kSecretForm);
  if (url.empty()) return invalid(std::string("Keyvaultref is missing. ") + kSecretForm);
  Node secret = Node::object();
  secret.set("name", Node::string(name));
  secret.set("keyVaultUrl", Node::string(url));
  secret.set("identity", Node::string(identity));
  return secret;
}

}  // namespace

int exit_of(const Fault& fault) {
  switch (fault.code) {
    case Code::NotFound:
      return kNotFound;
    case Code::Unsupported:
      return kUsage;
    case Code::PermissionDenied:
      return kPermission;
    case Code::Unavailable:
      return kUnreachable;
    case Code::Timeout:
      return kTemporary;
    default:
      return kFailed;
  }
}

Values values_of(const Arguments& arguments, std::string_view flag) {
  Values values = arguments.all(flag);
  if (values.size() == 1 && values.front().empty()) values.clear();
  return values;
}

Result<Node> env_vars(const Values& values, std::vector<std::string>& notes) {
  TRY(const Pairs all,
      pairs(values, kEnvForm,
            "Duplicate environment variable {} found, environment variable names must be unique."));
  Node list = Node::array();
  for (const auto& [name, value] : all) {
    Node variable = Node::object();
    variable.set("name", Node::string(name));
    if (value.starts_with(kSecretRef))
      variable.set("secretRef", Node::string(value.substr(kSecretRef.size())));
    else
      variable.set("value", Node::string(value));
    if (const auto at = value.find(kSecretRef); at != std::string::npos && at > 0)
      notes.push_back(fmt::format(
          "{}: secretref: in the middle of a value is text; a reference begins with it.", name));
    list.push(std::move(variable));
  }
  return list;
}

Result<Node> secrets(const Values& values) {
  TRY(const Pairs all,
      pairs(values, kSecretForm, "Duplicate secret \"{}\" found, secret names must be unique."));
  Node list = Node::array();
  for (const auto& [name, value] : all) {
    if (value.starts_with(kVaultRef) || value.starts_with(kIdentityRef)) {
      TRY(Node secret, vault_secret(name, value));
      list.push(std::move(secret));
      continue;
    }
    Node secret = Node::object();
    secret.set("name", Node::string(name));
    secret.set("value", Node::string(value));
    list.push(std::move(secret));
  }
  return list;
}

Result<Node> scale_metadata(const Values& values) {
  TRY(const Pairs all, pairs(values, kMetadataForm,
                             "Duplicate metadata \"{}\" found, metadata keys must be unique."));
  Node metadata = Node::object();
  for (const auto& [key, value] : all) metadata.set(key, Node::string(value));
  return metadata;
}

Result<Node> scale_auth(const Values& values) {
  TRY(const Pairs all,
      pairs(values, kAuthForm,
            "Duplicate trigger parameter \"{}\" found, trigger paramaters must be unique."));
  Node auth = Node::array();
  for (const auto& [parameter, secret] : all) {
    Node one = Node::object();
    one.set("triggerParameter", Node::string(parameter));
    one.set("secretRef", Node::string(secret));
    auth.push(std::move(one));
  }
  return auth;
}

Result<Node> tags(const Values& values) {
  Node all = Node::object();
  for (const std::string& value : values) {
    const auto equals = std::min(value.find('='), value.size());
    all.set(value.substr(0, equals),
            Node::string(value.substr(std::min(equals + 1, value.size()))));
  }
  return all;
}

Result<std::optional<std::int64_t>> whole_number(const Arguments& arguments, std::string_view flag,
                                                 std::int64_t least) {
  if (!arguments.has(flag)) return std::optional<std::int64_t>();
  const std::string text = arguments.get(flag);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(Code::Unsupported,
                fmt::format("argument --{}: invalid int value: '{}'", flag, text));
  if (value < least)
    return invalid(fmt::format("Usage error: --{} must be at least {}", flag, least));
  return std::optional(value);
}

Result<Node> cpu(const std::string& text) {
  const auto value = number(text);
  if (!value) return invalid("Usage error: --cpu must be a number eg. \"0.5\"");
  return Node::number(*value);
}

Result<Node> memory(std::string text) {
  constexpr std::string_view kUnit = "Gi";
  if (!text.ends_with(kUnit)) {
    while (text.ends_with(' ')) text.pop_back();
    text += kUnit;
  }
  if (!number(std::string_view(text).substr(0, text.size() - kUnit.size())))
    return invalid("Usage error: --memory must be a number ending with \"Gi\"");
  return Node::string(text);
}

Node word_list(const Arguments& arguments, std::string_view flag) {
  Node words = Node::array();
  for (const std::string& word : values_of(arguments, flag)) words.push(Node::string(word));
  return words;
}

bool same_text(std::string_view a, std::string_view b) { return http::iequals(a, b); }

Node* named_in(Node* list, std::string_view key, std::string_view text) {
  if (list == nullptr) return nullptr;
  for (Node& one : list->items)
    if (const Node* name = one.find(key); name != nullptr && same_text(name->text, text))
      return &one;
  return nullptr;
}

Node& object_at(Node& root, std::initializer_list<const char*> path) {
  Node* at = &root;
  for (const char* name : path) {
    Node* next = at->find(name);
    at = next != nullptr && next->is_object() ? next : &at->set(name, Node::object());
  }
  return *at;
}

Node& list_at(Node& root, std::initializer_list<const char*> path) {
  Node* at = &root;
  std::size_t left = path.size();
  for (const char* name : path) {
    const bool last = --left == 0;
    Node* next = at->find(name);
    const bool fits = next != nullptr && (last ? next->is_array() : next->is_object());
    at = fits ? next : &at->set(name, last ? Node::array() : Node::object());
  }
  return *at;
}

}  // namespace jobmill::app
