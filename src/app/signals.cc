// SPDX-License-Identifier: Apache-2.0
#include "app/signals.h"

#include <unistd.h>
#include <csignal>
#include <ctime>

#include <pthread.h>

namespace jobmill::app {
namespace {

// SIGUSR1 is our own: the destructor wakes the thread with it.
sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&set, number);
  return set;
}

}  // namespace

void Signals::block() {
  const sigset_t set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

Signals::Signals(std::function<void()> on_hangup)
    : on_hangup_(std::move(on_hangup)),
      thread_([this](const std::stop_token& done) { run(done); }) {}

Signals::~Signals() {
  thread_.request_stop();
  pthread_kill(thread_.native_handle(), SIGUSR1);
}

void Signals::run(const std::stop_token& done) {
  const sigset_t set = watched();
  for (;;) {
    int number = 0;
    sigwait(&set, &number);
    if (done.stop_requested()) return;
    if (number == SIGHUP) {
      if (on_hangup_) on_hangup_();
    } else if (number != SIGUSR1) {
      if (stop_.stop_requested()) _exit(128 + number);
      stop_.request_stop();
    }
  }
}

}  // namespace jobmill::app
