// SPDX-License-Identifier: Apache-2.0
#include "k8s/lease_state.h"

#include <algorithm>
#include <utility>

namespace jobmill::k8s {

bool LeaseState::at_rest(TimePoint now) const {
  return resign_until_ && ((certain_ && !is_mine() && !sent_) || now >= *resign_until_);
}

void LeaseState::resign(TimePoint now) {
  leads_until_ = {};
  resign_until_ = now + options_.renew_deadline;
  look_at_ = now;
}

// A lease that became free is taken at once, by what was seen of it last: should its holder have
// renewed it since, the server refuses.
TimePoint LeaseState::request_at() const {
  return certain_ && !is_mine() ? std::min(look_at_, free_at()) : look_at_;
}

TimePoint LeaseState::next_change(TimePoint now) const {
  TimePoint next = sent_ ? sent_->at + options_.renew_deadline : request_at();
  if (leads_until_ > now) next = std::min(next, leads_until_);
  if (resign_until_ && *resign_until_ > now) next = std::min(next, *resign_until_);
  return std::max(next, now);
}

std::optional<LeaseState::Request> LeaseState::next(TimePoint now) {
  give_up_on_answer(now);
  if (sent_ || at_rest(now) || now < request_at()) return std::nullopt;
  const bool write = certain_ && (is_mine() || now >= free_at());
  Request request = write ? write_request() : Request{};
  request.number = ++number_;
  sent_ = Sent{now, write};
  look_at_ = now + options_.retry;
  return request;
}

void LeaseState::give_up_on_answer(TimePoint now) {
  if (!sent_ || now - sent_->at < options_.renew_deadline) return;
  sent_.reset();
  certain_ = false;
}

LeaseState::Request LeaseState::write_request() const {
  const bool acquires = !is_mine();
  return {.kind = Request::Kind::Write,
          .lease = {.holder = resign_until_ ? "" : options_.identity,
                    .duration = options_.duration,
                    .transitions = seen_.transitions + (acquires && !seen_.version.empty() ? 1 : 0),
                    .version = seen_.version},
          .acquires = acquires};
}

bool LeaseState::answered(std::uint64_t number, Result<Lease> lease, TimePoint now) {
  if (!sent_ || number != number_) return false;
  const Sent sent = *std::exchange(sent_, std::nullopt);
  if (sent.write) {
    write_came(std::move(lease), sent.at, now);
  } else {
    read_came(std::move(lease), now);
  }
  return true;
}

void LeaseState::saw(Lease lease, TimePoint now) {
  if (lease.version != seen_.version) seen_at_ = now;
  seen_ = std::move(lease);
  certain_ = true;
  if (!is_mine()) leads_until_ = {};
}

// Whoever deletes the lease does not free it: its holder may not know of it yet.
void LeaseState::read_came(Result<Lease> lease, TimePoint now) {
  const bool absent = !lease && lease.error().code == Code::NotFound;
  if (absent) seen_.version.clear();
  if (absent) certain_ = true;
  if (lease) saw(*std::move(lease), now);
  if (!certain_) return;
  if (is_mine()) look_at_ = now;
  if (!is_mine() && now < free_at()) conflicts_ = 0;
}

void LeaseState::write_came(Result<Lease> lease, TimePoint sent, TimePoint now) {
  if (lease) {
    conflicts_ = 0;
    saw(*std::move(lease), now);
    if (is_mine() && !resign_until_) leads_until_ = sent + options_.renew_deadline;
    return;
  }
  certain_ = false;
  const Code code = lease.error().code;
  const bool changed =
      code == Code::Conflict || code == Code::AlreadyExists || code == Code::NotFound;
  conflicts_ = changed ? conflicts_ + 1 : 0;
  if (conflicts_ == 1) look_at_ = now;  // only once: no server makes us spin
}

}  // namespace jobmill::k8s
