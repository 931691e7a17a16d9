// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/job_runner.h"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include <fmt/core.h>

#include "k8s/resource.h"

namespace jobmill::targets {

using executions::ReplicaEnd;
using executions::RunReplica;
using k8s::resources::kJobs;
using k8s::resources::kSecrets;

namespace {

namespace fs = std::filesystem;

constexpr Duration kLogPause = std::chrono::seconds(1);   // before a log is asked for again
constexpr Duration kLogLimit = std::chrono::seconds(10);  // for the rest of it, after the pod's end

std::string name_of(const Node& object) {
  const Node* metadata = object.find("metadata");
  const Node* name = metadata != nullptr ? metadata->find("name") : nullptr;
  return name != nullptr ? name->text : std::string();
}

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

}  // namespace

JobRunner::JobRunner(Events events, World world)
    : events_(std::move(events)), world_(std::move(world)) {
  world_.post(unless_gone([this] { begin(); }));
}

JobRunner::~JobRunner() = default;

std::function<void()> JobRunner::unless_gone(std::function<void()> work) const {
  return [work = std::move(work), alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) work();
  };
}

JobRunner::Running* JobRunner::find(std::string_view replica) {
  const auto found = running_.find(replica);
  return found != running_.end() ? &found->second : nullptr;
}

JobRunner::Running* JobRunner::of_job(std::string_view job) {
  const auto found = by_job_.find(job);
  return found != by_job_.end() ? find(found->second) : nullptr;
}

// --- what an earlier server left ----------------------------------------------------------------

void JobRunner::begin() {
  const auto ill = [this](const Fault& fault) {
    world_.log.error("the Jobs of executions cannot be watched", {{"error", fault.message}});
  };
  using Items = std::vector<Node>;
  watch_ =
      world_.cluster->watch(world_.jobs.ns, fmt::format("{}={}", kServerLabel, world_.jobs.server),
                            {.listed = [this](const Items& jobs) { jobs_listed(jobs); },
                             .put = [this](const Node& job) { job_put(job); },
                             .removed = [this](const Node& job) { job_removed(job); },
                             .ill = ill,
                             .well = [] {}},
                            {.listed = [this](const Items& pods) { pods_listed(pods); },
                             .put = [this](const Node& pod) { pod_put(pod); },
                             .removed = [this](const Node& pod) { pod_removed(pod); },
                             .ill = ill,
                             .well = [] {}});
}

// Also later, when the watch has missed something: what is not listed is gone.
void JobRunner::jobs_listed(const std::vector<Node>& jobs) {
  std::set<std::string> there;
  for (const Node& job : jobs) there.insert(name_of(job));
  std::vector<std::string> gone;
  for (const auto& [job, replica] : by_job_)
    if (running_.at(replica).stage == Stage::Created && !there.contains(job)) gone.push_back(job);
  for (const std::string& job : gone) job_gone(job);
  std::erase_if(left_, [&](const auto& left) { return !there.contains(left.first); });
  const bool first = !std::exchange(jobs_known_, true);
  for (const Node& job : jobs) {
    if (first)
      left_.insert_or_assign(name_of(job), job);
    else
      job_put(job);
  }
  if (first && pods_known_) known();
}

void JobRunner::pods_listed(const std::vector<Node>& pods) {
  std::set<std::string> there;
  for (const Node& pod : pods) there.insert(name_of(pod));
  std::vector<std::string> gone;
  for (const auto& [name, running] : running_)
    if (!running.pod.empty() && !there.contains(running.pod)) gone.push_back(name);
  for (const std::string& name : gone) pod_gone(name);
  const bool first = !std::exchange(pods_known_, true);
  for (const Node& pod : pods) pod_put(pod);
  if (first && jobs_known_) known();
}

// Executions that go on start their replicas about now.
void JobRunner::known() {
  if (!left_.empty()) world_.run_after(kLeftFor, unless_gone([this] { sweep_left(); }));
  std::vector<std::string> waiting;
  for (const auto& [name, running] : running_) waiting.push_back(name);
  for (const std::string& name : waiting)
    if (Running* running = find(name)) launch(*running);
}

