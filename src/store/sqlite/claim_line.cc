// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/claim_line.h"

#include <utility>

namespace jobmill::sqlite {

ClaimLine::Place::Place(ClaimLine& line, const jobs::ClaimRequest& request) : line_(line) {
  const std::lock_guard lock(line_.mutex_);
  at_ = line_.waiting_.emplace(line_.waiting_.end(), request);
}

ClaimLine::Place::~Place() {
  const std::lock_guard lock(line_.mutex_);
  line_.waiting_.erase(at_);
}

ClaimLine::Answer ClaimLine::Place::wait(std::chrono::steady_clock::time_point until) {
  std::unique_lock lock(line_.mutex_);
  at_->told.wait_until(lock, at_->request.stop, until,
                       [&] { return at_->answer.has_value() && !at_->served; });
  return outcome(lock);
}

ClaimLine::Answer ClaimLine::Place::leave() {
  std::unique_lock lock(line_.mutex_);
  return outcome(lock);
}

// What a transaction has taken for it must not be lost: its end is near.
ClaimLine::Answer ClaimLine::Place::outcome(std::unique_lock<std::mutex>& lock) {
  at_->told.wait(lock, [&] { return !at_->served; });
  if (!at_->answer) at_->served = true;  // too late to serve it
  return std::move(at_->answer);
}

Status ClaimLine::serve(Served& served,
                        const std::function<Result<Turn>(const jobs::ClaimRequest&)>& take) {
  const std::lock_guard lock(mutex_);
  for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
    if (at->served || at->answer || at->request.stop.stop_requested()) continue;
    TRY(Turn turn, take(at->request));
    if (!turn.left) return {};
    if (!turn.answer || (*turn.answer && (*turn.answer)->jobs.empty())) continue;
    at->answer = std::move(turn.answer);
    at->served = true;
    served.push_back(at);
  }
  return {};
}

void ClaimLine::end(Served& served, bool committed) {
  const std::lock_guard lock(mutex_);
  for (const auto at : served) {
    at->served = false;
    if (!committed) at->answer.reset();
    at->told.notify_one();
  }
  served.clear();
}

}  // namespace jobmill::sqlite
