// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/config.h"
#include "app/serve.h"

namespace jobmill::app {
namespace {

// The emulator's compose files set these for the database that it needs.
void tell_of_ignored_variables() {
  std::string ignored;
  for (const char* name : {"ACCEPT_EULA", "MSSQL_SA_PASSWORD", "SQL_SERVER", "SQL_WAIT_INTERVAL"})
    if (!environment(name).empty()) ignored += (ignored.empty() ? "" : ", ") + std::string(name);
  if (!ignored.empty()) fmt::print(stderr, "jobmill: {}: not needed here, ignored\n", ignored);
}

int serve(const Arguments& arguments) {
  tell_of_ignored_variables();
  return serve_until_signal(arguments);
}

// Where clients of Service Bus find this server, as the connection strings that they take.
void print_connection_strings(const Server& server) {
  const auto bus = server.service_bus();
  if (bus.amqp != "off") fmt::print("\n  Service Bus            {}\n", server.connection_string());
  if (bus.amqps != "off")
    fmt::print("  Service Bus, with TLS  {}\n", server.connection_string(true));
}

// The emulator's key, so that connection strings made for it work unchanged.
void use_emulator_key(ServerOptions& options) {
  if (options.service_bus.key_file.empty()) options.service_bus.key = "SAS_KEY_VALUE";
}

int dev(const Arguments& arguments) {
  const auto ready = [](const Server& server) {
    print_connection_strings(server);
    const std::string url = "http://" + server.http_address();
    fmt::print(
        "\n  API          {0}/v1\n  metrics API  {0}/api/metrics/workers\n\ntry next, in another "
        "terminal:\n",
        url);
    if (url != "http://127.0.0.1:8000") fmt::print("  export JOBMILL_URL={}\n", url);
    fmt::print(
        "  jobmill job enqueue mail.send '[\"bob@example.org\"]' --in 1m\n"
        "  jobmill job list\n  jobmill apply -f k8s/ && jobmill get scaledobjects\n\n");
  };
  tell_of_ignored_variables();
  return serve_until_signal(arguments, ready, use_emulator_key);
}

const std::vector<Flag>& flags() {
  static const std::vector<Flag> all = serve_flags();
  return all;
}

}  // namespace

const std::array<Command, 2> kServeCommands{
    Command{"serve", "", "Run the control server: store, API, autoscaler, local processes.",
            flags(), false, serve},
    Command{"dev", "", "The same for a first look; says what to try next.", flags(), false, dev},
};

}  // namespace jobmill::app
