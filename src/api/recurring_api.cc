// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "api/audit_record.h"
#include "api/job_json.h"
#include "api/job_page.h"
#include "api/jobrunr_json.h"
#include "api/problem.h"
#include "api/query_reader.h"
#include "api/route.h"
#include "api/schedule_preview.h"
#include "base/duration.h"
#include "base/text.h"

// Recurring jobs: as the worker protocol has them, and as the dashboard shows them.
namespace jobmill::api {
namespace {

using jobs::Missed;

struct MissedName {
  std::string_view name;
  Missed missed;
};
constexpr std::array kMissed{MissedName{"skip", Missed::Skip}, MissedName{"once", Missed::Once},
                             MissedName{"all", Missed::All}, MissedName{"within", Missed::Within}};

std::string_view name_of(Missed missed) {
  return std::ranges::find(kMissed, missed, &MissedName::missed)->name;
}

void write_at(JsonWriter& json, std::string_view name, const std::optional<TimePoint>& at) {
  if (at) json.member(name, format_instant(*at));
}

void write_recurring(JsonWriter& json, const jobs::RecurringJob& recurring) {
  const jobs::RecurringSpec& spec = recurring.spec;
  json.object()
      .member("id", spec.id)
      .member("version", recurring.version)
      .member("jobName", spec.job.name)
      .key("labels")
      .array();
  for (const std::string& label : spec.job.labels) json.value(label);
  json.end();
  if (spec.job.retries) json.member("amountOfRetries", *spec.job.retries);
  json.member("scheduleExpression", spec.schedule)
      .member("zoneId", spec.zone)
      .member("dst", spec.dst.empty() ? "real-time" : spec.dst)
      .member("missed", name_of(spec.missed));
  if (spec.missed == Missed::Within) json.member("missedWithin", format_iso(spec.missed_within));
  json.member("missedMax", spec.missed_max)
      .member("maxConcurrent", spec.max_concurrent)
      .member("paused", spec.paused)
      .member("createdBy", spec.created_by)
      .member("createdAt", format_instant(recurring.created_at));
  write_at(json, "nextRun", recurring.next_run);
  write_at(json, "lastRun", recurring.last_run);
  json.member("runs", recurring.runs)
      .member("missedRuns", recurring.missed_runs)
      .member("skippedRuns", recurring.skipped_runs);
  write_at(json, "firstSkipped", recurring.first_skipped);
  write_at(json, "lastSkipped", recurring.last_skipped);
  json.member("lastSkipReason", recurring.last_skip_reason).key("spec");
  write_spec(json, spec.job);
  json.end();
}

void read_missed(ObjectReader& in, jobs::RecurringSpec& spec) {
  std::string missed{name_of(spec.missed)};
  std::optional<Duration> within;
  in.text("missed", missed);
  in.duration("missed_within", within);
  if (missed.starts_with("within=")) {
    auto written = parse_iso_duration(std::string_view(missed).substr(7));
    if (!written || written->negative()) return in.wrong("missed", "expected within=PT15M");
    within = to_duration(*written);
    missed = "within";
  }
  const auto found = std::ranges::find(kMissed, missed, &MissedName::name);
  if (found == kMissed.end()) return in.wrong("missed", "expected skip, once, all or within");
  spec.missed = found->missed;
  spec.missed_within = within.value_or(Duration::zero());
  if (spec.missed == Missed::Within && !within)
    in.wrong("missed_within", "is required with missed: within");
}

// `resumed`: it is said that it shall not be paused, while saying nothing leaves that as it is.
void read_recurring(JsonBody& body, jobs::RecurringSpec& spec, bool& resumed) {
  auto in = body.reader();
  in.text("schedule", spec.schedule, Field::Required);
  in.text("zone", spec.zone);
  in.text("dst", spec.dst);
  read_missed(in, spec);
  in.integer("missed_max", spec.missed_max, 1, 1'000'000);
  in.integer("max_concurrent", spec.max_concurrent, 1, 1'000'000);
  in.flag("paused", spec.paused);
  resumed = in.has("paused") && !spec.paused;
  if (const Node* job = in.object("spec", Field::Required))
    read_spec({*job, "spec", body.errors()}, spec.job, body.errors());
  in.close();
}

Result<jobs::RecurringJob> recurring_of(ApiContext& context, const std::string& id) {
  TRY(auto all, context.store.recurring());
  const auto found = std::ranges::find_if(
      all, [&](const jobs::RecurringJob& recurring) { return recurring.spec.id == id; });
  if (found == all.end()) return fail(Code::NotFound, "no recurring job " + id);
  return std::move(*found);
}

// Whoever edits it says with If-Match which state of it he saw.
std::string etag_of(const jobs::RecurringJob& recurring) {
  return '"' + std::to_string(recurring.version) + '"';
}

http::Response one_recurring(ApiContext& context, const std::string& id, int status) {
  const auto recurring = recurring_of(context, id);
  if (!recurring) return to_response(recurring.error());
  JsonWriter json;
  write_recurring(json, *recurring);
  auto response = json_response(status, std::move(json).text());
  response.headers.set("ETag", etag_of(*recurring));
  return response;
}

// What to answer if it is not, or no more, as the client saw it.
std::optional<http::Response> changed_since(ApiContext& context, const Call& call) {
  const auto seen = call.request.headers.get("If-Match");
  if (!seen) return std::nullopt;
  const auto recurring = recurring_of(context, call.parameter("id"));
  if (!recurring && recurring.error().code != Code::NotFound) return to_response(recurring.error());
  if (recurring && (*seen == "*" || *seen == etag_of(*recurring))) return std::nullopt;
  return to_response(Problem{.status = 412,
                             .code = "version_conflict",
                             .detail = "somebody has changed the recurring job meanwhile"});
}

http::Response put(ApiContext& context, const Call& call) {
  JsonBody body(call.request);
  jobs::RecurringSpec spec;
  bool resumed = false;
  spec.id = call.parameter("id");
  spec.created_by = "API";
  read_recurring(body, spec, resumed);
  spec.job.created_by = call.identity.name;
  if (auto problem = body.problem()) return to_response(*problem);
  if (auto other = changed_since(context, call)) return *std::move(other);
  const TimePoint now = context.clock.now();
  auto created = context.store.put_recurring(spec, now);
  if (!created) return to_response(created.error());
  if (resumed && !*created)
    if (const Status status = context.store.pause_recurring(spec.id, false, now); !status)
      return to_response(status.error());
  record(context, call, *created ? "recurring.create" : "recurring.change", spec.id);
  return one_recurring(context, spec.id, *created ? 201 : 200);
}

void put_recurring(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return put(context, call); });
}

