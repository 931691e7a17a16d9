// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "access/access_store.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

// Logins, tokens and the audit log in the control server's SQLite file, committed together with
// whatever else waits. Reads block: not on the commit thread.
class AccessStore final : public access::AccessStore {
 public:
  explicit AccessStore(SqliteFile& file) : file_(file) {}

  Result<std::vector<access::Session>> sessions() override;
  Result<std::vector<access::AccessToken>> tokens() override;
  void save(const access::Session& session, Done done) override;
  void remove_session(const std::string& id, Done done) override;
  void save(const access::AccessToken& token, Done done) override;
  void remove_token(const std::string& id, Done done) override;
  void session_seen(const std::string& id, TimePoint at) override;
  void token_used(const std::string& id, TimePoint at) override;
  void append(const access::AuditEntry& entry, Done done) override;
  Result<std::vector<access::AuditEntry>> audit(const access::AuditQuery& query) override;
  Status forget_audit(TimePoint before) override;

 private:
  void touch(const char* sql, const std::string& id, TimePoint at);

  SqliteFile& file_;
};

}  // namespace jobmill::sqlite