// It goes on as another replica.
void JobRunner::take_over(Running& running, const std::string& job) {
  world_.log.info("a replica goes on with a Job of an earlier server",
                  {{"replica", running.replica.replica}, {"job", job}});
  running.stage = Stage::Created;
  running.job = job;
  by_job_.emplace(job, running.replica.replica);
  const auto left = left_.extract(job);
  const auto pod = left_pods_.extract(job);
  if (pod.empty())
    job_put(left.mapped());
  else
    pod_put(pod.mapped());
}

void JobRunner::sweep_left() {
  for (const auto& [job, node] : std::exchange(left_, {})) {
    world_.log.warn("a Job of an earlier server is deleted: no execution wants it", {{"job", job}});
    remove_job(job);
  }
  left_pods_.clear();
}

// --- starting -----------------------------------------------------------------------------------

void JobRunner::start(RunReplica replica) {
  const std::string name = replica.replica;
  const auto [found, inserted] = running_.emplace(name, Running{.replica = std::move(replica)});
  if (!inserted) return;  // the same replica twice is one replica
  if (const Status status = open(found->second); !status)
    return give_up(found->second, "StartError: " + status.error().message);
  if (jobs_known_ && pods_known_) launch(found->second);
}

// Its log.
Status JobRunner::open(Running& running) {
  const RunReplica& replica = running.replica;
  const fs::path folder = fs::path(replica.log).parent_path();
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return fail(Code::Internal,
                fmt::format("cannot make {} ({})", folder.string(), error.message()));
  ReplicaLog::Options options{.now = world_.now, .masked = replica.masked};
  if (world_.on_written)
    options.on_written = [tell = world_.on_written, name = replica.replica] { tell(name); };
  TRY(running.log, ReplicaLog::open(replica.log, std::move(options)));
  return {};
}

void JobRunner::launch(Running& running) {
  const auto left = std::ranges::find_if(left_, [&](const auto& one) {
    return execution_of(one.second) == running.replica.execution;
  });
  if (left != left_.end()) return take_over(running, std::string(left->first));
  const std::string name = running.replica.replica;
  running.stage = Stage::Asked;
  running.job = name;
  by_job_.emplace(name, name);
  ReplicaJob made = make_replica_job(running.replica, world_.jobs);
  if (!made.secret) return create_job(name, std::move(made.job), false);
  world_.cluster->create(kSecrets, world_.jobs.ns, *std::move(made.secret),
                         [this, name, job = std::move(made.job),
                          alive = std::weak_ptr(alive_)](const Result<Node>& secret) {
                           if (alive.expired()) return;
                           if (secret) return create_job(name, job, true);
                           if (Running* still = find(name))
                             give_up(*still, "StartError: its Secret: " + secret.error().message);
                         });
}

void JobRunner::create_job(const std::string& replica, Node job, bool has_secret) {
  world_.cluster->create(
      kJobs, world_.jobs.ns, std::move(job),
      [this, replica, has_secret, alive = std::weak_ptr(alive_)](const Result<Node>& made) {
        if (!alive.expired()) created(replica, made, has_secret);
      });
}

void JobRunner::created(const std::string& replica, const Result<Node>& job, bool has_secret) {
  Running* running = find(replica);
  if (running == nullptr) return;
  if (!job) return give_up(*running, "StartError: " + job.error().message);
  if (has_secret)
    world_.cluster->patch(
        kSecrets, world_.jobs.ns, replica, owned_by_job(*job),
        [this, replica, alive = std::weak_ptr(alive_)](const Result<Node>& patched) {
          if (!alive.expired() && !patched)
            world_.log.warn("the Secret of a replica will outlive it",
                            {{"secret", replica}, {"error", patched.error().message}});
        });
  if (running->stage == Stage::Asked) running->stage = Stage::Created;
  if (running->stopped_by != 0) end_in_cluster(*running);
}

