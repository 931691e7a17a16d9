// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/atom_xml.h"
#include "api/service_bus_access.h"
#include "base/clock.h"
#include "broker/broker.h"
#include "http/message.h"
#include "http/server.h"

namespace jobmill::api {

// Service Bus' management requests, as its administration clients and KEDA's scaler send them: Atom
// entries at /<queue>, feeds at /$Resources/queues, /$namespaceinfo. Any api-version; parameters
// that are not known are ignored. Belongs to the broker's thread; every answer needs the right
// Manage.
class AtomAdmin {
 public:
  // `scheme`: of the listener, for the links in answers.
  AtomAdmin(broker::Broker& broker, const ServiceBusAccess& access, const Clock& clock,
            std::string name_space, std::string scheme);

  void serve(const http::Request& request, const http::Responder& responder);

 private:
  AtomPlace place(const http::Request& request) const;
  http::Response list(const http::Request& request) const;
  http::Response get(const http::Request& request, const std::string& path) const;
  void put(const http::Request& request, const http::Responder& responder);
  void create(const http::Request& request, const http::Responder& responder);
  void update(const http::Request& request, const http::Responder& responder);
  void remove(const std::string& path, const http::Responder& responder);

  broker::Broker& broker_;
  const ServiceBusAccess& access_;
  const Clock& clock_;
  std::string name_space_;
  std::string scheme_;
  TimePoint started_;
};

}  // namespace jobmill::api
