// SPDX-License-Identifier: Apache-2.0
#include "targets/process/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

constexpr std::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";
constexpr int kChannel = 3;  // the child's number for it

// What the child tells us when it could not become the program.
struct StartFailure {
  enum Step : int { Prepare, Folder, Cgroup, Hosts, Exec };
  int step = Exec;
  int error = 0;
};

struct Pipe {
  Fd read;
  Fd write;
};

// Numbers 0 to 3 are where the child wants its own; ours may be free if we were started so.
Result<Fd> above_stdio(Fd fd) {
  if (fd && fd.get() <= kChannel) fd = Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kChannel + 1));
  if (!fd) return fail(Code::Exhausted, std::generic_category().message(errno));
  return fd;
}

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{-1, -1};
  const int made = ::pipe2(ends.data(), O_CLOEXEC);
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  if (made != 0) return fail(Code::Exhausted, std::generic_category().message(errno));
  TRY(pipe.read, above_stdio(std::move(pipe.read)));
  TRY(pipe.write, above_stdio(std::move(pipe.write)));
  return pipe;
}

std::string why(int error) {
  return error == ENOENT ? "no such file" : std::generic_category().message(error);
}

Fault cannot_start(const ProcessSpec& spec, const StartFailure& failure) {
  const std::string& program = spec.command.front();
  const Code code =
      failure.error == ENOMEM || failure.error == EAGAIN ? Code::Exhausted : Code::InvalidArgument;
  if (failure.step == StartFailure::Folder) {
    return fail(code, fmt::format("cannot start '{}' in '{}' ({})", program, spec.working_directory,
                                  why(failure.error)));
  }
  if (failure.step == StartFailure::Cgroup) {
    return fail(code,
                fmt::format("cannot start '{}' in its cgroup ({})", program, why(failure.error)));
  }
  if (failure.step == StartFailure::Hosts) {
    return fail(Code::Unsupported,
                fmt::format("cannot start '{}' with a hosts file of its own ({})", program,
                            why(failure.error)));
  }
  return fail(code, fmt::format("cannot start '{}' ({})", program, why(failure.error)));
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

// All that the child needs, ready before the fork: after it only calls that are safe in a signal
// handler are allowed, since another thread of ours may have held the allocator's lock.
struct Plan {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* folder;  // null: ours
  int in;
  int out;
  int err;
  int channel;  // -1: none
  int report;
  int cgroup_procs;
  const char* hosts;    // null: those of the machine
  std::string uid_map;  // of a user namespace in which we stay who we are
  std::string gid_map;
  pid_t parent;
};

[[noreturn]] void give_up(const Plan& plan, StartFailure::Step step) {
  const StartFailure failure{step, errno};
  // The parent sees the closed pipe in any case.
  (void)!::write(plan.report, &failure, sizeof failure);
  ::_exit(127);
}

void default_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

bool put(const char* path, std::string_view text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  return fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
         ::close(fd) == 0;
}

// Whoever may not have mounts of his own may, on many machines, have a user namespace in which he
// may. There, setgroups must be given up before the groups can be mapped (user_namespaces(7)).
bool unshare_mounts(const Plan& plan) {
  if (::unshare(CLONE_NEWNS) == 0) return true;
  return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && put("/proc/self/setgroups", "deny") &&
         put("/proc/self/uid_map", plan.uid_map) && put("/proc/self/gid_map", plan.gid_map);
}

// Private first, so that the machine does not see the mount.
bool mount_hosts(const Plan& plan) {
  return unshare_mounts(plan) &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount(plan.hosts, "/etc/hosts", nullptr, MS_BIND, nullptr) == 0;
}

[[noreturn]] void become(const Plan& plan) {
  ::setsid();
  // Before the prctl: a change of credentials would take its wish back.
  if (plan.hosts != nullptr && !mount_hosts(plan)) give_up(plan, StartFailure::Hosts);
  // If the parent ended before the prctl, nobody will send the signal.
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan, StartFailure::Prepare);
  if (::getppid() != plan.parent) ::_exit(127);
  if (::dup2(plan.in, STDIN_FILENO) < 0 || ::dup2(plan.out, STDOUT_FILENO) < 0 ||
      ::dup2(plan.err, STDERR_FILENO) < 0) {
    give_up(plan, StartFailure::Prepare);
  }
  // Before the channel takes number 3, which may be that of this file.
  if (plan.cgroup_procs >= 0 && ::write(plan.cgroup_procs, "0", 1) != 1) {
    give_up(plan, StartFailure::Cgroup);
  }
  const unsigned first = plan.channel < 0 ? kChannel : kChannel + 1;
  if (plan.channel >= 0 && ::dup2(plan.channel, kChannel) < 0) give_up(plan, StartFailure::Prepare);
  if (::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    give_up(plan, StartFailure::Prepare);
  }
  if (plan.folder != nullptr && ::chdir(plan.folder) != 0) give_up(plan, StartFailure::Folder);
  default_signals();
  ::execve(plan.program, plan.arguments, plan.environment);
  give_up(plan, StartFailure::Exec);
}

