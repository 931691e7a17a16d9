// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "targets/process/replica_set.h"

namespace jobmill::targets {

using Texts = std::map<std::string, std::string, std::less<>>;

struct ProcessSpec {
  std::vector<std::string> command;    // the first word is looked up in PATH of `environment`
  Texts environment = {};              // all of it: nothing of ours is inherited
  std::string working_directory = {};  // empty: ours
  int cgroup_procs = -1;               // its cgroup's file cgroup.procs, open for writing
  bool with_stdin = false;             // a pipe, take_stdin(); else it reads /dev/null
  bool with_channel = false;           // its descriptor 3 is a pipe to us, take_channel()
  // Stands in the place of /etc/hosts for it alone, by a mount namespace of its own. Unsupported,
  // where the kernel does not let us.
  std::string hosts_file = {};
};

// The file that is run for a program's name, in PATH of `environment`. Empty: there is none.
std::string find_program(const std::string& name, const Texts& environment);

// A child process that leads its own session and process group. It does not outlive us: the kernel
// kills it when the thread that started it ends, so start() belongs to a thread that lives as long
// as the server. Nothing but stdin, stdout, stderr and what its spec asks for is open in it.
//
// Its end is seen on pidfd(), which becomes readable then. Used by one thread.
class Process {
 public:
  // Returns when the program runs. The message names the command and says why it does not.
  static Result<Process> start(const ProcessSpec& spec);

  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();  // kills the group if it still runs

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  Fd take_stdin() { return std::move(stdin_); }  // none of these blocks
  Fd take_stdout() { return std::move(stdout_); }
  Fd take_stderr() { return std::move(stderr_); }
  Fd take_channel() { return std::move(channel_); }

  // To the whole group. Its number stays ours until reap(), so no stranger can be hit.
  void signal(int number) const;

  // How it ended; waits if it has not yet. What is left of its group is killed: when the first
  // process of a container ends, the others end with it. Once.
  ProcessExit reap();

 private:
  Process() = default;
  pid_t pid_ = 0;  // 0: reaped
  Fd pidfd_;
  Fd stdin_;
  Fd stdout_;
  Fd stderr_;
  Fd channel_;
};

}  // namespace jobmill::targets
