// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "base/clock.h"
#include "jobmill/jobs.h"
#include "jobs/job_store.h"

namespace jobmill {

// What the public headers keep closed: any JobStore, with the clock that its users go by.
class Store {
 public:
  Store(std::shared_ptr<jobs::JobStore> jobs, const Clock& clock)
      : jobs_(std::move(jobs)), clock_(clock) {}

  jobs::JobStore& jobs() const { return *jobs_; }
  TimePoint now() const { return clock_.now(); }

 private:
  std::shared_ptr<jobs::JobStore> jobs_;
  const Clock& clock_;
};

namespace worker {

// For a store of this process. The clock must outlive it.
std::shared_ptr<Store> make_store(std::shared_ptr<jobs::JobStore> jobs, const Clock& clock);

// The public exception for a failure.
Error to_error(const Fault& fault);

// Unpacks a result, or throws its failure.
template <class T>
T value_or_throw(Result<T> result) {
  if (!result) throw to_error(result.error());
  return *std::move(result);
}

}  // namespace worker
}  // namespace jobmill
