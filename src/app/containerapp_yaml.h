// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/containerapp_flags.h"
#include "base/document.h"
#include "base/result.h"

// Files of --yaml: jobs as az, ARM and jobmill write them, in YAML or JSON. Faults name line, path
// and the nearest known key, and have az's words where az has some.
namespace jobmill::app {

struct JobFile {
  std::string path;
  std::string name;  // what the file says, or else --name
  Node resource;     // in one shape, whatever the file's was
  Node written;      // as the file has it, for messages
  std::vector<std::string> notes;
};

// `text` is that of the file. `name`: of --name.
Result<JobFile> read_job_file(const std::string& path, std::string_view text,
                              const std::string& name);

// Sets the environment that --environment names (may be empty) where the file names none, and
// checks that there is one.
Status complete_environment(JobFile& file, const std::string& environment, const Place& place,
                            const FindEnvironment& find_environment);

// All that is wrong with the job, one line each. `job`: what is to be stored.
Status check_job(const JobFile& file, const Node& job);

// The body of a start: {containers, initContainers}, alone or within a job.
Result<Node> read_template_file(const std::string& path, std::string_view text);

// A job to be written to a file: without what is read-only; `arm`: without what only jobmill has.
Node exported_job(const Node& job, bool arm);

}  // namespace jobmill::app
