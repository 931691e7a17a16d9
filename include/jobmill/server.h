// SPDX-License-Identifier: Apache-2.0
//
// The control server inside an application:
//
//   #include "jobmill/jobs.h"
//   #include "jobmill/server.h"
//
//   jobmill::Server server({.data = "/var/lib/shop", .http = "127.0.0.1:8000"});
//   std::jthread serving([&](std::stop_token stop) { server.run(stop); });
//   jobmill::Client client(server.store());       // no socket between them
//   client.enqueue(SendMail, "bob@example.org", 3);
//
// It owns the data folder (one SQLite file), the HTTP API, the maintenance of jobs and, if
// manifests are applied, the autoscaler and its local processes. One server per data folder.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace jobmill {

class Store;  // jobmill/jobs.h: what Client and Worker are made with

// The message broker and its listeners: an address, or "off". `jobmill serve` turns those on that
// its flags say; inside an application they are off unless named.
struct ServiceBusOptions {
  std::string amqp = "off";        // AMQP 1.0, plain
  std::string amqps = "off";       // AMQP 1.0 over TLS
  std::string admin = "off";       // management (Atom) and REST over TLS
  std::string admin_http = "off";  // the same without TLS, and /health
  std::string websocket{};  // AMQP over WebSocket with TLS on an address of its own; it is always
                            // at /$servicebus/websocket of the plain HTTP address
  std::string tls_cert{};   // PEM files; empty: a certificate of the development CA in DATA/tls
  std::string tls_key{};
  std::string tls_ca{};
  std::string key_file{};            // key of RootManageSharedAccessKey; empty: DATA/servicebus.key
  std::string key{};                 // the key itself, when there is no file
  std::string config{};              // the Service Bus emulator's Config.json
  std::vector<std::string> names{};  // further host names of the development certificate
  bool anonymous = false;            // anyone may do anything: for tests only
  std::optional<int> max_segment{16384};  // TCP segments on loopback; some clients need it
  std::chrono::milliseconds claim_deadline{60'000};  // to show a claim, for peers that log in so
  std::optional<std::chrono::milliseconds> idle_link_timeout{};
  std::size_t body_cache = 32u << 20;  // bytes of messages kept in memory
  bool cloud_limits = false;           // what the cloud would refuse is refused

  bool enabled() const {
    return amqp != "off" || amqps != "off" || admin != "off" || admin_http != "off" ||
           !websocket.empty();
  }
};

// Named as the flags of `jobmill serve`; the defaults are the same, but for service_bus.
struct ServerOptions {
  struct User {
    std::string name{};
    std::string password{};
    std::string role = "admin";  // viewer: reads; operator: also works with jobs; admin: everything
    std::string password_hash{};  // instead: bcrypt ("$2b$…") or Argon2id ("$argon2id$…")
    bool in_plain_text = false;   // the password stands in the configuration file itself
  };

  // Users whom another server knows (OpenID Connect, authorization code with PKCE).
  struct Oidc {
    std::string issuer;     // its URL; /.well-known/openid-configuration is below it
    std::string client_id;  // of this server, as the other one knows it
    std::string client_secret{};
    std::string scopes = "openid profile email";
    std::string user_claim{};                    // empty: preferred_username, email or sub
    std::string role_claim = "roles";            // a text or a list; a path has dots
    std::map<std::string, std::string> roles{};  // its value -> viewer, operator, admin
    std::string default_role{};                  // of those without such a value; empty: refused
    std::string redirect_uri{};                  // empty: the address that the browser asked for
  };

  // How failures are retried: of one kind, of one type of error, of both, or all that no entry
  // before it is about. What a job says of its own retries wins.
  struct Retry {
    std::string kind{};                               // empty: any
    std::string error{};                              // its type; empty: any
    bool never = false;                               // FAILED until somebody acts on it
    std::vector<std::chrono::milliseconds> delays{};  // exactly these, which is also their number
    std::chrono::milliseconds base{3000};             // or min(cap, base·factor^(n-1)) …
    std::int64_t factor = 3;
    std::chrono::milliseconds cap{std::chrono::hours(24)};
    double jitter = 0;  // … · (1 ± jitter)
  };

