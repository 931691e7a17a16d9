// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "api/arm_resources.h"
#include "api/execution_query.h"
#include "api/json.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "base/text.h"

// What the pages about executions ask for: /api/executions over all jobs, and /api/container-jobs.
namespace jobmill::api {
namespace {

using executions::Execution;
using executions::JobKey;
using executions::Replica;

constexpr std::size_t kMostListed = 200;

std::int64_t milliseconds(Duration duration) {
  return std::chrono::floor<std::chrono::milliseconds>(duration).count();
}

void put(JsonWriter& json, std::string_view name, const std::optional<TimePoint>& at) {
  if (at) json.member(name, format_instant(*at));
}

// --- one execution ------------------------------------------------------------------------------

void write_head(JsonWriter& json, const Execution& execution) {
  json.member("id", execution.name)
      .member("name", execution.name)
      .member("group", execution.job.group)
      .member("job", execution.job.name)
      .member("status", to_string(execution.status));
  if (!execution.reason.empty()) json.member("reason", execution.reason);
  json.member("createdAt", format_instant(execution.created));
  put(json, "startedAt", execution.began);
  put(json, "endedAt", execution.ended);
  if (execution.began && execution.ended)
    json.member("durationMs", milliseconds(*execution.ended - *execution.began));
  json.member("trigger", execution.by.name).member("triggerType", execution.by.type);
  if (!execution.by.decision.empty()) json.member("decision", execution.by.decision);
  json.member("retries", execution.failures).member("replicas", execution.replicas.size());
  const auto ended = std::ranges::find_if(execution.replicas.rbegin(), execution.replicas.rend(),
                                          [](const Replica& one) { return one.end.has_value(); });
  if (ended != execution.replicas.rend()) {
    json.member("exitCode", ended->end->exit_code);
    if (ended->end->signal != 0) json.member("signal", ended->end->signal);
  }
  if (!execution.messages.empty()) {
    const auto& first = execution.messages.front();
    json.key("message")
        .object()
        .member("entity", first.entity)
        .member("sequence", first.sequence)
        .member("messageId", first.message_id)
        .end();
  }
}

void write_replica(JsonWriter& json, const Replica& replica) {
  json.object()
      .member("name", replica.name)
      .member("attempt", replica.attempt)
      .member("state", to_string(replica.state));
  if (!replica.reason.empty()) json.member("reason", replica.reason);
  if (replica.mark.pid != 0) json.member("pid", replica.mark.pid);
  put(json, "createdAt", std::optional(replica.created));
  put(json, "due", replica.due);
  put(json, "startedAt", replica.started);
  put(json, "deadline", replica.deadline);
  put(json, "endedAt", replica.ended);
  if (replica.end) {
    json.member("exitCode", replica.end->exit_code)
        .member("signal", replica.end->signal)
        .member("oom", replica.end->out_of_memory)
        .member("peakRss", replica.end->peak_rss_bytes);
    if (!replica.end->detail.empty()) json.member("detail", replica.end->detail);
  }
  json.end();
}

// Values that give something away are not shown, whether they were called secrets or not.
bool gives_away(const executions::EnvVar& variable) {
  if (!variable.secret.empty()) return true;
  const std::string name = lower(variable.name);
  for (const char* part : {"secret", "password", "token", "key", "connection", "credential"})
    if (name.find(part) != name.npos) return true;
  return lower(variable.value).find("sharedaccesskey") != std::string::npos;
}

void write_containers(JsonWriter& json, const Execution& execution) {
  json.key("containers").array();
  for (const executions::Container& container : execution.started.pod.containers) {
    json.object().member("name", container.name).member("image", container.image);
    for (const auto& [name, words] :
         {std::pair("command", &container.command), std::pair("args", &container.args)}) {
      json.key(name).array();
      for (const std::string& word : *words) json.value(word);
      json.end();
    }
    if (container.cpu_milli) json.member("cpuMilli", *container.cpu_milli);
    if (container.memory_bytes) json.member("memoryBytes", *container.memory_bytes);
    json.key("env").array();
    for (const executions::EnvVar& variable : container.env) {
      json.object().member("name", variable.name);
      if (!gives_away(variable))
        json.member("value", variable.value);
      else
        json.member("secret", true);
      json.end();
    }
    json.end().end();
  }
  json.end();
}

struct Moment {
  TimePoint at;
  std::string what;
};

std::vector<Moment> timeline(const Execution& execution) {
  std::vector<Moment> moments{{execution.created, "created by " + execution.by.name}};
  for (const Replica& replica : execution.replicas) {
    if (replica.started) moments.push_back({*replica.started, replica.name + " started"});
    if (replica.identified)
      moments.push_back({*replica.identified, replica.name + " asked for a token"});
    if (replica.ended)
      moments.push_back(
          {*replica.ended, fmt::format("{} {}{}{}", replica.name, lower(to_string(replica.state)),
                                       replica.reason.empty() ? "" : ": ", replica.reason)});
  }
  for (const auto& message : execution.messages) {
    const std::string name = fmt::format("message {} of {}", message.sequence, message.entity);
    moments.push_back({message.taken, name + " taken"});
    if (message.ended) moments.push_back({*message.ended, name + " " + message.outcome});
  }
  if (execution.ended) moments.push_back({*execution.ended, lower(to_string(execution.status))});
  std::ranges::stable_sort(moments, {}, &Moment::at);
  return moments;
}

std::string detail(const Execution& execution) {
  JsonWriter json;
  json.object();
  write_head(json, execution);
  json.member("semantics", to_string(execution.semantics))
      .member("succeeded", execution.succeeded)
      .member("stopping", execution.stopping);
  json.key("replicaList").array();
  for (const Replica& replica : execution.replicas) write_replica(json, replica);
  json.end().key("messages").array();
  for (const auto& message : execution.messages) {
    json.object()
        .member("replica", message.replica)
        .member("entity", message.entity)
        .member("sequence", message.sequence)
        .member("messageId", message.message_id)
        .member("deliveryCount", message.delivery_count)
        .member("taken", format_instant(message.taken));
    if (!message.outcome.empty()) json.member("outcome", message.outcome);
    put(json, "endedAt", message.ended);
    json.end();
  }
  json.end();
  write_containers(json, execution);
  json.key("timeline").array();
  for (const Moment& moment : timeline(execution))
    json.object().member("at", format_instant(moment.at)).member("what", moment.what).end();
  return std::move(json.end().end()).text();
}

void with_execution(ApiContext& context, const Call& call,
                    std::function<void(const Execution&)> go_on) {
  context.executions->find_execution(
      call.parameter("name"), [call, go_on = std::move(go_on)](const Result<Execution>& found) {
        if (!found) return call.responder.send(to_response(found.error()));
        go_on(*found);
      });
}

void get_execution(ApiContext& context, Call call) {
  with_execution(context, call, [call](const Execution& execution) {
    call.responder.send(json_response(200, detail(execution)));
  });
}

// --- lists --------------------------------------------------------------------------------------

// ?job=&group=&state=&since=&limit=&after=
void list_executions(ApiContext& context, Call call) {
  executions::ExecutionQuery query{.limit = 50};
  const auto text = [&call](std::string_view name) {
    return std::string(call.request.parameter(name).value_or(""));
  };
  query.job = job_key(text("group"), text("job"));
  query.after = text("after");
  if (const std::string state = text("state"); !state.empty()) {
    query.status = executions::execution_status_named(state);
    if (!query.status)
      return call.responder.send(to_response(wrong_parameter(
          "state", "expected Processing, Running, Succeeded, Failed, Stopped or Degraded")));
  }
  if (const std::string since = text("since"); !since.empty()) {
    const auto at = parse_instant(since);
    if (!at) return call.responder.send(to_response(wrong_parameter("since", at.error().message)));
    query.since = *at;
  }
  if (const std::string limit = text("limit"); !limit.empty()) {
    const auto [end, error] =
        std::from_chars(limit.data(), limit.data() + limit.size(), query.limit);
    if (error != std::errc() || end != limit.data() + limit.size() || query.limit < 1 ||
        query.limit > kMostListed)
      return call.responder.send(
          to_response(wrong_parameter("limit", fmt::format("expected 1 to {}", kMostListed))));
  }
  const std::size_t most = query.limit++;
  context.executions->find_executions(
      std::move(query), [call, most](Result<std::vector<Execution>> found) {
        if (!found) return call.responder.send(to_response(found.error()));
        const bool more = found->size() > most;
        if (more) found->pop_back();
        JsonWriter json;
        json.object().key("items").array();
        for (const Execution& execution : *found) {
          json.object();
          write_head(json, execution);
          json.end();
        }
        json.end();
        if (more) json.member("next", found->back().name);
        call.responder.send(json_response(200, std::move(json.end()).text()));
      });
}

std::string_view trigger_of(const Node& document) {
  const Node* at = document.find("properties");
  for (const char* name : {"configuration", "triggerType"})
    at = at != nullptr ? at->find(name) : nullptr;
  return at != nullptr ? at->as_string().value_or("Manual") : "Manual";
}

void list_container_jobs(ApiContext& context, Call call) {
  using Facts = std::vector<ExecutionPlane::JobFacts>;
  context.executions->job_facts([call](const Result<Facts>& jobs) {
    if (!jobs) return call.responder.send(to_response(jobs.error()));
    JsonWriter json;
    json.array();
    for (const auto& job : *jobs)
      json.object()
          .member("name", job.key.name)
          .member("group", job.key.group)
          .member("triggerType", trigger_of(job.document))
          .member("running", job.unfinished)
          .member("suspended", job.suspended)
          .end();
    call.responder.send(json_response(200, std::move(json.end()).text()));
  });
}

// --- logs ---------------------------------------------------------------------------------------

// "2026-11-22T03:14:15.926Z stdout text"
void write_lines(JsonWriter& json, std::string_view text) {
  json.key("lines").array();
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto cut = [&line] {
      const auto blank = std::min(line.find(' '), line.size());
      const std::string_view word = line.substr(0, blank);
      line.remove_prefix(std::min(blank + 1, line.size()));
      return word;
    };
    const std::string_view at = cut();
    const std::string_view stream = cut();
    json.object().member("at", at).member("stream", stream).member("text", line).end();
  }
  json.end();
}

// ?replica=&after=<next>&tail=&wait=&format=text
void get_log(ApiContext& context, Call call) {
  auto query = log_query(call.request);
  if (!query) return call.responder.send(to_response(query.error()));
  const bool plain = call.request.parameter("format") == "text";
  query->execution = call.parameter("name");
  if (const auto after = call.request.parameter("after")) {
    const auto [end, error] =
        std::from_chars(after->data(), after->data() + after->size(), query->offset);
    if (error != std::errc() || end != after->data() + after->size())
      return call.responder.send(
          to_response(wrong_parameter("after", "expected `next` of the part before")));
  }
  with_execution(context, call, [&context, call, plain, query = *query](const Execution& found) {
    context.executions->log(found.job, query, [call, plain](const Result<LogPage>& page) {
      if (!page) return call.responder.send(to_response(page.error()));
      if (plain) {
        http::Response file{.status = 200, .body = page->text};
        file.headers.set("Content-Type", "text/plain; charset=utf-8");
        file.headers.set("Content-Disposition",
                         "attachment; filename=\"" + call.parameter("name") + ".log\"");
        return call.responder.send(std::move(file));
      }
      JsonWriter json;
      json.object();
      write_lines(json, page->text);
      json.member("next", page->next).member("ended", page->ended).end();
      call.responder.send(json_response(200, std::move(json).text()));
    });
  });
}

// --- actions ------------------------------------------------------------------------------------

void stop(ApiContext& context, Call call) {
  with_execution(context, call, [&context, call](const Execution& execution) {
    context.executions->stop(execution.job, execution.name, [call](const Result<Node>& stopped) {
      call.responder.send(stopped ? no_content() : to_response(stopped.error()));
    });
  });
}

auto started(const Call& call) {
  return [call](const Result<Node>& reference) {
    if (!reference) return call.responder.send(to_response(reference.error()));
    const Node* name = reference->find("name");
    JsonWriter json;
    json.object().member("id", name != nullptr ? name->text : "").end();
    call.responder.send(json_response(201, std::move(json).text()));
  };
}

void rerun(ApiContext& context, Call call) {
  with_execution(context, call, [&context, call](const Execution& execution) {
    context.executions->start(execution.job, {}, started(call));
  });
}

// {"overrides": {"containers": […], "initContainers": […]}}
void start(ApiContext& context, Call call) {
  JsonBody body(call.request);
  Node pod;
  auto in = body.reader();
  if (const Node* overrides = in.object("overrides")) pod = *overrides;
  in.close();
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  context.executions->start(job_key(call.parameter("group"), call.parameter("job")), std::move(pod),
                            started(call));
}

constexpr std::array kRoutes{
    Route{"GET", "/api/executions", Scope::Read, with_executions<list_executions>},
    Route{"GET", "/api/executions/{name}", Scope::Read, with_executions<get_execution>},
    Route{"GET", "/api/executions/{name}/logs", Scope::Read, with_executions<get_log>},
    Route{"POST", "/api/executions/{name}/stop", Scope::Operate, with_executions<stop>},
    Route{"POST", "/api/executions/{name}/rerun", Scope::Operate, with_executions<rerun>},
    Route{"GET", "/api/container-jobs", Scope::Read, with_executions<list_container_jobs>},
    Route{"POST", "/api/container-jobs/{group}/{job}/start", Scope::Operate,
          with_executions<start>},
};

}  // namespace

std::span<const Route> execution_page_routes() { return kRoutes; }

}  // namespace jobmill::api
