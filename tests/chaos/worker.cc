// SPDX-License-Identifier: Apache-2.0
//
// A worker that may be killed at any moment. It notes the begin and the end of every run in a file
// that outlives it:
//
//   chaos_worker URL SLOTS FILE
//
// URL: a control server or a database. A line is "B|E|X job pid microseconds"; X: told to stop.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "jobmill/jobs.h"

namespace {

int ledger = -1;

// One write for each line, so that lines of many processes do not mix.
void note(char what, const jobmill::Context& context) {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const long long micros = static_cast<long long>(now.tv_sec) * 1'000'000 + now.tv_nsec / 1000;
  std::string line{what};
  line += ' ' + context.id + ' ' + std::to_string(::getpid()) + ' ' + std::to_string(micros) + '\n';
  if (::write(ledger, line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::abort();
}

void work(jobmill::Context& context, int milliseconds) {
  note('B', context);
  std::mutex mutex;
  std::unique_lock lock(mutex);
  std::condition_variable_any stopped;
  stopped.wait_for(lock, context.stop, std::chrono::milliseconds(milliseconds),
                   [] { return false; });
  note(context.cancelled() ? 'X' : 'E', context);
}
constexpr jobmill::Job<"chaos.work", work> Work{};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  ledger = ::open(argv[3], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (ledger < 0) return 1;
  sigset_t term;
  ::sigemptyset(&term);
  ::sigaddset(&term, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &term, nullptr);
  std::stop_source stop;
  std::jthread waiter([&] {
    int number = 0;
    ::sigwait(&term, &number);
    stop.request_stop();
  });
  try {
    jobmill::Worker worker(jobmill::connect(argv[1]));
    worker.handle(Work).concurrency(std::atoi(argv[2])).run(stop.get_token());
  } catch (const jobmill::Error& error) {
    std::fprintf(stderr, "chaos_worker: %s (%s)\n", error.what(), error.code.c_str());
    std::_Exit(1);
  }
  std::_Exit(0);  // the thread that waits for SIGTERM may still wait
}
