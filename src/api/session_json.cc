// SPDX-License-Identifier: Apache-2.0
#include "api/session_json.h"

#include <array>

#include "api/sessions.h"
#include "api/settings.h"
#include "base/json_writer.h"

namespace jobmill::api {
namespace {

struct ScopeName {
  std::string_view name;
  Scope scope;
};
constexpr std::array kScopes{ScopeName{"read", Scope::Read}, ScopeName{"produce", Scope::Produce},
                             ScopeName{"work", Scope::Work}, ScopeName{"operate", Scope::Operate},
                             ScopeName{"admin", Scope::Admin}};

std::vector<std::string_view> login_methods(const ApiContext& context) {
  std::vector<std::string_view> methods;
  const UserDirectory& users = context.sessions->users();
  if (!users.open() && !users.list().empty()) methods.push_back("basic");
  if (context.oidc != nullptr) methods.push_back("oidc");
  return methods;
}

void write_texts(JsonWriter& json, std::string_view name,
                 const std::vector<std::string_view>& texts) {
  json.key(name).array();
  for (const std::string_view text : texts) json.value(text);
  json.end();
}

}  // namespace

std::vector<std::string_view> scope_names(unsigned scopes) {
  std::vector<std::string_view> names;
  for (const ScopeName& known : kScopes)
    if ((scopes & static_cast<unsigned>(known.scope)) != 0) names.push_back(known.name);
  return names;
}

unsigned scope_of(std::string_view name) {
  for (const ScopeName& known : kScopes)
    if (known.name == name) return static_cast<unsigned>(known.scope);
  return 0;
}

std::string session_json(const ApiContext& context, const Identity& identity,
                         std::string_view csrf) {
  const Settings defaults;
  const Settings& settings = context.settings != nullptr ? *context.settings : defaults;
  JsonWriter json;
  json.object().member("user", identity.name).member("role", identity.role);
  write_texts(json, "scopes", scope_names(identity.scopes));
  json.member("csrf", csrf);
  write_texts(json, "loginMethods", login_methods(context));
  json.member("anonymous", identity.name.empty() && !settings.anonymous_role.empty())
      .member("version", context.version)
      .member("clusterName", settings.cluster_name)
      .member("contextPath", settings.context_path);
  return std::move(json.end()).text();
}

}  // namespace jobmill::api
