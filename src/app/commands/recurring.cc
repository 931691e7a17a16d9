// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/commands/each.h"
#include "app/job_spec.h"
#include "app/table.h"
#include "base/duration.h"
#include "http/message.h"

namespace jobmill::app {
namespace {

std::string recurring_name(const std::string& id) { return "recurring/" + id; }

std::string path_of(const std::string& id) { return "/v1/recurring/" + http::url_encode(id); }

// --- create -------------------------------------------------------------------------------------

// Of --cron and --every one must be there. An interval may be written as the command line has it.
std::optional<std::string> schedule_of(const ApiClient& client, const Arguments& arguments,
                                       int& exit) {
  if (arguments.has("cron") == arguments.has("every")) {
    exit = client.complain(kUsage, "a recurring job needs --cron EXPRESSION or --every DURATION");
    return std::nullopt;
  }
  if (arguments.has("cron")) return arguments.get("cron");
  const auto every = duration(client, arguments, "every", exit);
  return every ? std::optional(format_iso(*every)) : std::nullopt;
}

// "within=15m" as the API has it: "within=PT15M".
std::string missed_of(const std::string& text) {
  constexpr std::string_view kWithin = "within=";
  if (!text.starts_with(kWithin)) return text;
  const auto limit = parse_duration(text.substr(kWithin.size()));
  return limit ? std::string(kWithin) + format_iso(*limit) : text;
}

int create(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  int exit = kOk;
  const auto schedule = schedule_of(*client, arguments, exit);
  if (!schedule) return exit;
  auto spec = job_spec(*client, arguments, 1, exit);
  if (!spec) return exit;
  if (arguments.has("name")) spec->set("name", Node::string(arguments.get("name")));
  Node body = Node::object();
  body.set("schedule", Node::string(*schedule));
  if (arguments.has("zone")) body.set("zone", Node::string(arguments.get("zone")));
  if (arguments.has("dst")) body.set("dst", Node::string(arguments.get("dst")));
  if (arguments.has("misfire"))
    body.set("missed", Node::string(missed_of(arguments.get("misfire"))));
  body.set("spec", *std::move(spec));
  const std::string& id = arguments.positional.at(0);
  const Reply reply = client->put(path_of(id), body);
  if (!reply) return client->refused(reply);
  if (client->output() != Output::Table)
    return print(client->output(), reply.document, Table({""}), {recurring_name(id)});
  fmt::print("{} next run {}\n", recurring_name(id), cell(reply.document, "nextRun"));
  return kOk;
}

// --- reading ------------------------------------------------------------------------------------

std::string kind_of(const Node& recurring) {
  const Node* spec = recurring.find("spec");
  return spec != nullptr ? cell(*spec, "kind") : "";
}

int list(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const Reply reply = client->get("/v1/recurring");
  if (!reply) return client->refused(reply);
  const Node* items = reply.document.find("items");
  Table table({"ID", "KIND", "SCHEDULE", "ZONE", "NEXT RUN", "LAST RUN", "SKIPPED"});
  std::vector<std::string> names;
  for (const Node& one : (items != nullptr ? *items : reply.document).items) {
    table.row({cell(one, "id"), kind_of(one), cell(one, "scheduleExpression"), cell(one, "zoneId"),
               cell(one, "paused") == "true" ? "paused" : cell(one, "nextRun"),
               cell(one, "lastRun"), cell(one, "skippedRuns")});
    names.push_back(recurring_name(cell(one, "id")));
  }
  return print(client->output(), reply.document, table, names);
}

int show(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const std::string& id = arguments.positional.at(0);
  const Reply reply = client->get(path_of(id));
  if (!reply) return client->refused(reply);
  if (client->output() != Output::Table)
    return print(client->output(), reply.document, Table({""}), {recurring_name(id)});
  for (const Node::Member& member : reply.document.members)
    fmt::print("{:<20} {}\n", member.key + ":",
               member.value.is_object() ? to_json(member.value) : cell(reply.document, member.key));
  return kOk;
}

// --- next ---------------------------------------------------------------------------------------

int next(const Arguments& arguments) {
  constexpr std::int64_t kDefault = 20;
  constexpr std::int64_t kMost = 1000;
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  int exit = kOk;
  std::int64_t count = kDefault;
  if (arguments.has("count")) {
    const auto wanted = whole_number(*client, arguments, "count", exit);
    if (!wanted) return exit;
    if (*wanted < 1 || *wanted > kMost)
      return client->complain(kUsage, fmt::format("--count is from 1 to {}", kMost));
    count = *wanted;
  }
  const std::string& id = arguments.positional.at(0);
  const Reply reply = client->get(fmt::format("{}/preview?n={}", path_of(id), count));
  if (!reply) return client->refused(reply);
  Table table({"UTC", "LOCAL", "NOTE"});
  if (const Node* runs = reply.document.find("next"))
    for (const Node& run : runs->items)
      table.row({cell(run, "utc"), cell(run, "local"), cell(run, "note")});
  return print(client->output(), reply.document, table, {recurring_name(id)});
}

// --- changes ------------------------------------------------------------------------------------

int trigger(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const Reply reply =
      client->post(path_of(arguments.positional.at(0)) + "/trigger", Node::object());
  if (!reply) return client->refused(reply);
  const std::string job = cell(reply.document, "id");
  if (client->output() != Output::Table)
    return print(client->output(), reply.document, Table({""}), {"job/" + job});
  fmt::print("{}\n", job);
  return kOk;
}

constexpr std::string_view kPath = "/v1/recurring/";

int remove(const Arguments& arguments) {
  return for_each(arguments,
                  {"recurring", kPath, "deleted",
                   [](ApiClient& client, const std::string& path) { return client.remove(path); }});
}

int pause(const Arguments& arguments) {
  return for_each(arguments, {"recurring", kPath, "paused", posting("/pause")});
}

int resume(const Arguments& arguments) {
  return for_each(arguments, {"recurring", kPath, "resumed", posting("/resume")});
}

constexpr std::array kCreateFlags{
    Flag{"--cron", "EXPRESSION", "when it runs: '0 2 * * *'"},
    Flag{"--every", "DURATION", "or at which interval: PT1M, 90s"},
    Flag{"--zone", "ZONE", "whose clocks the expression means (UTC)"},
    Flag{"--dst", "POLICY", "when clocks change: real-time (default) or java-shift"},
    Flag{"--misfire", "RULE", "of missed runs: skip, once (default), all or within=PT15M"},
    Flag{"--queue", "Q", "queue of its jobs (default: default)"},
    Flag{"--priority", "N", "0..9, higher first within its queue"},
    Flag{"--label", "L…", "a label; at most three"},
    Flag{"--name", "NAME", "of its jobs, for people"},
    Flag{"--retries", "N", "how often to retry when it fails"},
    Flag{"--timeout", "DURATION", "of each attempt"},
};
constexpr std::array kNextFlags{Flag{"-n,--count", "N", "how many (20)"}};

}  // namespace

const std::array<Command, 8> kRecurringCommands{
    Command{"recurring create", "ID KIND [ARGS-JSON]", "Create a recurring job, or change it.",
            kCreateFlags, true, create},
    Command{"recurring list", "", "List the recurring jobs.", {}, true, list},
    Command{"recurring show", "ID", "Show one, with what became of its runs.", {}, true, show},
    Command{"recurring next", "ID", "Print when it runs next, in UTC and in its zone.", kNextFlags,
            true, next},
    Command{"recurring trigger", "ID", "Run it now; prints the job's id.", {}, true, trigger},
    Command{"recurring pause", "ID…", "Make no further runs of them.", {}, true, pause},
    Command{"recurring resume", "ID…", "Make runs of them again.", {}, true, resume},
    Command{"recurring delete", "ID…", "Delete recurring jobs.", {}, true, remove},
};

}  // namespace jobmill::app
