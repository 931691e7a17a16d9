// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

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

std::optional<Node> spec_of(const ApiClient& client, const Arguments& arguments, int& exit) {
  auto spec = job_spec(client, arguments, 0, exit);
  if (!spec) return std::nullopt;
  if (arguments.has("id")) spec->set("id", Node::string(arguments.get("id")));
  if (arguments.has("at")) spec->set("run_at", Node::string(arguments.get("at")));
  if (arguments.has("count")) {
    const auto count = whole_number(client, arguments, "count", exit);
    if (!count) return std::nullopt;
    spec->set("count", Node::integer(*count));
  }
  if (arguments.has("in")) {
    const auto delay = duration(client, arguments, "in", exit);
    if (!delay) return std::nullopt;
    spec->set("delay", Node::string(format_iso(*delay)));
  }
  return spec;
}

std::string job_name(const std::string& id) { return "job/" + id; }

int enqueue(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  int exit = kOk;
  const auto spec = spec_of(*client, arguments, exit);
  if (!spec) return exit;
  const Reply reply = client->post("/v1/jobs", *spec);
  if (!reply) return client->refused(reply);

  const Node* jobs = reply.document.find("jobs");
  Node one = Node::array();
  if (jobs == nullptr) one.push(reply.document);
  std::vector<std::string> names;
  for (const Node& job : (jobs != nullptr ? *jobs : one).items) {
    if (client->output() == Output::Table)  // ids alone, so that a script can take them
      fmt::print("{}\n", cell(job, "id"));
    names.push_back(job_name(cell(job, "id")));
  }
  if (client->output() == Output::Table) return kOk;
  return print(client->output(), reply.document, Table({""}), names);
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
    return client->complain(
        kFailed, "the server's list has no items; are client and server of one version?");
  std::vector<std::string> names;
  for (const Node& job : items->items) names.push_back(job_name(cell(job, "id")));
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
                 {job_name(cell(reply.document, "id"))});
  for (const Node::Member& member : reply.document.members)
    if (member.key != "history" && !member.value.is_null())
      fmt::print("{:<13} {}\n", member.key + ":", cell(reply.document, member.key));
  fmt::print("history:\n");
  if (const Node* history = reply.document.find("history"); history != nullptr)
    for (const Node& event : history->items) fmt::print("{}\n", event_line(event));
  return kOk;
}

int for_each_job(const Arguments& arguments, std::string_view change,
                 std::function<Reply(ApiClient&, const std::string&)> send) {
  return for_each(arguments, {"job", "/v1/jobs/", change, std::move(send)});
}

int requeue(const Arguments& arguments) {
  return for_each_job(arguments, "requeued", posting("/requeue"));
}

int remove(const Arguments& arguments) {
  return for_each_job(arguments, "deleted", [](ApiClient& client, const std::string& path) {
    return client.remove(path);
  });
}