void list_recurring(ApiContext& context, Call call) {
  answer(context, call.responder, [&context] {
    auto all = context.store.recurring();
    if (!all) return to_response(all.error());
    JsonWriter json;
    json.array();
    for (const jobs::RecurringJob& recurring : *all) write_recurring(json, recurring);
    json.end();
    return json_response(200, std::move(json).text());
  });
}

void get_recurring(ApiContext& context, Call call) {
  answer(context, call.responder,
         [&context, id = call.parameter("id")] { return one_recurring(context, id, 200); });
}

// --- changes ------------------------------------------------------------------------------------

// A request without a body that says anything.
void change(ApiContext& context, Call call,
            http::Response (*work)(ApiContext& context, const Call& call)) {
  answer(context, call.responder, [&context, call, work] {
    JsonBody body(call.request);
    body.reader().close();
    if (auto problem = body.problem()) return to_response(*problem);
    return work(context, call);
  });
}

http::Response removed(ApiContext& context, const Call& call) {
  const std::string& id = call.parameter("id");
  const Status status = context.store.remove_recurring(id, context.clock.now());
  if (status) record(context, call, "recurring.delete", id);
  return done_or_problem(status);
}

void delete_recurring(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] { return removed(context, call); });
}

Result<std::string> trigger(ApiContext& context, const Call& call) {
  const std::string& id = call.parameter("id");
  TRY(std::string job, context.store.trigger_recurring(id, context.clock.now()));
  record(context, call, "recurring.trigger", id);
  return job;
}

http::Response triggered(ApiContext& context, const Call& call) {
  const auto job = trigger(context, call);
  if (!job) return to_response(job.error());
  JsonWriter json;
  json.object().member("id", *job).end();
  return json_response(201, std::move(json).text());
}

