// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/exec_program.h"
#include "app/exec_words.h"
#include "base/clock.h"
#include "base/result.h"
#include "targets/process/process.h"
#include "targets/process/replica_set.h"
#include "worker/run.h"

namespace jobmill::app {

// How programs are told of their jobs; docs/workers.md has the whole contract.
enum class ExecMode {
  Exec,   // one for each job: arguments, environment, descriptor 3
  Stdin,  // the same, but all that it is handed are the arguments on stdin
  Json,   // one for each slot, which gets its jobs as lines on stdin
};

struct ExecOptions {
  ExecMode mode = ExecMode::Exec;
  std::vector<std::string> command;
  targets::Texts environment;  // of every program
  std::string folder;          // for files with arguments
  Duration grace{};            // between the wish and the force that a program shall end
};

// A worker that ends gives its programs no more than this after their grace: whoever asked it to
// end has little patience left. What the worker waits for is a little more.
inline constexpr Duration kLastWords = std::chrono::seconds(3);
inline constexpr Duration kForce = std::chrono::seconds(5);

// What a program's end means for its job:
//
//   0 done, 75 retry later, 65 failed for good, others failed; a signal is a crash
//
// An error or a `snooze_s` that it named goes before 0, and a `snooze_s` before 75.
jobs::Settlement settlement_of(const targets::ProcessExit& exit, const ExecWords& words);

// It died under its job.
jobs::Settlement crashed(const targets::ProcessExit& exit);

// What a program is told by its environment.
targets::Texts job_environment(const ExecOptions& options, const worker::Run& run,
                               const std::string& payload_file);

// The modes Exec and Stdin: one program, from its start to its end.
jobs::Settlement run_program(const ExecOptions& options, worker::Run& run);

// For whoever watches a program: when to use force, from the moment on when its run shall end.
ExecProgram::Instant force_at(const worker::Run& run, Duration grace);

// The program could not be started at all.
jobs::Settlement cannot_start(const Fault& why);

// Lines of stdout and stderr as lines of the job's log.
LineCutter::Take log_to(worker::Run& run, jobs::LineLevel level);

}  // namespace jobmill::app
