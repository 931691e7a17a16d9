// SPDX-License-Identifier: Apache-2.0
#include "jobmill/server.h"

#include <barrier>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

#include <fmt/core.h>

#include "api/event_api.h"
#include "api/event_hub.h"
#include "api/identity.h"
#include "api/open_problems.h"
#include "api/operations.h"
#include "api/problem.h"
#include "api/route.h"
#include "api/waiters.h"
#include "app/access.h"
#include "app/cluster.h"
#include "app/cluster_scaled_jobs.h"
#include "app/config.h"
#include "app/control.h"
#include "app/execution_control.h"
#include "app/front_door.h"
#include "app/insight_control.h"
#include "app/jobs_feed.h"
#include "app/kubernetes_workloads.h"
#include "app/local_workloads.h"
#include "app/manifest_files.h"
#include "app/retry_config.h"
#include "app/runners.h"
#include "app/service_bus.h"
#include "app/trigger_fetch.h"
#include "app/version.h"
#include "base/id.h"
#include "base/jwt.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "http/client.h"
#include "http/guard.h"
#include "http/problem.h"
#include "http/server.h"
#include "jobmill/jobs.h"
#include "jobs/chores.h"
#include "jobs/metered_job_store.h"
#include "net/event_loop.h"
#include "store/postgres/job_explorer.h"
#include "store/postgres/postgres_job_store.h"
#include "store/sqlite/execution_store.h"
#include "store/sqlite/job_explorer.h"
#include "store/sqlite/ledger_store.h"
#include "store/sqlite/metadata_store.h"
#include "store/sqlite/resource_store.h"
#include "store/sqlite/series_store.h"
#include "store/sqlite/sqlite_file.h"
#include "store/sqlite/sqlite_job_store.h"
#include "store/sqlite/sqlite_object_store.h"
#include "targets/kubernetes/job_cluster.h"
#include "targets/kubernetes/job_runner.h"
#include "targets/oci/container_tool.h"
#include "targets/oci/oci_runner.h"
#include "targets/process/child_environment.h"
#include "targets/process/process_runner.h"
#include "worker/store.h"

