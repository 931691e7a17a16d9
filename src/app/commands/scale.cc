// SPDX-License-Identifier: Apache-2.0
#include <array>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/table.h"
#include "http/message.h"

namespace jobmill::app {
namespace {

int explain(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const Reply reply = client->get(fmt::format("/v1/scale/{}?namespace={}",
                                              http::url_encode(arguments.positional.at(0)),
                                              http::url_encode(client->ns())));
  if (!reply) return client->refused(reply);
  if (client->output() != Output::Table)
    return print(client->output(), reply.document, Table({""}),
                 {"scaledobject/" + arguments.positional[0]});
  fmt::print("{}", cell(reply.document, "text"));
  return kOk;
}

}  // namespace

const std::array<Command, 1> kScaleCommands{
    Command{"scale explain",
            "NAME",
            "Why a ScaledObject has its replicas, or a ScaledJob its executions.",
            {},
            true,
            explain},
};

}  // namespace jobmill::app
