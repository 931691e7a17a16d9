// SPDX-License-Identifier: Apache-2.0
#include "scalers/auth_block.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "base/document.h"
#include "http/message.h"
#include "scalers/query_string.h"

namespace jobmill::scalers {
namespace {

// Reads the parameters of one mode, naming all of the required ones that are missing.
class Mode {
 public:
  Mode(Parameters& parameters, std::string_view name) : parameters_(parameters), name_(name) {}
  ~Mode() {
    if (missing_.empty()) return;
    parameters_.complain(Flaw::AuthIncomplete,
                         fmt::format("authModes {} needs {}", name_, fmt::join(missing_, " and ")));
  }
  Mode(const Mode&) = delete;
  Mode& operator=(const Mode&) = delete;

  std::string required(std::string_view parameter) {
    std::string text = parameters_.text(parameter);
    if (text.empty()) missing_.push_back(parameter);
    return text;
  }

 private:
  Parameters& parameters_;
  std::string_view name_;
  std::vector<std::string_view> missing_;
};

AuthBlock::ApiKey decode_api_key(Parameters& parameters) {
  Mode mode(parameters, "apiKey");
  AuthBlock::ApiKey api_key{.key = mode.required("apiKey"),
                            .in_query = parameters.text("method") == "query",
                            .name = parameters.text("keyParamName")};
  if (api_key.name.empty()) api_key.name = api_key.in_query ? "api_key" : "X-API-KEY";
  return api_key;
}

AuthBlock::Basic decode_basic(Parameters& parameters) {
  Mode mode(parameters, "basic");
  return {.username = mode.required("username"), .password = parameters.text("password")};
}

AuthBlock::Tls decode_tls(Parameters& parameters) {
  Mode mode(parameters, "tls");
  return {.cert = mode.required("cert"), .key = mode.required("key"), .ca = parameters.text("ca")};
}

std::string decode_bearer(Parameters& parameters) {
  return Mode(parameters, "bearer").required("bearerToken");
}

AuthBlock::Custom decode_custom(Parameters& parameters) {
  Mode mode(parameters, "custom");
  return {.header = mode.required("customAuthHeader"), .value = mode.required("customAuthValue")};
}

AuthBlock::OAuth decode_oauth(Parameters& parameters) {
  Mode mode(parameters, "oauth");
  return {.token_url = mode.required("oauthTokenURI"),
          .scopes = parameters.list("scopes"),
          .client_id = mode.required("clientID"),
          .client_secret = parameters.text("clientSecret"),
          .endpoint_params = parameters.query("endpointParams")};
}

}  // namespace

AuthBlock decode_auth(Parameters& parameters) {
  AuthBlock auth{.modes = parameters.list("authModes")};
  const auto chosen = [&](std::string_view mode) {
    return std::ranges::find(auth.modes, mode) != auth.modes.end();
  };
  if (int{chosen("bearer")} + int{chosen("basic")} + int{chosen("oauth")} > 1)
    parameters.complain(Flaw::Enum, "authModes may hold only one of bearer, basic and oauth");

  if (chosen("apiKey")) auth.api_key = decode_api_key(parameters);
  if (chosen("basic")) auth.basic = decode_basic(parameters);
  if (chosen("tls")) auth.tls = decode_tls(parameters);
  if (chosen("bearer")) auth.bearer = decode_bearer(parameters);
  if (chosen("custom")) auth.custom = decode_custom(parameters);
  if (chosen("oauth")) auth.oauth = decode_oauth(parameters);
  return auth;
}

void authorize(const AuthBlock& auth, http::ClientRequest& request) {
  if (auth.api_key && auth.api_key->in_query)
    request.url = with_query_parameter(request.url, auth.api_key->name, auth.api_key->key);
  if (auth.api_key && !auth.api_key->in_query)
    request.headers.set(auth.api_key->name, auth.api_key->key);
  if (auth.basic)
    request.headers.set("Authorization",
                        http::basic_authorization(auth.basic->username, auth.basic->password));
  if (auth.bearer) request.headers.set("Authorization", "Bearer " + *auth.bearer);
  if (auth.custom) request.headers.set(auth.custom->header, auth.custom->value);
  if (auth.tls) {
    request.tls_cert = auth.tls->cert;
    request.tls_key = auth.tls->key;
    request.tls_ca = auth.tls->ca;
  }
}

http::ClientRequest token_request(const AuthBlock::OAuth& oauth, bool password_in_form) {
  std::vector<std::pair<std::string, std::string>> form{{"grant_type", "client_credentials"}};
  if (!oauth.scopes.empty())
    form.emplace_back("scope", fmt::format("{}", fmt::join(oauth.scopes, " ")));
  form.insert(form.end(), oauth.endpoint_params.begin(), oauth.endpoint_params.end());

  http::ClientRequest request;
  request.method = "POST";
  request.url = oauth.token_url;
  request.headers.set("Content-Type", "application/x-www-form-urlencoded");
  if (password_in_form) {
    form.emplace_back("client_id", oauth.client_id);
    if (!oauth.client_secret.empty()) form.emplace_back("client_secret", oauth.client_secret);
  } else {
    // RFC 6749, 2.3.1: both are form-encoded before they become Basic credentials.
    request.headers.set("Authorization",
                        http::basic_authorization(query_escape(oauth.client_id),
                                                  query_escape(oauth.client_secret)));
  }
  request.body = encode_query(form);
  return request;
}

Result<Token> parse_token(const http::Response& response) {
  if (response.status != 200)
    return fail(Code::Unavailable, fmt::format("no token: status {}", response.status));
  const auto answer = parse_json(response.body);
  const Node* value = answer ? answer->find("access_token") : nullptr;
  const auto text = value ? value->as_string() : std::nullopt;
  if (!text || text->empty())
    return fail(Code::Unavailable, "no token: the answer has no access_token");

  Token token{.value = std::string(*text)};
  const Node* lifetime = answer->find("expires_in");
  const double seconds = lifetime ? lifetime->as_double().value_or(0) : 0;
  constexpr double kYear = 365 * 86400.0;
  if (seconds > 0) token.lifetime = std::chrono::seconds(std::llround(std::min(seconds, kYear)));
  return token;
}

}  // namespace jobmill::scalers