namespace jobmill {
namespace {

using app::Control;
using app::FrontDoor;
using app::JobsFeed;
using app::TriggerFetch;

constexpr std::size_t kPoolThreads = 8;

[[noreturn]] void refuse(std::string code, const std::string& message) {
  jobmill::Error error(message);
  error.code = std::move(code);
  throw error;
}

// Unpacks what Server's constructor cannot do without.
template <class T>
T must(Result<T> result, const std::string& conflict_code = "conflict") {
  if (!result)
    refuse(result.error().code == Code::Conflict
               ? conflict_code
               : std::string(http::problem_code(result.error().code)),
           result.error().message);
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

std::string data_folder(const ServerOptions& options) {
  const std::string folder = options.data.empty() ? ".jobmill" : options.data;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    refuse("configuration",
           fmt::format("cannot make the data folder {} ({}); choose another one with --data",
                       folder, error.message()));
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all,
                               error);  // best effort: it may not be ours
  return folder;
}

std::string store_path(const ServerOptions& options, const std::string& folder) {
  constexpr std::string_view kScheme = "sqlite:";
  const std::string path =
      options.store.starts_with(kScheme) ? options.store.substr(kScheme.size()) : std::string();
  return path.empty() ? folder + "/jobmill.db" : path;
}

store::JobStoreOptions store_options(const ServerOptions& options) {
  store::JobStoreOptions store;
  store.keep_succeeded = options.keep_succeeded;
  store.keep_deleted = options.keep_deleted;
  store.retry = app::retry_rules(options.retry, options.retries);
  store.keep_keys = options.idempotency_ttl;
  store.queues = options.queues;
  return store;
}

// Jobs may live in PostgreSQL; everything else is in the data folder's own file.
Result<std::unique_ptr<jobs::JobStoreOwner>> open_jobs(const ServerOptions& options,
                                                       sqlite::SqliteFile& file, TimePoint now) {
  if (!postgres::Url::is_postgres(options.store))
    return sqlite::open_job_store(file, now, store_options(options));
  TRY(const auto url, postgres::Url::parse(options.store));
  return postgres::open_job_store(url, {store_options(options)});
}

Result<std::unique_ptr<jobs::JobExplorer>> open_explorer(const ServerOptions& options,
                                                         sqlite::SqliteFile& file) {
  if (!postgres::Url::is_postgres(options.store)) return sqlite::open_job_explorer(file);
  TRY(const auto url, postgres::Url::parse(options.store));
  return postgres::open_job_explorer(url);
}

Duration elapsed() {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

// Runs the maintenance of jobs when its time has come, or something changed that may move it.
class ChoreService {
 public:
  ChoreService(jobs::JobStoreOwner& store, const Clock& clock, Log& log,
               api::OpenProblems& problems)
      : store_(store),
        clock_(clock),
        log_(log),
        problems_(problems),
        chores_([this](std::string_view chore, const Fault& error) { complain(chore, error); }) {}

  void nudge() {
    {
      std::lock_guard lock(mutex_);
      nudged_ = true;
    }
    wake_.notify_one();
  }

  void run(std::stop_token stop) {
    while (!stop.stop_requested()) {
      failed_ = false;
      const auto next = chores_.run(store_, clock_.now());
      if (!failed_) problems_.resolve(kFailed);
      std::unique_lock lock(mutex_);
      const auto woken = [this] { return nudged_; };
      if (next)
        wake_.wait_until(lock, stop, *next, woken);
      else
        wake_.wait(lock, stop, woken);
      nudged_ = false;
    }
  }

 private:
  static constexpr std::string_view kFailed = "severe-jobmill-exception";

  // A store that is away fails every chore every second: the same reason is told once a minute.
  // That it is away is a problem of its own.
  void complain(std::string_view chore, const Fault& error) {
    const TimePoint now = clock_.now();
    if (error.code != Code::Unavailable) {
      failed_ = true;
      problems_.report({.type = std::string(kFailed),
                        .created_at = now,
                        .severity = api::Severity::Error,
                        .title = "Maintenance of jobs fails",
                        .cause = fmt::format("{}: {}", chore, error.message),
                        .fix = "Look at the server's log; report it if this goes on."});
    }
    if (error.message == told_ && now - told_at_ < std::chrono::minutes(1)) return;
    told_ = error.message;
    told_at_ = now;
    log_.error("maintenance failed", {{"chore", chore}, {"error", error.message}});
  }

  jobs::JobStoreOwner& store_;
  const Clock& clock_;
  Log& log_;
  api::OpenProblems& problems_;
  jobs::Chores chores_;
  bool failed_ = false;  // in the run that is on
  std::string told_;
  TimePoint told_at_{};
  std::mutex mutex_;  // guards nudged_
  std::condition_variable_any wake_;
  bool nudged_ = false;
};

}  // namespace

// The composition root: who owns what, in the order of making, and what talks to what.
struct Server::Impl {
  explicit Impl(ServerOptions given);
  ~Impl();
  void run(const std::stop_token& stop);
  void reload(const ServerOptions& changed);
  void open_cluster();
  void open_service_bus();
  void open_executions();
  void open_job_pages();
  std::unique_ptr<app::Workloads> make_workloads(
      const std::function<void(const manifest::ObjectKey&)>& changed);
  std::unique_ptr<app::ScaledJobs> make_scaled_jobs();
  std::string server_id();
  std::unique_ptr<executions::Runner> make_job_runner(const executions::Runner::Events& events);
  std::unique_ptr<executions::Runner> make_runners(const executions::Runner::Events& events);
  void listen_identity();
  app::ReplicaFacts replica_facts() const;
  void wire();
  void lost(const Fault& fault);
  void finish_pool();

