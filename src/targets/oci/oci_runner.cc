// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/oci_runner.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "targets/oci/memory_events.h"

namespace jobmill::targets {

using executions::ProcessMark;
using executions::ReplicaEnd;
using executions::RunContainer;
using executions::RunReplica;

namespace {

constexpr Duration kKillLimit = std::chrono::seconds(5);  // then the tool is killed itself
constexpr int kEndMilliseconds = 5000;                    // of a container without us
constexpr int kSignalBase = 128;                          // as shells tell signals

// A container that has just gone must not end us by SIGPIPE, whatever the application does with it.
void write_quietly(const Fd& to, unsigned char byte) {
  sigset_t pipe;
  sigset_t before;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
  const ssize_t wrote = ::write(to.get(), &byte, 1);
  const timespec at_once{};
  if (wrote < 0 && errno == EPIPE && sigismember(&before, SIGPIPE) == 0)
    while (::sigtimedwait(&pipe, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// The end of a tool that did not say how its container ended, because somebody killed it.
ReplicaEnd end_of_tool(const ProcessExit& exit) {
  if (exit.signal != 0) return {.signal = exit.signal};
  if (exit.exit_code > kSignalBase) return {.signal = exit.exit_code - kSignalBase};
  return {.exit_code = exit.exit_code};
}

}  // namespace

// The tool that runs the container, and the two pipes of its first process.
class OciRunner::Child final : public Container {
 public:
  struct Place {
    ProcessWatcher& watcher;
    RunAfter run_after;
    std::function<void()> came_up;    // does nothing to us before it returns
    std::function<void()> abandoned;  // the tool has not removed the container
    std::string pid_file;
    Fd folder_changes;  // of the folder that has the file
    bool limited;       // its cgroup is its own
  };

  Child(Process process, Place place)
      : process_(std::move(process)),
        link_(process_.take_stdin()),
        says_(process_.take_channel()),
        place_(std::move(place)) {
    listen();
  }
  // Its first process ends everything when the pipe is closed.
  ~Child() override {
    for (const auto& wait : {wait_, pid_wait_})
      if (wait) place_.watcher.forget(*wait);
    if (process_.pid() == 0) return;
    link_.close();
    pollfd end{process_.pidfd(), POLLIN, 0};
    if (::poll(&end, 1, kEndMilliseconds) != 1) place_.abandoned();
  }

  Process& process() override { return process_; }
  bool runs() const override { return first_.pid > 0; }
  ProcessMark mark() const override {
    return {.pid = first_.pid, .start_ticks = first_.start_ticks};
  }
  // One that is not there yet finds it in the pipe. A tool that does not get so far is killed.
  void signal(int number) override {
    if (link_) write_quietly(link_, static_cast<unsigned char>(number));
    if (number != SIGKILL) return;
    place_.run_after(kKillLimit, [this, alive = std::weak_ptr(alive_)] {
      if (alive.expired() || process_.pid() == 0) return;
      killed_ = true;
      process_.signal(SIGKILL);
    });
  }
  Result<ReplicaEnd> reap() override {
    while (read_some() == Read::Some) {
    }
    const ProcessExit exit = process_.reap();
    if (killed_) place_.abandoned();
    if (!failure_.empty()) return fail(Code::InvalidArgument, "StartError: " + failure_);
    if (end_) return *end_;
    if (!runs() && exit.signal == 0)
      return fail(Code::Unavailable,
                  fmt::format("StartError: the container did not start ({})", describe(exit)));
    return end_of_tool(exit);
  }

 private:
  void listen() {
    wait_ = place_.watcher.when_ready(says_.get(), EPOLLIN, [this, alive = std::weak_ptr(alive_)] {
      if (alive.expired()) return;
      wait_.reset();
      if (read_some() != Read::End) listen();
    });
  }

  enum class Read { Some, Nothing, End };
  Read read_some() {
    std::array<char, 512> buffer;
    const ssize_t got = ::read(says_.get(), buffer.data(), buffer.size());
    if (got <= 0) return got == 0 ? Read::End : Read::Nothing;
    text_.append(buffer.data(), static_cast<std::size_t>(got));
    take_lines();
    return Read::Some;
  }

  // Of a container that has started we must know the process before anything else. The tool writes
  // its number when the container already runs.
  void take_lines() {
    for (auto end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
      const std::string line = text_.substr(0, end);
      if (line == "started" && !know_first()) return await_pid_file();
      text_.erase(0, end + 1);
      take(line);
    }
  }

  void await_pid_file() {
    if (pid_wait_) return;
    pid_wait_ = place_.watcher.when_ready(
        place_.folder_changes.get(), EPOLLIN, [this, alive = std::weak_ptr(alive_)] {
          if (alive.expired()) return;
          pid_wait_.reset();
          std::array<char, 4096> events;
          while (::read(place_.folder_changes.get(), events.data(), events.size()) > 0) {
          }
          take_lines();
        });
  }

  bool know_first() {
    pid_t pid = 0;
    std::ifstream(place_.pid_file) >> pid;
    if (pid > 0) first_ = listed_process(pid).value_or(ListedProcess{.pid = pid});
    return pid > 0;
  }

  void take(const std::string& line) {
    std::istringstream words(line);
    std::string what;
    words >> what >> std::ws;
    if (what == "started") return place_.came_up();
    int number = 0;
    std::int64_t peak = 0;
    if (what == "failed") {
      std::getline(words, failure_);
    } else {
      words >> number >> peak;
      end_ = ReplicaEnd{.peak_rss_bytes = peak};
      (what == "killed" ? end_->signal : end_->exit_code) = number;
      end_->out_of_memory = number != 0 && place_.limited && out_of_memory(first_.pid);
    }
    link_.close();  // it waits for that
  }

  Process process_;
  Fd link_;  // what we write are signals
  Fd says_;
  const Place place_;
  std::optional<ProcessWatcher::WaitId> wait_;      // for says_
  std::optional<ProcessWatcher::WaitId> pid_wait_;  // for the number of the process
  std::string text_;                                // not taken yet
  ListedProcess first_;  // process of the container, as this machine numbers it
  std::string failure_;
  std::optional<ReplicaEnd> end_;
  bool killed_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

OciRunner::OciRunner(Events events, World world, const std::string& folder,
                     const Texts& environment)
    : ReplicaRunner(std::move(events), std::move(world)),
      setup_(folder, environment, this->world().log) {}

OciRunner::~OciRunner() {
  closing_ = true;
  end_all();
}

void OciRunner::prepare(const RunReplica& replica, std::function<void(Status)> done) {
  pool_.post([this, replica, folder = folder_of(replica.replica), done = std::move(done)] {
    if (closing_) return;
    auto launches = setup_.prepare(replica, folder);
    post([this, name = replica.replica, done, launches = std::move(launches)] {
      if (!launches) return done(launches.error());
      launches_[name] = *launches;
      done({});
    });
  });
}

Result<std::unique_ptr<ReplicaRunner::Container>> OciRunner::launch(const RunReplica& replica,
                                                                    const RunContainer& container) {
  std::vector<ContainerLaunch>& launches = launches_[replica.replica];
  ContainerLaunch launch = std::move(launches.front());
  launches.erase(launches.begin());
  launch.spec.with_stdin = true;
  launch.spec.with_channel = true;
  Fd changes(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const std::string folder = std::filesystem::path(launch.pid_file).parent_path().string();
  if (::inotify_add_watch(changes.get(), folder.c_str(), IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
    return fail(Code::Exhausted, fmt::format("StartError: cannot watch {} ({})", folder,
                                             std::generic_category().message(errno)));
  auto process = Process::start(launch.spec);
  if (!process) return fail(process.error().code, "StartError: " + process.error().message);
  return std::make_unique<Child>(
      *std::move(process),
      Child::Place{
          .watcher = world().watcher,
          .run_after = world().run_after,
          .came_up = [this, name = replica.replica] { post([this, name] { came_up(name); }); },
          .abandoned = [this, id = launch.id] { pool_.post([this, id] { setup_.remove(id); }); },
          .pid_file = launch.pid_file,
          .folder_changes = std::move(changes),
          .limited = container.memory_bytes.has_value()});
}

void OciRunner::forget(const std::string& replica) { launches_.erase(replica); }

}  // namespace jobmill::targets
