// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/config.h"
#include "app/serve.h"

namespace jobmill::app {
namespace {

int serve(const Arguments& arguments) { return serve_until_signal(arguments, {}); }

int dev(const Arguments& arguments) {
  return serve_until_signal(arguments, [](const Server& server) {
    const std::string url = "http://" + server.http_address();
    fmt::print(
        "\n  API          {0}/v1\n  metrics API  {0}/api/metrics/workers\n\ntry next, in another "
        "terminal:\n",
        url);
    if (url != "http://127.0.0.1:8000") fmt::print("  export JOBMILL_URL={}\n", url);
    fmt::print(
        "  jobmill job enqueue mail.send '[\"bob@example.org\"]' --in 1m\n"
        "  jobmill job list\n  jobmill apply -f k8s/ && jobmill get scaledobjects\n\n");
  });
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
