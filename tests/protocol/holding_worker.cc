// SPDX-License-Identifier: Apache-2.0
//
// A worker that a test kills: it writes one byte for each job that it starts, and finishes none.
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "jobmill/jobs.h"

namespace {

void hold(jobmill::Context& context) {
  if (::write(STDOUT_FILENO, ".", 1) != 1) return;
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any().wait(lock, context.stop, [] { return false; });
}
constexpr jobmill::Job<"test.hold", hold> Hold{};

}  // namespace

int main(int, char** argv) {
  jobmill::Worker worker(jobmill::connect(argv[1]));
  const std::stop_source never;
  worker.handle(Hold).concurrency(std::atoi(argv[2])).run(never.get_token());
}