// The same, said by whoever does not want the job to run; history has the reason.
int cancel(const Arguments& arguments) {
  Node body = Node::object();
  body.set("reason", Node::string(arguments.get("reason", "cancelled")));
  return for_each_job(arguments, "cancelled", [&](ApiClient& client, const std::string& path) {
    return client.remove(path, body);
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

int wait_for_all(ApiClient& client, const Arguments& arguments, const Deadline& deadline,
                 Outcome& outcome) {
  int exit = kOk;
  for (const std::string& id : arguments.positional) {
    Reply reply;
    const std::string state = wait_for_end(client, id, deadline, reply);
    if (!reply) return client.refused(reply);
    if (state.empty())
      return client.complain(
          kTemporary,
          fmt::format("job {} has not ended (time is up); wait longer with --timeout", id));
    outcome.add(id, state, std::move(reply.document));
    if (state != "SUCCEEDED") exit = kFailed;
  }
  return exit;
}

int wait(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  Deadline deadline;
  if (arguments.has("timeout")) {
    int exit = kOk;
    const auto limit = duration(*client, arguments, "timeout", exit);
    if (!limit) return exit;
    deadline = std::chrono::steady_clock::now() + *limit;
  }
  Outcome outcome("job", client->output());
  const int exit = wait_for_all(*client, arguments, deadline, outcome);
  outcome.print();
  return exit;
}

// --- what a run tells ---------------------------------------------------------------------------

void print_lines(const Node& log) {
  if (const Node* lines = log.find("lines"); lines != nullptr)
    for (const Node& line : lines->items)
      fmt::print("{} {:<5} {}\n", cell(line, "at"), cell(line, "level"), cell(line, "text"));
  std::fflush(stdout);
}

// Lines come with the beats of the job's worker; none are missed between the last read and the end.
int follow(ApiClient& client, const std::string& path, const std::string& attempt) {
  constexpr std::chrono::seconds kPause{1};
  std::string etag;
  std::string after = "0";
  for (bool over = false;;) {
    const Reply log = client.get(fmt::format("{}/logs?after={}{}", path, after, attempt));
    if (!log) return client.refused(log);
    print_lines(log.document);
    after = cell(log.document, "next");
    if (over) return kOk;
    const Reply job = client.get_changed(path, etag, kPause);
    if (!job) return client.refused(job);
    over = ended(cell(job.document, "state"));
  }
}

int logs(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  int exit = kOk;
  std::string attempt;
  if (arguments.has("attempt")) {
    const auto number = whole_number(*client, arguments, "attempt", exit);
    if (!number) return exit;
    attempt = fmt::format("&attempt={}", *number);
  }
  const std::string path = "/v1/jobs/" + http::url_encode(arguments.positional.at(0));
  if (arguments.has("follow")) return follow(*client, path, attempt);
  const Reply reply = client->get(path + "/logs?after=0" + attempt);
  if (!reply) return client->refused(reply);
  if (client->output() != Output::Table)
    return print(client->output(), reply.document, Table({""}),
                 {job_name(arguments.positional.at(0))});
  if (const std::string dropped = cell(reply.document, "dropped"); dropped != "0")
    fmt::print(stderr, "{} older lines are not kept\n", dropped);
  print_lines(reply.document);
  return kOk;
}

// Each read is held by the server until there is something new, or 25 s passed.
Reply read_result(ApiClient& client, const std::string& path, const Deadline& deadline) {
  constexpr std::chrono::milliseconds kLongest{25'000};
  for (;;) {
    std::chrono::milliseconds wait{0};
    if (deadline)
      wait = std::clamp(std::chrono::ceil<std::chrono::milliseconds>(
                            *deadline - std::chrono::steady_clock::now()),
                        wait, kLongest);
    Reply reply = client.get(fmt::format("{}?wait_ms={}", path, wait.count()));
    if (!reply || wait.count() == 0 || cell(reply.document, "retry_after_ms").empty()) return reply;
  }
}

int result(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  int exit = kOk;
  Deadline deadline;
  if (arguments.has("wait")) {
    const auto limit = duration(*client, arguments, "wait", exit);
    if (!limit) return exit;
    deadline = std::chrono::steady_clock::now() + *limit;
  }
  const std::string& id = arguments.positional.at(0);
  const Reply reply =
      read_result(*client, "/v1/jobs/" + http::url_encode(id) + "/result", deadline);
  if (!reply) return client->refused(reply);
  const Node* json = reply.document.find("result");
  const std::string state = cell(reply.document, "state");
  if (json == nullptr && !cell(reply.document, "retry_after_ms").empty())
    return client->complain(
        kTemporary,
        fmt::format("job {} has no result yet ({}); wait for it with --wait", id, state));
  if (json == nullptr)
    return client->complain(kFailed, fmt::format("job {} has no result ({})", id, state));
  if (client->output() != Output::Table)
    return print(client->output(), reply.document, Table({""}), {job_name(id)});
  fmt::print("{}\n", to_json(*json));
  return kOk;
}

constexpr std::array kEnqueueFlags{
    Flag{"--queue", "Q", "queue (default: default)"},
    Flag{"--priority", "N", "0..9, higher first within its queue"},
    Flag{"--in", "DURATION", "run after this time: PT5M, 30s"},
    Flag{"--at", "TIME", "run at this instant (RFC 3339)"},
    Flag{"--id", "ID", "its id: repeating it makes no second job"},
    Flag{"--label", "L…", "a label; at most three"},
    Flag{"--retries", "N", "how often to retry when it fails"},
    Flag{"--timeout", "DURATION", "of each attempt"},
    Flag{"--count", "N", "that many jobs; {i} in strings is the index"},
};
constexpr std::array kListFlags{
    Flag{"--state", "STATE", "scheduled, enqueued, processing, succeeded, failed, deleted"},
    Flag{"--queue", "Q", "only this queue"},
    Flag{"--limit", "N", "at most this many (20)"},
    Flag{"--after", "CURSOR", "the page after this one"},
};
constexpr std::array kWaitFlags{Flag{"--timeout", "DURATION", "give up after this time (exit 75)"}};
constexpr std::array kCancelFlags{Flag{"--reason", "TEXT", "for the job's history"}};
constexpr std::array kLogsFlags{
    Flag{"--attempt", "N", "of this attempt (default: the latest)"},
    Flag{"-f,--follow", "", "go on until the job has ended"},
};
constexpr std::array kResultFlags{
    Flag{"--wait", "DURATION", "wait this long for it (exit 75: there is none yet)"}};

}  // namespace

const std::array<Command, 9> kJobCommands{
    Command{"job enqueue", "KIND [ARGS-JSON]", "Enqueue a job; prints its id.", kEnqueueFlags, true,
            enqueue},
    Command{"job list", "", "List jobs, newest first.", kListFlags, true, list},
    Command{"job show", "ID", "Show a job and its history.", {}, true, show},
    Command{"job requeue", "ID…", "Run jobs again.", {}, true, requeue},
    Command{"job delete", "ID…", "Delete jobs; running ones are cancelled.", {}, true, remove},
    Command{"job cancel", "ID…", "The same, with a reason.", kCancelFlags, true, cancel},
    Command{"job logs", "ID", "Print what a job's runs had to tell.", kLogsFlags, true, logs},
    Command{"job result", "ID", "Print what a job returned, as JSON.", kResultFlags, true, result},
    Command{"job wait", "ID…", "Wait until jobs have ended (exit 0: all succeeded).", kWaitFlags,
            true, wait},
};

}  // namespace jobmill::app