http::Response triggered_quietly(ApiContext& context, const Call& call) {
  const auto job = trigger(context, call);
  return job ? no_content() : to_response(job.error());
}

template <bool kPaused>
http::Response paused(ApiContext& context, const Call& call) {
  const std::string& id = call.parameter("id");
  const Status status = context.store.pause_recurring(id, kPaused, context.clock.now());
  if (status) record(context, call, kPaused ? "recurring.pause" : "recurring.resume", id);
  return done_or_problem(status);
}

void post_trigger(ApiContext& context, Call call) { change(context, std::move(call), triggered); }
void post_quiet_trigger(ApiContext& context, Call call) {
  change(context, std::move(call), triggered_quietly);
}
template <bool kPaused>
void post_pause(ApiContext& context, Call call) {
  change(context, std::move(call), paused<kPaused>);
}

// --- when they run ------------------------------------------------------------------------------

Result<std::string> preview_of(ApiContext& context, const std::string& id, int count) {
  TRY(const auto recurring, recurring_of(context, id));
  return preview({.schedule = recurring.spec.schedule,
                  .zone = recurring.spec.zone,
                  .dst = recurring.spec.dst,
                  .created = recurring.created_at,
                  .from = context.clock.now(),
                  .count = count});
}

void get_preview(ApiContext& context, Call call) {
  int count = 20;
  QueryReader in(call.request);
  in.integer("n", count, 1, kMostRunsShown);
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  answer(context, call.responder, [&context, id = call.parameter("id"), count] {
    return json_or_problem(preview_of(context, id, count));
  });
}

void post_preview(ApiContext& context, Call call) {
  JsonBody body(call.request);
  ScheduleQuestion question{.schedule = {}};
  std::optional<TimePoint> from;
  auto in = body.reader();
  in.text("schedule", question.schedule, Field::Required);
  in.text("zone", question.zone);
  in.text("dst", question.dst);
  in.integer("n", question.count, 1, kMostRunsShown);
  in.instant("from", from);
  in.close();
  if (auto problem = body.problem()) return call.responder.send(to_response(*problem));
  question.from = from.value_or(context.clock.now());
  question.created = question.from;
  answer(context, call.responder, [question] { return json_or_problem(preview(question)); });
}

// --- as the dashboard shows them ----------------------------------------------------------------

struct ListQuestion {
  std::string text{};
  std::optional<bool> paused{};
  std::int64_t offset = 0;
  int limit = 20;
};

bool holds(const std::string& text, const std::string& lower_part) {
  return lower(text).find(lower_part) != std::string::npos;
}

bool matches(const jobs::RecurringSpec& spec, const ListQuestion& question) {
  if (question.paused && spec.paused != *question.paused) return false;
  const std::string part = lower(question.text);
  return holds(spec.id, part) || holds(spec.job.name, part) || holds(spec.job.kind, part) ||
         std::ranges::any_of(spec.job.labels,
                             [&](const std::string& label) { return holds(label, part); });
}

// The state of its latest run that has begun to wait, or ended.
std::optional<jobs::JobState> last_outcome(const ApiContext& context, const std::string& id) {
  using enum jobs::JobState;
  if (context.explorer == nullptr) return std::nullopt;
  const auto latest = context.explorer->slice(
      {.filter = {.states = {Enqueued, Processing, Succeeded, Failed}, .recurring_id = id},
       .order = jobs::JobOrder::CreatedAt,
       .descending = true,
       .limit = 1});
  if (!latest || latest->items.empty()) return std::nullopt;
  return latest->items.front().state;
}

void write_shown(JsonWriter& json, const ApiContext& context, const jobs::RecurringJob& recurring) {
  json.object();
  write_jobrunr_recurring(json, recurring);
  if (const auto outcome = last_outcome(context, recurring.spec.id))
    json.member("lastOutcome", to_string(*outcome));
  json.end();
}

