// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "app/front_door.h"
#include "http/client.h"
#include "manifest/catalog.h"
#include "manifest/services.h"
#include "net/event_loop.h"

namespace jobmill::app {

// Where the names of Services lead from here: --service NAME[:PORT]=ADDR, else 127.0.0.1 and the
// targetPort. Used on the control thread, whose catalog it reads.
class ServiceMap {
 public:
  ServiceMap(const manifest::Catalog& catalog,
             const std::vector<std::pair<std::string, std::string>>& given);

  manifest::Address address(const manifest::ServiceEndpoint& endpoint) const;

  // "host:port" of a URL's authority -> where to connect; none: it names no Service.
  std::optional<std::string> resolve(const std::string& host, int port) const;

 private:
  std::optional<std::string> given(const std::string& host, int port) const;

  const manifest::Catalog& catalog_;
  std::map<std::string, std::string, std::less<>> given_;  // "name" or "name:port" -> "host:port"
};

// Sends the requests of triggers. A URL that leads to this server's own address is answered by the
// front door without a socket: same credentials check, same answer, same waiting.
class TriggerFetch {
 public:
  using Done = std::function<void(http::ClientResult)>;

  TriggerFetch(net::EventLoop& control, net::EventLoop& loop, const ServiceMap& services,
               FrontDoor& door, http::Client& client)
      : control_(control), loop_(loop), services_(services), door_(door), client_(client) {}

  void own_address(std::string address) { own_ = std::move(address); }
  void send(http::ClientRequest request, Done done);  // from any thread
  // Path and query of a URL that leads to this server; on the control thread.
  std::optional<std::string> own_target(const std::string& url) const;

 private:
  void route(http::ClientRequest request, Done done);
  void call_own(const http::ClientRequest& request, std::string host, std::string target,
                Done done);

  net::EventLoop& control_;
  net::EventLoop& loop_;
  const ServiceMap& services_;
  FrontDoor& door_;
  http::Client& client_;
  std::string own_;
};

}  // namespace jobmill::app
