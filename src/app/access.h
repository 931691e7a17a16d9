// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "api/audit.h"
#include "api/auth.h"
#include "api/oidc.h"
#include "api/route.h"
#include "api/sessions.h"
#include "api/settings.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "http/client.h"
#include "jobmill/server.h"
#include "net/event_loop.h"
#include "store/sqlite/access_store.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::app {

// Who may come in and what they did: the parts of it, made and connected. Belongs to the loop
// thread.
class Access {
 public:
  struct Parts {
    sqlite::SqliteFile& file;
    net::EventLoop& loop;
    ThreadPool& pool;
    const Clock& clock;
    Log& log;
    http::Client& client;
    const ServerOptions& options;
    std::string worker_key;
  };
  explicit Access(const Parts& parts);

  // Once each, before start(): what was kept is read; handlers get to know all of it.
  Status load() { return sessions_.load(); }
  void fill(api::ApiContext& context);
  void start();  // from any thread; ends what is over, from now on

  api::Authenticator& authenticator() { return authenticator_; }
  void set_users(const ServerOptions& options);  // from any thread

 private:
  void look(bool forget);

  net::EventLoop& loop_;
  ThreadPool& pool_;
  Log& log_;
  const ServerOptions& options_;
  sqlite::AccessStore store_;
  api::Sessions sessions_;
  api::Authenticator authenticator_;
  api::AuditLog audit_;
  std::unique_ptr<api::Oidc> oidc_;  // null: not configured
  api::Settings settings_;
  int looks_ = 0;  // since the audit log forgot
};

// Whether somebody has to show who he is: a server without stays on loopback.
bool wants_credentials(const ServerOptions& options);

}  // namespace jobmill::app