Result<std::string> shown_page(ApiContext& context, const ListQuestion& question) {
  TRY(auto all, context.store.recurring());
  std::erase_if(all, [&](const jobs::RecurringJob& one) { return !matches(one.spec, question); });
  const std::int64_t total = std::ssize(all);
  const std::int64_t end = std::min(total, question.offset + question.limit);
  JsonWriter json;
  json.object().key("items").array();
  for (std::int64_t i = question.offset; i < end; ++i)
    write_shown(json, context, all[static_cast<std::size_t>(i)]);
  json.end();
  write_page_facts(json, {.total = total,
                          .offset = question.offset,
                          .limit = question.limit,
                          .has_previous = question.offset > 0,
                          .has_next = end < total});
  return std::move(json.end()).text();
}

void get_shown_list(ApiContext& context, Call call) {
  ListQuestion question;
  bool only_paused = false;
  QueryReader in(call.request);
  in.text("text", question.text);
  in.flag("paused", only_paused);
  in.integer("offset", question.offset, 0, kFarthestOffset);
  in.integer("limit", question.limit, 1, 1000);
  if (in.has("paused")) question.paused = only_paused;
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  answer(context, call.responder,
         [&context, question] { return json_or_problem(shown_page(context, question)); });
}

http::Response shown(ApiContext& context, const std::string& id) {
  const auto recurring = recurring_of(context, id);
  if (!recurring) return to_response(recurring.error());
  JsonWriter json;
  write_shown(json, context, *recurring);
  auto response = json_response(200, std::move(json).text());
  response.headers.set("ETag", etag_of(*recurring));
  return response;
}

void get_shown(ApiContext& context, Call call) {
  answer(context, call.responder,
         [&context, id = call.parameter("id")] { return shown(context, id); });
}

Result<std::string> runs_of(ApiContext& context, const std::string& id, int limit) {
  TRY_VOID(recurring_of(context, id));
  TRY(auto* explorer, explorer_of(context));
  TRY(const auto runs, explorer->slice({.filter = {.recurring_id = id},
                                        .order = jobs::JobOrder::CreatedAt,
                                        .descending = true,
                                        .limit = limit}));
  JsonWriter json;
  json.object().key("items").array();
  for (const jobs::Job& job : runs.items) write_job(json, job);
  return std::move(json.end().end()).text();
}

void get_runs(ApiContext& context, Call call) {
  int limit = 20;
  QueryReader in(call.request);
  in.integer("limit", limit, 1, 1000);
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  answer(context, call.responder, [&context, id = call.parameter("id"), limit] {
    return json_or_problem(runs_of(context, id, limit));
  });
}

constexpr std::array kRoutes{
    Route{"GET", "/v1/recurring", Scope::Read, list_recurring},
    Route{"PUT", "/v1/recurring/{id}", Scope::Produce, put_recurring},
    Route{"GET", "/v1/recurring/{id}", Scope::Read, get_recurring},
    Route{"DELETE", "/v1/recurring/{id}", Scope::Admin, delete_recurring},
    Route{"POST", "/v1/recurring/{id}/trigger", Scope::Operate, post_trigger},
    Route{"POST", "/v1/recurring/{id}/pause", Scope::Operate, post_pause<true>},
    Route{"POST", "/v1/recurring/{id}/resume", Scope::Operate, post_pause<false>},
    Route{"GET", "/v1/recurring/{id}/preview", Scope::Read, get_preview},
    Route{"POST", "/v1/schedules/preview", Scope::Read, post_preview},
    Route{"GET", "/api/recurring-jobs", Scope::Read, get_shown_list},
    Route{"GET", "/api/recurring-jobs/{id}", Scope::Read, get_shown},
    Route{"PUT", "/api/recurring-jobs/{id}", Scope::Admin, put_recurring},
    Route{"DELETE", "/api/recurring-jobs/{id}", Scope::Admin, delete_recurring},
    Route{"POST", "/api/recurring-jobs/{id}/trigger", Scope::Operate, post_quiet_trigger},
    Route{"POST", "/api/recurring-jobs/{id}/pause", Scope::Operate, post_pause<true>},
    Route{"POST", "/api/recurring-jobs/{id}/resume", Scope::Operate, post_pause<false>},
    Route{"GET", "/api/recurring-jobs/{id}/preview", Scope::Read, get_preview},
    Route{"GET", "/api/recurring-jobs/{id}/runs", Scope::Read, get_runs},
};

}  // namespace

std::span<const Route> recurring_routes() { return kRoutes; }

}  // namespace jobmill::api
