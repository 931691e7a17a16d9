// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "app/exec_job.h"

namespace jobmill::app {

// The mode Json: a program that stays, and is handed one job after the other as a line on stdin,
//
//   {"n":1,"op":"run","job":{"id":"…","kind":"mail.send","args":["bob"],…}}
//   {"n":1,"op":"cancel","reason":"timeout"}
//
// and says on stdout how each goes, in the words of ExecWords with its `n`. A result, an error or a
// snooze_s ends the job. It is started when there is a job for it, and again after its death, which
// is a crash of the job that it had. Belongs to one slot.
class Resident {
 public:
  explicit Resident(const ExecOptions& options) : options_(options) {}
  ~Resident();  // closes its stdin, and ends it if that does not
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;

  jobs::Settlement run(worker::Run& run);

 private:
  Status start(const worker::Run& run);
  void hear(std::string_view line);
  void hear_errors(std::string_view line) const;
  bool converse(const worker::Run& run);
  jobs::Settlement conclude(bool cancelled);

  const ExecOptions& options_;
  std::unique_ptr<ExecProgram> program_;
  std::int64_t n_ = 0;          // of the job that it has
  worker::Run* run_ = nullptr;  // the same
  ExecWords* words_ = nullptr;  // the same
  bool answered_ = false;       // the job has ended
  Duration pause_{};            // before it is started again
};

// What it is told of a job.
std::string run_message(std::int64_t n, const worker::Run& run);

}  // namespace jobmill::app
