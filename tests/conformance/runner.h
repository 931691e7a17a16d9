// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "executions/runner.h"

namespace jobmill::executions {

// What a runner told of its replicas. What it must tell once is counted.
struct Told {
  std::map<std::string, ProcessMark> started;
  std::map<std::string, std::string> failed;
  std::map<std::string, ReplicaEnd> ended;
  std::map<std::string, int> times;  // of any of these, by replica

  Runner::Events events();
};

// One kind of runner in its world.
class RunnerWorld {
 public:
  virtual ~RunnerWorld() = default;
  virtual Runner& runner() = 0;
  virtual Told& told() = 0;
  // A container in which a POSIX shell runs the script.
  virtual RunContainer container(const std::string& name, const std::string& script) = 0;
  virtual RunContainer broken_container(const std::string& name) = 0;  // its program is missing
  virtual std::string log_path(const std::string& replica) = 0;
  virtual std::string log_text(const std::string& replica) = 0;  // all of it
  // Lets the world go on until it comes true; fails the test when it never does.
  virtual void run_until(const std::function<bool()>& come_true) = 0;
};

using MakeRunnerWorld = std::function<std::unique_ptr<RunnerWorld>()>;

// The contract of Runner, as tests. Each kind of runner calls this with a maker of worlds.
void exercise_runner(const MakeRunnerWorld& make);

}  // namespace jobmill::executions