// --- what the cluster tells ---------------------------------------------------------------------

void JobRunner::job_put(const Node& job) {
  const std::string name = name_of(job);
  if (const auto left = left_.find(name); left != left_.end()) left->second = job;
  Running* running = of_job(name);
  if (running == nullptr) return;
  std::string failure = failure_of_job(job);
  if (running->pod.empty() && !failure.empty()) give_up(*running, std::move(failure));
}

void JobRunner::job_removed(const Node& job) {
  const std::string name = name_of(job);
  left_.erase(name);
  job_gone(name);
}

// Its pod goes too, and says how it ended.
void JobRunner::job_gone(const std::string& job) {
  Running* running = of_job(job);
  if (running == nullptr || !running->pod.empty()) return;
  conclude(*running, {.signal = running->stopped_by != 0 ? running->stopped_by : SIGKILL,
                      .detail = "its Job was deleted"});
}

void JobRunner::pod_put(const Node& node) {
  const ReplicaPod pod = read_replica_pod(node);
  Running* running = of_job(pod.replica);
  if (running == nullptr) {  // it may be that of a Job that goes on
    if (!jobs_known_ || left_.contains(pod.replica)) left_pods_.insert_or_assign(pod.replica, node);
    return;
  }
  const std::string replica = running->replica.replica;
  running->pod = pod.name;
  if (!pod.begun.empty() && !std::exchange(running->told, true)) {
    world_.log.info("replica starts", {{"replica", replica}, {"pod", pod.name}});
    world_.post(unless_gone([this, replica] { events_.started(replica, {}); }));
  }
  for (const std::string& container : pod.begun) {
    Stream& stream = running->streams[container];
    stream.over = stream.over || holds(pod.over, container);
    if (!stream.sink) follow(*running, container);
  }
  if (pod.end) return conclude(*running, *pod.end);
  if (!pod.obstacle.empty() && pod.begun.empty()) give_up(*running, pod.obstacle);
}

void JobRunner::pod_removed(const Node& node) {
  const ReplicaPod pod = read_replica_pod(node);
  left_pods_.erase(pod.replica);
  const Running* running = of_job(pod.replica);
  if (running != nullptr && running->pod == pod.name) pod_gone(running->replica.replica);
}

void JobRunner::pod_gone(const std::string& replica) {
  Running& running = running_.find(replica)->second;
  conclude(running, {.signal = running.stopped_by != 0 ? running.stopped_by : SIGKILL,
                     .detail = "its pod was deleted"});
}

// --- logs ---------------------------------------------------------------------------------------

void JobRunner::follow(Running& running, const std::string& container) {
  Stream& stream = running.streams[container];
  const std::string replica = running.replica.replica;
  if (!stream.sink)
    stream.sink =
        ReplicaLog::sink(running.log, container == running.replica.main.name ? "" : container);
  stream.passed = 0;
  stream.closed = false;
  stream.handle = world_.cluster->follow(
      world_.jobs.ns, running.pod, container,
      [this, replica, container](std::string_view piece) { wrote(replica, container, piece); },
      [this, replica, container](const Status& how) { stream_ended(replica, container, how); });
}

// Kubernetes does not tell output from errors.
void JobRunner::wrote(const std::string& replica, const std::string& container,
                      std::string_view piece) {
  Running* running = find(replica);
  if (running == nullptr) return;
  Stream& stream = running->streams[container];
  const std::size_t known = std::min(piece.size(), stream.seen - stream.passed);
  stream.passed += known;
  piece.remove_prefix(known);
  if (piece.empty()) return;
  stream.seen += piece.size();
  stream.passed += piece.size();
  stream.sink->write(OutputStream::Out, piece);
}

