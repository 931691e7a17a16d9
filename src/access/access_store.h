// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace jobmill::access {

// A browser that has logged in. Its cookie is not kept, only what it hashes to.
struct Session {
  std::string id{};
  std::string key{};  // SHA-256 of the cookie, in hexadecimal
  std::string user{};
  std::string role{};
  std::string address{};      // from where
  bool foreign_user = false;  // another server knows the user (OpenID Connect)
  TimePoint started{};
  TimePoint seen{};
};

// What a program shows instead of user and password.
struct AccessToken {
  std::string id{};
  std::string key{};  // SHA-256 of the token, in hexadecimal
  std::string name{};
  unsigned scopes = 0;
  std::vector<std::string> queues{};  // whose jobs alone it is for; empty: all
  std::string creator{};
  TimePoint created{};
  std::optional<TimePoint> expires{};
  std::optional<TimePoint> used{};  // when last, to the minute
};

// Who did what. `before` and `after` are JSON, or empty.
struct AuditEntry {
  std::int64_t id = 0;  // given by the store, ascending
  TimePoint at{};
  std::string user{};
  std::string address{};
  std::string action{};
  std::string target{};
  std::string before{};
  std::string after{};
  int status = 0;  // of the answer
};

// Newest first. Empty texts match all.
struct AuditQuery {
  std::string user{};
  std::string action{};  // this one; with a star at its end, those that begin so
  std::string target{};  // part of it
  std::optional<TimePoint> from{};
  std::optional<TimePoint> to{};
  std::int64_t before_id = 0;  // those before this one; 0: from the newest on
  std::size_t limit = 100;
};

// Where logins, tokens and the audit log outlive the process. Changes are made in the order of the
// calls; they return at once, and `done` is called on another thread when the change is durable or
// failed. Reads block. Safe from any thread.
class AccessStore {
 public:
  using Done = std::function<void(const Status&)>;
  virtual ~AccessStore() = default;

  virtual Result<std::vector<Session>> sessions() = 0;
  virtual Result<std::vector<AccessToken>> tokens() = 0;
  virtual void save(const Session& session, Done done) = 0;
  virtual void remove_session(const std::string& id, Done done) = 0;
  virtual void save(const AccessToken& token, Done done) = 0;
  virtual void remove_token(const std::string& id, Done done) = 0;

  // Nobody has to wait for these to be durable.
  virtual void session_seen(const std::string& id, TimePoint at) = 0;
  virtual void token_used(const std::string& id, TimePoint at) = 0;

  // The log is only ever appended to, and forgets from its old end.
  virtual void append(const AuditEntry& entry, Done done) = 0;
  virtual Result<std::vector<AuditEntry>> audit(const AuditQuery& query) = 0;
  virtual Status forget_audit(TimePoint before) = 0;
};

}  // namespace jobmill::access
