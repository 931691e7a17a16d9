// SPDX-License-Identifier: Apache-2.0
#include "app/queue_sampler.h"

#include <algorithm>
#include <utility>

namespace jobmill::app {

void QueueSampler::changed() {
  if (!told_.exchange(true)) control_.post([this] { look_at(last_ + kFastest); });
}

void QueueSampler::look_at(TimePoint at) {
  if (stopped_ || (timer_ && due_ <= at)) return;
  if (timer_) control_.cancel(*timer_);
  const Duration wait = std::clamp(at - clock_.now(), Duration(0), kSlowest);
  due_ = at;
  timer_ = control_.run_after(wait, [this] { look(); });
}

void QueueSampler::look() {
  timer_.reset();
  if (stopped_) return;
  last_ = clock_.now();
  pool_.post([this] { read(); });
}

// From here on a change is news: it may not be in what is read.
void QueueSampler::read() {
  told_ = false;
  Seen seen{.at = clock_.now(), .queues = {}, .tallies = {}};
  auto queues = store_.queues(seen.at);
  auto tallies = store_.tallies();
  if (!queues || !tallies) return;  // a store that is away tells when it is back
  seen.queues = *std::move(queues);
  seen.tallies = *std::move(tallies);
  control_.post([this, seen = std::move(seen)] { take(seen); });
}

void QueueSampler::take(const Seen& seen) {
  if (stopped_) return;
  seen_(seen);
  const bool busy = std::ranges::any_of(seen.queues, [](const jobs::QueueStats& queue) {
    return queue.enqueued > 0 || queue.processing > 0;
  });
  if (busy) look_at(last_ + kSlowest);
}

void QueueSampler::stop() {
  stopped_ = true;
  if (timer_) control_.cancel(*timer_);
  timer_.reset();
}

}  // namespace jobmill::app
