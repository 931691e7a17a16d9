// SPDX-License-Identifier: Apache-2.0
#include "targets/process/readiness.h"

#include <algorithm>
#include <utility>

namespace jobmill::targets {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(50);

}  // namespace

Readiness::Readiness(Check check, ProcessWatcher& watcher, RunAfter run_after,
                     std::function<void(bool)> changed)
    : check_(std::move(check)),
      watcher_(watcher),
      run_after_(std::move(run_after)),
      changed_(std::move(changed)),
      pause_(kFirstPause) {
  after(check_.probe.initial_delay, &Readiness::attempt);
}

void Readiness::after(Duration delay, void (Readiness::*step)()) {
  run_after_(delay, [this, step, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) (this->*step)();
  });
}

void Readiness::attempt() {
  const int attempt = ++attempt_;
  run_after_(check_.probe.timeout, [this, attempt, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) time_out(attempt);
  });
  if (check_.probe.kind == manifest::Probe::Kind::Exec) return run_command();
  const bool get = check_.probe.kind == manifest::Probe::Kind::Http && !check_.probe.https;
  port_ = std::make_unique<PortProbe>(watcher_, check_.port, get ? check_.probe.path : "",
                                      [this](bool ok) { judge(ok); });
}

void Readiness::run_command() {
  ProcessSpec spec = check_.spec;
  spec.command = check_.probe.command;
  auto started = Process::start(spec);
  if (!started) return judge(false);  // as Kubernetes: a command that cannot run has failed
  command_ = *std::move(started);
  const Status watched = watcher_.watch(
      *command_, {}, [this, attempt = attempt_, alive = std::weak_ptr(alive_)](const std::string&) {
        if (alive.expired() || attempt != attempt_ || !command_) return;
        const ProcessExit exit = command_->reap();
        judge(exit.signal == 0 && exit.exit_code == 0);
      });
  if (!watched) judge(false);
}

void Readiness::time_out(int attempt) {
  if (attempt == attempt_ && (command_ || port_)) judge(false);
}

void Readiness::judge(bool success) {
  ++attempt_;  // what it still says is late
  command_.reset();
  port_.reset();
  streak_ = success == last_ ? streak_ + 1 : 1;
  last_ = success;
  const int needed = success ? check_.probe.success_threshold : check_.probe.failure_threshold;
  const bool change = success != ready_ && streak_ >= needed;
  if (change) ready_ = success;

  const Duration pause = ready_ ? check_.probe.period : std::min(pause_, check_.probe.period);
  if (!ready_) pause_ = std::min(2 * pause_, check_.probe.period);
  after(pause, &Readiness::attempt);
  if (change) changed_(ready_);  // last: it may destroy us
}

}  // namespace jobmill::targets
