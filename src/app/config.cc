// SPDX-License-Identifier: Apache-2.0
#include "app/config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <set>

#include <fmt/core.h>

#include "access/password.h"
#include "app/access.h"
#include "app/api_client.h"
#include "app/retry_config.h"
#include "base/document.h"
#include "base/duration.h"
#include "base/log.h"
#include "net/address.h"
#include "store/postgres/url.h"

namespace jobmill::app {
namespace {

using Values = std::vector<std::string>;

constexpr char kAdminHttp[] = "127.0.0.1:5300";  // unless somebody says otherwise

// Settings that are one text.
template <auto Member>
Status set_text(ServerOptions& options, const Values& values) {
  options.*Member = values.back();
  return {};
}

// An address, or "off".
Status check_listener(const std::string& text) {
  if (text == "off") return {};
  TRY([[maybe_unused]] const net::Address address, net::parse_address(text));
  return {};
}

template <auto Member>
Status set_listener(ServerOptions& options, const Values& values) {
  TRY_VOID(check_listener(values.back()));
  options.service_bus.*Member = values.back();
  return {};
}

Status set_identity(ServerOptions& options, const Values& values) {
  TRY_VOID(check_listener(values.back()));
  options.identity = values.back();
  return {};
}

template <auto Member>
Status set_bus_text(ServerOptions& options, const Values& values) {
  options.service_bus.*Member = values.back();
  return {};
}

// "off": only at the HTTP address.
Status set_websocket(ServerOptions& options, const Values& values) {
  TRY_VOID(set_listener<&ServiceBusOptions::websocket>(options, values));
  if (values.back() == "off") options.service_bus.websocket.clear();
  return {};
}

Status set_http(ServerOptions& options, const Values& values) {
  TRY([[maybe_unused]] const net::Address address, net::parse_address(values.back()));
  options.http = values.back();
  return {};
}

Status set_store(ServerOptions& options, const Values& values) {
  const std::string& url = values.back();
  if (postgres::Url::is_postgres(url)) {
    TRY_VOID(postgres::Url::parse(url));
  } else if (!url.starts_with("sqlite:")) {
    return fail(
        Code::InvalidArgument,
        "'" + url + "' is no store; use sqlite:, sqlite:PATH or postgres://USER@HOST/DATABASE");
  }
  options.store = url;
  return {};
}

Status set_target(ServerOptions& options, const Values& values) {
  if (values.back() != "process" && values.back() != "kubernetes")
    return fail(Code::InvalidArgument,
                "'" + values.back() + "' is no target; use process or kubernetes");
  options.in_cluster = values.back() == "kubernetes";
  return {};
}

template <auto Member>
Status set_kubernetes(ServerOptions& options, const Values& values) {
  options.kubernetes.*Member = values.back();
  return {};
}

Status set_dry_run(ServerOptions& options, const Values& values) {
  if (values.back() != "true" && values.back() != "false")
    return fail(Code::InvalidArgument, "'" + values.back() + "' is not true or false");
  options.kubernetes.dry_run = values.back() == "true";
  return {};
}

Status set_log_format(ServerOptions& options, const Values& values) {
  if (!log_format(values.back()))
    return fail(Code::InvalidArgument,
                "'" + values.back() + "' is no log format; use text or json");
  options.log_format = values.back();
  return {};
}

Status set_log_level(ServerOptions& options, const Values& values) {
  if (!log_level(values.back()))
    return fail(Code::InvalidArgument,
                "'" + values.back() + "' is no log level; use debug, info, warn or error");
  options.log_level = values.back();
  return {};
}

Status set_grace(ServerOptions& options, const Values& values) {
  TRY(const Duration grace, parse_duration(values.back()));
  options.grace = std::chrono::duration_cast<std::chrono::milliseconds>(grace);
  return {};
}

Status set_drain_limit(ServerOptions& options, const Values& values) {
  TRY(const Duration limit, parse_duration(values.back()));
  options.drain_limit = std::chrono::duration_cast<std::chrono::milliseconds>(limit);
  return {};
}

Status set_sync(ServerOptions& options, const Values& values) {
  TRY(const Duration sync, parse_duration(values.back()));
  if (sync <= Duration(0))
    return fail(Code::InvalidArgument, "'" + values.back() + "' is no pause");
  options.scale_sync = std::chrono::duration_cast<std::chrono::milliseconds>(sync);
  return {};
}

Status set_filename(ServerOptions& options, const Values& values) {
  options.filename = values;
  return {};
}

Status set_hosts(ServerOptions& options, const Values& values) {
  options.hosts = values;
  return {};
}

// NAME=REST, added to what the defaults say; a later entry of the same name wins.
Status add_pairs(std::vector<std::pair<std::string, std::string>>& pairs, const Values& values,
                 std::string_view form) {
  for (const std::string& text : values) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      return fail(Code::InvalidArgument, fmt::format("'{}' is not {}", text, form));
    const std::string name = text.substr(0, equals);
    std::erase_if(pairs, [&](const auto& pair) { return pair.first == name; });
    pairs.emplace_back(name, text.substr(equals + 1));
  }
  return {};
}

Status set_image(ServerOptions& options, const Values& values) {
  return add_pairs(options.image, values, "NAME=COMMAND or NAME=off");
}
Status set_service(ServerOptions& options, const Values& values) {
  return add_pairs(options.service, values, "NAME=ADDRESS or NAME:PORT=ADDRESS");
}

constexpr std::array kSettings{
    Setting{"data", "", "DIR",
            "folder of the store, keys and logs ($STATE_DIRECTORY, else ./.jobmill)",
            set_text<&ServerOptions::data>},
    Setting{"store", "", "URL",
            "sqlite: (in the data folder), sqlite:PATH, postgres://USER@HOST/DATABASE for jobs",
            set_store},
    Setting{"http", "", "ADDR", "API, metrics API, worker protocol, /health (127.0.0.1:8000)",
            set_http},
    Setting{"amqp", "", "ADDR", "Service Bus: AMQP 1.0 (127.0.0.1:5672); off: none",
            set_listener<&ServiceBusOptions::amqp>},
    Setting{"amqps", "", "ADDR", "Service Bus: AMQP 1.0 over TLS (127.0.0.1:5671); off: none",
            set_listener<&ServiceBusOptions::amqps>},
    Setting{"admin", "", "ADDR", "Service Bus: management over TLS (127.0.0.1:5443); off: none",
            set_listener<&ServiceBusOptions::admin>},
    Setting{"admin-http", "", "ADDR",
            "Service Bus: management without TLS, /health (127.0.0.1:5300); off: none",
            set_listener<&ServiceBusOptions::admin_http>},
    Setting{"identity", "", "ADDR",
            "tokens for the managed identities of executions (127.0.0.1:4141); off: none",
            set_identity},
    Setting{"tls-cert", "", "FILE",
            "certificate chain, PEM (of a development CA in DATA/tls); SIGHUP reads it again",
            set_bus_text<&ServiceBusOptions::tls_cert>},
    Setting{"tls-key", "", "FILE", "its private key, PEM",
            set_bus_text<&ServiceBusOptions::tls_key>},
    Setting{"tls-ca", "", "FILE", "the CA that clients are told of, PEM (DATA/tls/ca.pem)",
            set_bus_text<&ServiceBusOptions::tls_ca>},
    Setting{"servicebus-key", "", "FILE",
            "key of RootManageSharedAccessKey (DATA/servicebus.key, made at first; dev: "
            "SAS_KEY_VALUE)",
            set_bus_text<&ServiceBusOptions::key_file>},
    Setting{"servicebus-config", "", "FILE", "entities from the emulator's Config.json",
            set_bus_text<&ServiceBusOptions::config>},
    Setting{"websocket", "", "ADDR",
            "AMQP over WebSocket with TLS on an address of its own (plain: at the HTTP address)",
            set_websocket},
    Setting{"filename", "f", "PATH…", "manifests applied at start: a file, a folder, or -",
            set_filename},
    Setting{
        "image", "", "NAME=COMMAND…",
        "what an image means on this machine; NAME=off: not used here (postgres=off, jobmill=off)",
        set_image},
    Setting{"service", "", "NAME[:PORT]=ADDR…", "where a Service leads from here", set_service},
    Setting{"target", "", "process|kubernetes",
            "where Deployments, ScaledObjects and executions live (process)", set_target},
    Setting{"kubeconfig", "", "FILE",
            "of the cluster ($KUBECONFIG, else that of the pod, else ~/.kube/config)",
            set_kubernetes<&ServerOptions::Kubernetes::kubeconfig>},
    Setting{"context", "", "NAME", "of the kubeconfig (its current one)",
            set_kubernetes<&ServerOptions::Kubernetes::context>},
    Setting{"watch-namespace", "", "NAME", "of the cluster; others are left alone (all)",
            set_kubernetes<&ServerOptions::Kubernetes::ns>},
    Setting{"dry-run", "", "true|false",
            "in a cluster: decide, keep the decisions, and change nothing (false)", set_dry_run},
    Setting{"grace", "", "DURATION", "how long SIGTERM lets local workers drain (30s)", set_grace},
    Setting{"log-format", "", "text|json", "form of the log on stderr (text)", set_log_format},
    Setting{"log-level", "", "LEVEL", "debug, info, warn, error", set_log_level},
};

std::string variable_of(std::string_view name) {
  std::string variable = "JOBMILL_";
  for (const char c : name)
    variable += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return variable;
}

Status placed(std::string_view place, Status status) {
  if (status) return {};
  return fail(status.error().code, fmt::format("{}: {}", place, status.error().message));
}

// The last one that sets a value is where it comes from.
Status apply(ServerOptions& options, const Setting& setting, const Values& values,
             std::string_view place) {
  options.sources[setting.name] = place;
  return placed(place, setting.set(options, values));
}

std::string trim_newline(std::string text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

Result<std::string> read_password(const std::string& path) {
  auto text = read_text_file(path, 64u << 10);
  if (!text) return fail(Code::InvalidArgument, text.error().message);
  std::string password = trim_newline(*std::move(text));
  if (password.empty()) return fail(Code::InvalidArgument, path + " holds no password");
  return password;
}

// --- the file ---------------------------------------------------------------------------------

struct File {
  std::string path;
  std::string at(const Node& node) const { return fmt::format("{}:{}", path, node.line); }
};

Result<Values> texts(const Node& node, const std::string& place) {
  Values values;
  if (node.is_array()) {
    for (const Node& item : node.items) values.push_back(item.text);
    return values;
  }
  if (node.is_object())
    return fail(Code::InvalidArgument, place + ": expected a text or a list of texts");
  values.push_back(node.text);
  return values;
}

const std::set<std::string_view> kRoles{"viewer", "operator", "admin"};

// Keys may be written with a hyphen, as the flags are.
std::string with_underscores(std::string key) {
  std::ranges::replace(key, '-', '_');
  return key;
}

Status set_user_member(ServerOptions::User& user, const Node::Member& member, const File& file) {
  const std::string key = with_underscores(member.key);
  if (key == "name") {
    user.name = member.value.text;
  } else if (key == "password") {
    user.password = member.value.text;
    user.in_plain_text = true;
  } else if (key == "password_file") {
    TRY(user.password, read_password(member.value.text));
  } else if (key == "password_hash") {
    if (const auto hash = access::Password::hashed(member.value.text); !hash)
      return fail(Code::InvalidArgument, file.at(member.value) + ": " + hash.error().message);
    user.password_hash = member.value.text;
  } else if (key == "role") {
    user.role = member.value.text;
  } else {
    return fail(Code::InvalidArgument,
                fmt::format("{}: unknown key '{}'; known: name, password_hash, password_file, "
                            "password, role",
                            file.at(member.value), member.key));
  }
  return {};
}

// A file may hold the password, or its hash.
Status set_user(ServerOptions& options, const Node& node, const File& file) {
  ServerOptions::User user;
  for (const Node::Member& member : node.members) TRY_VOID(set_user_member(user, member, file));
  if (user.name.empty() || (user.password.empty() && user.password_hash.empty()))
    return fail(Code::InvalidArgument,
                file.at(node) + ": a user needs name and password_hash or password_file");
  if (!kRoles.contains(user.role))
    return fail(Code::InvalidArgument,
                file.at(node) + ": '" + user.role + "' is no role; use viewer, operator or admin");
  if (user.password_hash.empty() && access::Password::hashed(user.password))
    user.password_hash = std::exchange(user.password, {});
  options.users.push_back(std::move(user));
  return {};
}

// dashboard: {context_path: /mill}
Status set_dashboard(ServerOptions& options, const Node& node, const File& file) {
  for (const Node::Member& member : node.members) {
    const std::string place = file.at(member.value);
    if (with_underscores(member.key) != "context_path")
      return fail(
          Code::InvalidArgument,
          fmt::format("{}: unknown key 'dashboard.{}'; known: context_path", place, member.key));
    std::string path = member.value.text;
    while (path.ends_with('/')) path.pop_back();
    constexpr std::string_view kLetters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./";
    if (!path.empty() && (!path.starts_with('/') || path.find("//") != std::string::npos ||
                          path.find_first_not_of(kLetters) != std::string::npos))
      return fail(Code::InvalidArgument,
                  place + ": '" + member.value.text + "' is no path; use one such as /mill");
    options.context_path = path;
  }
  return {};
}

Status set_anonymous(ServerOptions& options, const Node& node, const File& file) {
  if (node.text != "viewer" && node.text != "none")
    return fail(Code::InvalidArgument, file.at(node) + ": anonymous is viewer or none");
  options.anonymous = node.text == "none" ? "" : node.text;
  return {};
}

Status set_oidc_roles(ServerOptions::Oidc& oidc, const Node& node, const File& file) {
  for (const Node::Member& member : node.members) {
    if (!kRoles.contains(member.value.text))
      return fail(Code::InvalidArgument, file.at(member.value) + ": '" + member.value.text +
                                             "' is no role; use viewer, operator or admin");
    oidc.roles[member.key] = member.value.text;
  }
  return {};
}

Status set_oidc_member(ServerOptions::Oidc& oidc, const Node::Member& member, const File& file) {
  const std::string key = with_underscores(member.key);
  const std::string& text = member.value.text;
  const std::pair<std::string_view, std::string*> texts_of[] = {
      {"issuer", &oidc.issuer},         {"client_id", &oidc.client_id},
      {"scopes", &oidc.scopes},         {"user_claim", &oidc.user_claim},
      {"role_claim", &oidc.role_claim}, {"redirect_uri", &oidc.redirect_uri}};
  for (const auto& [name, out] : texts_of)
    if (key == name) {
      *out = text;
      return {};
    }
  if (key == "roles") return set_oidc_roles(oidc, member.value, file);
  if (key == "client_secret_file") {
    TRY(oidc.client_secret, read_password(text));
    return {};
  }
  if (key == "default_role" && kRoles.contains(text)) {
    oidc.default_role = text;
    return {};
  }
  return fail(Code::InvalidArgument,
              fmt::format("{}: unknown key or value 'oidc.{}'; known: issuer, client_id, "
                          "client_secret_file, scopes, user_claim, role_claim, roles, "
                          "default_role, redirect_uri",
                          file.at(member.value), member.key));
}

Status set_oidc(ServerOptions& options, const Node& node, const File& file) {
  ServerOptions::Oidc oidc;
  for (const Node::Member& member : node.members) TRY_VOID(set_oidc_member(oidc, member, file));
  const bool is_url = oidc.issuer.starts_with("https://") || oidc.issuer.starts_with("http://");
  if (!is_url || oidc.client_id.empty())
    return fail(Code::InvalidArgument, file.at(node) + ": oidc needs issuer (a URL) and client_id");
  while (oidc.issuer.ends_with('/')) oidc.issuer.pop_back();
  if (oidc.roles.empty() && oidc.default_role.empty())
    return fail(Code::InvalidArgument,
                file.at(node) + ": oidc needs roles or default_role; nobody could do anything");
  options.oidc = std::move(oidc);
  return {};
}

// images: {postgres: "off"}, or a list of {match, command}.
Status set_images(ServerOptions& options, const Node& node, const File& file) {
  Values pairs;
  for (const Node::Member& member : node.members)
    pairs.push_back(member.key + "=" + member.value.text);
  for (const Node& item : node.items) {
    const Node* match = item.find("match");
    const Node* command = item.find("command");
    if (match == nullptr || command == nullptr)
      return fail(Code::InvalidArgument, file.at(item) + ": an image needs match and command");
    TRY(const Values words, texts(*command, file.at(*command)));
    std::string line;
    for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
    pairs.push_back(match->text + "=" + line);
  }
  return placed(file.at(node), set_image(options, pairs));
}

// scale: {drain_limit: 10m, sync: 1s}
Status set_scale(ServerOptions& options, const Node& node, const File& file) {
  for (const Node::Member& member : node.members) {
    const std::string place = file.at(member.value);
    const std::string key = with_underscores(member.key);
    if (key == "drain_limit") {
      TRY_VOID(placed(place, set_drain_limit(options, {member.value.text})));
    } else if (key == "sync") {
      TRY_VOID(placed(place, set_sync(options, {member.value.text})));
    } else {
      return fail(
          Code::InvalidArgument,
          fmt::format("{}: unknown key 'scale.{}'; known: drain_limit, sync", place, member.key));
    }
  }
  return {};
}

Result<int> whole(const Node& node, const File& file, int most) {
  const auto value = node.as_int();
  if (!value || *value < 0 || *value > most)
    return fail(Code::InvalidArgument,
                fmt::format("{}: expected a whole number from 0 to {}", file.at(node), most));
  return static_cast<int>(*value);
}

// 33554432, "32 MiB", "32MiB"
Result<std::size_t> bytes(const Node& node, const File& file) {
  std::string_view text = node.text;
  std::uint64_t factor = 1;
  for (const auto& [unit, times] : {std::pair<std::string_view, std::uint64_t>("KiB", 1 << 10),
                                    {"MiB", 1 << 20},
                                    {"GiB", 1 << 30}})
    if (text.ends_with(unit)) {
      text.remove_suffix(unit.size());
      factor = times;
    }
  while (text.ends_with(' ')) text.remove_suffix(1);
  constexpr std::uint64_t kMost = std::uint64_t{1} << 40;
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end != text.data() + text.size() || count > kMost / factor)
    return fail(
        Code::InvalidArgument,
        fmt::format("{}: expected a number of bytes, such as 33554432 or 32 MiB", file.at(node)));
  return static_cast<std::size_t>(count * factor);
}

Result<std::chrono::hours> hours(const Node& node, const File& file) {
  const auto parsed = parse_duration(node.text);
  if (!parsed) return fail(Code::InvalidArgument, file.at(node) + ": " + parsed.error().message);
  return std::chrono::ceil<std::chrono::hours>(*parsed);
}

// jobs: {retries: 10, keep_succeeded: 36h, keep_deleted: 72h}
Status set_jobs(ServerOptions& options, const Node& node, const File& file) {
  for (const Node::Member& member : node.members) {
    if (member.key == "retries") {
      TRY(options.retries, whole(member.value, file, 1000));
    } else if (member.key == "keep_succeeded") {
      TRY(options.keep_succeeded, hours(member.value, file));
    } else if (member.key == "keep_deleted") {
      TRY(options.keep_deleted, hours(member.value, file));
    } else {
      return fail(
          Code::InvalidArgument,
          fmt::format("{}: unknown key 'jobs.{}'; known: retries, keep_succeeded, keep_deleted",
                      file.at(member.value), member.key));
    }
  }
  return {};
}

// An object with one duration in it: idempotency: {ttl: 24h}
Status set_duration(std::chrono::seconds& out, const Node::Member& object, std::string_view key,
                    const File& file) {
  for (const Node::Member& member : object.value.members) {
    const std::string place = file.at(member.value);
    if (member.key != key)
      return fail(Code::InvalidArgument, fmt::format("{}: unknown key '{}.{}'; known: {}", place,
                                                     object.key, member.key, key));
    const auto time = parse_duration(member.value.text);
    if (!time) return fail(Code::InvalidArgument, place + ": " + time.error().message);
    out = std::chrono::ceil<std::chrono::seconds>(*time);
  }
  return {};
}

// metrics: {public: true, aliases: jobrunr}
Status set_metrics(ServerOptions& options, const Node& node, const File& file) {
  for (const Node::Member& member : node.members) {
    const std::string place = file.at(member.value);
    if (member.key == "public") {
      const auto value = member.value.as_bool();
      if (!value) return fail(Code::InvalidArgument, place + ": expected true or false");
      options.metrics_public = *value;
    } else if (member.key == "aliases") {
      if (member.value.text != "jobrunr")
        return fail(Code::InvalidArgument,
                    fmt::format("{}: '{}' are no aliases; use jobrunr", place, member.value.text));
      options.metrics_jobrunr = true;
    } else {
      return fail(Code::InvalidArgument, fmt::format("{}: unknown key 'metrics.{}'; known: public, "
                                                     "aliases",
                                                     place, member.key));
    }
  }
  return {};
}

// servicebus: what has no flag.
Status set_service_bus(ServerOptions& options, const Node& node, const File& file) {
  ServiceBusOptions& bus = options.service_bus;
  const auto milliseconds = [&](const Node& value) -> Result<std::chrono::milliseconds> {
    const auto parsed = parse_duration(value.text);
    if (!parsed) return fail(Code::InvalidArgument, file.at(value) + ": " + parsed.error().message);
    return std::chrono::duration_cast<std::chrono::milliseconds>(*parsed);
  };
  for (const Node::Member& member : node.members) {
    const std::string place = file.at(member.value);
    if (member.key == "loopback_mss") {
      bus.max_segment.reset();
      if (member.value.text != "off") {
        TRY(bus.max_segment, whole(member.value, file, 65535));
      }
    } else if (member.key == "names") {
      TRY(bus.names, texts(member.value, place));
    } else if (member.key == "auth") {
      if (member.value.text != "strict" && member.value.text != "none")
        return fail(Code::InvalidArgument, place + ": auth is strict or none");
      bus.anonymous = member.value.text == "none";
    } else if (member.key == "claim_deadline") {
      TRY(bus.claim_deadline, milliseconds(member.value));
    } else if (member.key == "idle_link_timeout") {
      bus.idle_link_timeout.reset();
      if (member.value.text != "off") {
        TRY(bus.idle_link_timeout, milliseconds(member.value));
      }
    } else if (member.key == "body_cache") {
      TRY(bus.body_cache, bytes(member.value, file));
    } else if (member.key == "limits") {
      if (member.value.text != "open" && member.value.text != "cloud")
        return fail(Code::InvalidArgument, place + ": limits is open or cloud");
      bus.cloud_limits = member.value.text == "cloud";
    } else {
      return fail(Code::InvalidArgument,
                  fmt::format("{}: unknown key 'servicebus.{}'; known: auth, body_cache, "
                              "claim_deadline, idle_link_timeout, limits, loopback_mss, names",
                              place, member.key));
    }
  }
  return {};
}

Status set_member(ServerOptions& options, const Node::Member& member, const File& file) {
  const std::string place = file.at(member.value);
  if (member.key == "users") {
    for (const Node& user : member.value.items) TRY_VOID(set_user(options, user, file));
    return {};
  }
  if (member.key == "anonymous") return set_anonymous(options, member.value, file);
  if (member.key == "dashboard") return set_dashboard(options, member.value, file);
  if (member.key == "oidc") return set_oidc(options, member.value, file);
  if (member.key == "images") return set_images(options, member.value, file);
  if (member.key == "scale") return set_scale(options, member.value, file);
  if (member.key == "jobs") return set_jobs(options, member.value, file);
  if (member.key == "idempotency")
    return set_duration(options.idempotency_ttl, member, "ttl", file);
  if (member.key == "storage")
    return set_duration(options.storage_grace, member, "unhealthy_grace", file);
  if (member.key == "retry") {
    TRY(options.retry, read_retry_rules(member.value, file.path));
    return {};
  }
  if (member.key == "metrics") return set_metrics(options, member.value, file);
  if (member.key == "servicebus") return set_service_bus(options, member.value, file);
  TRY(const Values values, texts(member.value, place));
  if (member.key == "hosts") return set_hosts(options, values);
  if (member.key == "queues") {
    options.queues = values;
    return {};
  }
  const auto setting =
      std::ranges::find_if(kSettings, [&](const Setting& s) { return member.key == s.name; });
  if (setting == kSettings.end()) {
    std::string known =
        "users, anonymous, oidc, dashboard, images, hosts, queues, jobs, retry, idempotency, "
        "metrics, storage, scale, "
        "servicebus";
    for (const Setting& s : kSettings) known += fmt::format(", {}", s.name);
    return fail(Code::InvalidArgument,
                fmt::format("{}: unknown key '{}'; known: {}", place, member.key, known));
  }
  return apply(options, *setting, values, place);
}

Status read_file(ServerOptions& options, const std::string& path) {
  auto text = read_text_file(path, 1u << 20);
  if (!text) return fail(Code::InvalidArgument, "--config: " + text.error().message);
  auto documents = parse_yaml(*text);
  if (!documents) return fail(Code::InvalidArgument, path + ": " + documents.error().message);
  for (const Node& document : *documents) {
    if (!document.is_object())
      return fail(Code::InvalidArgument, path + ": expected keys and values");
    for (const Node::Member& member : document.members) {
      const File file{path};
      options.sources[member.key] = file.at(member.value);
      TRY_VOID(set_member(options, member, file));
    }
  }
  return {};
}

// --user with --password-file, or JOBMILL_USER with JOBMILL_PASSWORD.
Status add_admin(ServerOptions& options, const Arguments& arguments,
                 const std::function<std::string(const char*)>& env) {
  const std::string name = arguments.get("user", env("JOBMILL_USER"));
  if (name.empty()) return {};
  std::string password = env("JOBMILL_PASSWORD");
  const std::string path = arguments.get("password-file", env("JOBMILL_PASSWORD_FILE"));
  if (!path.empty()) {
    auto read = read_password(path);
    if (!read) return fail(Code::InvalidArgument, "--password-file: " + read.error().message);
    password = *std::move(read);
  }
  if (password.empty())
    return fail(Code::InvalidArgument,
                "--user " + name + ": no password; give --password-file FILE or JOBMILL_PASSWORD");
  std::erase_if(options.users, [&](const ServerOptions::User& user) { return user.name == name; });
  options.users.push_back({.name = name, .password = password});
  options.sources["users"] = arguments.has("user") ? "--user" : "JOBMILL_USER";
  return {};
}

// Where the emulator's container has its file.
constexpr char kEmulatorFile[] = "/ServiceBus_Emulator/ConfigFiles/Config.json";

// What the emulator's compose files set: its file and the port of its management. The rest of their
// variables is about a database that is not needed here.
Status use_emulator_environment(ServiceBusOptions& bus,
                                const std::function<std::string(const char*)>& env) {
  if (bus.config.empty()) bus.config = env("CONFIG_PATH");
  std::error_code error;
  if (bus.config.empty() && std::filesystem::exists(kEmulatorFile, error))
    bus.config = kEmulatorFile;
  const std::string port = env("EMULATOR_HTTP_PORT");
  if (port.empty()) return {};
  const std::string address = "127.0.0.1:" + port;
  if (!net::parse_address(address))
    return fail(Code::InvalidArgument, "EMULATOR_HTTP_PORT: '" + port + "' is no port");
  if (bus.admin_http == kAdminHttp) bus.admin_http = address;
  return {};
}

Status check_anonymous(const ServiceBusOptions& bus) {
  if (!bus.anonymous) return {};
  for (const std::string* address : {&bus.amqp, &bus.amqps, &bus.admin, &bus.admin_http})
    if (*address != "off" && !is_loopback(*address))
      return fail(Code::PermissionDenied,
                  fmt::format("{}: other machines could reach it without credentials; remove "
                              "`auth: none`, or bind to 127.0.0.1",
                              *address));
  return {};
}

}  // namespace

