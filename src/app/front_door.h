// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "api/auth.h"
#include "api/route.h"
#include "http/guard.h"
#include "http/server.h"

namespace jobmill::app {

// Where every HTTP request comes in, from a socket or from a trigger of this process: is it allowed
// here, which route is it, who asks, may he. Runs on the loop thread.
class FrontDoor {
 public:
  FrontDoor(api::ApiContext& context, const api::Authenticator& authenticator);

  void serve(http::Request request, http::Responder responder);

  // Names besides loopback's that a Host header may have: applied Services, and `hosts:`.
  // From any thread.
  void allow_hosts(std::set<std::string, std::less<>> hosts);

  // How long the store may be away until /health/ready says so. Before serve().
  void set_outage_grace(Duration grace) { outage_grace_ = grace; }

  // Whether the listener is reached by this machine only: then Host is checked.
  void set_loopback(bool loopback);

 private:
  Status check_origin(const http::Request& request);
  bool is_public(const http::Request& request) const;
  http::Response health(bool ready) const;

  api::ApiContext& context_;
  const api::Authenticator& authenticator_;
  std::vector<api::Route> routes_;
  std::mutex mutex_;  // guards rules_
  http::GuardRules rules_;
  Duration outage_grace_ = std::chrono::minutes(5);
};

}  // namespace jobmill::app