  ServerOptions options;
  SystemClock clock;
  Log log;
  std::string folder;
  std::unique_ptr<sqlite::SqliteFile> file;
  std::shared_ptr<jobs::MeteredJobStore> store;
  std::unique_ptr<sqlite::ObjectStore> objects;
  net::EventLoop loop;          // sockets
  net::EventLoop control_loop;  // objects, replicas, local processes
  api::Waiters waiters{loop};
  http::Client client;
  std::string worker_key = random_token(32);
  ThreadPool pool{kPoolThreads};
  app::Access access;
  api::ApiContext context;
  sqlite::MetadataStore metadata{*file};
  std::unique_ptr<jobs::JobExplorer> explorer;
  api::Operations operations{pool, loop, clock};
  api::OpenProblems problems{{.store = *store, .meter = store.get(), .metadata = &metadata}};
  api::EventHub events{loop, [this](const std::string& target, auto answered) {
                         api::fetch(context, target, std::move(answered));
                       }};
  FrontDoor door;
  manifest::Catalog catalog;
  app::ServiceMap services;
  TriggerFetch fetch;
  JobsFeed feed;
  sqlite::LedgerStore ledger;
  std::unique_ptr<sqlite::SeriesStore> series;
  app::InsightControl insight;
  std::unique_ptr<app::Cluster> cluster;  // none: everything is on this machine
  std::unique_ptr<Control> control;
  ChoreService chores;
  std::unique_ptr<http::Server> http;
  std::string address;
  std::unique_ptr<sqlite::ExecutionStore> execution_store;
  std::unique_ptr<sqlite::ResourceStore> resource_store;
  std::unique_ptr<executions::Resources> resources;
  JwtKey identity_key;
  app::RunningReplicas running;
  api::Identities identities;            // of the loop thread
  std::unique_ptr<http::Server> tokens;  // the identity endpoint
  std::string identity_address = "off";
  std::unique_ptr<app::ServiceBus> bus;  // none when all of its listeners are off
  targets::ProcessWatcher watcher;       // of the processes of executions
  targets::Cgroups cgroups;
  std::unique_ptr<app::ExecutionControl> executions;
};

namespace {

Log::Options log_options(const ServerOptions& options) {
  return {.level = log_level(options.log_level).value_or(LogLevel::Info),
          .format = log_format(options.log_format).value_or(LogFormat::Text)};
}

std::vector<api::ManifestFile> files_at_start(const std::vector<std::string>& paths) {
  auto files = app::read_manifest_files(paths);
  if (!files) refuse("invalid_argument", files.error().message);
  return *std::move(files);
}

}  // namespace

Server::Impl::Impl(ServerOptions given)
    : options(std::move(given)),
      log(clock, log_options(options)),
      folder(data_folder(options)),
      file(must(sqlite::SqliteFile::open(store_path(options, folder)), "data_in_use")),
      store(std::make_shared<jobs::MeteredJobStore>(must(open_jobs(options, *file, clock.now())),
                                                    elapsed)),
      objects(must(sqlite::ObjectStore::open(*file, folder + "/secrets.key"))),
      access({.file = *file,
              .loop = loop,
              .pool = pool,
              .clock = clock,
              .log = log,
              .client = client,
              .options = options,
              .worker_key = worker_key}),
      context{.store = *store,
              .pool = pool,
              .loop = loop,
              .clock = clock,
              .log = log,
              .waiters = waiters,
              .token_key = worker_key,
              .public_metrics = options.metrics_public,
              .jobrunr_metrics = options.metrics_jobrunr,
              .version = app::kVersion,
              .meter = store.get()},
      door(context, access.authenticator()),
      services(catalog, options.service),
      fetch(control_loop, loop, services, door, client),
      feed(*store, pool, control_loop, clock),
      ledger(*file, [this](const Fault& fault) { lost(fault); }),
      series(must(sqlite::SeriesStore::open(*file, clock.now(),
                                            [this](const Fault& fault) { lost(fault); }))),
      insight({.loop = control_loop,
               .ledger = ledger,
               .series = *series,
               .store = *store,
               .pool = pool,
               .clock = clock,
               .control = [this]() -> Control& { return *control; },
               .executions = [this]() -> app::ExecutionControl& { return *executions; }}),
      chores(*store, clock, log, problems),
      execution_store(must(sqlite::ExecutionStore::open(
          *file, folder + "/secrets.key",
          [this](std::function<void()> work) { control_loop.post(std::move(work)); }))),
      resource_store(must(sqlite::ResourceStore::open(*file, folder + "/secrets.key"))),
      resources(must(executions::Resources::open(*resource_store))),
      identity_key(must(JwtKey::open(folder + "/identity.key"))),
      identities(*resources, identity_key, clock),
      watcher([this](std::function<void()> work) { control_loop.post(std::move(work)); }) {
  if (!app::is_loopback(options.http) && !app::wants_credentials(options))
    refuse("configuration", fmt::format("{}: other machines could reach it without credentials; "
                                        "add a user, or bind to 127.0.0.1",
                                        options.http));
  must(access.load());
  access.fill(context);
  door.set_context_path(options.context_path);
  door.set_anonymous(options.anonymous);
  door.set_loopback(app::is_loopback(options.http));
  door.set_outage_grace(options.storage_grace);

  http::ServerLimits limits;
  limits.body_limit = [usual = limits.body_bytes](std::string_view method,
                                                  std::string_view target) {
    return api::body_limit(method, target, usual);
  };
  http = std::make_unique<http::Server>(
      loop,
      [this](http::Request request, http::Responder responder) {
        door.serve(std::move(request), std::move(responder));
      },
      limits);
  if (options.identity != "off") listen_identity();
  if (options.service_bus.enabled()) open_service_bus();
  address = must(http->listen(options.http), "address_in_use");
  fetch.own_address(address);

  if (options.in_cluster) open_cluster();
  control = std::make_unique<Control>(app::ControlParts{
      .loop = control_loop,
      .objects = *objects,
      .catalog = catalog,
      .clock = clock,
      .log = log,
      .fetch = fetch,
      .feed = feed,
      .queues = bus ? &bus->feed() : nullptr,
      .executions = [this]() -> app::ExecutionControl& { return *executions; },
      .recorder = insight,
      .door = door,
      .options = options,
      .images = must(app::LocalImages::from(options.image)),
      .workloads = [this](auto changed) { return make_workloads(changed); },
      .scaled_jobs = cluster ? [this] { return make_scaled_jobs(); }
                             : std::function<std::unique_ptr<app::ScaledJobs>()>(),
      .cluster = cluster ? std::optional(cluster->hooks()) : std::nullopt});
  context.control = control.get();
  context.insight = &insight;
  context.events = &events;
  open_job_pages();
  open_executions();
  wire();
}

void Server::Impl::open_cluster() {
  cluster = must(app::Cluster::open({.loop = control_loop,
                                     .http = client,
                                     .pool = pool,
                                     .clock = clock,
                                     .log = log,
                                     .options = options.kubernetes,
                                     .control = [this]() -> Control& { return *control; }}));
}

std::unique_ptr<app::Workloads> Server::Impl::make_workloads(
    const std::function<void(const manifest::ObjectKey&)>& changed) {
  if (cluster)
    return std::make_unique<app::KubernetesWorkloads>(
        app::KubernetesWorkloadParts{
            .loop = control_loop,
            .client = cluster->client(),
            .world = cluster->world(),
            .store = *store,
            .pool = pool,
            .clock = clock,
            .log = log,
            .ns = cluster->watched_namespace(),
            .dry_run = cluster->dry_run(),
            .drain_limit = options.drain_limit,
            .found = [this](manifest::Object object) { cluster->found(std::move(object)); },
            .lost = [this](const manifest::ObjectKey& key) { cluster->lost(key); }},
        changed);
  return std::make_unique<app::LocalWorkloads>(
      app::LocalWorkloadParts{.loop = control_loop,
                              .store = *store,
                              .catalog = catalog,
                              .services = services,
                              .pool = pool,
                              .clock = clock,
                              .log = log,
                              .authenticator = access.authenticator(),
                              .images = must(app::LocalImages::from(options.image)),
                              .logs = folder + "/logs",
                              .url = "http://" + address,
                              .drain_limit = options.drain_limit},
      changed);
}

std::unique_ptr<app::ScaledJobs> Server::Impl::make_scaled_jobs() {
  return std::make_unique<app::ClusterScaledJobs>(app::ClusterScaledJobParts{
      .control = control_loop,
      .catalog = catalog,
      .clock = clock,
      .log = log,
      .recorder = insight,
      .scaler_context = [this] { return control->scaler_context(); },
      .cluster = targets::make_job_cluster(cluster->client(), cluster->world()),
      .ns = cluster->watched_namespace(),
      .dry_run = cluster->dry_run(),
      .event = [this](
                   const manifest::ObjectKey& about, bool warning, std::string_view reason,
                   const std::string& message) { cluster->tell(about, warning, reason, message); },
      .status_changed = cluster->hooks().status_changed});
}

// What the pages about jobs need besides the store.
void Server::Impl::open_job_pages() {
  explorer = must(open_explorer(options, *file));
  problems.look_with(*explorer);
  problems.on_change([this] { events.touch("problems"); });
  operations.on_change(
      [this](const api::Operation& operation) { events.touch("operation:" + operation.id); });
  context.explorer = explorer.get();
  context.operations = &operations;
  context.problems = &problems;
  context.metadata = &metadata;
  context.storage = postgres::Url::is_postgres(options.store) ? "postgresql" : "sqlite";
  context.keep_succeeded = options.keep_succeeded;
  context.keep_deleted = options.keep_deleted;
}

void Server::Impl::listen_identity() {
  tokens = std::make_unique<http::Server>(loop,
                                          [this](http::Request request, http::Responder responder) {
                                            responder.send(identities.serve(request));
                                          });
  identity_address = must(tokens->listen(options.identity), "address_in_use");
}

app::ReplicaFacts Server::Impl::replica_facts() const {
  static const executions::Texts inherited = targets::inherited_environment();
  return {.data = std::filesystem::absolute(folder).lexically_normal().string(),
          .inherited = inherited,
          .identity_endpoint = tokens ? "http://" + identity_address + "/msi/token" : std::string(),
          .own_authority = bus && bus->own_authority(),
          .names = bus ? bus->host_names() : std::vector<std::string>(),
          .container_images = targets::knows_images(inherited),
          .cluster = cluster != nullptr};
}

std::unique_ptr<executions::Runner> Server::Impl::make_runners(
    const executions::Runner::Events& told) {
  const app::ReplicaFacts facts = replica_facts();
  const auto world = [&](const std::string& replicas) {
    return targets::ReplicaRunner::World{
        .watcher = watcher,
        .log = log,
        .now = [this] { return clock.now(); },
        .post = [this](std::function<void()> work) { control_loop.post(std::move(work)); },
        .run_after =
            [this](Duration delay, std::function<void()> work) {
              control_loop.run_after(delay, std::move(work));
            },
        .folder = facts.data + replicas,
        .on_written = [this](const std::string& replica) { executions->log_grew(replica); }};
  };
  return std::make_unique<app::Runners>(
      std::make_unique<targets::ProcessRunner>(told, world("/executions/work"), cgroups),
      std::make_unique<targets::OciRunner>(told, world("/executions/containers/work"),
                                           facts.data + "/executions/containers", facts.inherited),
      cluster ? make_job_runner(told) : nullptr);
}

// What this data folder's server is called among those of a cluster: its Jobs are known by it.
std::string Server::Impl::server_id() {
  constexpr std::string_view kName = "server-id";
  const auto known = must(metadata.get(kName, {}));
  if (known) return known->value;
  const std::string id = random_suffix(10);
  must(metadata.put(kName, {}, id, clock.now()));
  return id;
}

std::unique_ptr<executions::Runner> Server::Impl::make_job_runner(
    const executions::Runner::Events& told) {
  const std::string& watched = cluster->watched_namespace();
  return std::make_unique<targets::JobRunner>(
      told,
      targets::JobRunner::World{
          .cluster = targets::make_job_cluster(cluster->client(), cluster->world()),
          .log = log,
          .now = [this] { return clock.now(); },
          .post = [this](std::function<void()> work) { control_loop.post(std::move(work)); },
          .run_after =
              [this](Duration delay, std::function<void()> work) {
                control_loop.run_after(delay, std::move(work));
              },
          .jobs = {.ns = watched.empty() ? cluster->client().config().ns : watched,
                   .server = server_id(),
                   .address = {}},
          .on_written = [this](const std::string& replica) { executions->log_grew(replica); }});
}

void Server::Impl::open_executions() {
  const std::string python = folder + "/python";
  std::filesystem::create_directories(python);
  std::ofstream(python + "/sitecustomize.py") << app::site_customize();

  app::ExecutionParts parts{
      .control = control_loop,
      .loop = loop,
      .store = *execution_store,
      .resources = *resources,
      .pool = pool,
      .clock = clock,
      .log = log,
      .running = running,
      .identities = identities,
      .feed = bus ? &bus->feed() : nullptr,
      .scaler_context = [this] { return control->scaler_context(); },
      .facts = [this] { return replica_facts(); },
      .recorder = insight,
      .runner = [this](const executions::Runner::Events& told) { return make_runners(told); },
      .images = must(app::LocalImages::from(options.image)),
      .data = std::filesystem::absolute(folder).lexically_normal().string(),
      .changed = [this](const std::string& name) { events.touch("execution:" + name); }};
  if (bus)
    parts.end_holder = [this](const std::string& replica, bool count, std::function<void()> done) {
      bus->end_holder(replica, count, std::move(done));
    };
  executions = std::make_unique<app::ExecutionControl>(std::move(parts));
  context.executions = executions.get();
}

void Server::Impl::open_service_bus() {
  bus = must(app::ServiceBus::open({.loop = loop,
                                    .file = *file,
                                    .clock = clock,
                                    .log = log,
                                    .options = options.service_bus,
                                    .control = control_loop,
                                    .identities = identities,
                                    .running = running,
                                    .data = folder}),
             "address_in_use");
  context.bus = &bus->api();
  // A browser's page may come in as little as over HTTP. Host names are many, and say nothing when
  // every client has to show a token.
  const http::GuardRules rules{.loopback = options.service_bus.anonymous};
  http->on_upgrade(
      {.path = "/$servicebus/websocket",
       .protocols = {"AMQPWSB10", "amqp"},  // the cloud's name, and the standard's, which Go takes
       .refuse = [rules](const http::Request& request) -> std::optional<http::Response> {
         if (const Status ours = http::check_origin(request, rules); !ours)
           return api::to_response(ours.error());
         return std::nullopt;
       },
       .open = [this](const http::Request&,
                      std::shared_ptr<net::Stream> stream) { bus->serve(std::move(stream)); }});
  if (const std::string& own = options.service_bus.websocket; !own.empty())
    bus->set_websocket(must(http->listen(own, {.tls = bus->tls()}), "address_in_use"));
}

// What talks to what. Engines do not include each other; they meet here.
void Server::Impl::wire() {
  // The commit thread tells of changes, after the commit; whoever is concerned is woken.
  store->on_change([this](const jobs::Change& change) {
    loop.post([this, change] {
      waiters.changed(change);
      events.changed(change);
    });
    feed.changed();
    insight.queues_changed();
    if (change.workers) control->workers_changed();
    if (change.due) chores.nudge();
  });
  insight.on_change([this](const std::string& target) { events.touch("target:" + target); });
}

// On the commit thread. Nothing else depends on what could not be kept.
void Server::Impl::lost(const Fault& fault) {
  log.error("decisions or series were not kept", {{"error", fault.message}});
}

// First nobody comes in any more, then everything that is on its way is done; only then may parts
// go that the last callbacks use.
Server::Impl::~Impl() {
  waiters.stop();
  http.reset();
  tokens.reset();
  bus.reset();
  operations.stop();     // at their next steps
  finish_pool();         // ends all commits, and the notices of them
  finish_pool();         // and what those notices gave the pool
  store->on_change({});  // other processes may go on
}

// Waits until all that the pool was given is done, and what the store had to tell of it is told.
void Server::Impl::finish_pool() {
  const auto all = std::make_shared<std::barrier<>>(static_cast<std::ptrdiff_t>(kPoolThreads + 1));
  for (std::size_t i = 0; i < kPoolThreads; ++i) pool.post([all] { all->arrive_and_wait(); });
  all->arrive_and_wait();
  (void)file->run<void>(
      [](sqlite::Database&) -> Status { return {}; });  // the commit thread is in order
}

// The caller's thread is the control thread from here on: local processes end with it.
void Server::Impl::run(const std::stop_token& stop) {
  std::jthread sockets([this](const std::stop_token& done) { loop.run(done); });
  std::jthread maintenance([this](const std::stop_token& done) { chores.run(done); });
  if (bus) loop.post([this] { bus->start(); });
  access.start();
  control->start();
  executions->start();
  if (cluster) cluster->start();
  insight.start();
  log.info("serving", {{"http", address}, {"data", folder}});

  std::stop_source drained;
  const std::stop_callback begin_drain(stop, [&] {
    control_loop.post([&] {
      log.info("stopping", {{"grace_ms", options.grace.count()}});
      // The last of them lets the loop end.
      const auto left = std::make_shared<int>(cluster ? 3 : 2);
      const auto done = [&drained, left] {
        if (--*left == 0) drained.request_stop();
      };
      control->shutdown(options.grace, done);
      executions->shutdown(options.grace, done);
      if (cluster) cluster->stop(done);
    });
  });
  control_loop.run(drained.get_token());
  insight.stop();

  // Workers have settled what they could; now nobody may come in any more.
  std::promise<void> closed;
  loop.post([&] {
    http->stop_accepting();
    if (tokens) tokens->stop_accepting();
    if (bus) bus->stop();
    waiters.stop();
    operations.stop();
    events.stop();
    closed.set_value();
  });
  closed.get_future().wait();
  maintenance.request_stop();
  maintenance.join();
  finish_pool();  // requests that came in are answered before the loop ends
}

void Server::Impl::reload(const ServerOptions& changed) {
  if (app::wants_credentials(changed) || app::is_loopback(options.http))
    access.set_users(changed);
  else
    log.error("the users were not changed: without any, other machines could come in");
  control_loop.post([this, files = changed.filename] { control->reload(files); });
  if (bus) loop.post([this] { bus->reload_certificates(); });
}

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  const auto report = impl_->control->apply_at_start(files_at_start(impl_->options.filename));
  for (const manifest::Remark& note : report.notes)
    impl_->log.info(note.text, {{"manifest", note.where}});
  if (report.errors.empty()) return;
  std::string text;
  for (const manifest::Remark& error : report.errors)
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", error.where, error.text);
  refuse("invalid_argument", text);
}

Server::~Server() = default;
std::shared_ptr<Store> Server::store() { return worker::make_store(impl_->store, impl_->clock); }
std::string Server::http_address() const { return impl_->address; }
Server::ServiceBusAddresses Server::service_bus() const {
  return impl_->bus ? impl_->bus->addresses() : ServiceBusAddresses{};
}
std::string Server::identity_address() const { return impl_->identity_address; }
std::string Server::connection_string(bool tls) const {
  return impl_->bus ? impl_->bus->connection_string(tls) : std::string();
}
void Server::run(std::stop_token stop) { impl_->run(stop); }
void Server::reload(ServerOptions options) { impl_->reload(options); }

}  // namespace jobmill
