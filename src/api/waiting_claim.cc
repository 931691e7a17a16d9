// SPDX-License-Identifier: Apache-2.0
#include "api/waiting_claim.h"
#include "api/auth.h"

#include <fmt/format.h>
#include <algorithm>

#include "api/job_json.h"
#include "api/problem.h"
#include "api/waiters.h"
#include "base/duration.h"

namespace jobmill::api {
namespace {

using Wake = Waiters::Wake;

constexpr int kMostSlots = 100'000;
constexpr int kMostJobs = 1000;  // of one answer; who has room for more asks again
constexpr std::int64_t kLongestWaitMs = 30'000;

http::Response worker_gone(const Fault& error) {
  return to_response(Problem{.status = 410, .code = "worker_gone", .detail = error.message});
}

http::Response claimed_response(const jobs::Claimed& claimed, TimePoint lease_until) {
  const std::string until = format_instant(lease_until);
  JsonWriter json;
  json.object().key("jobs").array();
  for (const jobs::ClaimedJob& job : claimed.jobs) write_claimed(json, job, until);
  json.end().member("state", to_string(claimed.state)).end();
  return json_response(200, std::move(json).text());
}

// One claim on its way: it looks for jobs on the pool, and between looks it is parked, which costs
// no thread. Its members belong to the loop thread, except that the pool reads the request.
class WaitingClaim : public std::enable_shared_from_this<WaitingClaim> {
 public:
  WaitingClaim(ApiContext& context, Call call) : context_(context), call_(std::move(call)) {
    request_.worker_id = call_.parameter("id");
  }

  void start() {
    // Weak: the connection must not keep alive what keeps the connection alive.
    call_.responder.on_gone([weak = weak_from_this()] {
      if (auto self = weak.lock()) self->finish();
    });
    seen_ = context_.waiters.changes();
    context_.pool.post([self = shared_from_this()] {
      if (self->read()) self->look();
    });
  }

 private:
  // --- on the pool ---------------------------------------------------------------------------
  bool read() {
    JsonBody body(call_.request);
    auto in = body.reader();
    std::int64_t wait_ms = 0;
    in.integer("max", request_.limit, 1, kMostSlots);
    in.integer("wait_ms", wait_ms, 0, kLongestWaitMs);
    in.texts("queues", request_.queues);
    in.texts("kinds", request_.kinds);
    in.close();
    request_.limit = std::min(request_.limit, kMostJobs);
    wait_ = std::chrono::milliseconds(wait_ms);
    if (const auto problem = body.problem()) {
      call_.responder.send(to_response(*problem));
      return false;
    }
    if (request_.queues.empty()) request_.queues = call_.identity.queues;
    auto refused = outside_of_token(call_.identity, request_.queues);
    if (refused) call_.responder.send(*std::move(refused));
    return !refused;
  }

  void look() {
    const TimePoint now = context_.clock.now();
    auto claimed = context_.store.claim(request_, now);
    if (claimed && claimed->jobs.empty() && claimer_.worker_id.empty()) describe(now);
    context_.loop.post([self = shared_from_this(), claimed = std::move(claimed), now] {
      self->found(claimed, now);
    });
  }

  // What this worker can take: its claim says so, or its registration.
  void describe(TimePoint now) {
    claimer_.worker_id = request_.worker_id;
    auto queues = request_.queues;
    auto kinds = request_.kinds;
    if (auto workers = context_.store.workers(now)) {
      const auto worker = std::ranges::find(*workers, request_.worker_id, &jobs::Worker::id);
      if (worker != workers->end()) {
        if (queues.empty()) queues = worker->spec.queues;
        if (kinds.empty()) kinds = worker->spec.kinds;
      }
    }
    std::ranges::sort(kinds);
    claimer_.group = fmt::format("{}\n{}", fmt::join(queues, "\t"), fmt::join(kinds, "\t"));
    claimer_.queues = std::move(queues);
  }

