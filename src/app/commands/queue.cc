// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/commands/each.h"
#include "app/table.h"

namespace jobmill::app {
namespace {

// The list is the document itself, or its member `items`.
const Node& items_of(const Node& document) {
  const Node* items = document.find("items");
  return items != nullptr ? *items : document;
}

int queues(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const Reply reply = client->get("/v1/queues");
  if (!reply) return client->refused(reply);
  Table table({"QUEUE", "ENQUEUED", "SCHEDULED", "PROCESSING", "OLDEST", "PAUSED"});
  std::vector<std::string> names;
  for (const Node& queue : items_of(reply.document).items) {
    const std::string oldest = cell(queue, "oldestMs");
    table.row({cell(queue, "queue"), cell(queue, "enqueued"), cell(queue, "scheduled"),
               cell(queue, "processing"), oldest.empty() || oldest == "0" ? "-" : oldest + " ms",
               cell(queue, "paused")});
    names.push_back("queue/" + cell(queue, "queue"));
  }
  return print(client->output(), reply.document, table, names);
}

int servers(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const Reply reply = client->get("/v1/workers");
  if (!reply) return client->refused(reply);
  Table table({"ID", "NAME", "STATE", "SLOTS", "BUSY", "QUEUES", "VERSION", "AGE"});
  std::vector<std::string> names;
  for (const Node& worker : items_of(reply.document).items) {
    const std::string only = cell(worker, "queues");
    table.row({cell(worker, "id"), cell(worker, "name"), cell(worker, "state"),
               cell(worker, "workerPoolSize"), cell(worker, "occupiedWorkers"),
               only.empty() ? "*" : only, cell(worker, "version"),
               age_of(worker, "firstHeartbeat")});
    names.push_back("server/" + cell(worker, "id"));
  }
  if (table.empty() && client->output() == Output::Table) {
    fmt::print(stderr, "no workers are registered now\n");
    return kOk;
  }
  return print(client->output(), reply.document, table, names);
}

int pause(const Arguments& arguments) {
  return for_each(arguments, {"queue", "/v1/queues/", "paused", posting("/pause")});
}

int resume(const Arguments& arguments) {
  return for_each(arguments, {"queue", "/v1/queues/", "resumed", posting("/resume")});
}

int quiet(const Arguments& arguments) {
  return for_each(arguments, {"server", "/api/servers/", "quiet", posting("/quiet")});
}

int resume_server(const Arguments& arguments) {
  return for_each(arguments, {"server", "/api/servers/", "resumed", posting("/resume")});
}

int stop(const Arguments& arguments) {
  return for_each(arguments, {"server", "/api/servers/", "stopping", posting("/drain")});
}

}  // namespace

const std::array<Command, 7> kQueueCommands{
    Command{"queue list", "", "List the queues with their depths.", {}, true, queues},
    Command{"queue pause", "NAME…", "Let nobody take jobs from queues.", {}, true, pause},
    Command{"queue resume", "NAME…", "Let workers take from them again.", {}, true, resume},
    Command{"server list", "", "List the workers that are registered now.", {}, true, servers},
    Command{"server quiet", "ID…", "Let workers take no further jobs.", {}, true, quiet},
    Command{"server resume", "ID…", "Let them take jobs again.", {}, true, resume_server},
    Command{"server stop", "ID…", "Let workers end when their jobs have.", {}, true, stop},
};

}  // namespace jobmill::app
