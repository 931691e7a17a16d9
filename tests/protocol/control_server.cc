// SPDX-License-Identifier: Apache-2.0
#include "protocol/control_server.h"

#include <doctest/doctest.h>

#include <mutex>

#include "store/postgres/job_explorer.h"
#include "store/postgres/postgres_job_store.h"
#include "store/sqlite/job_explorer.h"

namespace jobmill::testing {
namespace {

constexpr std::string_view kTokenKey = "a secret of this test";
constexpr std::chrono::seconds kPatience{60};  // for broken code, not for slow machines

template <class T>
T must(Result<T> result) {
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  return *std::move(result);
}

std::vector<api::Route> all_routes() {
  std::vector<api::Route> routes;
  for (const auto table :
       {api::worker_routes(), api::jobs_routes(), api::recurring_routes(), api::queues_routes(),
        api::metrics_routes(), api::container_app_routes(), api::execution_routes(),
        api::search_routes(), api::jobrunr_routes(), api::operation_routes(), api::failure_routes(),
        api::server_routes(), api::problem_routes(), api::export_routes()})
    routes.insert(routes.end(), table.begin(), table.end());
  return routes;
}

std::shared_ptr<jobs::JobStoreOwner> open_jobs(sqlite::SqliteFile& file, const Clock& clock,
                                               const ControlServerOptions& options) {
  if (options.postgres.empty())
    return must(sqlite::open_job_store(file, clock.now(), options.jobs));
  postgres::JobStoreOptions jobs{options.jobs};
  jobs.clock = &clock;
  return must(postgres::open_job_store(must(postgres::Url::parse(options.postgres)), jobs));
}

// Answers a future. The client of these requests never goes away.
class Promise final : public http::Responder::Sink {
 public:
  explicit Promise(std::promise<http::Response> promise) : promise_(std::move(promise)) {}
  ~Promise() override {
    if (!sent_) promise_.set_value({.status = 500, .headers = {}, .body = "no answer"});
  }
  std::shared_ptr<http::Body> stream(http::Response) override { return nullptr; }
  void send(http::Response response) override {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(sent_, true)) promise_.set_value(std::move(response));
  }
  void on_gone(std::function<void()>) override {}

 private:
  std::mutex mutex_;  // guards both
  bool sent_ = false;
  std::promise<http::Response> promise_;
};

}  // namespace

ControlServer::ControlServer(const Clock& clock, ControlServerOptions options)
    : file_(must(sqlite::SqliteFile::open(options.path))),
      store_(open_jobs(*file_, clock, options)),
      log_(clock, {.level = LogLevel::Warn}),
      context_(new api::ApiContext{.store = *store_,
                                   .pool = *pool_,
                                   .loop = loop_,
                                   .clock = clock,
                                   .log = log_,
                                   .waiters = waiters_,
                                   .token_key = std::string(kTokenKey),
                                   .lease = options.jobs.lease,
                                   .executions = options.executions}),
      operations_(*pool_, loop_, clock),
      users_(std::move(options.users)),
      routes_(all_routes()) {
  open_job_pages(options);
  store_->on_change([this](const jobs::Change& change) {
    loop_.post([this, change] { waiters_.changed(change); });
    const std::lock_guard lock(mutex_);
    ++changes_;
    changed_.notify_all();
  });
  thread_ = std::jthread([this](const std::stop_token& stop) { loop_.run(stop); });
  change_token_key(std::string(kTokenKey));
  on_loop([&] { listen(options.address); });
  url_ = "http://" + address_;
}

// What the pages of the dashboard about jobs work with.
void ControlServer::open_job_pages(const ControlServerOptions& options) {
  explorer_ = options.postgres.empty()
                  ? must(sqlite::open_job_explorer(*file_))
                  : must(postgres::open_job_explorer(must(postgres::Url::parse(options.postgres)),
                                                     {.clock = &context_->clock}));
  problems_.look_with(*explorer_);
  context_->explorer = explorer_.get();
  context_->operations = &operations_;
  context_->problems = &problems_;
  context_->metadata = &metadata_;
  context_->keep_succeeded = options.jobs.keep_succeeded;
  context_->keep_deleted = options.jobs.keep_deleted;
}

ControlServer::~ControlServer() {
  operations_.stop();
  on_loop([this] {
    waiters_.stop();
    server_.reset();
  });
  pool_.reset();          // what it posts to the loop still runs
  store_->on_change({});  // a database tells of others' changes at any time
  on_loop([] {});
  thread_.request_stop();
}

void ControlServer::listen(const std::string& address) {
  http::ServerLimits limits;
  limits.body_limit = [usual = limits.body_bytes](std::string_view method,
                                                  std::string_view target) {
    return api::body_limit(method, target, usual);
  };
  server_ = std::make_unique<http::Server>(
      loop_,
      [this](http::Request request, http::Responder responder) {
        serve(std::move(request), std::move(responder));
      },
      limits);
  address_ = must(server_->listen(address));
}

void ControlServer::serve(http::Request request, http::Responder responder) {
  // Passwords of tests are plain: the answer comes at once.
  std::optional<api::Identity> identity;
  authenticator_->identify(request, [&](const api::Verdict& verdict) {
    if (verdict.kind == api::Verdict::Kind::Known) identity = verdict.identity;
  });
  if (!identity) return responder.send(api::unauthenticated(request));
  api::Match match = api::match(routes_, request.method, request.target);
  if (match.route == nullptr) return responder.send(api::no_route(match, request));
  if (!identity->may(match.route->scope)) return responder.send(api::forbidden("not for you"));
  match.route->handler(*context_, {.request = std::move(request),
                                   .responder = std::move(responder),
                                   .identity = *identity,
                                   .path = std::move(match.path)});
}

void ControlServer::change_token_key(const std::string& key) {
  on_loop([&] {
    context_->token_key = key;
    authenticator_ = std::make_unique<api::Authenticator>(api::AuthenticatorParts{
        .worker_key = key, .pool = *pool_, .loop = loop_, .clock = context_->clock});
    authenticator_->set_users(users_);
  });
}

void ControlServer::wait_until(const std::function<bool()>& come_true) {
  const auto limit = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    std::unique_lock lock(mutex_);
    const auto seen = changes_;
    lock.unlock();
    if (come_true()) return;
    lock.lock();
    REQUIRE(changed_.wait_until(lock, limit, [&] { return changes_ != seen; }));
  }
}

void ControlServer::on_loop(const std::function<void()>& work) {
  std::promise<void> done;
  loop_.post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

std::future<http::Response> start(ControlServer& server, const Exchange& exchange) {
  http::Request request{.method = exchange.method,
                        .target = exchange.target,
                        .path = {},
                        .query = {},
                        .headers = exchange.headers,
                        .body = exchange.body,
                        .peer = {}};
  REQUIRE(http::parse_target(request));
  std::promise<http::Response> promise;
  auto answer = promise.get_future();
  http::Responder responder(std::make_shared<Promise>(std::move(promise)));
  server.on_loop([&] { server.serve(std::move(request), std::move(responder)); });
  return answer;
}

http::Response ask(ControlServer& server, const Exchange& exchange) {
  auto answer = start(server, exchange);
  REQUIRE(answer.wait_for(kPatience) == std::future_status::ready);
  return answer.get();
}

Node json(const http::Response& response) { return must(parse_json(response.body)); }

}  // namespace jobmill::testing
