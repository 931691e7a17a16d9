// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/command_line.h"
#include "app/containerapp_identity.h"
#include "app/containerapp_values.h"
#include "base/document.h"
#include "base/result.h"

// What the flags of `containerapp job create`, `update` and `start` say, as a resource of
// Microsoft.App/jobs: with az's defaults, its checks in its order, and its words. Faults are to be
// read with exit_of().
namespace jobmill::app {

struct JobDraft {
  Node resource = Node::object();
  std::vector<std::string> notes{};  // for the user: flags without effect, and the like
};

// The environment of that id, as GET shows it; NotFound.
using FindEnvironment = std::function<Result<Node>(const std::string& id)>;

// The rule for names. The text is az's, which says "less than" for what may be 32.
Status check_job_name(const std::string& name);

Result<JobDraft> new_job(const Arguments& arguments, const Place& place,
                         const FindEnvironment& find_environment);

// `job`: as GET shows it. Nothing has a default: what no flag names stays.
Result<JobDraft> changed_job(const Arguments& arguments, Node job);

// {containers, initContainers} with what the flags of `start` change; null: they change nothing.
Result<Node> start_template(const Arguments& arguments, const Node& job,
                            std::vector<std::string>& notes);

}  // namespace jobmill::app
