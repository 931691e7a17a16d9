// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "api/execution_query.h"
#include "app/commands/commands.h"
#include "app/commands/containerapp_common.h"
#include "app/log_lines.h"
#include "base/duration.h"
#include "base/time_or_ago.h"
#include "http/message.h"

// Executions of a job: what they are, what they write, and why there are some or none.
namespace jobmill::app {
namespace {

constexpr std::size_t kPage = 1000;

// --- list and show -----------------------------------------------------------------------------

std::string executions_path(AzClient& client, const std::string& name) {
  return job_path(client, name) + "/executions";
}

Reply execution_named(AzClient& client, const std::string& name, const std::string& execution) {
  return client.api().get(executions_path(client, name) + "/" + http::url_encode(execution));
}

std::string list_query(const Arguments& arguments) {
  std::string query;
  for (const char* flag : {"status", "since"})
    if (arguments.has(flag))
      query += fmt::format("&{}={}", flag, http::url_encode(arguments.get(flag)));
  return query;
}

// Page by page, until one is not full.
Reply all_executions(AzClient& client, const std::string& name, const std::string& query) {
  Reply all;
  all.document = Node::array();
  for (std::string after;;) {
    Reply page = client.api().get(
        fmt::format("{}?$top={}{}{}", executions_path(client, name), kPage, after, query));
    if (!page) return page;
    const Node* value = page.document.find("value");
    if (value == nullptr) return all;
    for (const Node& execution : value->items) all.document.push(execution);
    if (value->items.size() < kPage) return all;
    after = "&after=" + http::url_encode(text_at(value->items.back(), {"name"}));
  }
}

Reply some_executions(AzClient& client, const std::string& name, std::int64_t top,
                      const std::string& query) {
  Reply page =
      client.api().get(fmt::format("{}?$top={}{}", executions_path(client, name), top, query));
  if (!page) return page;
  const Node* value = page.document.find("value");
  page.document = value == nullptr ? Node::array() : Node(*value);
  return page;
}

Node table_rows(const Node& executions) {
  Node rows = Node::array();
  for (const Node& execution : executions.items) {
    Node row = Node::object();
    row.set("name", Node::string(text_at(execution, {"name"})));
    row.set("startTime", Node::string(text_at(execution, {"properties", "startTime"})));
    row.set("status", Node::string(text_at(execution, {"properties", "status"})));
    rows.push(std::move(row));
  }
  return rows;
}

int list(const Arguments& arguments, AzClient& client, const std::string& name) {
  bool wrong = false;
  const auto top = whole(client, arguments, "top", 1, wrong);
  if (wrong) return kUsage;
  const std::string query = list_query(arguments);
  const Reply reply = arguments.has("all")
                          ? all_executions(client, name, query)
                          : some_executions(client, name, top.value_or(100), query);
  if (!reply) return refused_job(client, reply, name);
  return client.print(reply.document, table_rows(reply.document));
}

int show(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto execution = required(client, arguments, "job-execution-name");
  if (!execution) return kUsage;
  const Reply reply = execution_named(client, name, *execution);
  return reply ? client.print(reply.document) : client.refused(reply);
}

// The newest execution, or the one that --execution names. Says so and exits when there is none.
std::optional<std::string> chosen_execution(const Arguments& arguments, AzClient& client,
                                            const std::string& name, int& exit) {
  if (arguments.has("execution")) return arguments.get("execution");
  const Reply newest = some_executions(client, name, 1, "");
  if (!newest) {
    exit = refused_job(client, newest, name);
    return std::nullopt;
  }
  if (!newest.document.items.empty()) return text_at(newest.document.items.front(), {"name"});
  exit = client.not_found(fmt::format("The containerapp job '{}' has no execution yet", name));
  return std::nullopt;
}

const Node& replicas_of(const Node& execution) {
  static const Node kNone = Node::array();
  const Node* replicas = find_at(execution, {"properties", "jobmill", "replicas"});
  return replicas == nullptr ? kNone : *replicas;
}

int list_replicas(const Arguments& arguments, AzClient& client, const std::string& name) {
  int exit = kOk;
  const auto execution = chosen_execution(arguments, client, name, exit);
  if (!execution) return exit;
  const Reply reply = execution_named(client, name, *execution);
  return reply ? client.print(replicas_of(reply.document)) : client.refused(reply);
}

// --- logs --------------------------------------------------------------------------------------

using UseLine = std::function<void(std::string_view line)>;

struct LogOf {
  std::string execution;
  std::string replica{};
  std::optional<std::int64_t> tail{};
  std::optional<std::string> container{};  // as the log names it; none: all
};

std::string log_path(AzClient& client, const std::string& name, const LogOf& log,
                     std::uint64_t offset, bool wait) {
  std::string what =
      fmt::format("logs?execution={}&replica={}&offset={}", http::url_encode(log.execution),
                  http::url_encode(log.replica), offset);
  if (log.tail && offset == 0) what += fmt::format("&tail={}", *log.tail);
  if (wait) what += "&wait=30";
  return execution_api_path(client, name, what);
}

// The lines of one replica: those that are there, or all until it ends.
Reply read_log(AzClient& client, const std::string& name, const LogOf& log, bool follow,
               const UseLine& use) {
  for (std::optional<std::uint64_t> before;;) {
    const std::uint64_t offset = before.value_or(0);
    Reply page = client.api().get(log_path(client, name, log, offset, follow));
    if (!page) return page;
    each_line(text_at(page.document, {"text"}), use);
    (void)std::fflush(stdout);
    const Node* ended = page.document.find("ended");
    const Node* next = page.document.find("next");
    const bool over = ended == nullptr || ended->as_bool().value_or(true);
    const auto after = static_cast<std::uint64_t>(next ? next->as_int().value_or(0) : 0);
    const bool more = !log.tail && after > offset;
    if (!more && (over || !follow)) return page;
    before = after;
  }
}

bool has_ended(const Node& execution) {
  const std::string status = text_at(execution, {"properties", "status"});
  return status == "Succeeded" || status == "Failed" || status == "Stopped";
}

// Pending ones have written nothing yet, and may never come to it.
bool has_begun(const Node& replica) {
  const std::string state = text_at(replica, {"state"});
  return state != "Pending" && state != "Starting";
}

// All that the execution writes, replica by replica, until it has ended. The reply is how it ended.
Reply follow_execution(AzClient& client, const std::string& name, const LogOf& log,
                       const UseLine& use) {
  std::set<std::string> read;
  for (;;) {
    Reply execution = execution_named(client, name, log.execution);
    if (!execution) return execution;
    bool more = false;
    for (const Node& replica : replicas_of(execution.document).items) {
      const std::string which = text_at(replica, {"name"});
      const bool wanted = log.replica.empty() || which == log.replica;
      if (!wanted || !has_begun(replica) || !read.insert(which).second) continue;
      Reply end =
          read_log(client, name, {.execution = log.execution, .replica = which, .tail = log.tail},
                   true, use);
      if (!end) return end;
      more = true;
    }
    if (more) continue;  // meanwhile there may be another one
    if (has_ended(execution.document)) return execution;
    // What changed since the answer above wakes nobody: hence not for long.
    const Reply changed = client.api().get(execution_api_path(client, name, "watch?wait=1"));
    if (!changed) return changed;
  }
}

// The last lines of what several replicas wrote, in the order of their times.
void use_last(std::vector<std::string> lines, std::int64_t count, const UseLine& use) {
  std::ranges::stable_sort(
      lines, {}, [](const std::string& line) { return std::string(split_log_line(line).time); });
  const auto size = static_cast<std::int64_t>(lines.size());
  for (std::int64_t i = std::max<std::int64_t>(0, size - count); i < size; ++i)
    use(lines[static_cast<std::size_t>(i)]);
}

// What is there now, of one replica or of all of an execution. Lines of one container are counted
// when they have been picked.
Reply read_execution(AzClient& client, const std::string& name, const LogOf& log,
                     const UseLine& use) {
  Reply execution = execution_named(client, name, log.execution);
  if (!execution) return execution;
  std::vector<std::string> lines;
  const UseLine keep = [&](std::string_view line) {
    if (!log.container || is_of_container(line, *log.container)) lines.emplace_back(line);
  };
  const auto tail = log.container ? std::nullopt : log.tail;
  for (const Node& replica : replicas_of(execution.document).items) {
    const std::string which = text_at(replica, {"name"});
    if (!has_begun(replica) || (!log.replica.empty() && which != log.replica)) continue;
    Reply page = read_log(
        client, name, {.execution = log.execution, .replica = which, .tail = tail}, false, keep);
    if (!page) return page;
  }
  use_last(std::move(lines), *log.tail, use);
  return execution;
}

// The name by which the log knows a container: that of the first one is not said. None: all that is
// there is its.
Result<std::optional<std::string>> container_in_log(AzClient& client, const std::string& name,
                                                    const std::string& execution,
                                                    const std::string& container) {
  using Name = std::optional<std::string>;
  if (container.empty()) return Name();
  const Reply found = execution_named(client, name, execution);
  if (!found) return Name();
  std::string known;
  for (const char* list : {"containers", "initContainers"})
    if (const Node* all = find_at(found.document, {"properties", "template", list}))
      for (const Node& one : all->items) {
        const std::string said = text_at(one, {"name"});
        const bool first = known.empty();
        known += (first ? "" : ", ") + said;
        if (same_text(said, container)) return Name(first ? std::string() : said);
      }
  return fail(Code::InvalidArgument,
              fmt::format("The execution {} has no container '{}'; it has {}", execution, container,
                          known));
}

void print_json(std::string_view line) { fmt::print("{}\n", log_line_json(line)); }
void print_text(std::string_view line) { fmt::print("{}\n", line); }

int show_logs(const Arguments& arguments, AzClient& client, const std::string& name) {
  const std::string format = arguments.get("format", "json");
  if (format != "json" && format != "text")
    return client.usage_error(fmt::format("--format is json or text, not '{}'", format));
  const bool follow = arguments.has("follow");
  bool wrong = false;
  auto tail = whole(client, arguments, "tail", 0, wrong);
  if (wrong) return kUsage;
  if (tail.value_or(0) > 300) return client.fail("--tail must be between 0 and 300.");
  if (!tail && !follow) tail = 20;
  int exit = kOk;
  const auto execution = chosen_execution(arguments, client, name, exit);
  if (!execution) return exit;
  const auto container = container_in_log(client, name, *execution, arguments.get("container"));
  if (!container) return refused(client, container.error());
  const LogOf log{.execution = *execution,
                  .replica = arguments.get("replica"),
                  .tail = tail,
                  .container = *container};
  const UseLine print = format == "json" ? print_json : print_text;
  const UseLine print_own = [&](std::string_view line) {
    if (!*container || is_of_container(line, **container)) print(line);
  };
  const Reply reply = follow ? follow_execution(client, name, log, print_own)
                             : read_execution(client, name, log, print);
  return reply ? kOk : refused_job(client, reply, name);
}

// --- run ---------------------------------------------------------------------------------------

// As if the process ran here: its lines, each to its own stream.
void print_as_written(std::string_view line) {
  const LogLine split = split_log_line(line);
  fmt::print(split.stream == "stderr" ? stderr : stdout, "{}\n", split.text);
}

int run(const Arguments& arguments, AzClient& client, const std::string& name) {
  const Started started = start_job(arguments, client, name);
  if (!started.reply) return *started.exit;
  const std::string execution = text_at(*started.reply, {"name"});
  client.warn(fmt::format("execution {}", execution));
  const Reply end = follow_execution(client, name, {.execution = execution}, print_as_written);
  if (!end) return refused_job(client, end, name);
  const std::string status = text_at(end.document, {"properties", "status"});
  if (status == "Succeeded") return kOk;
  const std::string reason = text_at(end.document, {"properties", "jobmill", "reason"});
  return client.fail(
      fmt::format("execution {}: {}{}{}", execution, status, reason.empty() ? "" : ": ", reason));
}

// --- explain -----------------------------------------------------------------------------------

int print_page(const AzClient& client, std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return client.print_text(text);
}

// What was decided then, which the ledger keeps.
int explain_then(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto at = time_or_ago(arguments.get("at"), SystemClock().now());
  if (!at) return client.usage_error("--at: " + at.error().message);
  const executions::JobKey key = api::job_key(client.group(), name);
  const std::string target = fmt::format("ContainerJob/{}/{}", key.group, key.name);
  const Reply reply =
      client.api().get(fmt::format("/api/autoscaling/{}/why-not?at={}", http::url_encode(target),
                                   http::url_encode(format_instant(*at))));
  if (!reply) return refused_job(client, reply, name);
  if (arguments.has("output") || arguments.has("query")) return client.print(reply.document);
  const std::string text = text_at(reply.document, {"text"});
  const bool short_one = arguments.has("why-not") || text.empty();
  return print_page(client, short_one ? text_at(reply.document, {"sentence"}) : text);
}

int explain(const Arguments& arguments, AzClient& client, const std::string& name) {
  if (arguments.has("at")) return explain_then(arguments, client, name);
  const Reply reply = client.api().get(execution_api_path(
      client, name,
      fmt::format("explain?execution={}&why_not={}", http::url_encode(arguments.get("execution")),
                  arguments.has("why-not"))));
  if (!reply) return refused_job(client, reply, name);
  if (arguments.has("output") || arguments.has("query")) return client.print(reply.document);
  return print_page(client, text_at(reply.document, {"text"}));
}

// --- the table ---------------------------------------------------------------------------------

constexpr Flag kExecution{"--execution", "NAME", "the execution (default: the newest)"};
constexpr std::array kListFlags{
    kJobName,
    Flag{"--status", "STATUS", "Processing, Running, Succeeded, Failed, Stopped, …"},
    Flag{"--since", "TIME", "made then or later: RFC 3339, or how long ago (30m)"},
    Flag{"--top", "N", "the newest (100)"},
    Flag{"--all", "", "all that are kept"},
};
constexpr std::array kShowFlags{kJobName, Flag{"--job-execution-name", "NAME", "the execution"}};
constexpr std::array kReplicaFlags{kJobName, kExecution};
constexpr std::array kLogFlags{
    kJobName,
    Flag{"--container", "NAME", "what this one wrote (default: all)"},
    kExecution,
    Flag{"--replica", "NAME", "this one only (default: all)"},
    Flag{"--follow", "", "from the first line until the execution has ended"},
    Flag{"--tail", "N", "the last lines, 0 to 300 (20)"},
    Flag{"--format", "FORMAT", "json (default) or text"},
};
constexpr std::array kRunFlags{
    kJobName,
    Flag{"--image", "IMAGE", "in place of the job's"},
    Flag{"--container-name", "NAME", "the container"},
    Flag{"--env-vars", "[K=V …]", "variables to add or change"},
    Flag{"--command", "[WORD …]", "in place of the job's"},
    Flag{"--args", "[WORD …]", "in place of the job's"},
    Flag{"--cpu", "N", "cores"},
    Flag{"--memory", "N", "with Gi"},
    Flag{"--yaml", "FILE", "the template from a file"},
};
constexpr std::array kExplainFlags{
    kJobName, Flag{"--execution", "NAME", "the timeline of this execution"},
    Flag{"--at", "TIME", "what was decided then: RFC 3339, or how long ago (30m)"},
    Flag{"--why-not", "", "the one reason why there are no more executions"}};

}  // namespace

const std::array<Command, 6> kContainerJobExecutionCommands{
    az("containerapp job execution list", "List executions, the newest first.", kListFlags,
       named<list>),
    az("containerapp job execution show", "Show an execution.", kShowFlags, named<show>),
    az("containerapp job replica list", "List the processes of an execution.", kReplicaFlags,
       named<list_replicas>),
    az("containerapp job logs show", "Print what an execution wrote.", kLogFlags, named<show_logs>),
    az("containerapp job run", "Start an execution and print what it writes until it has ended.",
       kRunFlags, named<run>),
    az("containerapp job explain", "Say why there are executions, or none.", kExplainFlags,
       named<explain>),
};

}  // namespace jobmill::app
