// SPDX-License-Identifier: Apache-2.0
#include "app/service_bus.h"

#include <algorithm>
#include <filesystem>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/version.h"
#include "base/id.h"
#include "broker/root_rule.h"
#include "net/address.h"
#include "net/certificates.h"

namespace jobmill::app {
namespace {

constexpr char kNamespace[] = "sbemulatorns";
constexpr char kFqdn[] = ".servicebus.windows.net";

std::string trimmed(std::string text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

// Made on first start and kept, readable by its owner only.
Result<Secret> key_in(const std::string& path) {
  if (!std::filesystem::exists(path)) {
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const std::string key = random_token(32);
    const bool written =
        file >= 0 && ::write(file, key.data(), key.size()) == static_cast<ssize_t>(key.size());
    if (file >= 0) ::close(file);
    if (!written) return fail(Code::Internal, "cannot write " + path);
  }
  TRY(std::string text, read_text_file(path, 64u << 10));
  text = trimmed(std::move(text));
  if (text.empty()) return fail(Code::InvalidArgument, path + " holds no key");
  return Secret(std::move(text));
}

Result<Secret> root_key(const ServiceBusOptions& options, const std::string& data) {
  if (!options.key_file.empty()) return key_in(options.key_file);
  if (!options.key.empty()) return Secret(options.key);
  return key_in(data + "/servicebus.key");
}

bool on_loopback(const std::string& address) {
  const auto parsed = net::parse_address(address);
  return parsed && net::is_loopback(parsed->host);
}

// What cannot change after a queue was made must not differ in the file.
void check_fixed(const broker::QueueDescription& is, const broker::QueueDescription& wanted,
                 manifest::Problems& problems) {
  const auto differs = [&](const char* name) {
    problems.error({}, fmt::format("queue '{}': {} cannot change; delete the queue, or leave it as "
                                   "it is",
                                   wanted.name, name));
  };
  if (is.requires_session != wanted.requires_session) differs("RequiresSession");
  if (is.requires_duplicate_detection != wanted.requires_duplicate_detection)
    differs("RequiresDuplicateDetection");
}

std::string port_of(const std::string& address) { return address.substr(address.rfind(':') + 1); }

}  // namespace

Result<std::unique_ptr<ServiceBus>> ServiceBus::open(Parts parts) {
  TRY(Secret key, root_key(parts.options, parts.data));
  const sqlite::MessageStore::Loop loop{
      .post = [&on = parts.loop](std::function<void()> work) { on.post(std::move(work)); },
      .run_after = [&on = parts.loop](
                       Duration delay,
                       std::function<void()> work) { on.run_after(delay, std::move(work)); }};
  TRY(auto store, sqlite::MessageStore::open(parts.file, parts.data + "/secrets.key", loop,
                                             {.body_cache_bytes = parts.options.body_cache}));
  TRY(auto broker,
      broker::Broker::open(
          *store,
          {.default_namespace = kNamespace,
           .root_key = key,
           .limits = parts.options.cloud_limits ? broker::kCloudLimits : broker::kOpenLimits},
          parts.clock.now()));
  std::unique_ptr<ServiceBus> bus(
      new ServiceBus(std::move(parts), std::move(store), std::move(broker), std::move(key)));
  TRY_VOID(bus->read_emulator_file());
  TRY_VOID(bus->open_tls());
  TRY_VOID(bus->listen());
  return bus;
}

ServiceBus::ServiceBus(Parts parts, std::unique_ptr<sqlite::MessageStore> store,
                       std::unique_ptr<broker::Broker> broker, Secret root_key)
    : parts_(std::move(parts)),
      store_(std::move(store)),
      broker_(std::move(broker)),
      root_key_(std::move(root_key)),
      access_(*broker_, parts_.clock, parts_.options.anonymous,
              [this](std::string_view jwt, std::string_view entity, TimePoint now) {
                return parts_.identities.verify(jwt, entity, now);
              }),
      atom_(*broker_, access_, parts_.clock, kNamespace, "http"),
      atom_tls_(*broker_, access_, parts_.clock, kNamespace, "https"),
      rest_(*broker_, access_, parts_.loop, parts_.clock),
      api_{*broker_,
           [this](std::string_view name_space, std::string_view rule, const Secret& key,
                  std::string_view entity) {
             return connection_string(name_space, rule, key, entity, addresses_.amqp == "off");
           },
           [this](std::string_view) {
             publish_names();
             keep_certificates();
           }},
      amqp_(parts_.loop, *broker_, parts_.clock, parts_.log, amqp_options()),
      feed_(
          parts_.loop, parts_.control, *broker_, parts_.clock,
          [this](const std::string& address) { return is_own_address(address); },
          [this](const std::string& principal, const std::string& path) {
            return parts_.identities.rights(principal, path);
          }) {
  broker_->on_next_due([this](TimePoint due) { wake_at(due); });
  broker_->on_entities_changed([this](const std::string& path, broker::Broker::Change change) {
    parts_.loop.post([this, path, change] { entity_changed(path, change); });
  });
  publish_names();
}

front::AmqpOptions ServiceBus::amqp_options() const {
  const ServiceBusOptions& options = parts_.options;
  front::AmqpOptions amqp;
  amqp.auth = options.anonymous ? front::AmqpOptions::Auth::None : front::AmqpOptions::Auth::Strict;
  amqp.claim_deadline = options.claim_deadline;
  if (options.idle_link_timeout) amqp.idle_link_timeout = *options.idle_link_timeout;
  amqp.version = kVersion;
  amqp.verify_jwt = [this](std::string_view jwt, std::string_view entity, TimePoint now) {
    return parts_.identities.verify(jwt, entity, now);
  };
  amqp.holder_named = [this](std::string_view name) { return parts_.running.named(name); };
  amqp.holder_at = [this](const std::string& peer) { return parts_.running.at(peer); };
  return amqp;
}

void ServiceBus::entity_changed(const std::string& path, broker::Broker::Change change) {
  if (change != broker::Broker::Change::Made) amqp_.entities_changed();
  publish_names();
  feed_.entity_changed(path, change);
}

void ServiceBus::publish_names() {
  std::vector<std::string> names;
  for (const broker::StoredNamespace& one : broker_->namespaces())
    names.push_back(broker::lower(one.name) + kFqdn);
  const std::lock_guard lock(names_mutex_);
  names_ = std::move(names);
}

std::vector<std::string> ServiceBus::host_names() const {
  const std::lock_guard lock(names_mutex_);
  return names_;
}

void ServiceBus::end_holder(const std::string& replica, bool count, std::function<void()> done) {
  amqp_.finish_holder(replica, [this, replica, count, done = std::move(done)] {
    broker_->end_holder(replica, count, parts_.clock.now());
    done();
  });
}

// "localhost:5672", "127.0.0.1", "[::1]:5671": this machine, and a port of ours. Without a port,
// clients take the usual ones.
bool ServiceBus::is_own_address(const std::string& host_and_port) const {
  const bool has_port =
      host_and_port.rfind(':') != std::string::npos && !host_and_port.ends_with(']');
  const std::string host =
      host_and_port.substr(0, has_port ? host_and_port.rfind(':') : std::string::npos);
  if (host != "localhost" && !net::is_loopback(host)) return false;
  const auto ours = [this](const std::string& port) {
    for (const std::string* one : {&addresses_.amqp, &addresses_.amqps, &addresses_.admin,
                                   &addresses_.admin_http, &addresses_.websocket})
      if (*one != "off" && port_of(*one) == port) return true;
    return false;
  };
  return has_port ? ours(port_of(host_and_port)) : ours("5671") || ours("5672");
}

ServiceBus::~ServiceBus() {
  if (timer_ != 0) parts_.loop.cancel(timer_);
}

// --- TLS ---------------------------------------------------------------------------------------

// Names under which clients may look for us, each in the certificate.
Status ServiceBus::ensure_certificates() {
  if (!parts_.options.tls_cert.empty()) return {};
  std::vector<std::string> names = parts_.options.names;
  for (const broker::StoredNamespace& one : broker_->namespaces())
    names.push_back(one.name + kFqdn);
  TRY(const auto made,
      net::ensure_development_certificates(parts_.data + "/tls", names, parts_.clock.now()));
  if (made.issued && tls_) return tls_->reload();
  return {};
}

void ServiceBus::keep_certificates() {
  if (!tls_) return;
  if (const Status made = ensure_certificates(); !made)
    parts_.log.error("the certificate was not issued again", {{"error", made.error().message}});
}

// It ends one day, also under a server that never does.
void ServiceBus::keep_certificates_daily() {
  parts_.loop.run_after(std::chrono::hours(24), [this] {
    keep_certificates();
    keep_certificates_daily();
  });
}

Status ServiceBus::open_tls() {
  const ServiceBusOptions& options = parts_.options;
  if (options.amqps == "off" && options.admin == "off" && options.websocket.empty()) return {};
  TRY_VOID(ensure_certificates());
  const std::string folder = parts_.data + "/tls";
  const net::TlsFiles files = options.tls_cert.empty()
                                  ? net::TlsFiles{folder + "/server.pem", folder + "/server.key"}
                                  : net::TlsFiles{options.tls_cert, options.tls_key};
  TRY(tls_, net::TlsContext::open(files));
  return {};
}

void ServiceBus::reload_certificates() {
  if (!tls_) return;
  if (const Status loaded = tls_->reload(); !loaded)
    parts_.log.error("the certificate stays as it was", {{"error", loaded.error().message}});
}

// --- listeners ---------------------------------------------------------------------------------

Status ServiceBus::listen() {
  const ServiceBusOptions& options = parts_.options;
  if (options.amqps != "off")
    api_.tls_connection_string = [this](std::string_view name_space, std::string_view rule,
                                        const Secret& key, std::string_view entity) {
      return connection_string(name_space, rule, key, entity, true);
    };
  TRY_VOID(listen_amqp(options.amqp, false, addresses_.amqp));
  TRY_VOID(listen_amqp(options.amqps, true, addresses_.amqps));
  TRY_VOID(listen_admin(options.admin, true, addresses_.admin));
  TRY_VOID(listen_admin(options.admin_http, false, addresses_.admin_http));
  return {};
}

Status ServiceBus::listen_amqp(const std::string& address, bool tls, std::string& real) {
  if (address == "off") return {};
  net::ListenOptions options;
  if (tls) options.tls = tls_;
  if (on_loopback(address)) options.max_segment = parts_.options.max_segment;
  TRY(auto listener, net::Listener::open(parts_.loop, address, options));
  real = listener->address();
  listeners_.push_back(std::move(listener));
  return {};
}

Status ServiceBus::listen_admin(const std::string& address, bool tls, std::string& real) {
  if (address == "off") return {};
  auto server = std::make_unique<http::Server>(
      parts_.loop, [this, tls](http::Request request, http::Responder responder) {
        serve_admin(std::move(request), std::move(responder), tls);
      });
  net::ListenOptions options;
  if (tls) options.tls = tls_;
  TRY(real, server->listen(address, options));
  admins_.push_back(std::move(server));
  return {};
}

// Who comes before the entities of the emulator's file are there waits for them; only a health
// check wants to know.
void ServiceBus::serve_admin(http::Request request, http::Responder responder, bool tls) {
  if (request.path == "/health") return responder.send(health());
  if (!serving_) {
    early_.push_back([this, request = std::move(request), responder = std::move(responder), tls] {
      serve_admin(request, responder, tls);
    });
    return;
  }
  if (api::MessageRest::serves(request)) return rest_.serve(request, responder);
  (tls ? atom_tls_ : atom_).serve(request, responder);
}

// Healthy means that a send will succeed.
http::Response ServiceBus::health() const {
  http::Response response;
  response.headers.add("Content-Type", "application/json");
  const bool well = serving_ && !stopped_;
  response.status = well ? 200 : 503;
  response.body = well ? R"({"status":"healthy","message":"Service is healthy."})"
                       : R"({"status":"unhealthy","message":)"
                         R"("Service not available. Please try after some time."})";
  return response;
}

// --- life --------------------------------------------------------------------------------------

Status ServiceBus::read_emulator_file() {
  const std::string& path = parts_.options.config;
  if (path.empty()) return {};
  TRY(const std::string text, read_text_file(path));
  manifest::Problems problems(path);
  const EmulatorConfig config = read_emulator_config(text, problems);
  for (const manifest::Remark& note : problems.notes())
    parts_.log.info(note.text, {{"file", note.where}});
  for (const EmulatorConfig::Namespace& name_space : config.namespaces)
    for (const broker::QueueDescription& queue : name_space.queues)
      if (const auto existing = broker_->queue(broker::lower(queue.name)))
        check_fixed(existing->description, queue, problems);
  if (!problems.ok()) {
    std::string all;
    for (const manifest::Remark& error : problems.errors())
      all += fmt::format("{}{}: {}", all.empty() ? "" : "; ", error.where, error.text);
    return fail(Code::InvalidArgument, all);
  }
  for (const EmulatorConfig::Namespace& name_space : config.namespaces)
    for (const broker::QueueDescription& queue : name_space.queues)
      to_create_.emplace_back(name_space.name, queue);
  std::ranges::reverse(to_create_);
  return {};
}

void ServiceBus::start() {
  if (const auto due = broker_->tick(parts_.clock.now())) wake_at(*due);
  if (tls_) keep_certificates_daily();
  create_next();
}

bool ServiceBus::knows_namespace(std::string_view name) const {
  const auto all = broker_->namespaces();
  return std::ranges::any_of(all, [&](const auto& one) { return http::iequals(one.name, name); });
}

// One after the other: a queue may forward to one that the file names before it.
void ServiceBus::create_next() {
  if (to_create_.empty()) {
    serving_ = true;
    for (const auto& listener : listeners_)
      listener->start([this](std::shared_ptr<net::Stream> stream) { serve(std::move(stream)); });
    for (const auto& request : std::exchange(early_, {})) request();
    return;
  }
  if (const std::string name = to_create_.back().first; !knows_namespace(name))
    return broker_->put_namespace(name, "{}", [this, name](const Status& status) {
      if (!status) {
        parts_.log.error("a namespace of the emulator's file was not taken",
                         {{"namespace", name}, {"error", status.error().message}});
        std::erase_if(to_create_, [&](const auto& one) { return one.first == name; });
      }
      create_next();
    });
  auto [name_space, queue] = std::move(to_create_.back());
  to_create_.pop_back();
  const auto done = [this, name = queue.name](const Status& status) {
    if (!status)
      parts_.log.error("a queue of the emulator's file was not taken",
                       {{"queue", name}, {"error", status.error().message}});
    create_next();
  };
  if (const auto existing = broker_->queue(broker::lower(queue.name))) {
    queue.rules = existing->description.rules;
    return broker_->update(std::move(queue), parts_.clock.now(), done);
  }
  broker_->create(std::move(name_space), std::move(queue), parts_.clock.now(), done);
}

void ServiceBus::stop() {
  stopped_ = true;
  for (const auto& listener : listeners_) listener->close();
  for (const auto& admin : admins_) admin->stop_accepting();
  amqp_.shutdown();
}

void ServiceBus::wake_at(TimePoint due) {
  if (due >= due_) return;
  due_ = due;
  if (timer_ != 0) parts_.loop.cancel(timer_);
  const Duration delay = std::max(Duration::zero(), due - parts_.clock.now());
  timer_ = parts_.loop.run_after(delay, [this] {
    timer_ = 0;
    due_ = TimePoint::max();
    tick();
  });
}

void ServiceBus::tick() {
  if (const auto due = broker_->tick(parts_.clock.now())) wake_at(*due);
}

// --- connection strings ------------------------------------------------------------------------

std::string ServiceBus::connection_string(std::string_view name_space, std::string_view rule,
                                          const Secret& key, std::string_view entity,
                                          bool tls) const {
  const std::string port = port_of(tls ? addresses_.amqps : addresses_.amqp);
  const bool usual = tls && port == "5671";
  std::string text =
      fmt::format("Endpoint=sb://{}{}/;", tls ? std::string(name_space) + kFqdn : "localhost",
                  usual ? "" : ":" + port);
  text += fmt::format("SharedAccessKeyName={};SharedAccessKey={};", rule, key.reveal());
  if (!entity.empty()) text += fmt::format("EntityPath={};", entity);
  if (!tls) text += "UseDevelopmentEmulator=true;";
  return text;
}

std::string ServiceBus::connection_string(bool tls) const {
  return connection_string(kNamespace, broker::kRootRule, root_key_, "", tls);
}

}  // namespace jobmill::app
