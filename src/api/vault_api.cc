// SPDX-License-Identifier: Apache-2.0
#include "api/vault_api.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/core.h>

#include "api/arm_resources.h"
#include "api/json.h"

namespace jobmill::api {
namespace {

using executions::kVaultSecrets;
using executions::Resource;
using executions::vault_secret_id;

bool is_secret_url(std::string_view url) {
  const auto path = url.find("/secrets/");
  return url.starts_with("https://") && path != url.npos && path + 9 < url.size();
}

Resource secret_in(JsonBody& body) {
  std::string url;
  std::string value;
  auto in = body.reader();
  in.text("url", url, Field::Required);
  in.text("value", value, Field::Required);
  if (!url.empty() && !is_secret_url(url))
    in.wrong("url", "expected https://VAULT.vault.azure.net/secrets/NAME");
  in.close();
  Resource secret{
      .id = vault_secret_id(url), .type = std::string(kVaultSecrets), .group = {}, .name = url};
  secret.document.set("url", Node::string(url));
  secret.value = Secret(std::move(value));
  return secret;
}

void put(ApiContext& context, Call call) {
  JsonBody body(call.request);
  Resource secret = secret_in(body);
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  answer(context, call.responder, [&context, secret = std::move(secret)] {
    const Status kept = context.executions->resources().put(secret);
    if (!kept) return to_response(kept.error());
    context.executions->resources_changed();
    return json_response(200, to_json(secret.document));
  });
}

void list(ApiContext& context, Call call) {
  Node secrets = Node::array();
  for (Resource& secret : context.executions->resources().list(kVaultSecrets))
    secrets.push(std::move(secret.document));
  Node answer = Node::object();
  answer.set("secrets", std::move(secrets));
  call.responder.send(json_response(200, to_json(answer)));
}

void remove(ApiContext& context, Call call) {
  const std::string url(call.request.parameter("url").value_or(""));
  answer(context, call.responder, [&context, url] {
    executions::Resources& resources = context.executions->resources();
    if (!resources.find(vault_secret_id(url)))
      return to_response(fail(Code::NotFound, fmt::format("no secret '{}' is known", url)));
    const Status removed = resources.remove(vault_secret_id(url));
    if (!removed) return to_response(removed.error());
    context.executions->resources_changed();
    return no_content();
  });
}

constexpr std::array kRoutes{
    Route{"GET", "/v1/vault-secrets", Scope::Read, with_executions<list>},
    Route{"PUT", "/v1/vault-secrets", Scope::Admin, with_executions<put>},
    Route{"DELETE", "/v1/vault-secrets", Scope::Admin, with_executions<remove>},
};

}  // namespace

std::span<const Route> vault_routes() { return kRoutes; }

}  // namespace jobmill::api
