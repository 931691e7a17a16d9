// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "access/login_guard.h"
#include "access/password.h"
#include "api/route.h"
#include "api/sessions.h"
#include "base/clock.h"
#include "base/secret.h"
#include "base/thread_pool.h"
#include "http/message.h"
#include "net/event_loop.h"

namespace jobmill::api {

struct User {
  std::string name;
  access::Password password;
  std::string role = "admin";
};

// Scopes of a role: viewer reads; operator also produces and operates; admin does everything.
unsigned scopes_of_role(std::string_view role);

// How the credentials of a request were judged.
struct Verdict {
  enum class Kind {
    Known,
    Nobody,   // none were shown
    Wrong,    // those that were shown are not valid
    Blocked,  // too many wrong ones came from this address
  };
  Kind kind = Kind::Nobody;
  Identity identity{};
  std::string csrf{};  // with a session: what a change has to show besides the cookie
  Duration wait{};     // Blocked: until the address may try again
};

struct AuthenticatorParts {
  std::string worker_key;  // signs the tokens of workers
  ThreadPool& pool;
  net::EventLoop& loop;
  const Clock& clock;
  Sessions* sessions = nullptr;     // none: no cookies, and no tokens but those of workers
  bool users_from_outside = false;  // there are users even if none is configured here
};

// Says who asks: browsers by their cookie, users by Basic authentication, programs by a token,
// local replicas by the one that the server gave them (it ends with the replica), workers by the
// one of their registration. Without users, everyone is an admin: the server refuses to listen
// beyond loopback then.
class Authenticator final : public UserDirectory {
 public:
  explicit Authenticator(AuthenticatorParts parts);

  // From any thread. Logins of users who are not there any more, or whose password is another one,
  // end with the next request.
  void set_users(std::vector<User> users);
  std::string mint_replica_token(const std::string& replica);  // scopes work and produce
  void revoke_replica(const std::string& replica);

  // On the loop thread, where `done` is called, too: at once, unless a password has to be hashed.
  void identify(const http::Request& request, std::function<void(Verdict)> done);

  void check(std::string user, std::string password, const std::string& address,
             std::function<void(Checked)> done) override;
  std::vector<KnownUser> list() const override;
  std::optional<std::string> role_of(const std::string& user) const override;
  bool open() const override;

 private:
  using Waiting = std::function<void(std::optional<KnownUser>)>;

  Verdict by_session(std::string_view cookie, const access::Session& session) const;
  Verdict by_token(std::string_view token);
  std::optional<Identity> by_own_token(std::string_view token) const;
  std::optional<access::Password> password_of(const std::string& user) const;
  void hash(const std::string& user, std::string password, const std::string& digest,
            Waiting waiting);
  void hashed(const std::string& digest, std::uint64_t generation,
              const std::optional<KnownUser>& user);

  const AuthenticatorParts parts_;
  const Secret cache_key_;

  // Of the loop thread. A password that was right is known again by its digest, so that programs
  // that show it with every request do not pay for its hash each time.
  access::LoginGuard guard_;
  std::map<std::string, std::string> right_;              // digest -> user
  std::map<std::string, std::vector<Waiting>> checking_;  // by digest
  std::uint64_t seen_generation_ = 0;

  mutable std::mutex mutex_;  // guards the rest
  std::vector<User> users_;
  std::uint64_t generation_ = 0;                                 // of users_
  std::unordered_map<std::string, std::string> replica_tokens_;  // token -> replica
};

// 403 if a token is for some queues, and one of these is another; an empty name is the default
// queue.
std::optional<http::Response> outside_of_token(const Identity& identity,
                                               const std::vector<std::string>& queues);

// 401, with a challenge that makes a browser ask for user and password, but for requests of a
// page's script, which shows its own form.
http::Response unauthenticated(const http::Request& request);
http::Response forbidden(std::string_view why);   // 403
http::Response too_many_failures(Duration wait);  // 429

}  // namespace jobmill::api
