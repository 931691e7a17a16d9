// SPDX-License-Identifier: Apache-2.0
#include "app/settings_document.h"

#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "access/login_guard.h"
#include "api/audit.h"
#include "api/sessions.h"
#include "app/version.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "base/sha256.h"
#include "http/server.h"
#include "store/postgres/migrations.h"
#include "store/postgres/url.h"
#include "store/sqlite/migrations.h"

namespace jobmill::app {
namespace {

struct Value {
  std::string name;  // as in the file; the first word is what sources are named by
  std::string text;
};

std::string joined(const std::vector<std::string>& texts) {
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string joined(const std::vector<std::pair<std::string, std::string>>& pairs) {
  std::string text;
  for (const auto& [name, value] : pairs)
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", name, value);
  return text;
}

std::string yes_no(bool flag) { return flag ? "true" : "false"; }

template <class Time>
std::string time_text(Time time) {
  return to_text(std::chrono::duration_cast<Duration>(time));
}

std::string store_text(const ServerOptions& options) {
  const auto url = postgres::Url::parse(options.store);
  return postgres::Url::is_postgres(options.store) && url ? url->text() : options.store;
}

// For keys only: a digest of a password would help to guess it.
std::string fingerprint(const std::string& key) {
  return key.empty() ? "not set" : fmt::format("set ({})", sha256_hex(key).substr(0, 8));
}

std::string users_text(const ServerOptions& options) {
  std::vector<std::string> texts;
  for (const ServerOptions::User& user : options.users)
    texts.push_back(fmt::format("{} ({}, password {})", user.name, user.role,
                                user.password_hash.empty() ? "set" : "hashed"));
  return texts.empty() ? "none: everyone on this machine is an admin" : joined(texts);
}

std::vector<Value> oidc_values(const ServerOptions& options) {
  if (!options.oidc) return {};
  const ServerOptions::Oidc& oidc = *options.oidc;
  std::vector<std::string> roles;
  for (const auto& [claim, role] : oidc.roles) roles.push_back(claim + ": " + role);
  return {{"oidc.issuer", oidc.issuer},
          {"oidc.client_id", oidc.client_id},
          {"oidc.client_secret", fingerprint(oidc.client_secret)},
          {"oidc.scopes", oidc.scopes},
          {"oidc.role_claim", oidc.role_claim},
          {"oidc.roles", joined(roles)},
          {"oidc.default_role", oidc.default_role}};
}

std::vector<Value> values_of(const ServerOptions& options) {
  const ServiceBusOptions& bus = options.service_bus;
  std::vector<Value> values{
      {"data", options.data},
      {"store", store_text(options)},
      {"http", options.http},
      {"amqp", bus.amqp},
      {"amqps", bus.amqps},
      {"admin", bus.admin},
      {"admin-http", bus.admin_http},
      {"websocket", bus.websocket},
      {"identity", options.identity},
      {"tls-cert", bus.tls_cert},
      {"tls-key", bus.tls_key},
      {"tls-ca", bus.tls_ca},
      {"servicebus-key", bus.key.empty() ? bus.key_file : fingerprint(bus.key)},
      {"servicebus-config", bus.config},
      {"servicebus.auth", bus.anonymous ? "none" : "strict"},
      {"servicebus.limits", bus.cloud_limits ? "cloud" : "open"},
      {"servicebus.names", joined(bus.names)},
      {"filename", joined(options.filename)},
      {"image", joined(options.image)},
      {"service", joined(options.service)},
      {"grace", time_text(options.grace)},
      {"log-format", options.log_format},
      {"log-level", options.log_level},
      {"users", users_text(options)},
      {"anonymous", options.anonymous.empty() ? "none" : options.anonymous},
      {"dashboard.context_path", options.context_path},
      {"hosts", joined(options.hosts)},
      {"queues", joined(options.queues)},
      {"jobs.retries", fmt::to_string(options.retries)},
      {"jobs.keep_succeeded", time_text(options.keep_succeeded)},
      {"jobs.keep_deleted", time_text(options.keep_deleted)},
      {"retry", options.retry.empty() ? "" : fmt::format("{} rules", options.retry.size())},
      {"idempotency.ttl", time_text(options.idempotency_ttl)},
      {"metrics.public", yes_no(options.metrics_public)},
      {"metrics.aliases", options.metrics_jobrunr ? "jobrunr" : ""},
      {"storage.unhealthy_grace", time_text(options.storage_grace)},
      {"scale.drain_limit", options.drain_limit ? time_text(*options.drain_limit) : "none"},
  };
  for (Value& value : oidc_values(options)) values.push_back(std::move(value));
  return values;
}

std::string source_of(const ServerOptions& options, const std::string& name) {
  for (const std::string& key : {name, name.substr(0, name.find('.'))})
    if (const auto found = options.sources.find(key); found != options.sources.end())
      return found->second;
  return "default";
}

void write_storage(JsonWriter& json, const ServerOptions& options, const std::string& fault) {
  const bool postgres = postgres::Url::is_postgres(options.store);
  json.key("storage")
      .object()
      .member("kind", postgres ? "postgresql" : "sqlite")
      .member("schema", postgres ? postgres::known_schema() : sqlite::known_schema())
      .member("health", fault.empty() ? "ok" : fault)
      .end();
}

void write_tls(JsonWriter& json, const ServerOptions& options) {
  const ServiceBusOptions& bus = options.service_bus;
  json.key("tls")
      .object()
      .member("certificate", bus.tls_cert.empty() ? "of the development CA" : bus.tls_cert)
      .member("dashboard", "plain HTTP; put a proxy with TLS in front of it beyond this machine")
      .end();
}

void write_times(JsonWriter& json, const ServerOptions& options) {
  json.key("retention")
      .object()
      .member("succeededJobs", time_text(options.keep_succeeded))
      .member("deletedJobs", time_text(options.keep_deleted))
      .member("auditLog", time_text(api::AuditLog::kKept))
      .member("sessions", time_text(api::Sessions::kLongest))
      .member("idleSessions", time_text(api::Sessions::kIdle))
      .end();
  json.key("limits")
      .object()
      .member("requestBody", "4 MiB")
      .member("connections", http::ServerLimits().connections)
      .member("failedLoginsPerMinute", access::LoginGuard::kMost)
      .member("sessionsPerUser", api::Sessions::kMostPerUser)
      .end();
}

}  // namespace

std::string settings_document(const ServerOptions& options, const std::string& store_fault) {
  JsonWriter json;
  json.object().key("settings").array();
  for (const Value& value : values_of(options))
    json.object()
        .member("name", value.name)
        .member("value", value.text)
        .member("source", source_of(options, value.name))
        .end();
  json.end();
  json.member("version", kVersion);
  write_storage(json, options, store_fault);
  write_tls(json, options);
  write_times(json, options);
  return std::move(json.end()).text();
}

}  // namespace jobmill::app
