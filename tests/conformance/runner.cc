// SPDX-License-Identifier: Apache-2.0
#include "conformance/runner.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <csignal>

#include "temporary_folder.h"

namespace jobmill::executions {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

RunReplica replica_of(RunnerWorld& world, const std::string& name, const std::string& script) {
  return {.job = "mail",
          .execution = "mail-abc1234",
          .replica = name,
          .main = world.container("main", script),
          .init = {},
          .beside = {},
          .local_names = {},
          .masked = {},
          .log = world.log_path(name)};
}

// A shell that is not told of signals while it waits for a child waits in `wait` instead.
std::string wait_for_ever(const std::string& before = "") {
  return before + "echo up; sleep 1000 & wait; wait";
}

void wait_for_text(RunnerWorld& world, const std::string& replica, const std::string& text) {
  INFO("for '" << text << "' of " << replica << " in:\n" << world.log_text(replica));
  world.run_until([&] { return has(world.log_text(replica), text); });
}

const ReplicaEnd& wait_for_end(RunnerWorld& world, const std::string& replica) {
  INFO("for the end of " << replica << " after:\n" << world.log_text(replica));
  world.run_until([&] { return world.told().ended.count(replica) > 0; });
  return world.told().ended[replica];
}

const ReplicaEnd& run(RunnerWorld& world, RunReplica replica) {
  const std::string name = replica.replica;
  world.runner().start(std::move(replica));
  return wait_for_end(world, name);
}

std::string failure_of(RunnerWorld& world, RunReplica replica) {
  const std::string name = replica.replica;
  world.runner().start(std::move(replica));
  world.run_until([&] { return world.told().failed.count(name) > 0; });
  CHECK(world.told().started.count(name) == 0);
  CHECK(world.told().ended.count(name) == 0);
  return world.told().failed[name];
}

void tells_how_it_ended(RunnerWorld& world) {
  const ReplicaEnd good = run(world, replica_of(world, "mail-1", "exit 0"));
  CHECK(good.exit_code == 0);
  CHECK(good.signal == 0);
  const ReplicaEnd bad = run(world, replica_of(world, "mail-2", "echo broken >&2; exit 3"));
  CHECK(bad.exit_code == 3);
  CHECK_MESSAGE(has(bad.detail, "broken"), bad.detail);
  CHECK(bad.peak_rss_bytes > 0);
  CHECK_FALSE(bad.out_of_memory);
  const ReplicaEnd killed = run(world, replica_of(world, "mail-3", "kill -SEGV $$"));
  CHECK(killed.signal == SIGSEGV);
  for (const char* name : {"mail-1", "mail-2", "mail-3"}) {
    CHECK(world.told().started.count(name) == 1);
    CHECK(world.told().times[name] == 2);  // started, ended
  }
}

void answers_later(RunnerWorld& world) {
  world.runner().start(replica_of(world, "mail-1", wait_for_ever()));
  CHECK(world.told().times.empty());
  world.run_until([&] { return world.told().started.count("mail-1") > 0; });
  CHECK(world.told().started.at("mail-1").pid > 0);
  world.runner().stop("mail-1", true);
  CHECK(world.told().ended.empty());
  CHECK(wait_for_end(world, "mail-1").signal == SIGKILL);
}

void stops(RunnerWorld& world) {
  world.runner().start(
      replica_of(world, "mail-1", wait_for_ever("trap 'echo bye; exit 7' TERM; ")));
  wait_for_text(world, "mail-1", "up");
  world.runner().stop("mail-1", false);
  CHECK(wait_for_end(world, "mail-1").exit_code == 7);
  CHECK(has(world.log_text("mail-1"), "bye"));

  world.runner().start(replica_of(
      world, "mail-2", "trap 'echo not yet' TERM; echo up; while :; do sleep 1000 & wait; done"));
  wait_for_text(world, "mail-2", "up");
  world.runner().stop("mail-2", false);
  wait_for_text(world, "mail-2", "not yet");
  world.runner().stop("mail-2", true);
  CHECK(wait_for_end(world, "mail-2").signal == SIGKILL);

  world.runner().stop("mail-2", false);  // it is gone
  world.runner().stop("nobody", true);
}

void gives_the_environment(RunnerWorld& world) {
  RunReplica replica = replica_of(world, "mail-1", "env");
  replica.main.environment["GREETING"] = "a b=\"c\"";
  run(world, replica);
  for (const auto& [name, value] : replica.main.environment) {
    CHECK(has(world.log_text("mail-1"), name + "=" + value + "\n"));
  }
}

void runs_in_its_folder(RunnerWorld& world) {
  RunReplica replica = replica_of(world, "mail-1", "pwd");
  replica.main.workdir = "/usr";
  run(world, std::move(replica));
  CHECK(has(world.log_text("mail-1"), "stdout /usr\n"));

  // Without one it has a folder of its own, empty and writable.
  const auto own = "set -e; ls -A; echo 1 >a; test \"$(ls -A)\" = a";
  CHECK(run(world, replica_of(world, "mail-2", own)).exit_code == 0);
  CHECK(run(world, replica_of(world, "mail-3", own)).exit_code == 0);
}

void keeps_all_output(RunnerWorld& world) {
  run(world, replica_of(world, "mail-1",
                        "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; "
                        "echo wrong >&2; printf unfinished"));
  const std::string text = world.log_text("mail-1");
  CHECK(has(text, "Z stdout line 0\n"));
  CHECK(has(text, "Z stdout line 1999\n"));
  CHECK(has(text, "Z stderr wrong\n"));
  CHECK(has(text, "Z stdout unfinished\n"));
}

void masks_secrets(RunnerWorld& world) {
  RunReplica replica =
      replica_of(world, "mail-1", "echo key=swordfish; echo swordfish >&2; exit 1");
  replica.masked = {Secret("swordfish")};
  const ReplicaEnd end = run(world, std::move(replica));
  CHECK(has(world.log_text("mail-1"), "stdout key=***\n"));
  CHECK(has(world.log_text("mail-1"), "stderr ***\n"));
  CHECK(end.detail == "***\n");
}

void runs_init_containers_first(RunnerWorld& world) {
  RunReplica replica = replica_of(world, "mail-1", "echo third");
  replica.init = {world.container("one", "sleep 0.1; echo first"),
                  world.container("two", "echo second")};
  CHECK(run(world, std::move(replica)).exit_code == 0);
  const std::string text = world.log_text("mail-1");
  CHECK(text.find("first") < text.find("second"));
  CHECK(text.find("second") < text.find("third"));
  CHECK(has(text, "stdout:one first\n"));

  replica = replica_of(world, "mail-2", "echo never");
  replica.init = {world.container("one", "exit 4"), world.container("two", "echo never")};
  const ReplicaEnd end = run(world, std::move(replica));
  CHECK(end.exit_code == 4);
  CHECK(has(end.detail, "one"));
  CHECK_FALSE(has(world.log_text("mail-2"), "never"));

  // Stopped there, it did not do its work, even when that container ends well.
  replica = replica_of(world, "mail-3", "echo never");
  replica.init = {world.container("one", wait_for_ever("trap 'exit 0' TERM; "))};
  world.runner().start(std::move(replica));
  wait_for_text(world, "mail-3", "up");
  world.runner().stop("mail-3", false);
  CHECK(wait_for_end(world, "mail-3").signal == SIGTERM);
  CHECK_FALSE(has(world.log_text("mail-3"), "never"));
}

void stops_what_runs_beside(RunnerWorld& world) {
  // The main one ends only when the one beside it listens to signals.
  const testing::TemporaryFolder folder;
  const std::string pipe = folder.path() + "/pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  RunReplica replica = replica_of(world, "mail-1", "read ready <" + pipe + " && exit 5");
  replica.beside = {
      world.container("proxy",
                      wait_for_ever("trap 'echo closing; exit 0' TERM; echo >" + pipe + "; ")),
      world.container("short", "echo done")};
  for (RunContainer* container : {&replica.main, &replica.beside[0]})
    container->files = {folder.path()};
  CHECK(run(world, std::move(replica)).exit_code == 5);
  CHECK(has(world.log_text("mail-1"), "stdout:proxy closing\n"));
  CHECK(has(world.log_text("mail-1"), "stdout:short done\n"));

  replica = replica_of(world, "mail-2", wait_for_ever());
  replica.beside = {world.container("proxy", wait_for_ever())};
  world.runner().start(std::move(replica));
  wait_for_text(world, "mail-2", "stdout up");
  wait_for_text(world, "mail-2", "stdout:proxy up");
  world.runner().stop("mail-2", true);
  CHECK(wait_for_end(world, "mail-2").signal == SIGKILL);
}

void says_why_it_does_not_start(RunnerWorld& world) {
  RunReplica replica = replica_of(world, "mail-1", "exit 0");
  replica.main = world.broken_container("main");
  CHECK(failure_of(world, replica).starts_with("StartError: "));

  replica = replica_of(world, "mail-2", "echo never; sleep 1000");
  replica.beside = {world.broken_container("proxy")};
  CHECK(failure_of(world, replica).starts_with("StartError: "));

  // After an init container has run, it is an end.
  replica = replica_of(world, "mail-3", "exit 0");
  replica.init = {world.container("one", "exit 0")};
  replica.main = world.broken_container("main");
  const ReplicaEnd end = run(world, replica);
  CHECK(end.exit_code == 127);
  CHECK(end.detail.starts_with("StartError: "));
}

}  // namespace

Runner::Events Told::events() {
  return {.started =
              [this](const std::string& replica, ProcessMark mark) {
                started[replica] = std::move(mark);
                ++times[replica];
              },
          .start_failed =
              [this](const std::string& replica, std::string reason) {
                failed[replica] = std::move(reason);
                ++times[replica];
              },
          .ended =
              [this](const std::string& replica, ReplicaEnd end) {
                ended[replica] = std::move(end);
                ++times[replica];
              }};
}

void exercise_runner(const MakeRunnerWorld& make) {
  for (const auto& part :
       {tells_how_it_ended, answers_later, stops, gives_the_environment, runs_in_its_folder,
        keeps_all_output, masks_secrets, runs_init_containers_first, stops_what_runs_beside,
        says_why_it_does_not_start}) {
    part(*make());
  }
}

}  // namespace jobmill::executions
