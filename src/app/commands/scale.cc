// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/table.h"
#include "base/duration.h"
#include "base/time_or_ago.h"
#include "http/message.h"

namespace jobmill::app {
namespace {

constexpr int kPage = 500;  // the most that one request gives

int usage(const std::string& text) {
  fmt::print(stderr, "jobmill: {}\n", text);
  return kUsage;
}

// The path of a target: a name, in the namespace of --namespace.
std::string path_of(const ApiClient& client, const Arguments& arguments, std::string_view what) {
  const std::string& name = arguments.positional.at(0);
  const bool full = name.find('/') != std::string::npos;
  return fmt::format("/api/autoscaling/{}{}",
                     http::url_encode(full ? name : client.ns() + "/" + name), what);
}

// --- why ----------------------------------------------------------------------------------------

int explain_now(ApiClient& client, const Arguments& arguments) {
  const std::string& name = arguments.positional.at(0);
  const Reply reply = client.get(fmt::format("/v1/scale/{}?namespace={}", http::url_encode(name),
                                             http::url_encode(client.ns())));
  if (!reply) return client.refused(reply);
  if (client.output() != Output::Table)
    return print(client.output(), reply.document, Table({""}), {"scaledobject/" + name});
  fmt::print("{}", cell(reply.document, "text"));
  return kOk;
}

// What the ledger says of a time.
int explain_then(ApiClient& client, const Arguments& arguments) {
  const auto at = time_or_ago(arguments.get("at", "0s"), SystemClock().now());
  if (!at) return usage("--at: " + at.error().message);
  const Reply reply = client.get(
      path_of(client, arguments, "/why-not?at=" + http::url_encode(format_instant(*at))));
  if (!reply) return client.refused(reply);
  if (client.output() != Output::Table)
    return print(client.output(), reply.document, Table({""}), {arguments.positional.at(0)});
  const std::string text = cell(reply.document, "text");
  if (arguments.has("why-not") || text.empty())
    fmt::print("{}: {}\n", cell(reply.document, "rule"), cell(reply.document, "sentence"));
  else
    fmt::print("{}", text);
  return kOk;
}

int explain(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const bool then = arguments.has("at") || arguments.has("why-not");
  return then ? explain_then(*client, arguments) : explain_now(*client, arguments);
}

// --- history ------------------------------------------------------------------------------------

int number_of(const std::string& text) {
  int number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : -1;
}

// The parts of the query that stay from page to page; an error is printed.
std::optional<std::string> history_query(const Arguments& arguments) {
  std::string query;
  for (const char* bound : {"since", "until"}) {
    if (!arguments.has(bound)) continue;
    const auto at = time_or_ago(arguments.get(bound), SystemClock().now());
    if (!at) {
      usage(fmt::format("--{}: {}", bound, at.error().message));
      return std::nullopt;
    }
    query += fmt::format("&{}={}", std::string_view(bound) == "since" ? "from" : "to",
                         http::url_encode(format_instant(*at)));
  }
  return query;
}

int history(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const int limit = number_of(arguments.get("limit", "20"));
  if (limit < 1) return usage("--limit: expected a number above 0");
  const auto query = history_query(arguments);
  if (!query) return kUsage;

  Node items = Node::array();
  std::string before;
  do {
    const int left = limit - static_cast<int>(items.items.size());
    const std::string page = fmt::format("/decisions?limit={}{}{}", std::min(left, kPage), *query,
                                         before.empty() ? "" : "&before=" + before);
    const Reply reply = client->get(path_of(*client, arguments, page));
    if (!reply) return client->refused(reply);
    if (const Node* found = reply.document.find("items"))
      for (const Node& item : found->items) items.push(item);
    before = http::url_encode(cell(reply.document, "next"));
  } while (!before.empty() && static_cast<int>(items.items.size()) < limit);

  Table table({"AT", "KIND", "FROM", "TO", "RULE", "TIMES", "WHY"});
  std::vector<std::string> names;
  for (const Node& one : items.items) {
    const Node* repeated = one.find("repeated");
    const std::int64_t times = 1 + (repeated != nullptr ? repeated->as_int().value_or(0) : 0);
    table.row({cell(one, "at"), cell(one, "kind"), cell(one, "from"), cell(one, "to"),
               cell(one, "limitingRule"), std::to_string(times), cell(one, "sentence")});
    names.push_back("decision/" + cell(one, "id"));
  }
  if (table.empty() && client->output() == Output::Table) {
    fmt::print(stderr, "nothing was decided yet\n");
    return kOk;
  }
  return print(client->output(), items, table, names);
}

// --- a hand on the wheel ------------------------------------------------------------------------

int change(const Arguments& arguments, std::string_view what, const std::string& replicas) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  Node body = Node::object();
  if (!replicas.empty()) {
    if (number_of(replicas) < 0) return usage("'" + replicas + "' is no number of replicas");
    body.set("replicas", Node::integer(number_of(replicas)));
  }
  const Reply reply = client->post(path_of(*client, arguments, "/" + std::string(what)), body);
  return reply ? kOk : client->refused(reply);
}

int pause(const Arguments& arguments) {
  return change(arguments, "pause", arguments.get("replicas"));
}

int resume(const Arguments& arguments) { return change(arguments, "resume", {}); }

int set(const Arguments& arguments) { return change(arguments, "set", arguments.positional.at(1)); }

constexpr std::array kExplainFlags{
    Flag{"--at", "TIME", "Then: 2026-01-31T10:00:00Z, or how long ago: 10m."},
    Flag{"--why-not", "", "Only the rule that held the number."}};
constexpr std::array kHistoryFlags{Flag{"--since", "TIME", "From this time on; also how long ago."},
                                   Flag{"--until", "TIME", "Before this time."},
                                   Flag{"--limit", "N", "At most so many (20)."}};
constexpr std::array kPauseFlags{Flag{"--replicas", "N", "At this number; a ScaledObject only."}};

}  // namespace

const std::array<Command, 5> kScaleCommands{
    Command{"scale explain", "NAME",
            "Why a ScaledObject has its replicas, or a ScaledJob its executions.", kExplainFlags,
            true, explain},
    Command{"scale history", "NAME", "What was decided, newest first.", kHistoryFlags, true,
            history},
    Command{"scale pause", "NAME", "Let a target stand still.", kPauseFlags, true, pause},
    Command{"scale resume", "NAME", "Let its triggers decide again.", {}, true, resume},
    Command{"scale set",
            "NAME REPLICAS",
            "Set the number of a ScaledObject once, within its bounds.",
            {},
            true,
            set},
};

}  // namespace jobmill::app