  // Where workloads, ScaledObjects and executions are those of a Kubernetes cluster (target:
  // kubernetes). Of several servers of one cluster one leads; the others stand by.
  struct Kubernetes {
    std::string kubeconfig{};  // empty: $KUBECONFIG, the service account of a pod, ~/.kube/config
    std::string context{};     // of the kubeconfig; empty: its current one
    std::string ns{};          // the one that is watched; empty: all
    bool dry_run = false;      // decisions are made and kept, and nothing in the cluster is changed
  };

  std::string data{};                   // empty: $STATE_DIRECTORY, else ./.jobmill
  std::string store = "sqlite:";        // sqlite: (in DATA) or sqlite:PATH
  std::string http = "127.0.0.1:8000";  // port 0 picks a free one
  std::vector<User> users{};            // none: everyone on loopback is admin
  std::vector<std::string> hosts{};     // further names that a Host header may have on loopback
  std::vector<std::string> filename{};  // manifests applied at start: files, folders
  std::vector<std::pair<std::string, std::string>> image{{"postgres", "off"},
                                                         {"jobmill", "off"}};  // NAME=COMMAND…
  std::vector<std::pair<std::string, std::string>> service{};                  // NAME[:PORT]=ADDR
  std::vector<std::string> queues{};  // their strict order, the first one first; others follow
  int retries = 10;                   // of jobs that say nothing else
  std::vector<Retry> retry{};         // the first one that matches
  std::chrono::seconds idempotency_ttl{std::chrono::hours(24)};  // of keys, once their job ended
  std::chrono::seconds storage_grace{300};  // of a store that is away, until /health/ready says so
  std::chrono::hours keep_succeeded{36};    // until a succeeded job is DELETED
  std::chrono::hours keep_deleted{72};      // until a deleted job is gone
  std::string log_format = "text";          // text, json
  std::string log_level = "info";           // debug, info, warn, error
  std::chrono::milliseconds grace{30'000};  // how long run() drains local workers at its end
  std::optional<std::chrono::milliseconds> drain_limit{};  // scale.drain_limit: none = no limit
  std::chrono::milliseconds scale_sync{15'000};  // scale.sync: the clock of keda semantics
  bool in_cluster = false;                       // target: kubernetes; else all is on this machine
  Kubernetes kubernetes{};
  bool metrics_public = false;   // metrics.public: /metrics needs no credentials
  bool metrics_jobrunr = false;  // metrics.aliases: jobrunr
  std::string context_path{};    // dashboard.context_path: "/mill", before all paths
  std::string anonymous{};       // viewer: who shows no credentials may read; empty: nothing
  std::optional<Oidc> oidc{};
  // Where a value comes from that is no default: "http" -> "--http", "jobs" -> "jobmill.yaml:3".
  std::map<std::string, std::string> sources{};
  std::string identity = "off";  // tokens for the managed identities of executions
  ServiceBusOptions service_bus{};
};

// Safe to use from several threads, except that run() is called once.
class Server {
 public:
  // Opens the store and binds the listeners; nothing is served before run(). Throws
  // jobmill::Error (code: data_in_use, address_in_use, invalid_argument, configuration,
  // storage_unavailable …) with a message that names the thing and the way out.
  explicit Server(ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // For clients and workers of this process. They must not outlive the server.
  std::shared_ptr<Store> store();

  // The real address of the HTTP listener: "127.0.0.1:8000".
  std::string http_address() const;

  // The real addresses of the broker's listeners, or "off".
  struct ServiceBusAddresses {
    std::string amqp = "off";
    std::string amqps = "off";
    std::string admin = "off";
    std::string admin_http = "off";
    std::string websocket = "off";  // with TLS
  };
  ServiceBusAddresses service_bus() const;

  // Of the token endpoint, or "off".
  std::string identity_address() const;

  // The connection string of RootManageSharedAccessKey: plain AMQP, or over TLS.
  std::string connection_string(bool tls = false) const;

  // Serves until the token fires, then drains: no new work, local workers finish within `grace`,
  // everything accepted is on disk when it returns. Call it on a thread that lives as long as the
  // server: local processes end with the thread that started them.
  void run(std::stop_token stop);

  // Takes over the users and manifests of these options (SIGHUP); the rest stays as it is. From
  // any thread. What cannot be read or applied is logged, and nothing changes.
  void reload(ServerOptions options);

  struct Impl;  // the control server; for the jobmill program itself

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace jobmill
