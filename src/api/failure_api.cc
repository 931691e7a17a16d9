// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <set>

#include "api/audit_record.h"
#include "api/job_action.h"
#include "api/job_page.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/query_reader.h"
#include "api/route.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "jobs/metadata.h"

// Jobs that failed alike.
namespace jobmill::api {
namespace {

using Kind = jobs::Alteration::Kind;

constexpr std::string_view kMuted = "muted-failure";

// As fingerprint_of() makes them.
bool is_fingerprint(std::string_view text) {
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

http::Response no_group(const std::string& fingerprint) {
  return to_response(fail(Code::NotFound, "no failures have the fingerprint " + fingerprint));
}

using Muted = std::set<std::string, std::less<>>;

Result<Muted> muted_in(ApiContext& context) {
  Muted muted;
  if (context.metadata == nullptr) return muted;
  TRY(const auto facts, context.metadata->list(kMuted));
  for (const jobs::Fact& fact : facts) muted.insert(fact.owner);
  return muted;
}

void write_group(JsonWriter& json, const jobs::FailureGroup& group, const Muted& muted) {
  json.object()
      .member("fingerprint", group.fingerprint)
      .member("type", group.error_type)
      .member("topFrame", group.top_frame)
      .member("message", group.message)
      .member("kind", group.kind)
      .member("example", group.example)
      .member("count", group.count)
      .member("quarantined", group.quarantined)
      .member("firstSeen", format_instant(group.first_seen))
      .member("lastSeen", format_instant(group.last_seen))
      .member("muted", muted.contains(group.fingerprint))
      .end();
}

struct Page {
  std::int64_t offset = 0;
  int limit = 20;
};

Result<std::string> groups(ApiContext& context, const Page& page) {
  TRY(auto* explorer, explorer_of(context));
  TRY(const auto found, explorer->failures(page.offset, page.limit));
  TRY(const auto total, explorer->failure_groups());
  TRY(const Muted muted, muted_in(context));
  JsonWriter json;
  json.object().key("items").array();
  for (const jobs::FailureGroup& group : found) write_group(json, group, muted);
  json.end()
      .member("total", total.count)
      .member("totalIsLowerBound", !total.exact)
      .member("offset", page.offset)
      .member("limit", page.limit)
      .end();
  return std::move(json).text();
}

void get_failures(ApiContext& context, Call call) {
  Page page;
  QueryReader in(call.request);
  in.integer("offset", page.offset, 0, kFarthestOffset);
  in.integer("limit", page.limit, 1, 1000);
  if (auto problem = in.close()) return call.responder.send(to_response(*problem));
  answer(context, call.responder,
         [&context, page] { return json_or_problem(groups(context, page)); });
}

template <Kind kKind>
void act_on_group(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    bool dry_run = false;
    auto in = body.reader();
    in.flag("dryRun", dry_run);
    in.close();
    if (auto problem = body.problem()) return to_response(*problem);
    const std::string& fingerprint = call.parameter("fingerprint");
    if (!is_fingerprint(fingerprint)) return no_group(fingerprint);
    JobAction action{
        .alteration = {.kind = kKind},
        .filter = {.states = {jobs::JobState::Failed}, .failure_fingerprint = fingerprint},
        .what = "jobs that failed as " + fingerprint};
    return act_on_jobs(context, call, std::move(action), dry_run);
  });
}

Status mute(ApiContext& context, const std::string& fingerprint, bool muted) {
  if (context.metadata == nullptr) return fail(Code::Unavailable, "nothing is remembered here");
  return muted ? context.metadata->put(kMuted, fingerprint, "true", context.clock.now())
               : context.metadata->remove(kMuted, fingerprint);
}

void mute_group(ApiContext& context, Call call) {
  answer(context, call.responder, [&context, call] {
    JsonBody body(call.request);
    bool muted = true;
    auto in = body.reader();
    in.flag("muted", muted);
    in.close();
    if (auto problem = body.problem()) return to_response(*problem);
    const std::string& fingerprint = call.parameter("fingerprint");
    if (!is_fingerprint(fingerprint)) return no_group(fingerprint);
    const Status status = mute(context, fingerprint, muted);
    if (status) record(context, call, muted ? "failure.mute" : "failure.unmute", fingerprint);
    return done_or_problem(status);
  });
}

constexpr std::array kRoutes{
    Route{"GET", "/api/failures", Scope::Read, get_failures},
    Route{"POST", "/api/failures/{fingerprint}/requeue", Scope::Operate,
          act_on_group<Kind::Requeue>},
    Route{"POST", "/api/failures/{fingerprint}/delete", Scope::Admin, act_on_group<Kind::Delete>},
    Route{"POST", "/api/failures/{fingerprint}/mute", Scope::Operate, mute_group},
};

}  // namespace

std::span<const Route> failure_routes() { return kRoutes; }

}  // namespace jobmill::api
