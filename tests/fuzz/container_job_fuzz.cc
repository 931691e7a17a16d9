// SPDX-License-Identifier: Apache-2.0
// Jobs under arbitrary YAML and JSON. What is accepted must be accepted again as it is shown, and
// an execution of it must be read back as it was stored.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "executions/container_job.h"
#include "executions/execution.h"

using namespace jobmill;
using namespace jobmill::executions;

namespace {

constexpr DocumentLimits kLimits{.bytes = 64u << 10, .depth = 20, .nodes = 2000};
const JobKey kKey{"rg", "worker"};

void require(bool holds) {
  if (!holds) std::abort();
}

void check_execution(const ContainerJob& job) {
  Execution execution;
  execution.name = "worker-0000000";
  execution.job = kKey;
  execution.started = job;
  const Node document = to_document(execution);
  const auto again = execution_from(document);
  require(again && to_json(to_document(*again)) == to_json(document));
}

void check_accepted(const Node& resource, const ContainerJob& job) {
  const Node tidy = tidy_resource(resource);
  require(to_json(tidy_resource(tidy)) == to_json(tidy));
  manifest::Problems none("output");
  const ContainerJob again = decode_job(kKey, job.document, none);
  require(none.ok() && to_json(again.document) == to_json(job.document));
  require(to_json(to_document(again.pod)) == to_json(to_document(job.pod)));
  check_execution(job);
}

void check(const Node& resource) {
  (void)merge_resource(resource, resource);  // must not fall over
  manifest::Problems problems("input");
  const ContainerJob job = decode_job(kKey, resource, problems);
  if (problems.ok()) check_accepted(resource, job);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto documents = parse_yaml(text, kLimits);
  if (!documents) return 0;
  for (const Node& document : *documents) check(document);
  return 0;
}
