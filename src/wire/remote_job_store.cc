// SPDX-License-Identifier: Apache-2.0
#include "wire/remote_job_store.h"

#include <fmt/format.h>
#include <algorithm>
#include <condition_variable>
#include <optional>

#include "base/duration.h"
#include "base/json_writer.h"
#include "wire/codec.h"

namespace jobmill::wire {
namespace {

using namespace std::chrono_literals;

// A beat that takes longer than this has lost its sense: the next one is due.
constexpr Duration kBeatTimeout = 5s;
constexpr Duration kInsertTimeout = 5min;  // a million jobs in one transaction
constexpr DocumentLimits kAnswerLimits{.bytes = 32u << 20, .depth = 200, .nodes = 4'000'000};

bool succeeded(const http::Response& response) {
  return response.status >= 200 && response.status < 300;
}

std::string path_of(std::string_view collection, std::string_view id, std::string_view verb = {}) {
  return fmt::format("{}/{}{}", collection, http::url_encode(std::string(id)), verb);
}

std::string without_last_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

Secret authorization_of(const RemoteOptions& options) {
  if (!options.token.empty()) return Secret("Bearer " + options.token.reveal());
  if (options.user.empty()) return Secret();
  return Secret(http::basic_authorization(options.user, options.password.reveal()));
}

}  // namespace

RemoteJobStore::RemoteJobStore(const RemoteOptions& options, const Clock& clock)
    : url_(without_last_slash(options.url)),
      timeout_(options.timeout),
      authorization_(authorization_of(options)),
      clock_(clock) {}

// --- requests -----------------------------------------------------------------------------------

// A worker's own token costs the server less to check than a password does.
Secret RemoteJobStore::authorization(const std::string& worker_id) const {
  const std::lock_guard lock(mutex_);
  const auto token = tokens_.find(worker_id);
  return token != tokens_.end() ? token->second : authorization_;
}

http::ClientRequest RemoteJobStore::request(std::string method, const std::string& path,
                                            std::string body, const std::string& worker_id) const {
  http::ClientRequest request;
  request.method = std::move(method);
  request.url = url_ + path;
  request.timeout = timeout_;
  if (!body.empty()) request.headers.set("Content-Type", "application/json");
  request.body = std::move(body);
  const Secret credentials = authorization(worker_id);
  if (!credentials.empty()) request.headers.set("Authorization", credentials.reveal());
  return request;
}

// A server that was restarted has another key and does not know the worker's token any more.
Result<http::Response> RemoteJobStore::send(const http::ClientRequest& request,
                                            const std::string& worker_id) {
  TRY(auto response, client_.fetch(request));
  if (response.status != 401) return response;
  {
    const std::lock_guard lock(mutex_);
    if (tokens_.erase(worker_id) == 0) return response;
  }
  http::ClientRequest again = request;
  again.headers.set("Authorization", authorization_.reveal());
  return client_.fetch(again);
}

Result<http::Response> RemoteJobStore::call(std::string method, const std::string& path,
                                            std::string body, const std::string& worker_id) {
  TRY(auto response, send(request(std::move(method), path, std::move(body), worker_id), worker_id));
  if (!succeeded(response)) return decode_problem(response);
  return response;
}

Result<Node> RemoteJobStore::read(std::string method, const std::string& path, std::string body,
                                  const std::string& worker_id) {
  TRY(const auto response, call(std::move(method), path, std::move(body), worker_id));
  return parse_json(response.body, kAnswerLimits);
}

// --- producers ----------------------------------------------------------------------------------

Result<jobs::InsertResult> RemoteJobStore::insert(std::span<const jobs::JobSpec> specs, TimePoint,
                                                  std::string_view idempotency_key) {
  auto post = request("POST", "/v1/jobs", encode_jobs(specs), {});
  if (!idempotency_key.empty()) post.headers.set("Idempotency-Key", std::string(idempotency_key));
  post.timeout = std::max(post.timeout, kInsertTimeout);
  TRY(const auto response, send(post, {}));
  if (!succeeded(response)) return decode_problem(response);
  TRY(const Node answer, parse_json(response.body, kAnswerLimits));
  return decode_inserted(answer);
}

// --- workers ------------------------------------------------------------------------------------

Result<jobs::Registration> RemoteJobStore::announce(const jobs::WorkerSpec& worker, TimePoint) {
  TRY(const Node answer, read("POST", "/v1/workers", encode_worker(worker)));
  const auto registration = decode_registration(answer);
  const Node* token = answer.find("token");
  if (token != nullptr && !authorization_.empty()) {
    const std::lock_guard lock(mutex_);
    tokens_[registration.worker_id] = Secret("Bearer " + token->text);
  }
  return registration;
}

// The answer that a claim waits for. Who stops waiting leaves it to `give_back`.
struct RemoteJobStore::Poll {
  std::mutex mutex;  // guards the rest
  std::condition_variable_any ended;
  std::optional<http::ClientResult> answer;
  bool abandoned = false;
};

Result<http::Response> RemoteJobStore::long_poll(http::ClientRequest request,
                                                 const std::string& worker_id,
                                                 std::stop_token stop) {
  auto poll = std::make_shared<Poll>();
  client_.send(std::move(request), [this, poll, worker_id](http::ClientResult answer) {
    const std::lock_guard lock(poll->mutex);
    if (poll->abandoned && answer) return give_back(*answer, worker_id);
    poll->answer = std::move(answer);
    poll->ended.notify_all();
  });
  std::unique_lock lock(poll->mutex);
  poll->ended.wait(lock, stop, [&] { return poll->answer.has_value(); });
  if (poll->answer) return *std::move(poll->answer);
  poll->abandoned = true;
  return fail(Code::Timeout, "the wait for jobs was given up");
}

// Jobs for someone who waits no more. Should this fail, they go back when the worker leaves.
void RemoteJobStore::give_back(const http::Response& response, const std::string& worker_id) {
  const auto answer = parse_json(response.body, kAnswerLimits);
  if (!succeeded(response) || !answer) return;
  std::vector<jobs::Settlement> settlements;
  for (const jobs::ClaimedJob& job : decode_claimed(*answer).jobs)
    settlements.push_back({.kind = jobs::Settlement::Kind::Release,
                           .job_id = job.job.id,
                           .lock_token = job.lock_token,
                           .failure = {},
                           .reason = "the worker is stopping"});
  if (settlements.empty()) return;
  client_.send(request("POST", path_of("/v1/workers", worker_id, "/settle"),
                       encode_settlements(settlements), worker_id),
               [](const http::ClientResult&) {});
}

Result<jobs::Claimed> RemoteJobStore::claim(const jobs::ClaimRequest& claim, TimePoint) {
  auto post = request("POST", path_of("/v1/workers", claim.worker_id, "/claim"),
                      encode_claim(claim), claim.worker_id);
  post.timeout += claim.wait;
  Result<http::Response> response = claim.wait > Duration::zero()
                                        ? long_poll(post, claim.worker_id, claim.stop)
                                        : client_.fetch(post);
  if (response && response->status == 401) response = send(post, claim.worker_id);
  if (!response && response.error().code == Code::Timeout && claim.stop.stop_requested())
    return jobs::Claimed{};
  if (!response) return std::move(response).error();
  if (!succeeded(*response)) return decode_problem(*response);
  TRY(const Node answer, parse_json(response->body, kAnswerLimits));
  return decode_claimed(answer);
}

Result<jobs::BeatAnswer> RemoteJobStore::beat(std::string_view worker_id,
                                              std::span<const jobs::Report> running, TimePoint) {
  const std::string id(worker_id);
  auto post = request("POST", path_of("/v1/workers", id, "/beat"), encode_beat(running), id);
  post.timeout = std::min(post.timeout, kBeatTimeout);
  TRY(const auto response, send(post, id));
  if (!succeeded(response)) return decode_problem(response);
  TRY(const Node answer, parse_json(response.body, kAnswerLimits));
  return decode_beat(answer);
}

Status RemoteJobStore::report(const jobs::Report& report, TimePoint) {
  if (report.progress)
    TRY_VOID(
        call("POST", path_of("/v1/jobs", report.job_id, "/progress"), encode_progress(report)));
  if (report.progress && report.logs.empty()) return {};
  TRY_VOID(call("POST", path_of("/v1/jobs", report.job_id, "/logs"), encode_lines(report)));
  return {};
}

Result<std::vector<jobs::Settled>> RemoteJobStore::settle(
    std::string_view worker_id, std::span<const jobs::Settlement> settlements, TimePoint) {
  if (worker_id.empty()) return settle_each(settlements);
  const std::string id(worker_id);
  TRY(const Node answer,
      read("POST", path_of("/v1/workers", id, "/settle"), encode_settlements(settlements), id));
  return decode_settled(answer, settlements);
}

Result<std::vector<jobs::Settled>> RemoteJobStore::settle_each(
    std::span<const jobs::Settlement> settlements) {
  std::vector<jobs::Settled> all;
  for (const jobs::Settlement& settlement : settlements) {
    const std::string path =
        path_of("/v1/jobs", settlement.job_id, fmt::format("/{}", verb_of(settlement.kind)));
    TRY(const auto response, send(request("POST", path, encode_settlement(settlement), {}), {}));
    TRY(auto settled, decode_settled(response, settlement));
    all.push_back(std::move(settled));
  }
  return all;
}

Status RemoteJobStore::leave(std::string_view worker_id, TimePoint) {
  const std::string id(worker_id);
  TRY_VOID(call("DELETE", path_of("/v1/workers", id), {}, id));
  const std::lock_guard lock(mutex_);
  tokens_.erase(id);
  return {};
}

// --- control ------------------------------------------------------------------------------------

Result<jobs::Job> RemoteJobStore::get(std::string_view id) {
  TRY(const Node answer, read("GET", path_of("/v1/jobs", id)));
  return decode_job(answer);
}

Result<std::vector<jobs::JobEvent>> RemoteJobStore::history(std::string_view id) {
  TRY(const Node answer, read("GET", path_of("/v1/jobs", id, "?history=1")));
  return decode_history(answer);
}

Result<jobs::JobPage> RemoteJobStore::list(const jobs::JobQuery& query) {
  std::string path = fmt::format("/v1/jobs?limit={}", query.limit);
  if (query.state) path += fmt::format("&state={}", to_string(*query.state));
  if (!query.queue.empty()) path += "&queue=" + http::url_encode(query.queue);
  if (!query.after.empty()) path += "&after=" + http::url_encode(query.after);
  TRY(const Node answer, read("GET", path));
  return decode_page(answer);
}

Result<jobs::JobLog> RemoteJobStore::log(std::string_view id, int attempt, std::int64_t after) {
  const std::string query = fmt::format("/logs?attempt={}&after={}", attempt, after);
  TRY(const Node answer, read("GET", path_of("/v1/jobs", id, query)));
  return decode_log(answer);
}

Result<jobs::Outcome> RemoteJobStore::result(std::string_view id, TimePoint) {
  TRY(const Node answer, read("GET", path_of("/v1/jobs", id, "/result")));
  return decode_outcome(answer);
}

Status RemoteJobStore::requeue(std::string_view id, TimePoint) {
  TRY_VOID(call("POST", path_of("/v1/jobs", id, "/requeue")));
  return {};
}

Status RemoteJobStore::remove(std::string_view id, std::string_view reason, TimePoint) {
  JsonWriter json;
  json.object().member("reason", reason).end();
  TRY_VOID(call("DELETE", path_of("/v1/jobs", id), std::move(json).text()));
  return {};
}

Result<std::vector<jobs::Worker>> RemoteJobStore::workers(TimePoint) {
  TRY(const Node answer, read("GET", "/v1/workers"));
  return decode_workers(answer);
}

Result<std::vector<jobs::QueueStats>> RemoteJobStore::queues(TimePoint) {
  TRY(const Node answer, read("GET", "/v1/queues"));
  return decode_queues(answer, clock_.now());
}

Result<std::int64_t> RemoteJobStore::scheduled_until(std::string_view queue, TimePoint until) {
  const Duration window = std::max(until - clock_.now(), Duration::zero());
  std::string path = "/api/metrics/jobs/scheduled?runInMax=" + format_iso(window);
  if (!queue.empty()) path += "&queue=" + http::url_encode(std::string(queue));
  TRY(const Node answer, read("GET", path));
  const Node* count = answer.find("count");
  return count != nullptr ? count->as_int().value_or(0) : 0;
}

Result<bool> RemoteJobStore::put_recurring(const jobs::RecurringSpec& spec, TimePoint) {
  TRY(const auto response, call("PUT", path_of("/v1/recurring", spec.id), encode_recurring(spec)));
  return response.status == 201;
}

Result<std::vector<jobs::RecurringJob>> RemoteJobStore::recurring() {
  TRY(const Node answer, read("GET", "/v1/recurring"));
  return decode_recurring(answer);
}

Status RemoteJobStore::remove_recurring(std::string_view id, TimePoint) {
  TRY_VOID(call("DELETE", path_of("/v1/recurring", id)));
  return {};
}

Result<std::string> RemoteJobStore::trigger_recurring(std::string_view id, TimePoint) {
  TRY(const Node answer, read("POST", path_of("/v1/recurring", id, "/trigger")));
  const Node* job = answer.find("id");
  return job != nullptr ? job->text : std::string();
}

}  // namespace jobmill::wire
