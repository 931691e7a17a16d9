// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "access/access_store.h"

namespace jobmill::testing {

// Logins, tokens and the audit log in memory; everything is durable at once.
class MemoryAccessStore final : public access::AccessStore {
 public:
  Result<std::vector<access::Session>> sessions() override { return sessions_; }
  Result<std::vector<access::AccessToken>> tokens() override { return tokens_; }

  void save(const access::Session& session, Done done) override {
    remove_session(session.id, {});
    sessions_.push_back(session);
    finish(done);
  }
  void remove_session(const std::string& id, Done done) override {
    std::erase_if(sessions_, [&](const auto& session) { return session.id == id; });
    finish(done);
  }
  void save(const access::AccessToken& token, Done done) override {
    remove_token(token.id, {});
    tokens_.push_back(token);
    finish(done);
  }
  void remove_token(const std::string& id, Done done) override {
    std::erase_if(tokens_, [&](const auto& token) { return token.id == id; });
    finish(done);
  }
  void session_seen(const std::string& id, TimePoint at) override {
    for (auto& session : sessions_)
      if (session.id == id) session.seen = at;
  }
  void token_used(const std::string& id, TimePoint at) override {
    for (auto& token : tokens_)
      if (token.id == id) token.used = at;
  }
  void append(const access::AuditEntry& entry, Done done) override {
    audit_.insert(audit_.begin(), entry);
    finish(done);
  }
  Result<std::vector<access::AuditEntry>> audit(const access::AuditQuery&) override {
    return audit_;
  }
  Status forget_audit(TimePoint before) override {
    std::erase_if(audit_, [&](const auto& entry) { return entry.at < before; });
    return {};
  }

 private:
  static void finish(const Done& done) {
    if (done) done({});
  }

  std::vector<access::Session> sessions_;
  std::vector<access::AccessToken> tokens_;
  std::vector<access::AuditEntry> audit_;
};

}  // namespace jobmill::testing
