// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/route.h"
#include "base/clock.h"
#include "base/document.h"
#include "base/jwks.h"
#include "base/result.h"
#include "base/secret.h"
#include "http/client.h"
#include "net/event_loop.h"

namespace jobmill::api {

struct OidcOptions {
  std::string issuer;
  std::string client_id;
  Secret client_secret{};  // empty: a public client, which PKCE alone protects
  std::string scopes = "openid profile email";
  std::string user_claim{};  // empty: preferred_username, email or sub
  std::string role_claim = "roles";
  std::map<std::string, std::string> roles{};  // value of that claim -> role
  std::string default_role{};                  // of those without such a value; empty: refused
  std::string redirect_uri{};                  // empty: the address that the browser asked for
  std::string context_path{};
};

// Who an ID token is about, and what he may do here.
struct OidcUser {
  std::string name;
  std::string role;
};

// Judges the claims of an ID token whose signature is right (OpenID Connect Core, 3.1.3.7).
// PermissionDenied says what is wrong with them.
Result<OidcUser> judge_claims(const Node& claims, const OidcOptions& options,
                              std::string_view nonce, TimePoint now);

// Logins by another server: OpenID Connect, authorization code with PKCE (RFC 7636).
//
//   GET /oidc/login          leads the browser there, with a state that only this browser can
//                            bring back
//   GET /oidc/auth_callback  brings the code; the code brings the ID token, which begins a session
//   GET /oidc/logout         ends the session here, and there if the other server can do that
//
// Belongs to the loop thread.
class Oidc {
 public:
  Oidc(OidcOptions options, http::Client& client, net::EventLoop& loop, const Clock& clock)
      : options_(std::move(options)), client_(client), loop_(loop), clock_(clock) {}

  void login(ApiContext& context, Call call);
  void callback(ApiContext& context, Call call);
  void logout(ApiContext& context, Call call);

 private:
  // What its discovery document says.
  struct Provider {
    std::string authorization;
    std::string token;
    std::string keys;
    std::string end_session;
  };
  // A browser that was sent there and has not come back.
  struct Pending {
    std::string browser;  // value of its cookie
    std::string nonce;
    std::string verifier;
    std::string redirect_uri;
    std::string return_to;
    TimePoint since;
  };
  using Claims = std::function<void(Result<Node>)>;

  void fetch(http::ClientRequest request, std::function<void(Result<Node>)> done);
  void with_provider(std::function<void(Result<Provider>)> done);
  void lead_away(const Call& call, const Provider& provider);
  std::optional<Pending> take_pending(const Call& call);
  void redeem(const Provider& provider, const Pending& pending, const std::string& code,
              Claims done);
  void verify(const Provider& provider, const std::string& token, bool again, Claims done);
  void arrive(ApiContext& context, const Call& call, const Pending& pending,
              const Result<Node>& claims);
  std::string base_url(const http::Request& request) const;

  const OidcOptions options_;
  http::Client& client_;
  net::EventLoop& loop_;
  const Clock& clock_;
  std::optional<Provider> provider_;
  std::optional<KeySet> keys_;
  std::map<std::string, Pending> pending_;  // by state
};

}  // namespace jobmill::api