  // Nobody is left to run these.
  void give_back(const std::vector<jobs::ClaimedJob>& jobs) {
    std::vector<jobs::Settlement> settlements;
    for (const jobs::ClaimedJob& job : jobs)
      settlements.push_back({.kind = jobs::Settlement::Kind::Release,
                             .job_id = job.job.id,
                             .lock_token = job.lock_token,
                             .failure = {},
                             .reason = "the worker's connection was lost"});
    auto settled = context_.store.settle({}, settlements, context_.clock.now());
    if (!settled)
      context_.log.warn("jobs of a lost claim were not released",
                        {{"worker", request_.worker_id}, {"why", settled.error().message}});
  }

  // --- on the loop thread --------------------------------------------------------------------
  void found(const Result<jobs::Claimed>& claimed, TimePoint at) {
    if (!claimed) return fail(claimed.error());
    if (!claimed->jobs.empty()) return hand_over(*claimed, at);
    const bool told = looked_ && claimed->state != state_;
    state_ = claimed->state;
    looked_ = true;
    // The wake-up was meant for someone who can take a job.
    const bool cannot = state_ != jobs::WorkerState::Run;
    if ((told || done_) && cannot) context_.waiters.wake_next(claimer_.group);
    if (done_) return;
    if (told || wait_ <= Duration::zero() || state_ == jobs::WorkerState::Stop) return send_empty();
    wait();
  }

  void fail(const Fault& error) {
    if (!claimer_.group.empty()) context_.waiters.wake_next(claimer_.group);
    if (done_) return;
    send(error.code == Code::NotFound ? worker_gone(error) : to_response(error));
  }

  void hand_over(const jobs::Claimed& claimed, TimePoint at) {
    if (done_) {
      context_.pool.post(
          [self = shared_from_this(), jobs = claimed.jobs] { self->give_back(jobs); });
      return;
    }
    send(claimed_response(claimed, at + context_.lease));
    if (!claimer_.worker_id.empty()) context_.waiters.wake_next(claimer_.group);
  }

  // Parks, unless something came while this claim looked.
  void wait() {
    if (context_.waiters.ready_since(seen_, claimer_.queues)) return look_again();
    if (deadline_ == 0)
      deadline_ = context_.loop.run_after(wait_, [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->time_is_up();
      });
    claimer_.quiet = state_ == jobs::WorkerState::Quiet;
    parked_ = context_.waiters.park(claimer_, [self = shared_from_this()](Wake wake) {
      self->parked_ = 0;
      self->woken(wake);
    });
    if (claimer_.quiet && context_.waiters.changes() != seen_) context_.waiters.gather();
  }

  void woken(Wake wake) {
    if (wake == Wake::Look) return look_again();
    if (wake == Wake::Superseded) return send_empty();
    send(to_response(jobmill::fail(Code::Unavailable, "the server is stopping")));
  }

  void look_again() {
    seen_ = context_.waiters.changes();
    context_.pool.post([self = shared_from_this()] { self->look(); });
  }

  void time_is_up() {
    wait_ = Duration::zero();
    deadline_ = 0;
    if (parked_ != 0) send_empty();  // else it is looking, and answers when it has looked
  }

  void send_empty() { send(claimed_response({.jobs = {}, .state = state_}, {})); }

  void send(http::Response response) {
    if (done_) return;
    call_.responder.send(std::move(response));
    finish();
  }

  void finish() {
    done_ = true;
    context_.loop.cancel(deadline_);
    // Last: this may be what keeps the claim alive.
    const auto self = shared_from_this();
    context_.waiters.remove(parked_);
  }

  ApiContext& context_;
  Call call_;
  jobs::ClaimRequest request_;
  Duration wait_{};
  Waiters::Claimer claimer_;  // without worker_id: not known yet
  jobs::WorkerState state_ = jobs::WorkerState::Run;
  bool looked_ = false;
  bool done_ = false;       // answered, or the client is gone
  std::uint64_t seen_ = 0;  // changes before the last look
  Waiters::Id parked_ = 0;
  net::EventLoop::TimerId deadline_ = 0;
};

}  // namespace

void claim(ApiContext& context, Call call) {
  std::make_shared<WaitingClaim>(context, std::move(call))->start();
}

}  // namespace jobmill::api
