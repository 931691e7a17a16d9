// SPDX-License-Identifier: Apache-2.0
#include "app/access.h"

#include "api/event_hub.h"
#include "app/settings_document.h"

namespace jobmill::app {
namespace {

constexpr Duration kLookEvery = std::chrono::minutes(1);
constexpr int kLooksADay = 24 * 60;

// The configuration was checked when it was read.
access::Password password_of(const ServerOptions::User& user) {
  if (user.password_hash.empty()) return access::Password::plain(user.password);
  auto hash = access::Password::hashed(user.password_hash);
  return hash ? *std::move(hash) : access::Password::plain(user.password_hash);
}

std::vector<api::User> users_of(const ServerOptions& options) {
  std::vector<api::User> users;
  for (const ServerOptions::User& user : options.users)
    users.push_back({user.name, password_of(user), user.role});
  return users;
}

std::unique_ptr<api::Oidc> oidc_of(const Access::Parts& parts) {
  if (!parts.options.oidc) return nullptr;
  const ServerOptions::Oidc& wanted = *parts.options.oidc;
  return std::make_unique<api::Oidc>(api::OidcOptions{.issuer = wanted.issuer,
                                                      .client_id = wanted.client_id,
                                                      .client_secret = Secret(wanted.client_secret),
                                                      .scopes = wanted.scopes,
                                                      .user_claim = wanted.user_claim,
                                                      .role_claim = wanted.role_claim,
                                                      .roles = wanted.roles,
                                                      .default_role = wanted.default_role,
                                                      .redirect_uri = wanted.redirect_uri,
                                                      .context_path = parts.options.context_path},
                                     parts.client, parts.loop, parts.clock);
}

}  // namespace

bool wants_credentials(const ServerOptions& options) {
  return !options.users.empty() || options.oidc.has_value();
}

Access::Access(const Parts& parts)
    : loop_(parts.loop),
      pool_(parts.pool),
      log_(parts.log),
      options_(parts.options),
      store_(parts.file),
      sessions_(store_, parts.clock),
      authenticator_({.worker_key = parts.worker_key,
                      .pool = parts.pool,
                      .loop = parts.loop,
                      .clock = parts.clock,
                      .sessions = &sessions_,
                      .users_from_outside = parts.options.oidc.has_value()}),
      audit_(store_, parts.clock, parts.log),
      oidc_(oidc_of(parts)),
      settings_{.context_path = parts.options.context_path,
                .anonymous_role = parts.options.anonymous} {
  set_users(parts.options);
}

// The file is read by those who may read it; still, a hash does no harm in a backup.
void Access::set_users(const ServerOptions& options) {
  for (const ServerOptions::User& user : options.users)
    if (user.password_hash.empty() && user.in_plain_text)
      log_.warn("a password is in plain text in the configuration; use password_hash",
                {{"user", user.name}});
  authenticator_.set_users(users_of(options));
}

void Access::fill(api::ApiContext& context) {
  context.sessions = &sessions_;
  context.audit = &audit_;
  context.oidc = oidc_.get();
  context.settings = &settings_;
  settings_.document = [this, &context] {
    const auto outage = context.store.outage();
    return settings_document(options_, outage ? outage->why : "");
  };
  sessions_.on_end([&context](const std::string& id) {
    if (context.events != nullptr) context.events->end_session(id);
  });
}

void Access::start() {
  loop_.post([this] { look(true); });
}

// Sessions end to the minute; the audit log forgets once a day.
void Access::look(bool forget) {
  sessions_.expire();
  if (forget) pool_.post([this] { audit_.forget_old(); });
  looks_ = (looks_ + 1) % kLooksADay;
  loop_.run_after(kLookEvery, [this] { look(looks_ == 0); });
}

}  // namespace jobmill::app