void JobRunner::stream_ended(const std::string& replica, const std::string& container,
                             const Status& how) {
  Running* running = find(replica);
  if (running == nullptr) return;
  Stream& stream = running->streams[container];
  stream.closed = static_cast<bool>(how);
  // Later: this is told by what would go with the replica.
  if (stream.read())
    return world_.post(unless_gone([this, replica] {
      if (Running* still = find(replica)) finish_if_read(*still);
    }));
  world_.run_after(kLogPause, unless_gone([this, replica, container] {
                     Running* still = find(replica);
                     if (still != nullptr && !still->streams[container].read())
                       follow(*still, container);
                   }));
}

// --- ending -------------------------------------------------------------------------------------

void JobRunner::stop(std::string_view replica, bool kill) {
  Running* running = find(replica);
  if (running == nullptr) return;  // it ended by itself, and the notice is on its way
  if (leaving_) {
    world_.log.info("replica is left to the next server", {{"replica", replica}});
    return tell_end(*running, {.signal = SIGTERM});
  }
  world_.log.info(kill ? "replica gets KILL" : "replica gets TERM", {{"replica", replica}});
  running->stopped_by = kill ? SIGKILL : SIGTERM;
  if (running->stage == Stage::Created) return end_in_cluster(*running);
  if (running->stage == Stage::Waits) conclude(*running, {.signal = running->stopped_by});
}

// With its Job the pod goes, in its grace.
void JobRunner::end_in_cluster(Running& running) {
  remove_job(running.job);
  if (running.stopped_by == SIGKILL && !running.pod.empty())
    world_.cluster->kill_pod(world_.jobs.ns, running.pod, [](const Result<Node>&) {});
}

void JobRunner::conclude(Running& running, ReplicaEnd end) {
  if (running.end) return;
  running.end = std::move(end);
  for (auto& [container, stream] : running.streams) stream.over = true;
  world_.run_after(kLogLimit, unless_gone([this, name = running.replica.replica] {
                     Running* late = find(name);
                     if (late == nullptr) return;
                     world_.log.warn("the end of a log cannot be read", {{"replica", name}});
                     finish(*late);
                   }));
  finish_if_read(running);
}

void JobRunner::give_up(Running& running, std::string reason) {
  if (running.end) return;
  const std::string name = running.replica.replica;
  world_.log.error("replica does not start", {{"replica", name}, {"reason", reason}});
  if (running.told || running.stopped_by != 0)
    return conclude(running, {.signal = running.stopped_by != 0 ? running.stopped_by : SIGKILL,
                              .detail = std::move(reason)});
  if (running.stage != Stage::Waits) remove_job(running.job);
  forget(running);
  world_.post(unless_gone(
      [this, name, reason = std::move(reason)] { events_.start_failed(name, reason); }));
}

void JobRunner::finish_if_read(Running& running) {
  const bool read =
      std::ranges::all_of(running.streams, [](const auto& stream) { return stream.second.read(); });
  if (running.end && read) finish(running);
}

void JobRunner::finish(Running& running) {
  ReplicaEnd end = *std::move(running.end);
  world_.log.info("replica ended", {{"replica", running.replica.replica},
                                    {"exit_code", end.exit_code},
                                    {"signal", end.signal},
                                    {"out_of_memory", end.out_of_memory}});
  if (running.stage != Stage::Waits) remove_job(running.job);
  tell_end(running, std::move(end));
}

void JobRunner::tell_end(Running& running, ReplicaEnd end) {
  const std::string name = running.replica.replica;
  forget(running);  // what was begun of a line is in its log then
  world_.post(unless_gone([this, name, end = std::move(end)] { events_.ended(name, end); }));
}

void JobRunner::forget(const Running& running) {
  by_job_.erase(running.job);
  running_.erase(running_.find(running.replica.replica));
}

void JobRunner::remove_job(const std::string& name) {
  world_.cluster->remove_job(
      world_.jobs.ns, name, k8s::Client::Propagation::Background,
      [this, name, alive = std::weak_ptr(alive_)](const Result<Node>& removed) {
        if (alive.expired() || removed || removed.error().code == Code::NotFound) return;
        world_.log.warn("a Job was not deleted",
                        {{"job", name}, {"error", removed.error().message}});
      });
}

}  // namespace jobmill::targets
