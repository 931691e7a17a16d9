// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <thread>

#include "jobmill/jobs.h"
#include "worker/run_job.h"
#include "worker/runner.h"
#include "worker/store.h"
#include "worker/this_process.h"

namespace jobmill {
namespace {

constexpr unsigned kSlotsPerProcessor = 8;

}  // namespace

Worker& Worker::concurrency(int slots) {
  concurrency_ = slots;
  return *this;
}

Worker& Worker::tags(std::initializer_list<std::string_view> tags) {
  tags_.assign(tags.begin(), tags.end());
  return *this;
}

Worker& Worker::queues(std::initializer_list<std::string_view> queues) {
  queues_.assign(queues.begin(), queues.end());
  return *this;
}

void Worker::run(std::stop_token stop) {
  // To the server, no kinds would mean all of them.
  if (table.empty())
    throw worker::to_error(
        fail(Code::InvalidArgument, "a worker without handlers cannot run anything"));
  const worker::Registry registry{table, versions_};
  worker::RunnerOptions options;
  options.grace = worker::value_or_throw(worker::grace_of_environment());
  options.spec = worker::spec_of_this_process("c++");
  options.spec.tags = tags_;
  options.spec.queues = queues_;
  options.spec.kinds = registry.kinds();
  options.spec.concurrency =
      concurrency_ > 0 ? concurrency_
                       : static_cast<int>(kSlotsPerProcessor *
                                          std::max(1u, std::thread::hardware_concurrency()));
  const auto slot = [&registry] {
    return [&registry](worker::Run& run) { return run_job(registry, run); };
  };
  worker::Runner(*store_, slot, std::move(options)).run(std::move(stop));
}

}  // namespace jobmill
