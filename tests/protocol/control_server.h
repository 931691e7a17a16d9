// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "api/auth.h"
#include "api/open_problems.h"
#include "api/operations.h"
#include "api/route.h"
#include "api/waiters.h"
#include "base/clock.h"
#include "base/document.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "http/server.h"
#include "jobs/job_explorer.h"
#include "jobs/job_store.h"
#include "net/event_loop.h"
#include "store/sqlite/metadata_store.h"
#include "store/sqlite/sqlite_file.h"
#include "store/sqlite/sqlite_job_store.h"

namespace jobmill::testing {

struct ControlServerOptions {
  std::string path = ":memory:";
  std::string postgres{};  // URL of an empty schema: jobs are there instead
  std::string address = "127.0.0.1:0";
  sqlite::JobStoreOptions jobs{};
  std::vector<api::User> users{};  // none: everyone may do everything
  api::ExecutionPlane* executions = nullptr;
};

// A control server as far as jobs go: the real store, routes and sockets, on a free port of the
// loopback interface. Nothing happens by the time alone: a test calls the store's maintenance
// itself.
class ControlServer {
 public:
  explicit ControlServer(const Clock& clock, ControlServerOptions options = {});
  ~ControlServer();

  const std::string& url() const { return url_; }
  const std::string& address() const { return address_; }
  jobs::JobStoreOwner& store() { return *store_; }
  api::Operations& operations() { return operations_; }
  api::OpenProblems& problems() { return problems_; }
  std::shared_ptr<jobs::JobStoreOwner> shared_store() { return store_; }
  std::uint64_t transactions() const { return file_->transactions(); }

  // A request as if it had come over a socket. On the loop thread.
  void serve(http::Request request, http::Responder responder);

  // Waits until something is true, looking again after each change of the store. Fails the test
  // when it does not come true.
  void wait_until(const std::function<bool()>& come_true);

  // As after a restart: tokens that were given out are not known any more.
  void change_token_key(const std::string& key);

  // On the loop thread, waited for.
  void on_loop(const std::function<void()>& work);
  api::Waiters& waiters() { return waiters_; }

 private:
  void listen(const std::string& address);
  void open_job_pages(const ControlServerOptions& options);

  std::unique_ptr<sqlite::SqliteFile> file_;
  std::shared_ptr<jobs::JobStoreOwner> store_;
  net::EventLoop loop_;
  api::Waiters waiters_{loop_};
  Log log_;
  std::unique_ptr<ThreadPool> pool_ = std::make_unique<ThreadPool>(4);
  std::unique_ptr<api::ApiContext> context_;
  std::unique_ptr<jobs::JobExplorer> explorer_;
  sqlite::MetadataStore metadata_{*file_};
  api::OpenProblems problems_{{.store = *store_, .metadata = &metadata_}};
  api::Operations operations_;
  std::unique_ptr<api::Authenticator> authenticator_;
  std::vector<api::User> users_;
  std::vector<api::Route> routes_;
  std::mutex mutex_;  // guards changes_
  std::condition_variable changed_;
  std::uint64_t changes_ = 0;
  std::unique_ptr<http::Server> server_;
  std::string address_;
  std::string url_;
  std::jthread thread_;
};

// One request to the server's handlers, answered when they do.
struct Exchange {
  std::string method = "GET";
  std::string target;
  std::string body{};
  http::Headers headers{};
};
std::future<http::Response> start(ControlServer& server, const Exchange& exchange);
http::Response ask(ControlServer& server, const Exchange& exchange);
Node json(const http::Response& response);

}  // namespace jobmill::testing