std::span<const Setting> settings() { return kSettings; }

std::vector<Flag> serve_flags() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Setting& setting : kSettings)
      list.push_back(*setting.short_name != '\0'
                         ? fmt::format("-{},--{}", setting.short_name, setting.name)
                         : fmt::format("--{}", setting.name));
    return list;
  }();
  std::vector<Flag> flags;
  for (std::size_t i = 0; i < kSettings.size(); ++i)
    flags.push_back({names[i].c_str(), kSettings[i].value, kSettings[i].help});
  flags.push_back({"--user", "NAME", "an admin by Basic authentication (JOBMILL_USER)"});
  flags.push_back(
      {"--password-file", "FILE", "file with that user's password (else JOBMILL_PASSWORD)"});
  flags.push_back({"--config", "FILE", "settings as YAML (JOBMILL_CONFIG)"});
  return flags;
}

Result<ServerOptions> server_options(const Arguments& arguments,
                                     const std::function<std::string(const char*)>& env) {
  ServerOptions options;
  options.service_bus.amqp = "127.0.0.1:5672";
  options.service_bus.amqps = "127.0.0.1:5671";
  options.service_bus.admin = "127.0.0.1:5443";
  options.service_bus.admin_http = kAdminHttp;
  options.identity = "127.0.0.1:4141";
  if (const std::string file = arguments.get("config", env("JOBMILL_CONFIG")); !file.empty())
    TRY_VOID(read_file(options, file));
  for (const Setting& setting : kSettings) {
    const std::string variable = variable_of(setting.name);
    if (arguments.has(setting.name)) {
      TRY_VOID(
          apply(options, setting, arguments.all(setting.name), fmt::format("--{}", setting.name)));
    } else if (const std::string value = env(variable.c_str()); !value.empty()) {
      TRY_VOID(apply(options, setting, {value}, variable));
    }
  }
  TRY_VOID(add_admin(options, arguments, env));
  if (options.data.empty()) options.data = env("STATE_DIRECTORY");
  if (options.data.empty()) options.data = ".jobmill";
  if (!is_loopback(options.http) && !wants_credentials(options))
    return fail(Code::PermissionDenied,
                fmt::format("--http {}: other machines could reach it without credentials; add "
                            "--user NAME --password-file FILE, or bind to 127.0.0.1",
                            options.http));
  TRY_VOID(use_emulator_environment(options.service_bus, env));
  TRY_VOID(check_anonymous(options.service_bus));
  return options;
}

bool is_loopback(const std::string& address) {
  const auto parsed = net::parse_address(address);
  return parsed && net::is_loopback(parsed->host);
}

}  // namespace jobmill::app
