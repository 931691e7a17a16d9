// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/local_images.h"
#include "base/clock.h"
#include "base/result.h"
#include "executions/container_job.h"
#include "executions/execution.h"
#include "executions/resources.h"
#include "executions/runner.h"

namespace jobmill::app {

// What replicas of executions need to know of this server.
struct ReplicaFacts {
  std::string data{};                // absolute path of the data folder
  executions::Texts inherited{};     // PATH, HOME, …
  std::string identity_endpoint{};   // "http://127.0.0.1:4141/msi/token"; empty: none
  bool own_authority = false;        // clients have to be told of the CA in DATA/tls
  std::vector<std::string> names{};  // host names of the namespaces here, lower case
  bool container_images = false;     // a tool of this machine knows images, or fetches them
  bool cluster = false;              // there is one, which runs what says nothing else
};

// Everything that one replica is started with: its commands by the images' meaning here, and its
// environment. `job`: as it is now, for its secrets. `identity_header`: its secret; empty: the job
// has no identity. `now` gives JOBMILL_DEADLINE.
//
// Who runs it says the job, else the entry of its image, else it is the cluster if there is one; an
// image that nobody knows is run by a tool that does, unless the job gives a command.
//
// The environment is, later ones winning: what every process inherits (a container nothing), the
// image's entry, the job's variables, ours. Ours leave what the job set, but for IDENTITY_ENDPOINT
// and IDENTITY_HEADER. To a cluster, entries of images say nothing: it has the images themselves.
//
// Unavailable: a secret has no value yet; may become possible. Unsupported: it never will; the
// message begins with the reason: "ImageNotRunnable: …".
Result<executions::RunReplica> plan_replica(const executions::ContainerJob& job,
                                            const executions::Execution& execution,
                                            const executions::Replica& replica,
                                            const LocalImages& images, const ReplicaFacts& facts,
                                            const std::string& identity_header, TimePoint now);

// The entries that were made by `image map` and `acr build`, then those of the configuration, then
// those that every server has.
LocalImages image_map(const executions::Resources& resources, const LocalImages& configured);

// Those of them that nobody can remove, as `image list` shows them.
Node fixed_images(const LocalImages& configured);

// The text of DATA/python/sitecustomize.py: Python clients that bring their own list of
// authorities believe the server's too.
std::string_view site_customize();

}  // namespace jobmill::app
