// SPDX-License-Identifier: Apache-2.0
#include "app/exec_job.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>

#include "app/exec_resident.h"
#include "base/clock.h"
#include "targets/process/process_table.h"
#include "temporary_folder.h"
#include "worker/store.h"

namespace jobmill::app {
namespace {

using namespace std::chrono_literals;
using jobs::Settlement;
using targets::ProcessExit;
using worker::Ending;
using worker::Run;

// As main() does it, and for the whole of these tests: any program may end before it has read all
// that it is handed.
[[maybe_unused]] const auto kNoSigpipe = std::signal(SIGPIPE, SIG_IGN);

// A job in a slot, without a server: what is told stays in the run.
class Bench {
 public:
  explicit Bench(std::string args = R"(["bob",3])") {
    jobs::ClaimedJob claimed;
    claimed.job.id = "0198a1b2-0000-7000-8000-000000000001";
    claimed.job.kind = "mail.send";
    claimed.job.queue = "mail";
    claimed.job.attempt = 2;
    claimed.job.args = std::move(args);
    claimed.job.extra.trace.parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    claimed.lock_token = "7-abc";
    run_ = std::make_unique<Run>(std::move(claimed), store_);
  }

  Run& run() { return *run_; }

  ExecOptions options(std::string script, ExecMode mode = ExecMode::Exec) const {
    return {.mode = mode,
            .command = {"sh", "-c", std::move(script)},
            .environment = {{"PATH", "/usr/bin:/bin"}, {"TRACEPARENT", "of the worker"}},
            .folder = folder_.path(),
            .grace = 60s};
  }

  // "INFO text" of each line.
  std::vector<std::string> lines() {
    std::vector<std::string> all;
    for (const jobs::LogLine& line : run_->take_news(1u << 20).logs)
      all.push_back(std::string(to_string(line.level)) + " " + line.text);
    return all;
  }

  const testing::TemporaryFolder& folder() const { return folder_; }

