// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>

#include "app/exec_job.h"
#include "base/result.h"
#include "jobmill/jobs.h"
#include "jobs/job_store.h"

namespace jobmill::app {

std::optional<ExecMode> exec_mode(std::string_view text);  // "exec", "stdin", "json"

// A worker whose jobs are run by programs. Runs until the token fires or the server says so; then
// drains: it claims no more, lets the programs run on for the grace, ends those that still run, and
// puts their jobs back. The files that programs read are in a folder of its own, which goes with
// it.
//
// InvalidArgument: there is no such program. What the server refuses is thrown, as
// worker::Runner does it.
Status run_exec_worker(Store& store, jobs::WorkerSpec spec, ExecOptions options,
                       std::stop_token stop);

}  // namespace jobmill::app
