// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_store.h"

namespace jobmill::jobs {

// The maintenance of a job store: due jobs, recurring jobs, lost workers, retention. It lives in
// the control server, never in a worker, so that everything is on time with no worker at all.
//
//   if (auto at = chores.run(store, clock.now())) timer.set(*at);
//
// Has no clock or thread of its own: it is called when the instant has come that it named, and
// after each Change with `due` or `workers`, since that instant may have moved.
class Chores {
 public:
  // Told of a chore that failed, for the log. The others go on.
  using Complaint = std::function<void(std::string_view chore, const Fault& error)>;

  explicit Chores(Complaint complaint = {}) : complaint_(std::move(complaint)) {}

  // Does what is due and answers with the instant at which there is more to do; none: never, as
  // things stand. After a failure that is a second later.
  std::optional<TimePoint> run(JobStoreOwner& store, TimePoint now);

 private:
  Complaint complaint_;
};

}  // namespace jobmill::jobs
