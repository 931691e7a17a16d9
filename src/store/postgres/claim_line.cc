// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/claim_line.h"

#include <algorithm>
#include <utility>

namespace jobmill::postgres {
namespace {

// What the claim would take of the new jobs that are nobody's yet.
std::vector<NewJob*> choose(std::span<NewJob> jobs, const Claim& claim) {
  std::vector<std::pair<std::int32_t, NewJob*>> wanted;
  for (NewJob& job : jobs) {
    if (job.run_at || job.handed_out) continue;
    const auto choice = std::ranges::find(claim.lanes, job.lane, &LaneChoice::lane);
    if (choice != claim.lanes.end()) wanted.emplace_back(choice->rank, &job);
  }
  std::ranges::stable_sort(wanted, {}, &std::pair<std::int32_t, NewJob*>::first);
  std::vector<NewJob*> chosen;
  for (const auto& [rank, job] : wanted) {
    if (std::ssize(chosen) < claim.limit) chosen.push_back(job);
  }
  return chosen;
}

}  // namespace

ClaimLine::Place::Place(ClaimLine& line, std::function<Claim()> make, std::stop_token stop)
    : line_(line) {
  const std::lock_guard lock(line_.mutex_);
  at_ = line_.waiting_.emplace(line_.waiting_.end());
  at_->make = std::move(make);
  at_->stop = std::move(stop);
}

ClaimLine::Place::~Place() {
  const std::lock_guard lock(line_.mutex_);
  line_.waiting_.erase(at_);
}

// What a transaction has taken for it must not be lost: its end is near.
std::optional<ClaimLine::Place::News> ClaimLine::Place::wait(
    std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(line_.mutex_);
  Waiting& waiting = *at_;
  waiting.stands = true;
  waiting.news.wait_until(lock, waiting.stop, until,
                          [&] { return !waiting.served && (waiting.told || waiting.answer); });
  waiting.news.wait(lock, [&] { return !waiting.served; });
  waiting.stands = false;
  if (waiting.answer) {
    return News{std::move(waiting.hand_out.claim), std::exchange(waiting.answer, std::nullopt)};
  }
  const bool look = std::exchange(waiting.told, false) && !waiting.stop.stop_requested();
  return look ? std::optional(News{}) : std::nullopt;
}

ClaimLine::Served ClaimLine::serve(std::span<NewJob> jobs) {
  auto left = std::ranges::count_if(jobs, [](const NewJob& job) { return !job.run_at; });
  Served served;
  const std::lock_guard lock(mutex_);
  for (auto at = waiting_.begin(); at != waiting_.end() && left > 0; ++at) {
    if (!at->stands || at->answer || at->stop.stop_requested()) continue;
    Claim claim = at->make();
    const auto chosen = choose(jobs, claim);
    if (chosen.empty()) continue;
    for (NewJob* job : chosen) job->handed_out = true;
    left -= std::ssize(chosen);
    at->hand_out = {std::move(claim), {chosen.begin(), chosen.end()}};
    at->served = true;
    served.push_back(at);
  }
  return served;
}

// Only its transaction looks at it meanwhile.
void ClaimLine::answer(Served::value_type served, ClaimAnswer answer) {
  served->answer = std::move(answer);
}

void ClaimLine::end(const Served& served, bool committed) {
  const std::lock_guard lock(mutex_);
  for (const auto at : served) {
    at->served = false;
    if (!committed) at->answer.reset();
    if (at->answer && at->answer->jobs.empty()) {  // it may not have them: why, it shall see itself
      at->answer.reset();
      at->told = true;
    }
    at->news.notify_one();
  }
}

void ClaimLine::wake(const std::set<std::int32_t>& lanes) {
  const std::lock_guard lock(mutex_);
  for (Waiting& waiting : waiting_) {
    if (waiting.told) continue;
    const Claim claim = waiting.make();
    const bool wanted = std::ranges::any_of(
        claim.lanes, [&](const LaneChoice& choice) { return lanes.contains(choice.lane); });
    if (wanted) tell(waiting);
  }
}

void ClaimLine::wake_all() {
  const std::lock_guard lock(mutex_);
  for (Waiting& waiting : waiting_) tell(waiting);
}

void ClaimLine::tell(Waiting& waiting) {
  waiting.told = true;
  waiting.news.notify_one();
}

}  // namespace jobmill::postgres
