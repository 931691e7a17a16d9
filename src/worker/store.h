// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <utility>

#include "base/clock.h"
#include "jobmill/jobs.h"
#include "jobs/job_store.h"

namespace jobmill {

// What the public headers keep closed: any JobStore, with the clock that its users go by.
class Store {
 public:
  using Insert = std::function<Result<jobs::InsertResult>(std::span<const jobs::JobSpec>)>;

  Store(std::shared_ptr<jobs::JobStore> jobs, const Clock& clock)
      : jobs_(std::move(jobs)), clock_(clock) {}
  // The same store, for who inserts jobs in another way: within a transaction.
  Store(const Store& other, Insert insert)
      : jobs_(other.jobs_), clock_(other.clock_), insert_(std::move(insert)) {}

  jobs::JobStore& jobs() const { return *jobs_; }
  Result<jobs::InsertResult> insert(std::span<const jobs::JobSpec> specs) const {
    return insert_ ? insert_(specs) : jobs_->insert(specs, now());
  }
  TimePoint now() const { return clock_.now(); }

 private:
  std::shared_ptr<jobs::JobStore> jobs_;
  const Clock& clock_;
  Insert insert_;
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
