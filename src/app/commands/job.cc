// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/table.h"
#include "base/duration.h"
#include "http/message.h"

namespace jobmill::app {
namespace {

// A flag that must be a whole number. Complains and answers none when it is not.
std::optional<std::int64_t> whole(const Arguments& arguments, std::string_view flag) {
  const std::string text = arguments.get(flag);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  complain(kUsage, fmt::format("--{} takes a whole number, not '{}'", flag, text));
  return std::nullopt;
}

std::optional<Node> spec_of(const Arguments& arguments) {
  Node spec = Node::object();
  spec.set("kind", Node::string(arguments.positional.at(0)));
  if (arguments.positional.size() > 1) {
    auto parsed = parse_json(arguments.positional[1]);
    if (!parsed || (!parsed->is_array() && !parsed->is_object())) {
      complain(kUsage, "ARGS must be a JSON array or object" +
                           (parsed ? std::string() : " (" + parsed.error().message + ")"));
      return std::nullopt;
    }
    const bool named = parsed->is_object();
    spec.set(named ? "named" : "args", *std::move(parsed));
  }
  if (arguments.has("queue")) spec.set("queue", Node::string(arguments.get("queue")));
  if (arguments.has("id")) spec.set("id", Node::string(arguments.get("id")));
  for (const char* flag : {"priority", "retries", "count"}) {
    if (!arguments.has(flag)) continue;
    const auto value = whole(arguments, flag);
    if (!value) return std::nullopt;
    spec.set(flag, Node::integer(*value));
  }
  for (const std::string& label : arguments.all("label")) {
    Node* labels = spec.find("labels");
    (labels != nullptr ? *labels : spec.set("labels", Node::array())).push(Node::string(label));
  }
  if (arguments.has("in")) {
    const auto delay = parse_duration(arguments.get("in"));
    if (!delay) {
      complain(kUsage, "--in: " + delay.error().message);
      return std::nullopt;
    }
    spec.set("delay", Node::string(format_iso(*delay)));
  }
  if (arguments.has("at")) spec.set("run_at", Node::string(arguments.get("at")));
  return spec;
}

int enqueue(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const auto spec = spec_of(arguments);
  if (!spec) return kUsage;
  const Reply reply = client->post("/v1/jobs", *spec);
  if (!reply) return client->refused(reply);

  Table table({"ID"});
  std::vector<std::string> names;
  Node one = Node::array();
  const Node* jobs = reply.document.find("jobs");
  if (jobs == nullptr) {
    one.push(reply.document);
    jobs = &one;
  }
  for (const Node& job : jobs->items)
    names.push_back(cell(job, "id").empty() ? job.text : cell(job, "id"));
  if (client->output() == Output::Table) {  // ids alone, so that a script can take them
    for (const std::string& id : names) fmt::print("{}\n", id);
    return kOk;
  }
  return print(client->output(), reply.document, table, names);
}

Table job_table(const Node& items) {
  Table table({"ID", "STATE", "KIND", "QUEUE", "ATTEMPT", "NAME", "AGE"});
  for (const Node& job : items.items)
    table.row({cell(job, "id"), cell(job, "state"), cell(job, "kind"), cell(job, "queue"),
               cell(job, "attempt") + "/" + cell(job, "max_attempts"), cell(job, "name"),
               age_of(job, "created_at")});
  return table;
}

int list(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  std::string query;
  for (const char* flag : {"state", "queue", "limit", "after"})
    if (arguments.has(flag))
      query += fmt::format("{}{}={}", query.empty() ? "?" : "&", flag,
                           http::url_encode(arguments.get(flag)));
  const Reply reply = client->get("/v1/jobs" + query);
  if (!reply) return client->refused(reply);
  const Node* items = reply.document.find("items");
  if (items == nullptr)
    return complain(kFailed,
                    "the server's list has no items; are client and server of one version?");
  std::vector<std::string> names;
  for (const Node& job : items->items) names.push_back("job/" + cell(job, "id"));
  print(client->output(), reply.document, job_table(*items), names);
  if (const std::string next = cell(reply.document, "next");
      !next.empty() && client->output() == Output::Table)
    fmt::print(stderr, "more: --after {}\n", next);
  return kOk;
}

std::string event_line(const Node& event) {
  std::string line = fmt::format("  {:<24} {:<11}", cell(event, "createdAt"), cell(event, "state"));
  for (const Node::Member& member : event.members)
    if (member.key != "state" && member.key != "createdAt" && !member.value.is_null())
      line +=
          fmt::format(" {}={}", member.key,
                      member.value.is_object() || member.value.is_array() ? to_json(member.value)
                                                                          : member.value.text);
  return line;
}

int show(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const Reply reply =
      client->get("/v1/jobs/" + http::url_encode(arguments.positional.at(0)) + "?history=1");
  if (!reply) return client->refused(reply);
  if (client->output() != Output::Table)
    return print(client->output(), reply.document, Table({""}),
                 {"job/" + cell(reply.document, "id")});
  for (const Node::Member& member : reply.document.members)
    if (member.key != "history" && !member.value.is_null())
      fmt::print("{:<13} {}\n", member.key + ":", cell(reply.document, member.key));
  fmt::print("history:\n");
  if (const Node* history = reply.document.find("history"); history != nullptr)
    for (const Node& event : history->items) fmt::print("{}\n", event_line(event));
  return kOk;
}

// The same request for each id; the first refusal decides the exit code, the others still run.
template <class Send>
int for_each_id(const Arguments& arguments, std::string_view done, Send send) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  int exit = kOk;
  for (const std::string& id : arguments.positional) {
    const Reply reply = send(*client, "/v1/jobs/" + http::url_encode(id));
    if (reply)
      fmt::print("job/{} {}\n", id, done);
    else if (const int code = client->refused(reply); exit == kOk)
      exit = code;
  }
  return exit;
}

int requeue(const Arguments& arguments) {
  return for_each_id(arguments, "requeued", [](ApiClient& client, const std::string& path) {
    return client.post(path + "/requeue", Node::object());
  });
}

int remove(const Arguments& arguments) {
  return for_each_id(arguments, "deleted", [](ApiClient& client, const std::string& path) {
    return client.remove(path);
  });
}

bool ended(const std::string& state) {
  return state == "SUCCEEDED" || state == "FAILED" || state == "DELETED";
}

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

// The state in which a job has ended; empty: the time is up. Each read is held by the server until
// the job has another event, or 25 s passed.
std::string wait_for_end(ApiClient& client, const std::string& id, const Deadline& deadline,
                         Reply& reply) {
  constexpr std::chrono::seconds kLongest{25};
  std::string etag;
  for (auto wait = kLongest;;) {
    reply = client.get_changed("/v1/jobs/" + http::url_encode(id), etag, wait);
    if (!reply) return "";
    if (const std::string state = cell(reply.document, "state"); ended(state)) return state;
    if (!deadline) continue;
    const auto left = *deadline - std::chrono::steady_clock::now();
    if (left <= std::chrono::seconds(0)) return "";
    wait = std::min(kLongest, std::chrono::ceil<std::chrono::seconds>(left));
  }
}

int wait(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  Deadline deadline;
  if (arguments.has("timeout")) {
    const auto limit = parse_duration(arguments.get("timeout"));
    if (!limit) return complain(kUsage, "--timeout: " + limit.error().message);
    deadline = std::chrono::steady_clock::now() + *limit;
  }
  int exit = kOk;
  for (const std::string& id : arguments.positional) {
    Reply reply;
    const std::string state = wait_for_end(*client, id, deadline, reply);
    if (!reply) return client->refused(reply);
    if (state.empty())
      return complain(
          kTemporary,
          fmt::format("job {} has not ended (time is up); wait longer with --timeout", id));
    fmt::print("job/{} {}\n", id, state);
    if (state != "SUCCEEDED") exit = kFailed;
  }
  return exit;
}

constexpr std::array kEnqueueFlags{
    Flag{"--queue", "Q", "queue (default: default)"},
    Flag{"--priority", "N", "0..9, higher first within its queue"},
    Flag{"--in", "DURATION", "run after this time: PT5M, 30s"},
    Flag{"--at", "TIME", "run at this instant (RFC 3339)"},
    Flag{"--id", "ID", "its id: repeating it makes no second job"},
    Flag{"--label", "L…", "a label; at most three"},
    Flag{"--retries", "N", "how often to retry when it fails"},
    Flag{"--count", "N", "that many jobs; {i} in strings is the index"},
};
constexpr std::array kListFlags{
    Flag{"--state", "STATE", "scheduled, enqueued, processing, succeeded, failed, deleted"},
    Flag{"--queue", "Q", "only this queue"},
    Flag{"--limit", "N", "at most this many (20)"},
    Flag{"--after", "CURSOR", "the page after this one"},
};
constexpr std::array kWaitFlags{Flag{"--timeout", "DURATION", "give up after this time (exit 75)"}};

}  // namespace

const std::array<Command, 6> kJobCommands{
    Command{"job enqueue", "KIND [ARGS-JSON]", "Enqueue a job; prints its id.", kEnqueueFlags, true,
            enqueue},
    Command{"job list", "", "List jobs, newest first.", kListFlags, true, list},
    Command{"job show", "ID", "Show a job and its history.", {}, true, show},
    Command{"job requeue", "ID…", "Run jobs again.", {}, true, requeue},
    Command{"job delete", "ID…", "Delete jobs; running ones are cancelled.", {}, true, remove},
    Command{"job wait", "ID…", "Wait until jobs have ended (exit 0: all succeeded).", kWaitFlags,
            true, wait},
};

}  // namespace jobmill::app
