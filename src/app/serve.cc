// SPDX-License-Identifier: Apache-2.0
#include "app/serve.h"

#include <cstdio>
#include <memory>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/config.h"
#include "app/notify.h"
#include "app/signals.h"
#include "jobmill/jobs.h"

namespace jobmill::app {
namespace {

// SIGHUP: what cannot be read leaves everything as it was.
void reload(Server& server, const Arguments& arguments) {
  auto options = server_options(arguments, environment);
  if (options)
    server.reload(*std::move(options));
  else
    complain(kConfiguration, options.error().message);
}

void print_ready(const Server& server) {
  const auto bus = server.service_bus();
  fmt::print("jobmill ready http={} amqp={} amqps={} admin={} admin-http={} identity={}{}\n",
             server.http_address(), bus.amqp, bus.amqps, bus.admin, bus.admin_http,
             server.identity_address(),
             bus.websocket == "off" ? "" : " websocket=" + bus.websocket);
  std::fflush(stdout);
}

}  // namespace

int exit_of(std::string_view code) {
  if (code == "data_in_use") return kDataInUse;
  if (code == "configuration" || code == "not_implemented" || code == "not_found")
    return kConfiguration;
  if (code == "forbidden" || code == "unauthenticated") return kPermission;
  if (code == "storage_unavailable" || code == "timeout") return kTemporary;
  if (code == "invalid_argument") return kBadInput;
  return kFailed;
}

int serve_until_signal(const Arguments& arguments, const std::function<void(const Server&)>& ready,
                       const std::function<void(ServerOptions&)>& prepare) {
  auto options = server_options(arguments, environment);
  if (!options) return complain(kConfiguration, options.error().message);
  if (prepare) prepare(*options);
  try {
    Server server(*options);
    Signals signals([&] { reload(server, arguments); });
    print_ready(server);
    if (ready) ready(server);
    std::fflush(stdout);
    notify_supervisor("READY=1");
    server.run(signals.token());
    return kOk;
  } catch (const jobmill::Error& error) {
    return complain(exit_of(error.code), error.what());
  }
}

}  // namespace jobmill::app
