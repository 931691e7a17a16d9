// SPDX-License-Identifier: Apache-2.0
#include "app/exec_job.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include <fmt/format.h>

#include "app/post_mortem.h"
#include "base/duration.h"

namespace jobmill::app {
namespace {

using jobs::Settlement;
using targets::ProcessExit;

constexpr int kRetryLater = 75;  // EX_TEMPFAIL
constexpr int kDeadLetter = 65;  // EX_DATAERR

// The arguments in a file that only we may read; it is there for as long as the program.
class PayloadFile {
 public:
  static Result<PayloadFile> write(const std::string& folder, const worker::Run& run) {
    PayloadFile file(fmt::format("{}/{}-{}.json", folder, run.job().id, run.lock_token()));
    const Fd fd(
        ::open(file.path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    const std::string& text = run.job().args;
    if (!fd || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      return fail(Code::Exhausted, "cannot write " + file.path_);
    return file;
  }

  PayloadFile(PayloadFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~PayloadFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  explicit PayloadFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

std::string last_line(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  return std::string(text.substr(text.rfind('\n') + 1));
}

std::string message_of(const ProcessExit& exit) {
  const std::string said = last_line(exit.detail);
  return said.empty() ? describe(exit) : fmt::format("{}: {}", describe(exit), said);
}

std::string_view type_of(int exit_code) {
  if (exit_code == kRetryLater) return "jobmill.RetryLater";
  return exit_code == kDeadLetter ? "jobmill.DeadLetter" : "jobmill.ExitCode";
}

Settlement failed(const ProcessExit& exit, const ExecWords& words) {
  Settlement settlement{.kind = Settlement::Kind::Fail};
  jobs::Failure& failure = settlement.failure;
  failure.type = type_of(exit.exit_code);
  failure.message = message_of(exit);
  if (words.error()) failure = *words.error();
  if (failure.stack.empty()) failure.stack = exit.detail;
  if (exit.exit_code == kDeadLetter) failure.retry = jobs::RetryRule::Never;
  return settlement;
}

// The run's end is told to the program: first the wish, then the force.
ProcessExit supervise(ExecProgram& program, const worker::Run& run, Duration grace) {
  const std::stop_callback wake(run.stop(), [&] { program.wake(); });
  std::optional<ExecProgram::Instant> kill_at;
  bool killed = false;
  while (!program.ended()) {
    if (!kill_at && run.stop().stop_requested()) {
      program.signal(SIGTERM);
      kill_at = force_at(run, grace);
    }
    if (kill_at && !killed && std::chrono::steady_clock::now() >= *kill_at) {
      program.signal(SIGKILL);
      killed = true;
    }
    program.wait(killed ? std::nullopt : kill_at);
  }
  return program.finish();
}

Settlement start_and_wait(const ExecOptions& options, worker::Run& run,
                          const std::string& payload_file) {
  ExecWords words(run, "descriptor 3");
  ExecProgram::Listener listener{.out = log_to(run, jobs::LineLevel::Info),
                                 .err = log_to(run, jobs::LineLevel::Warn)};
  if (options.mode == ExecMode::Exec)
    listener.channel = [&](std::string_view line) { words.hear(line); };
  auto program = ExecProgram::start(options.command, job_environment(options, run, payload_file),
                                    std::move(listener));
  if (!program) return cannot_start(program.error());
  (*program)->write(run.job().args + "\n");
  (*program)->close_input();
  const ProcessExit exit = supervise(**program, run, options.grace);
  // We ended it: how says nothing of the job.
  if (run.stop().stop_requested()) return {.kind = Settlement::Kind::Release};
  return settlement_of(exit, words);
}

}  // namespace

Settlement crashed(const ProcessExit& exit) {
  Settlement settlement{.kind = Settlement::Kind::Fail};
  settlement.failure.type = "jobmill.Crash";
  settlement.failure.message = message_of(exit);
  settlement.crash = crash_of(exit);
  return settlement;
}

Settlement settlement_of(const ProcessExit& exit, const ExecWords& words) {
  if (exit.signal != 0) return crashed(exit);
  const bool fine = exit.exit_code == 0 && !words.error();
  if (words.snooze() && (fine || exit.exit_code == kRetryLater))
    return {.kind = Settlement::Kind::Snooze, .after = *words.snooze()};
  return fine ? Settlement{.kind = Settlement::Kind::Complete} : failed(exit, words);
}

targets::Texts job_environment(const ExecOptions& options, const worker::Run& run,
                               const std::string& payload_file) {
  const jobs::Job& job = run.job();
  targets::Texts all = options.environment;
  // The worker's own are not the job's.
  for (const char* name : {"TRACEPARENT", "TRACESTATE", "JOBMILL_DEADLINE"}) all.erase(name);
  const auto set = [&](const char* name, const std::string& value) {
    if (!value.empty()) all.insert_or_assign(name, value);
  };
  set("JOBMILL_JOB_ID", job.id);
  set("JOBMILL_KIND", job.kind);
  set("JOBMILL_QUEUE", job.queue);
  set("JOBMILL_ATTEMPT", std::to_string(job.attempt));
  set("JOBMILL_LEASE", run.lock_token());
  set("JOBMILL_PAYLOAD_FILE", payload_file);
  if (job.deadline) set("JOBMILL_DEADLINE", format_instant(*job.deadline));
  set("TRACEPARENT", job.extra.trace.parent);
  set("TRACESTATE", job.extra.trace.state);
  return all;
}

Settlement run_program(const ExecOptions& options, worker::Run& run) {
  if (options.mode == ExecMode::Stdin) return start_and_wait(options, run, "");
  const auto payload = PayloadFile::write(options.folder, run);
  return payload ? start_and_wait(options, run, payload->path()) : cannot_start(payload.error());
}

ExecProgram::Instant force_at(const worker::Run& run, Duration grace) {
  const Duration patience = run.ending() == worker::Ending::Drain ? kLastWords : grace;
  return std::chrono::steady_clock::now() + patience;
}

Settlement cannot_start(const Fault& why) {
  Settlement settlement{.kind = Settlement::Kind::Fail};
  settlement.failure.type = "jobmill.CannotStart";
  settlement.failure.message = why.message;
  return settlement;
}

LineCutter::Take log_to(worker::Run& run, jobs::LineLevel level) {
  return [&run, level](std::string_view line) { run.log(level, line); };
}

}  // namespace jobmill::app