 private:
  const ManualClock clock_;
  const Store store_{nullptr, clock_};
  const testing::TemporaryFolder folder_;
  std::unique_ptr<Run> run_;
};

using Lines = std::vector<std::string>;

// What settlement_of makes of an end after these lines.
Settlement after(const ProcessExit& exit, const std::vector<std::string>& said = {}) {
  Bench bench;
  ExecWords words(bench.run(), "descriptor 3");
  for (const std::string& line : said) words.hear(line);
  return settlement_of(exit, words);
}

}  // namespace

TEST_CASE("exec: the end of a program is the end of its job") {
  CHECK(after({}).kind == Settlement::Kind::Complete);

  const Settlement failed = after({.exit_code = 3, .detail = "first\nno such user\n"});
  CHECK(failed.kind == Settlement::Kind::Fail);
  CHECK_FALSE(failed.crash);
  CHECK(failed.failure.type == "jobmill.ExitCode");
  CHECK(failed.failure.message == "exit code 3: no such user");
  CHECK(failed.failure.stack == "first\nno such user\n");
  CHECK(failed.failure.retry == jobs::RetryRule::Default);

  CHECK(after({.exit_code = 75}).failure.type == "jobmill.RetryLater");
  CHECK(after({.exit_code = 75}).failure.retry == jobs::RetryRule::Default);
  CHECK(after({.exit_code = 65}).failure.type == "jobmill.DeadLetter");
  CHECK(after({.exit_code = 65}).failure.retry == jobs::RetryRule::Never);

  const Settlement crashed = after({.signal = 11, .detail = "boom"});
  REQUIRE(crashed.crash);
  CHECK(crashed.crash->signal == 11);
  CHECK(crashed.crash->detail == "boom");
}

TEST_CASE("exec: an error that the program named goes before its exit code") {
  const std::string error = R"({"error":{"type":"smtp.Refused","message":"mailbox full"}})";
  for (const int code : {0, 3, 75, 65}) {
    CAPTURE(code);
    const Settlement failed = after({.exit_code = code}, {error});
    CHECK(failed.kind == Settlement::Kind::Fail);
    CHECK(failed.failure.type == "smtp.Refused");
    CHECK(failed.failure.message == "mailbox full");
    CHECK((failed.failure.retry == jobs::RetryRule::Never) == (code == 65));
  }
  CHECK(after({.signal = 9}, {error}).crash);
}

TEST_CASE("exec: snooze_s puts the job off when the program ended well, or with 75") {
  const std::string snooze = R"({"snooze_s":1.5})";
  for (const int code : {0, 75}) {
    const Settlement later = after({.exit_code = code}, {snooze});
    CHECK(later.kind == Settlement::Kind::Snooze);
    CHECK(later.after == 1500ms);
  }
  CHECK(after({.exit_code = 1}, {snooze}).kind == Settlement::Kind::Fail);
  CHECK(after({}, {snooze, R"({"error":{}})"}).kind == Settlement::Kind::Fail);
}

TEST_CASE("exec: what a program tells wrongly is told in the job's log, and costs nothing else") {
  Bench bench;
  ExecWords words(bench.run(), "descriptor 3");
  for (const char* line : {"", "{", "[1]", R"({"progres":{}})", R"({"step":{"id":"x","value":1}})",
                           R"({"log":{"level":"LOUD","text":"x"}})", R"({"progress":{"done":-1}})",
                           R"({"error":{"retry":"soon"}})", R"({"snooze_s":-3})"})
    words.hear(line);
  const Lines lines = bench.lines();
  const auto said = [&](std::string_view text) {
    for (const std::string& line : lines)
      if (line.starts_with("WARN descriptor 3: ") && line.find(text) != std::string::npos)
        return true;
    return false;
  };
  CHECK(said("expected an object"));
  CHECK(said("progres"));
  CHECK(said("step: steps of a job are not kept by this version"));
  CHECK(said("log.level: expected INFO, WARN or ERROR"));
  CHECK(said("progress.done"));
  CHECK(said("error.retry"));
  CHECK(said("snooze_s"));
  CHECK_FALSE(words.snooze());
}

TEST_CASE("exec: a program is handed its job, and what it tells is heard") {
  Bench bench;
  const Settlement settlement = run_program(bench.options(R"(
        cat
        cat "$JOBMILL_PAYLOAD_FILE"; echo; stat -c %a "$JOBMILL_PAYLOAD_FILE"
        echo "$JOBMILL_JOB_ID $JOBMILL_KIND $JOBMILL_QUEUE $JOBMILL_ATTEMPT $JOBMILL_LEASE"
        echo "$TRACEPARENT ${JOBMILL_DEADLINE-none}"
        echo warned >&2
        echo '{"progress":{"done":3,"total":10,"failed":1}}' >&3
        printf '%s\n' '{"log":{"level":"ERROR","text":"bad\nvery"}}' >&3
        printf '{"result":{"sent":3}}' >&3)"),
                                            bench.run());
  CHECK(settlement.kind == Settlement::Kind::Complete);
  CHECK(bench.run().take_result() == R"({"sent":3})");
  const auto news = bench.run().take_news(1u << 20);
  CHECK(news.progress == jobs::Progress{.done = 3, .total = 10, .failed = 1});
  Lines out;
  Lines others;
  for (const jobs::LogLine& line : news.logs)
    (line.level == jobs::LineLevel::Info ? out : others).push_back(line.text);
  CHECK(out == Lines{R"(["bob",3])", R"(["bob",3])", "600",
                     "0198a1b2-0000-7000-8000-000000000001 mail.send mail 2 7-abc",
                     "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 none"});
  CHECK(std::ranges::is_permutation(others, Lines{"warned", "bad", "very"}));
  CHECK(std::filesystem::is_empty(bench.folder().path()));
}

TEST_CASE("exec: in the mode stdin there are only the arguments") {
  Bench bench(R"({"to":"bob"})");
  const Settlement settlement = run_program(
      bench.options(
          "cat; echo \"${JOBMILL_PAYLOAD_FILE-none}\"; test -e /proc/$$/fd/3 || echo closed",
          ExecMode::Stdin),
      bench.run());
  CHECK(settlement.kind == Settlement::Kind::Complete);
  CHECK(bench.lines() == Lines{R"(INFO {"to":"bob"})", "INFO none", "INFO closed"});
}

TEST_CASE("exec: arguments that the program does not read do no harm, however large") {
  Bench bench("[\"" + std::string(900'000, 'x') + "\"]");
  const Settlement settlement = run_program(bench.options("exit 0"), bench.run());
  CHECK(settlement.kind == Settlement::Kind::Complete);
}

TEST_CASE("exec: a program that cannot be started fails its job") {
  Bench bench;
  ExecOptions options = bench.options("");
  options.command = {"/nowhere/at/all"};
  const Settlement settlement = run_program(options, bench.run());
  CHECK(settlement.failure.type == "jobmill.CannotStart");
}

TEST_CASE("exec: a run that shall end is asked first, and forced after the grace") {
  Bench polite;
  std::jthread asking([&] {
    while (!polite.run().has_news()) std::this_thread::yield();
    polite.run().end(Ending::Timeout);
  });
  // Its grace is a minute: it ends by itself.
  CHECK(run_program(polite.options("trap 'echo asked; exit 0' TERM; echo up; while :; do sleep "
                                   "0.01; done"),
                    polite.run())
            .kind == Settlement::Kind::Release);
  // Some shells tell on stderr that their sleep was ended.
  const Lines lines = polite.lines();
  CHECK(std::ranges::find(lines, "INFO asked") != lines.end());

  Bench deaf;
  std::jthread ending([&] {
    while (!deaf.run().has_news()) std::this_thread::yield();
    deaf.run().end(Ending::Deleted);
  });
  ExecOptions options = deaf.options("trap '' TERM; echo up; while :; do sleep 0.01; done");
  options.grace = 50ms;
  CHECK(run_program(options, deaf.run()).kind == Settlement::Kind::Release);
}

TEST_CASE("exec: the whole group of a program ends with it") {
  Bench bench;
  const Settlement settlement =
      run_program(bench.options("sleep 1000 & echo $!; exit 0"), bench.run());
  CHECK(settlement.kind == Settlement::Kind::Complete);
  const Lines lines = bench.lines();
  REQUIRE(lines.size() == 1);
  const auto pid = static_cast<pid_t>(std::stoi(lines.front().substr(5)));
  const auto limit = std::chrono::steady_clock::now() + 60s;
  while (targets::listed_process(pid) && std::chrono::steady_clock::now() < limit)
    std::this_thread::yield();
  CHECK_FALSE(targets::listed_process(pid));
}

TEST_CASE("exec: a resident is handed one job after the other, and started again when it dies") {
  const std::string script = R"(
    while read -r line; do
      case "$line" in
        *fatal*) echo oops >&2; kill -SEGV $$ ;;
        *wrong*) echo '{"n":'$n',"result":"of another job"}'; echo '{"n":2,"error":{"type":"Bad"}}' ;;
        *later*) echo '{"n":3,"snooze_s":2}' ;;
        *) n=1; echo 'no json'; echo '{"n":1,"progress":{"done":1}}'; echo '{"n":1,"result":'$$'}' ;;
      esac
    done)";
  Bench first;
  ExecOptions options = first.options(script, ExecMode::Json);
  options.grace = 50ms;
  Resident resident(options);
  CHECK(resident.run(first.run()).kind == Settlement::Kind::Complete);
  CHECK_FALSE(first.run().take_result().empty());
  CHECK(first.lines() == Lines{"WARN stdout: this is no message: no json"});

  Bench wrong("[\"wrong\"]");
  const Settlement failed = resident.run(wrong.run());
  CHECK(failed.kind == Settlement::Kind::Fail);
  CHECK(failed.failure.type == "Bad");
  CHECK(wrong.run().take_result().empty());

  Bench later("[\"later\"]");
  CHECK(resident.run(later.run()).after == 2s);

  Bench fatal("[\"fatal\"]");
  const Settlement crashed = resident.run(fatal.run());
  REQUIRE(crashed.crash);
  CHECK(crashed.crash->signal == 11);
  CHECK(fatal.lines() == Lines{"WARN oops"});

  Bench again("[\"fine\"]");
  // It answers to 1 and is asked for 5: that is no answer, and it does not hear of the end.
  std::jthread end([&] {
    while (!again.run().has_news()) std::this_thread::yield();
    again.run().end(Ending::Deleted);
  });
  CHECK(resident.run(again.run()).kind == Settlement::Kind::Release);
}

TEST_CASE("exec: a resident learns what a claim tells, and that its job is not wanted any more") {
  const std::string script = R"(read -r line; echo "$line" >&2; read -r line; echo "$line" >&2
                                echo '{"n":1,"error":{"message":"cancelled"}}'; read -r line)";
  Bench bench;
  const ExecOptions options = bench.options(script, ExecMode::Json);
  Resident resident(options);
  std::jthread cancelling([&] {
    while (!bench.run().has_news()) std::this_thread::yield();
    bench.run().end(Ending::Timeout);
  });
  CHECK(resident.run(bench.run()).failure.message == "cancelled");
  const Lines lines = bench.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] ==
        R"(WARN {"n":1,"op":"run","job":{"id":"0198a1b2-0000-7000-8000-000000000001",)"
        R"("kind":"mail.send","v":1,"args":["bob",3],"name":"","queue":"mail","labels":[],)"
        R"("attempt":2,"max_attempts":11,"crashes":0,"lock_token":"7-abc",)"
        R"("trace":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}})");
  CHECK(lines[1] == R"(WARN {"n":1,"op":"cancel","reason":"timeout"})");
}

}  // namespace jobmill::app
