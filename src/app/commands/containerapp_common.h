// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/az_client.h"
#include "app/commands/az_command.h"
#include "app/containerapp_flags.h"
#include "base/document.h"
#include "base/result.h"

// What the commands of `containerapp job` have in common.
namespace jobmill::app {

inline constexpr Flag kJobName{"-n,--name", "NAME", "the job"};

std::string job_path(AzClient& client, const std::string& name);
// "/v1/executions/<group>/<job>/" + `what`
std::string execution_api_path(AzClient& client, const std::string& name, std::string_view what);
Place place_of(AzClient& client);

// Prints why not, and answers the exit code.
int refused_job(const AzClient& client, const Reply& reply, const std::string& name);
int refused(const AzClient& client, const Fault& fault);

void warn_all(const AzClient& client, const std::vector<std::string>& notes);

// The environment of an id, from the server.
FindEnvironment environments_of(AzClient& client);

// Puts the job, warns of what is unwise about it, and prints it unless --no-wait is given.
int store_job(const Arguments& arguments, AzClient& client, const std::string& name,
              const Node& job);

// Takes the job as it is, lets `change` work on it, stores what comes out, and prints what `shown`
// makes of the answer.
using ChangeJob = std::function<Status(Node& job, std::vector<std::string>& notes)>;
int change_job(const Arguments& arguments, AzClient& client, const std::string& name,
               const ChangeJob& change, const std::function<Node(const Node& job)>& shown);

// Starts an execution as the flags of `start` say: {id, name}, or an exit code after having said
// why not.
struct Started {
  std::optional<Node> reply{};
  std::optional<int> exit{};
};
Started start_job(const Arguments& arguments, AzClient& client, const std::string& name);

}  // namespace jobmill::app
