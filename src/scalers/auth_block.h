// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "http/client.h"
#include "scalers/parameters.h"

namespace jobmill::scalers {

// The authentication that HTTP triggers share. A part is set when its mode is in authModes;
// credentials without their mode are ignored, as in KEDA.
struct AuthBlock {
  struct ApiKey {
    std::string key;
    bool in_query = false;
    std::string name;  // of the header or query parameter
  };
  struct Basic {
    std::string username;
    std::string password;
  };
  struct Tls {
    std::string cert, key, ca;  // PEM
  };
  struct Custom {
    std::string header;
    std::string value;
  };
  // OAuth 2.0 client credentials (RFC 6749, 4.4).
  struct OAuth {
    std::string token_url;
    std::vector<std::string> scopes;
    std::string client_id;
    std::string client_secret;
    std::vector<std::pair<std::string, std::string>> endpoint_params;
  };

  std::vector<std::string> modes;  // as written
  std::optional<ApiKey> api_key{};
  std::optional<Basic> basic{};
  std::optional<Tls> tls{};
  std::optional<std::string> bearer{};
  std::optional<Custom> custom{};
  std::optional<OAuth> oauth{};
};

// The rows of the block, for the tables of triggers that have it.
inline constexpr std::array kAuthParameters{
    Parameter{.names = "authModes|authMode",
              .sources = "ma",
              .type = ParameterType::WordList,
              .words = "apiKey|basic|tls|bearer|custom|oauth"},
    Parameter{.names = "bearerToken|token", .sources = "a"},
    Parameter{.names = "username", .sources = "a"},
    Parameter{.names = "password", .sources = "a"},
    Parameter{.names = "cert", .sources = "a"},
    Parameter{.names = "key", .sources = "a"},
    Parameter{.names = "ca", .sources = "a"},
    Parameter{.names = "oauthTokenURI", .sources = "a"},
    Parameter{.names = "scopes|scope", .sources = "a", .type = ParameterType::TextList},
    Parameter{.names = "clientID", .sources = "a"},
    Parameter{.names = "clientSecret", .sources = "a"},
    Parameter{.names = "endpointParams", .sources = "a", .type = ParameterType::QueryString},
    Parameter{.names = "customAuthHeader", .sources = "a"},
    Parameter{.names = "customAuthValue", .sources = "a"},
    Parameter{.names = "apiKey", .sources = "ma"},
    Parameter{.names = "method",
              .sources = "ma",
              .type = ParameterType::Word,
              .fallback = "header",
              .words = "header|query"},
    Parameter{.names = "keyParamName", .sources = "ma"},
};

// Reads and checks the block; what is wrong is left in `parameters`.
AuthBlock decode_auth(Parameters& parameters);

// Adds everything but OAuth's token, which has to be fetched first.
void authorize(const AuthBlock& auth, http::ClientRequest& request);

// The request for a token. Servers differ in where they look for the client's password, so a
// refused request is sent again with it in the form instead of the header.
http::ClientRequest token_request(const AuthBlock::OAuth& oauth, bool password_in_form);

struct Token {
  std::string value;
  Duration lifetime{};  // zero: not said
};
Result<Token> parse_token(const http::Response& response);

}  // namespace jobmill::scalers
