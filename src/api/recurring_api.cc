// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "api/job_json.h"
#include "api/problem.h"
#include "api/route.h"
#include "base/duration.h"

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

void read_recurring(JsonBody& body, jobs::RecurringSpec& spec) {
  auto in = body.reader();
  in.text("schedule", spec.schedule, Field::Required);
  in.text("zone", spec.zone);
  in.text("dst", spec.dst);
  read_missed(in, spec);
  in.integer("missed_max", spec.missed_max, 1, 1'000'000);
  in.integer("max_concurrent", spec.max_concurrent, 1, 1'000'000);
  if (const Node* job = in.object("spec", Field::Required))
    read_spec({*job, "spec", body.errors()}, spec.job, body.errors());
  in.close();
}

http::Response one_recurring(ApiContext& context, const std::string& id, int status) {
  auto all = context.store.recurring();
  if (!all) return to_response(all.error());
  const auto found = std::ranges::find_if(
      *all, [&](const jobs::RecurringJob& recurring) { return recurring.spec.id == id; });
  if (found == all->end()) return to_response(fail(Code::NotFound, "no recurring job " + id));
  JsonWriter json;
  write_recurring(json, *found);
  return json_response(status, std::move(json).text());
}

void put_recurring(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    jobs::RecurringSpec spec;
    spec.id = call.parameter("id");
    spec.created_by = "API";
    read_recurring(body, spec);
    spec.job.created_by = call.identity.name;
    if (auto problem = body.problem()) return to_response(*problem);
    auto created = context.store.put_recurring(spec, context.clock.now());
    if (!created) return to_response(created.error());
    return one_recurring(context, spec.id, *created ? 201 : 200);
  });
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

void delete_recurring(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, id = call.parameter("id")] {
    const Status removed = context.store.remove_recurring(id, context.clock.now());
    return removed ? no_content() : to_response(removed.error());
  });
}

void trigger_recurring(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, id = call.parameter("id")] {
    auto job = context.store.trigger_recurring(id, context.clock.now());
    if (!job) return to_response(job.error());
    JsonWriter json;
    json.object().member("id", *job).end();
    return json_response(201, std::move(json).text());
  });
}

constexpr std::array kRoutes{
    Route{"GET", "/v1/recurring", Scope::Read, list_recurring},
    Route{"PUT", "/v1/recurring/{id}", Scope::Produce, put_recurring},
    Route{"GET", "/v1/recurring/{id}", Scope::Read, get_recurring},
    Route{"DELETE", "/v1/recurring/{id}", Scope::Operate, delete_recurring},
    Route{"POST", "/v1/recurring/{id}/trigger", Scope::Operate, trigger_recurring},
};

}  // namespace

std::span<const Route> recurring_routes() { return kRoutes; }

}  // namespace jobmill::api