// Signals wait while the child still has our handlers.
pid_t fork_blocked(const Plan& plan) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become(plan);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return pid;
}

// Ends when the program runs (the pipe closes on exec) or with what went wrong.
bool started(const Fd& report, StartFailure& failure) {
  ssize_t got = 0;
  do {
    got = ::read(report.get(), &failure, sizeof failure);
  } while (got < 0 && errno == EINTR);
  return got == 0;
}

}  // namespace

// As execvp does it, but with the child's PATH and before the fork, where memory may be had.
std::string find_program(const std::string& name, const Texts& environment) {
  if (name.find('/') != std::string::npos) return name;
  const auto found = environment.find("PATH");
  std::string_view path = found == environment.end() ? kDefaultPath : found->second;
  while (!path.empty()) {
    const std::string_view folder = path.substr(0, path.find(':'));
    path.remove_prefix(std::min(path.size(), folder.size() + 1));
    std::string candidate = fmt::format("{}/{}", folder, name);
    if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

Result<Process> Process::start(const ProcessSpec& spec) {
  if (spec.command.empty()) return fail(Code::InvalidArgument, "there is no command to start");
  const std::string program = find_program(spec.command.front(), spec.environment);
  if (program.empty()) return cannot_start(spec, {StartFailure::Exec, ENOENT});

  Pipe in;
  Pipe channel;
  if (spec.with_stdin) {
    TRY(in, make_pipe());
  } else {
    TRY(in.read, above_stdio(Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC))));
  }
  TRY(Pipe out, make_pipe());
  TRY(Pipe err, make_pipe());
  if (spec.with_channel) {
    TRY(channel, make_pipe());
  }
  TRY(Pipe report, make_pipe());
  std::vector<std::string> arguments = spec.command;
  std::vector<std::string> environment;
  for (const auto& [name, value] : spec.environment) environment.push_back(name + "=" + value);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);
  const Plan plan{
      .program = program.c_str(),
      .arguments = argv.data(),
      .environment = envp.data(),
      .folder = spec.working_directory.empty() ? nullptr : spec.working_directory.c_str(),
      .in = in.read.get(),
      .out = out.write.get(),
      .err = err.write.get(),
      .channel = channel.write.get(),
      .report = report.write.get(),
      .cgroup_procs = spec.cgroup_procs,
      .hosts = spec.hosts_file.empty() ? nullptr : spec.hosts_file.c_str(),
      .uid_map = fmt::format("{0} {0} 1", ::geteuid()),
      .gid_map = fmt::format("{0} {0} 1", ::getegid()),
      .parent = ::getpid()};

  Process process;
  process.pid_ = fork_blocked(plan);
  if (process.pid_ < 0) {
    const int error = errno;
    process.pid_ = 0;
    return cannot_start(spec, {StartFailure::Exec, error});
  }
  report.write.close();
  StartFailure failure;
  if (!started(report.read, failure)) return cannot_start(spec, failure);

  process.pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid_, 0)));
  if (!process.pidfd_) return cannot_start(spec, {StartFailure::Prepare, errno});
  for (const Fd* end : {&in.write, &out.read, &err.read, &channel.read})
    if (*end) ::fcntl(end->get(), F_SETFL, O_NONBLOCK);
  process.stdin_ = std::move(in.write);
  process.stdout_ = std::move(out.read);
  process.stderr_ = std::move(err.read);
  process.channel_ = std::move(channel.read);
  return process;
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      pidfd_(std::move(other.pidfd_)),
      stdin_(std::move(other.stdin_)),
      stdout_(std::move(other.stdout_)),
      stderr_(std::move(other.stderr_)),
      channel_(std::move(other.channel_)) {}

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  pidfd_ = std::move(other.pidfd_);
  stdin_ = std::move(other.stdin_);
  stdout_ = std::move(other.stdout_);
  stderr_ = std::move(other.stderr_);
  channel_ = std::move(other.channel_);
  return *this;
}

Process::~Process() {
  if (pid_ == 0) return;
  signal(SIGKILL);
  ::kill(pid_, SIGKILL);  // one that failed before it led a group
  reap();
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(-pid_, number);  // ESRCH: all have ended, which is as good
}

ProcessExit Process::reap() {
  ProcessExit exit;
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 &&
         errno == EINTR) {
  }
  signal(SIGKILL);  // its number is still taken, by the leader that we have not reaped
  int status = 0;
  rusage usage{};
  while (::wait4(pid_, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  exit.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  exit.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  exit.peak_rss_bytes = std::int64_t{usage.ru_maxrss} * 1024;
  return exit;
}

}  // namespace jobmill::targets
