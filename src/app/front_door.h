// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/auth.h"
#include "api/dashboard_assets.h"
#include "api/route.h"
#include "http/guard.h"
#include "http/server.h"

namespace jobmill::app {

// Where every HTTP request comes in, from a socket or from a trigger of this process: is it allowed
// here, which route is it, who asks, may he. Runs on the loop thread.
class FrontDoor {
 public:
  FrontDoor(api::ApiContext& context, api::Authenticator& authenticator);

  void serve(http::Request request, http::Responder responder);

  // Names besides loopback's that a Host header may have: applied Services, and `hosts:`.
  // From any thread.
  void allow_hosts(std::set<std::string, std::less<>> hosts);

  // How long the store may be away until /health/ready says so. Before serve().
  void set_outage_grace(Duration grace) { outage_grace_ = grace; }

  // What the paths of the dashboard, and all others, may begin with: "" or "/mill". Before serve().
  void set_context_path(const std::string& path);

  // The role of those who show no credentials; empty: they may do nothing. Before serve().
  void set_anonymous(std::string role) { anonymous_ = std::move(role); }

  // Whether the listener is reached by this machine only: then Host is checked.
  void set_loopback(bool loopback);

 private:
  // One request, once it is known who asks.
  struct Visit {
    http::Request request;
    http::Responder responder;
  };

  Status check_origin(const http::Request& request);
  void strip_context(http::Request& request) const;
  bool serve_file(const Visit& visit) const;
  void admit(Visit visit, api::Verdict verdict);
  void serve_page(const Visit& visit, const api::Verdict& verdict) const;
  void serve_route(Visit visit, const api::Verdict& verdict);
  bool page_asks(const http::Request& request) const;
  bool is_public(const http::Request& request) const;
  std::optional<api::Identity> identity_of(const http::Request& request,
                                           const api::Verdict& verdict) const;
  http::Response health(bool ready) const;

  api::ApiContext& context_;
  api::Authenticator& authenticator_;
  std::vector<api::Route> routes_;
  std::mutex mutex_;  // guards rules_
  http::GuardRules rules_;
  std::string context_path_;
  std::string anonymous_;
  std::unique_ptr<api::DashboardAssets> dashboard_;
  Duration outage_grace_ = std::chrono::minutes(5);
};

}  // namespace jobmill::app
