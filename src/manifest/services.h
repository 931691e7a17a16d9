// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "manifest/catalog.h"
#include "manifest/core_kinds.h"

// Where the names of Services lead to. On one machine they lead to this machine's ports; in a
// cluster to the same Services, so the same manifests run in both.
namespace jobmill::manifest {

// One port of a Service, with the port behind it.
struct ServiceEndpoint {
  ObjectKey service;
  std::string port_name;
  int port = 0;
  int target_port = 0;
};

// The Service that a host names: "name", "name.namespace", "name.namespace.svc…". `ns` is for the
// first form. Null when no such Service is applied.
const Object* find_service(const Catalog& catalog, std::string_view host,
                           std::string_view ns = kDefaultNamespace);

// All ports of a Service. A targetPort that is a name is looked up in the Deployment that the
// Service selects; a port whose name cannot be found there is left out.
std::vector<ServiceEndpoint> endpoints_of(const Catalog& catalog, const Object& service);

// The endpoint behind one port. NotFound names the ports that there are.
Result<ServiceEndpoint> endpoint_of(const Catalog& catalog, const Object& service, int port);

struct Address {
  std::string host = "127.0.0.1";
  int port = 0;
};

// The variables that Kubernetes sets for each Service of a namespace: <NAME>_SERVICE_HOST,
// <NAME>_SERVICE_PORT of its first port and <NAME>_SERVICE_PORT_<PORT> of those with a name.
// `address` says where an endpoint leads from here.
Texts service_variables(const Catalog& catalog, std::string_view ns,
                        const std::function<Address(const ServiceEndpoint&)>& address);

}  // namespace jobmill::manifest
