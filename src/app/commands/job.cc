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
std::optional<std::int64_t> whole(const ApiClient& client, const Arguments& arguments,
                                  std::string_view flag) {
  const std::string text = arguments.get(flag);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) return value;
  client.complain(kUsage, fmt::format("--{} takes a whole number, not '{}'", flag, text));
  return std::nullopt;
}

// ARGS-JSON as the member that it is of the spec.
std::optional<Fault> read_args(const std::string& text, Node& spec) {
  auto parsed = parse_json(text);
  if (!parsed)
    return fail(
        Code::InvalidArgument,
        fmt::format("ARGS-JSON is no JSON ({}); give an array such as '[\"bob\", 3]', or an "
                    "object",
                    parsed.error().message));
  if (!parsed->is_array() && !parsed->is_object())
    return fail(Code::InvalidArgument,
                fmt::format("ARGS-JSON is of the wrong kind ({}); give an array or an object",
                            to_string(parsed->kind)));
  const bool named = parsed->is_object();
  spec.set(named ? "named" : "args", *std::move(parsed));
  return std::nullopt;
}

std::optional<Fault> read_delay(const std::string& text, Node& spec) {
  const auto delay = parse_duration(text);
  if (!delay)
    return fail(Code::InvalidArgument,
                fmt::format("--in is no duration ({}); give one such as 30s, 5m or PT5M",
                            delay.error().message));
  spec.set("delay", Node::string(format_iso(*delay)));
  return std::nullopt;
}

// The texts of the command line that have a form of their own.
std::optional<Fault> read_texts(const Arguments& arguments, Node& spec) {
  if (arguments.positional.size() > 1)
    if (auto wrong = read_args(arguments.positional[1], spec)) return wrong;
  if (arguments.has("in")) return read_delay(arguments.get("in"), spec);
  return std::nullopt;
}

// Complains and sets `exit` when a flag is wrong.
std::optional<Node> spec_of(const ApiClient& client, const Arguments& arguments, int& exit) {
  Node spec = Node::object();
  spec.set("kind", Node::string(arguments.positional.at(0)));
  if (const auto wrong = read_texts(arguments, spec)) {
    exit = client.complain(kBadInput, wrong->message);
    return std::nullopt;
  }
  if (arguments.has("queue")) spec.set("queue", Node::string(arguments.get("queue")));
  if (arguments.has("id")) spec.set("id", Node::string(arguments.get("id")));
  for (const char* flag : {"priority", "retries", "count"}) {
    if (!arguments.has(flag)) continue;
    const auto value = whole(client, arguments, flag);
    exit = kUsage;
    if (!value) return std::nullopt;
    spec.set(flag, Node::integer(*value));
  }
  for (const std::string& label : arguments.all("label")) {
    Node* labels = spec.find("labels");
    (labels != nullptr ? *labels : spec.set("labels", Node::array())).push(Node::string(label));
  }
  if (arguments.has("at")) spec.set("run_at", Node::string(arguments.get("at")));
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

// What a command did to some jobs: a line for each as it is done, or one document at the end.
class Outcome {
 public:
  explicit Outcome(Output output) : output_(output) {}

  void add(const std::string& id, std::string_view state, Node item) {
    if (output_ == Output::Table) fmt::print("{} {}\n", job_name(id), state);
    names_.push_back(job_name(id));
    items_.push(std::move(item));
  }

  void print() {
    if (output_ == Output::Table) return;
    Node document = Node::object();
    document.set("items", std::move(items_));
    app::print(output_, document, Table({""}), names_);
  }

 private:
  const Output output_;
  std::vector<std::string> names_;
  Node items_ = Node::array();
};

// The same request for each id; the first refusal decides the exit code, the others still run.
template <class Send>
int for_each_id(const Arguments& arguments, std::string_view change, Send send) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  Outcome outcome(client->output());
  int exit = kOk;
  for (const std::string& id : arguments.positional) {
    const Reply reply = send(*client, "/v1/jobs/" + http::url_encode(id));
    if (!reply) {
      const int code = client->refused(reply);
      if (exit == kOk) exit = code;
      continue;
    }
    Node item = Node::object();
    item.set("id", Node::string(id));
    item.set("change", Node::string(change));
    outcome.add(id, change, std::move(item));
  }
  outcome.print();
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
    const auto limit = parse_duration(arguments.get("timeout"));
    if (!limit)
      return client->complain(
          kBadInput, fmt::format("--timeout is no duration ({}); give one such as 30s or PT5M",
                                 limit.error().message));
    deadline = std::chrono::steady_clock::now() + *limit;
  }
  Outcome outcome(client->output());
  const int exit = wait_for_all(*client, arguments, deadline, outcome);
  outcome.print();
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
