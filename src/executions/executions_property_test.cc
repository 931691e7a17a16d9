// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "executions/executions_fixture.h"

namespace jobmill::executions {
namespace {

constexpr int kStories = 80;
constexpr int kSteps = 250;

// A world around an engine, random under one seed: processes that start, end and hang, a queue,
// people who start and stop, servers that end and die. What must always hold is checked after every
// tick.
class Story {
 public:
  explicit Story(std::uint32_t seed) : random_(seed), job_(EngineRig::queue_job()) {
    job_.completions = between(1, 4);
    job_.parallelism = between(1, 3);
    job_.retry_limit = between(0, 3);
    job_.replica_timeout = std::chrono::seconds(between(5, 60));
    job_.options.stop_grace = std::chrono::seconds(between(0, 10));
    if (chance(0.3)) job_.options.backoff = {};
    if (chance(0.2)) job_.options.backoff = {Duration::zero(), Duration::zero()};
    new_engine();
  }

  void run() {
    for (int step = 0; step < kSteps; ++step) {
      something_happens();
      tick();
    }
    come_to_an_end();
  }

  const std::vector<std::string>& log() const { return log_; }
  int finished(ExecutionStatus status) const {
    return static_cast<int>(std::count_if(saved_.begin(), saved_.end(), [&](const auto& entry) {
      return entry.second.status == status;
    }));
  }

 private:
  struct Process {
    bool runs = false;
    bool term = false;
    bool kill = false;
    std::set<std::int64_t> holds{};
  };
  using Processes = std::map<std::string, Process>;

  int between(int low, int high) { return std::uniform_int_distribution(low, high)(random_); }
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }

  Processes::iterator any_process() {
    if (processes_.empty()) return processes_.end();
    return std::next(processes_.begin(), between(0, static_cast<int>(processes_.size()) - 1));
  }
  std::string any_execution() {
    const auto all = engine_->unfinished(job_.key);
    if (all.empty()) return "worker-0000000";
    return all[static_cast<std::size_t>(between(0, static_cast<int>(all.size()) - 1))]->name;
  }

  void new_engine() {
    engine_ = std::make_unique<Executions>(random_());
    engine_->put(job_, clock_.now());
    asked_.clear();
    halted_ = false;
  }

  // --- what may happen ---

  void something_happens() {
    const int what = between(0, 99);
    if (what < 12) return start();
    if (what < 30) return pass_time();
    if (what < 60) return process_moves();
    if (what < 78) return message_moves();
    if (what < 84) return tell_ready(between(0, 3));
    if (what < 88) return stop();
    if (what < 92) return nonsense();
    if (what < 94) return change_job();
    if (what < 97) return crash();
    server_ends();
  }

  void start() {
    if (engine_->unfinished(job_.key).size() > 6) return;
    Executions::StartRequest request;
    if (chance(0.6))
      request = {.rule = 0, .semantics = Semantics::Bound, .reserves = between(0, 2)};
    REQUIRE(engine_->start(job_.key, request, clock_.now()));
  }

