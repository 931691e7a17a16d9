// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/document.h"
#include "jobs/job_store.h"
#include "worker/run.h"

namespace jobmill::app {

// What a program says of one job in lines of JSON, each an object with one or more of
//
//   {"progress":{"done":3,"total":10}}  {"log":{"level":"INFO","text":"…"}}  {"result":…}
//   {"error":{"type":"…","message":"…"}}  {"snooze_s":30}
//
// Progress, log and result go to the run at once. What cannot be read is told in the job's log and
// otherwise passed over: a misspelt line must not cost a job that has done its work.
class ExecWords {
 public:
  ExecWords(worker::Run& run, std::string where) : run_(run), where_(std::move(where)) {}

  void hear(std::string_view line);
  void hear(const Node& message);  // may also have the member `n`, which is the caller's

  // The last of each kind.
  const std::optional<jobs::Failure>& error() const { return error_; }
  const std::optional<Duration>& snooze() const { return snooze_; }
  bool has_result() const { return has_result_; }

  void complain(std::string_view what);

 private:
  worker::Run& run_;
  const std::string where_;  // for people: "descriptor 3"
  std::optional<jobs::Failure> error_;
  std::optional<Duration> snooze_;
  bool has_result_ = false;
};

}  // namespace jobmill::app
