// SPDX-License-Identifier: Apache-2.0
#include "manifest/services.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

namespace jobmill::manifest {
namespace {

// Where an object was applied it was also checked; what remains to be said was said then.
template <class Decode>
auto decoded(const Object& object, Decode decode) {
  Problems unused(object.source);
  return decode(object, unused);
}

bool selects(const Texts& selector, const Texts& labels) {
  return !selector.empty() && std::all_of(selector.begin(), selector.end(), [&](const auto& pair) {
    const auto it = labels.find(pair.first);
    return it != labels.end() && it->second == pair.second;
  });
}

std::optional<int> named_target(const Catalog& catalog, const Service& service,
                                const PortRef& port) {
  for (const Object* object : catalog.list("Deployment")) {
    if (object->key.ns != service.key.ns) continue;
    const Deployment deployment = decoded(*object, decode_deployment);
    if (!selects(service.selector, deployment.pod_labels)) continue;
    for (const Container& container : deployment.containers)
      if (const auto number = port_number(port, container)) return number;
  }
  return std::nullopt;
}

std::optional<int> target_of(const Catalog& catalog, const Service& service, const PortRef& port) {
  if (const int* number = std::get_if<int>(&port)) return *number;
  return named_target(catalog, service, port);
}

// JOBRUNR_SERVICE of jobrunr-service
std::string variable_name(std::string_view name) {
  std::string upper(name);
  for (char& c : upper)
    c = c == '-' || c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return upper;
}

}  // namespace

const Object* find_service(const Catalog& catalog, std::string_view host, std::string_view ns) {
  const std::size_t dot = host.find('.');
  const std::string_view name = host.substr(0, dot);
  if (dot == host.npos) return catalog.find("Service", ns, name);

  std::string_view rest = host.substr(dot + 1);
  const std::size_t end = std::min(rest.find('.'), rest.size());
  const std::string_view domain = rest.substr(end);
  if (!domain.empty() && domain != ".svc" && !domain.starts_with(".svc.")) return nullptr;
  return catalog.find("Service", rest.substr(0, end), name);
}

std::vector<ServiceEndpoint> endpoints_of(const Catalog& catalog, const Object& object) {
  const Service service = decoded(object, decode_service);
  std::vector<ServiceEndpoint> endpoints;
  for (const ServicePort& port : service.ports)
    if (const auto target = target_of(catalog, service, port.target_port))
      endpoints.push_back({object.key, port.name, port.port, *target});
  return endpoints;
}

Result<ServiceEndpoint> endpoint_of(const Catalog& catalog, const Object& service, int port) {
  std::string known;
  for (ServiceEndpoint& endpoint : endpoints_of(catalog, service)) {
    if (endpoint.port == port) return std::move(endpoint);
    known += (known.empty() ? "" : ", ") + std::to_string(endpoint.port);
  }
  return fail(Code::NotFound, to_string(service.key) + " leads nowhere by port " +
                                  std::to_string(port) +
                                  "; its ports: " + (known.empty() ? "none" : known));
}

Texts service_variables(const Catalog& catalog, std::string_view ns,
                        const std::function<Address(const ServiceEndpoint&)>& address) {
  Texts variables;
  for (const Object* service : catalog.list("Service")) {
    if (service->key.ns != ns) continue;
    const std::string prefix = variable_name(service->key.name) + "_SERVICE_";
    for (const ServiceEndpoint& endpoint : endpoints_of(catalog, *service)) {
      const Address to = address(endpoint);
      variables.try_emplace(prefix + "HOST", to.host);
      variables.try_emplace(prefix + "PORT", std::to_string(to.port));
      if (!endpoint.port_name.empty())
        variables.try_emplace(prefix + "PORT_" + variable_name(endpoint.port_name),
                              std::to_string(to.port));
    }
  }
  return variables;
}

}  // namespace jobmill::manifest