  void pass_time() {
    const auto next = engine_->next();
    if (next && chance(0.6)) return clock_.set(std::max(clock_.now(), *next));
    clock_.advance(std::chrono::milliseconds(between(0, 20'000)));
  }

  void process_moves() {
    const auto process = any_process();
    if (process == processes_.end()) return;
    if (!process->second.runs && chance(0.1)) return cannot_start(process);
    if (!process->second.runs && chance(0.8)) {
      process->second.runs = true;
      return engine_->started(process->first, {.pid = 1}, clock_.now());
    }
    if (chance(0.7)) end(process);
  }

  void cannot_start(Processes::iterator process) {
    const std::string name = process->first;
    processes_.erase(process);
    const bool later = chance(0.5);
    if (later) asked_.erase(name);
    const char* reason = chance(0.3) ? "ImageNotRunnable: no entry" : "PullFailed: busy";
    engine_->start_failed(name, reason, later, clock_.now());
  }

  void end(Processes::iterator process) {
    const std::string name = process->first;
    for (const std::int64_t sequence : process->second.holds) give_back(name, sequence);
    ReplicaEnd how;
    if (chance(0.4)) how.exit_code = between(1, 3);
    if (process->second.kill || chance(0.1)) how.signal = 9;
    if (chance(0.05)) how.out_of_memory = true;
    processes_.erase(process);
    engine_->ended(name, how, clock_.now());
  }

  void message_moves() {
    const auto process = any_process();
    if (process == processes_.end() || !process->second.runs) return;
    std::set<std::int64_t>& holds = process->second.holds;
    if (!holds.empty() && chance(0.6)) {
      const std::int64_t sequence = *holds.begin();
      holds.erase(holds.begin());
      if (chance(0.2)) return give_back(process->first, sequence);
      const char* outcome = chance(0.8) ? "completed" : "dead-lettered";
      settlements_.push_back(message(process->first, sequence));
      settlements_.back().outcome = outcome;
      return engine_->settled(process->first, "orders", sequence, outcome, "", clock_.now());
    }
    const std::int64_t sequence = between(1, 30);
    if (!holds.insert(sequence).second) return;
    engine_->took(message(process->first, sequence), clock_.now());
  }

  TakenMessage message(const std::string& replica, std::int64_t sequence) const {
    return {.replica = replica, .entity = "orders", .sequence = sequence, .taken = clock_.now()};
  }
  void give_back(const std::string& replica, std::int64_t sequence) {
    engine_->settled(replica, "orders", sequence, "abandoned", "", clock_.now());
  }
  void tell_ready(std::int64_t count) { engine_->set_ready(job_.key, 0, count, clock_.now()); }

  void stop() {
    if (chance(0.3)) {
      (void)engine_->stop_all(job_.key, clock_.now());  // those that there are
      return;
    }
    (void)engine_->stop(job_.key, any_execution(), clock_.now());  // it may be gone
  }

  // Old news and news of nobody change nothing.
  void nonsense() {
    const std::string name = saved_.empty() ? "nobody" : saved_.rbegin()->first + "-zzzzz";
    engine_->ended(name, {}, clock_.now());
    engine_->started(name, {}, clock_.now());
    engine_->settled(name, "orders", 1, "completed", "", clock_.now());
    if (!gone_.empty()) engine_->ended(*gone_.begin(), {.exit_code = 1}, clock_.now());
  }

  void change_job() {
    job_.retry_limit = between(0, 3);
    job_.parallelism = between(1, 3);
    if (chance(0.3)) engine_->remove(job_.key, clock_.now());
    tick();
    engine_->put(job_, clock_.now());
  }

  void crash() {
    for (const auto& [name, process] : processes_) gone_.insert(name);
    processes_.clear();
    next_server();
  }

  void server_ends() {
    engine_->shut_down(clock_.now());
    halted_ = true;
    tick();
    for (int i = 0; !engine_->idle(); ++i) {
      REQUIRE(i < 1000);
      const auto before = processes_.size();
      if (before > 0) end(any_process());
      tick();
      REQUIRE(processes_.size() < before);  // nothing is started any more
    }
    REQUIRE(processes_.empty());
    next_server();
  }

  void next_server() {
    new_engine();
    for (const auto& [name, execution] : saved_) {
      if (execution.finished()) continue;
      std::vector<TakenMessage> settled;
      for (const TakenMessage& one : settlements_)
        if (one.replica.starts_with(name)) settled.push_back(one);
      engine_->restore(execution, settled, clock_.now());
    }
  }

  // --- what is asked for, and what must hold ---

  void tick() {
    const Executions::Actions actions = engine_->tick(clock_.now());
    for (const std::string& name : actions.changed) save(name);
    for (const auto& one : actions.start) asked_to_start(one);
    for (const auto& one : actions.stop) asked_to_stop(one);
    if (const auto next = engine_->next()) REQUIRE(*next > clock_.now());
    REQUIRE(engine_->tick(clock_.now()).empty());
    check_sums();
  }

  void save(const std::string& name) {
    const Execution* execution = engine_->find(name);
    REQUIRE(execution != nullptr);
    if (++saves_ % 20 == 0) check_document(*execution);
    if (const auto old = saved_.find(name); old != saved_.end())
      REQUIRE_FALSE(old->second.finished());
    saved_.insert_or_assign(name, *execution);
    log_.push_back(name + " " + std::string(to_string(execution->status)) + " " +
                   execution->reason);
    check(*execution);
  }

  static void check_document(const Execution& execution) {
    const Node document = to_document(execution);
    const auto again = execution_from(document);
    REQUIRE(again);
    REQUIRE(to_json(to_document(*again)) == to_json(document));
  }

  void check(const Execution& execution) const {
    CAPTURE(execution.name);
    const auto active = std::count_if(execution.replicas.begin(), execution.replicas.end(),
                                      [](const Replica& one) { return !one.finished(); });
    REQUIRE(active <= execution.started.parallelism);
    REQUIRE(active <= std::max(0, execution.started.completions - execution.succeeded));
    REQUIRE(execution.failures <= execution.started.retry_limit + execution.started.parallelism);
    REQUIRE(execution.finished() == execution.ended.has_value());
    if (execution.finished()) REQUIRE(active == 0);
    if (!execution.finished() && !halted_) REQUIRE(active > 0);
    REQUIRE((execution.status == ExecutionStatus::Succeeded) ==
            (execution.finished() && execution.succeeded >= execution.started.completions));
    if (execution.status == ExecutionStatus::Failed) REQUIRE_FALSE(execution.reason.empty());
  }

  void asked_to_start(const Executions::StartReplica& one) {
    REQUIRE(saved_.contains(one.execution));
    const Execution& execution = saved_.at(one.execution);
    REQUIRE(execution.failures <= execution.started.retry_limit);
    REQUIRE_FALSE(execution.stopping);
    const auto replica = std::find_if(execution.replicas.begin(), execution.replicas.end(),
                                      [&](const Replica& r) { return r.name == one.replica; });
    REQUIRE(replica != execution.replicas.end());
    REQUIRE(replica->state == ReplicaState::Starting);
    REQUIRE(asked_.insert(one.replica).second);  // once
    REQUIRE(processes_.emplace(one.replica, Process{}).second);
  }

  void asked_to_stop(const Executions::StopReplica& one) {
    REQUIRE(processes_.contains(one.replica));
    Process& process = processes_.at(one.replica);
    REQUIRE_FALSE((one.kill ? process.kill : process.term));  // once each
    if (one.kill) REQUIRE(process.term);
    (one.kill ? process.kill : process.term) = true;
  }

  void check_sums() {
    if (!engine_->job(job_.key)) return;
    std::int64_t reserved = 0;
    std::int64_t taken = 0;
    const auto unfinished = engine_->unfinished(job_.key);
    for (const Execution* execution : unfinished) {
      if (execution->rule != 0 || execution->semantics != Semantics::Bound) continue;
      const auto of_this = static_cast<std::int64_t>(taken_by(*execution));
      reserved += std::max<std::int64_t>(0, execution->reserves - of_this);
      taken += of_this;
    }
    REQUIRE(engine_->reservation(job_.key, 0).reserved == reserved);
    REQUIRE(engine_->reservation(job_.key, 0).taken == taken);
    REQUIRE(engine_->counts(job_.key).unfinished == static_cast<int>(unfinished.size()));
    for (const auto& [name, process] : processes_) REQUIRE(engine_->of_replica(name) != nullptr);
  }

  static std::size_t taken_by(const Execution& execution) {
    std::set<std::pair<std::string, std::int64_t>> taken;
    for (const TakenMessage& message : execution.messages)
      for (const Replica& replica : execution.replicas)
        if (replica.name == message.replica && replica.state <= ReplicaState::Succeeded)
          taken.emplace(message.replica, message.sequence);
    return taken.size();
  }

  // Everybody answers: then every execution ends.
  void come_to_an_end() {
    for (int i = 0; !engine_->unfinished(job_.key).empty(); ++i) {
      REQUIRE(i < 5000);
      const auto next = engine_->next();
      if (!processes_.empty())
        end(any_process());
      else if (next)
        clock_.set(std::max(clock_.now(), *next));
      else
        FAIL("an execution waits for nothing");
      tick();
    }
    for (const auto& [name, execution] : saved_) REQUIRE(execution.finished());
    REQUIRE(engine_->reservation(job_.key, 0).reserved == 0);
    REQUIRE(engine_->idle());
    REQUIRE_FALSE(engine_->next());
  }

  std::mt19937 random_;
  ManualClock clock_;
  ContainerJob job_;
  std::unique_ptr<Executions> engine_;
  Processes processes_;
  std::set<std::string> asked_;  // of this engine
  std::set<std::string> gone_;
  std::map<std::string, Execution> saved_;
  std::vector<TakenMessage> settlements_;
  std::vector<std::string> log_;
  int saves_ = 0;
  bool halted_ = false;
};

}  // namespace

TEST_CASE("executions: whatever happens, bounds hold and everything ends") {
  std::map<ExecutionStatus, int> ends;
  for (std::uint32_t seed = 1; seed <= kStories; ++seed) {
    CAPTURE(seed);
    Story story(seed);
    story.run();
    for (const auto status :
         {ExecutionStatus::Succeeded, ExecutionStatus::Failed, ExecutionStatus::Stopped})
      ends[status] += story.finished(status);
  }
  for (const auto& [status, count] : ends) {
    CAPTURE(to_string(status));
    CHECK(count > kStories);  // the stories see every kind of end
  }
}

TEST_CASE("executions: the same story gives the same executions") {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    CAPTURE(seed);
    Story first(seed);
    Story second(seed);
    first.run();
    second.run();
    CHECK(first.log() == second.log());
    CHECK_FALSE(first.log().empty());
  }
}

}  // namespace jobmill::executions
