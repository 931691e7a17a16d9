// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include <fmt/core.h>

#include "app/execution_control.h"
#include "app/execution_explain.h"
#include "base/id.h"
#include "targets/process/replica_log.h"

// What people ask for: jobs, executions, logs, explanations.
namespace jobmill::app {
namespace {

using executions::ContainerJob;
using executions::Execution;
using executions::JobKey;

constexpr std::size_t kLogPage = 256u << 10;

Fault no_job(const JobKey& key) {
  return fail(Code::NotFound, fmt::format("The containerapp job '{}' does not exist", key.name));
}

std::string all_of(const manifest::Problems& problems) {
  std::string text;
  for (const manifest::Remark& error : problems.errors())
    text += (text.empty() ? "" : "\n") + error.text;
  return text;
}

// The identity that a job has by itself, made once.
void give_identity(ContainerJob& job, const ContainerJob* before) {
  if (!job.identity.system) return;
  Node& identity = *job.document.find("identity");
  const Node* old = before != nullptr ? before->document.find("identity") : nullptr;
  for (const char* member : {"principalId", "clientId"}) {
    const Node* kept = old != nullptr ? old->find(member) : nullptr;
    identity.set(member, kept != nullptr ? *kept : Node::string(new_id(job.updated)));
  }
}

void describe(ContainerJob& job, const std::string& id) {
  Node document = Node::object();
  document.set("id", Node::string(id));
  document.set("name", Node::string(job.key.name));
  document.set("type", Node::string("Microsoft.App/jobs"));
  for (const Node::Member& member : job.document.members)
    if (document.find(member.key) == nullptr) document.set(member.key, member.value);
  Node* properties = document.find("properties");
  if (properties == nullptr) properties = &document.set("properties", Node::object());
  properties->set("provisioningState", Node::string("Succeeded"));
  job.document = std::move(document);
}

// A secret that is named without a value keeps the one that it has.
void keep_secrets(ContainerJob& job, const ContainerJob& before) {
  const Node* properties = job.document.find("properties");
  const Node* configuration = properties != nullptr ? properties->find("configuration") : nullptr;
  const Node* named = configuration != nullptr ? configuration->find("secrets") : nullptr;
  if (named == nullptr) return;
  for (const Node& secret : named->items) {
    const Node* name = secret.find("name");
    const auto text = name != nullptr ? name->as_string() : std::nullopt;
    if (!text || job.secrets.contains(*text) || job.vault.contains(*text)) continue;
    if (const auto kept = before.secrets.find(*text); kept != before.secrets.end())
      job.secrets.insert(*kept);
  }
}

bool same_secrets(const ContainerJob& a, const ContainerJob& b) {
  return std::ranges::equal(a.secrets, b.secrets, [](const auto& x, const auto& y) {
    return x.first == y.first && x.second.equals(y.second.reveal());
  });
}

std::string latest_replica(const Execution& execution) {
  return execution.replicas.empty() ? std::string() : execution.replicas.back().name;
}

}  // namespace

Result<const ContainerJob*> ExecutionControl::known(const JobKey& key) const {
  const ContainerJob* job = engine_.job(key);
  if (job == nullptr) return no_job(key);
  return job;
}

Status ExecutionControl::check_not_scaled(const JobKey& key) const {
  if (!scaled_.contains(key)) return {};
  return fail(Code::Conflict, fmt::format("{} is a ScaledJob; change its manifest", key.name));
}

std::string ExecutionControl::job_id(const JobKey& key) const {
  const ContainerJob* job = engine_.job(key);
  const Node* id = job != nullptr ? job->document.find("id") : nullptr;
  if (id != nullptr) return std::string(id->as_string().value_or(""));
  return fmt::format(
      "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/{}/providers/"
      "Microsoft.App/jobs/{}",
      key.group, key.name);
}

Node ExecutionControl::reference(const JobKey& key, const std::string& execution) const {
  Node node = Node::object();
  node.set("id", Node::string(job_id(key) + "/executions/" + execution));
  node.set("name", Node::string(execution));
  return node;
}

// --- jobs ---------------------------------------------------------------------------------------

Result<ContainerJob> ExecutionControl::decode(const JobKey& key, const std::string& id,
                                              Node resource, bool patch) {
  const ContainerJob* before = engine_.job(key);
  if (patch && before == nullptr) return no_job(key);
  if (patch) resource = executions::merge_resource(before->document, resource);
  manifest::Problems problems(key.name);
  ContainerJob job =
      executions::decode_job(key, executions::tidy_resource(std::move(resource)), problems);
  if (!problems.ok()) return fail(Code::InvalidArgument, all_of(problems));
  if (before != nullptr) keep_secrets(job, *before);
  TRY_VOID(ExecutionTriggers::check(job));
  job.updated = parts_.clock.now();
  job.created = before != nullptr ? before->created : job.updated;
  job.generation = before != nullptr ? before->generation + 1 : 1;
  give_identity(job, before);
  describe(job, id);
  return job;
}

void ExecutionControl::put_job(JobKey key, std::string id, Node resource, bool patch,
                               Done<Put> done) {
  on_control([this, key = lower(key), id = std::move(id), resource = std::move(resource), patch,
              done = std::move(done)] { put_now(key, id, resource, patch, done); });
}

void ExecutionControl::put_now(const JobKey& key, const std::string& id, Node resource, bool patch,
                               Done<Put> done) {
  if (const Status ours = check_not_scaled(key); !ours) return done(ours.error());
  auto job = decode(key, id, std::move(resource), patch);
  if (!job) return done(job.error());
  const ContainerJob* before = engine_.job(key);
  if (before != nullptr && to_json(before->document) == to_json(job->document) &&
      same_secrets(*before, *job))
    return done(Put{before->document, false});
  keep(*std::move(job), before == nullptr, std::move(done));
}

// It acts once it is durable.
void ExecutionControl::keep(ContainerJob job, bool created, Done<Put> done) {
  parts_.store.save_job(job, [this, job, created, done = std::move(done)](const Status& saved) {
    if (!saved) return done(saved.error());
    const bool stop = job.options.suspended;
    engine_.put(job, parts_.clock.now());
    put_triggers(job);
    job_changed(job.key);
    if (stop) parts_.log.info("job suspended", {{"job", ExecutionTriggers::text(job.key)}});
    drive();
    done(Put{job.document, created});
  });
}

void ExecutionControl::suspend(const JobKey& key, bool suspended, Done<void> done) {
  Node own = Node::object();
  own.set("suspended", Node::boolean(suspended));
  Node properties = Node::object();
  properties.set("jobmill", std::move(own));
  Node change = Node::object();
  change.set("properties", std::move(properties));
  put_now(key, job_id(key), std::move(change), true,
          [done = std::move(done)](const Result<Put>& put) {
            done(put ? Status() : Status(put.error()));
          });
}

void ExecutionControl::get_job(JobKey key, Done<Node> done) {
  on_control([this, key = lower(key), done = std::move(done)] {
    const auto job = known(key);
    if (!job) return done(job.error());
    done((*job)->document);
  });
}

void ExecutionControl::list_jobs(std::string group, Done<Node> done) {
  on_control([this, group = broker::lower(group), done = std::move(done)] {
    Node list = Node::array();
    for (const ContainerJob* job : engine_.jobs())
      if (group.empty() || job->key.group == group) list.push(job->document);
    done(std::move(list));
  });
}

void ExecutionControl::delete_job(JobKey key, Done<void> done) {
  on_control([this, key = lower(key), done = std::move(done)] {
    if (const auto job = known(key); !job) return done(job.error());
    if (const Status ours = check_not_scaled(key); !ours) return done(ours.error());
    parts_.store.remove_job(key, [this, key, done](const Status& removed) {
      if (!removed) return done(removed.error());
      triggers_.remove(key);
      backoff_.forget(key);
      engine_.remove(key, parts_.clock.now());
      pending_.push_back(
          {[this, key] { return engine_.unfinished(key).empty(); }, [done] { done({}); }});
      drive();
    });
  });
}

void ExecutionControl::secrets(JobKey key, Done<Node> done) {
  on_control([this, key = lower(key), done = std::move(done)] {
    const auto job = known(key);
    if (!job) return done(job.error());
    Node list = Node::array();
    for (const auto& [name, value] : (*job)->secrets) {
      Node secret = Node::object();
      secret.set("name", Node::string(name));
      secret.set("value", Node::string(value.reveal()));
      list.push(std::move(secret));
    }
    for (const auto& [name, url] : (*job)->vault) {
      Node secret = Node::object();
      secret.set("name", Node::string(name));
      secret.set("keyVaultUrl", Node::string(url));
      list.push(std::move(secret));
    }
    done(std::move(list));
  });
}

// --- executions ---------------------------------------------------------------------------------

void ExecutionControl::start(JobKey key, Node pod, Done<Node> done) {
  on_control([this, key = lower(key), pod = std::move(pod), done = std::move(done)] {
    start_now(key, pod, done);
  });
}

// Started by hand for a bound job, it is for messages of the first rule, as any other.
void ExecutionControl::start_now(const JobKey& key, const Node& pod, Done<Node> done) {
  const auto job = known(key);
  if (!job) return done(job.error());
  executions::Executions::StartRequest request;
  if (!pod.is_null() && !pod.members.empty()) {
    manifest::Problems problems(key.name);
    request.pod = executions::decode_template(pod, problems);
    if (!problems.ok()) return done(fail(Code::InvalidArgument, all_of(problems)));
  }
  request.semantics = triggers_.semantics(key).value_or(executions::Semantics::Cloud);
  if (request.semantics == executions::Semantics::Bound) {
    request.rule = 0;
    request.reserves = triggers_.messages(key, 0);
  }
  const auto name = engine_.start(key, std::move(request), parts_.clock.now());
  if (!name) return done(name.error());
  const Node answer = reference(key, *name);
  parts_.store.save(*engine_.find(*name), [done, answer](const Status& saved) {
    if (!saved) return done(saved.error());
    done(answer);
  });
  drive();
}

void ExecutionControl::stop(JobKey key, std::string execution, Done<Node> done) {
  on_control([this, key = lower(key), execution = std::move(execution), done = std::move(done)] {
    stop_now(key, execution, done);
  });
}

void ExecutionControl::stop_now(const JobKey& key, const std::string& execution, Done<Node> done) {
  if (const auto job = known(key); !job) return done(job.error());
  std::vector<std::string> names;
  if (execution.empty()) {
    names = engine_.stop_all(key, parts_.clock.now());
  } else {
    const Status stopped = engine_.stop(key, execution, parts_.clock.now());
    if (!stopped) return done(stopped.error());
    names.push_back(execution);
  }
  Node list = Node::array();
  for (const std::string& name : names) list.push(reference(key, name));
  const auto over = [this, names] {
    return std::ranges::all_of(names, [this](const std::string& name) {
      const Execution* found = engine_.find(name);
      return found == nullptr || found->finished();
    });
  };
  pending_.push_back({over, [done, list = std::move(list)] { done(list); }});
  drive();
}

void ExecutionControl::list_executions(JobKey key, List query, Done<Node> done) {
  on_control([this, key = lower(key), query = std::move(query), done = std::move(done)] {
    if (const auto job = known(key); !job) return done(job.error());
    parts_.pool.post([this, key, query, id = job_id(key), done] {
      const auto found = parts_.store.list({.job = key,
                                            .status = query.status,
                                            .since = query.since,
                                            .limit = query.limit,
                                            .after = query.after});
      if (!found) return done(found.error());
      Node list = Node::array();
      for (const Execution& execution : *found) list.push(to_resource(execution, id));
      done(std::move(list));
    });
  });
}

void ExecutionControl::get_execution(JobKey key, std::string name, Done<Node> done) {
  on_control([this, key = lower(key), name = std::move(name), done = std::move(done)] {
    if (const auto job = known(key); !job) return done(job.error());
    const std::string id = job_id(key);
    if (const Execution* execution = engine_.find(name); execution && execution->job == key)
      return done(to_resource(*execution, id));
    parts_.pool.post([this, key, name, id, done] {
      const auto found = parts_.store.find(key, name);
      if (!found) return done(found.error());
      done(to_resource(*found, id));
    });
  });
}

// --- logs ---------------------------------------------------------------------------------------

std::string ExecutionControl::log_folder(const JobKey& key, std::string_view execution) const {
  return fmt::format("{}/executions/{}/{}/{}", parts_.data, key.group, key.name, execution);
}

std::string ExecutionControl::log_path(const Execution& execution, std::string_view replica) const {
  return fmt::format("{}/{}.log", log_folder(execution.job, execution.name), replica);
}

void ExecutionControl::find_executions(executions::ExecutionQuery query,
                                       Done<std::vector<Execution>> done) {
  query.job = lower(query.job);
  parts_.pool.post(
      [this, query = std::move(query), done = std::move(done)] { done(parts_.store.list(query)); });
}

void ExecutionControl::find_execution(std::string name, Done<Execution> done) {
  on_control([this, name = std::move(name), done = std::move(done)] {
    if (const Execution* execution = engine_.find(name)) return done(Execution(*execution));
    parts_.pool.post([this, name, done] { done(parts_.store.find({}, name)); });
  });
}

void ExecutionControl::job_facts(Done<std::vector<JobFacts>> done) {
  on_control([this, done = std::move(done)] {
    std::vector<JobFacts> facts;
    for (const ContainerJob* job : engine_.jobs())
      facts.push_back(
          {job->key, job->document, engine_.unfinished(job->key).size(), job->options.suspended});
    done(std::move(facts));
  });
}

void ExecutionControl::log(JobKey key, Log query, Done<api::LogPage> done) {
  on_control([this, key = lower(key), query = std::move(query), done = std::move(done)] {
    log_now(key, query, done);
  });
}

void ExecutionControl::log_now(const JobKey& key, const Log& query, Done<api::LogPage> done) {
  if (const auto job = known(key); !job) return done(job.error());
  if (const Execution* execution = engine_.find(query.execution))
    return read_log(*execution, query, std::move(done));
  parts_.pool.post([this, key, query, done = std::move(done)] {
    Result<Execution> found = fail(Code::NotFound, key.name + " has not been executed yet");
    if (!query.execution.empty()) {
      found = parts_.store.find(key, query.execution);
    } else if (auto newest = parts_.store.list({.job = key, .limit = 1});
               newest && !newest->empty()) {
      found = std::move(newest->front());
    }
    if (!found) return done(found.error());
    on_control([this, execution = *std::move(found), query, done] {
      const Execution* present = engine_.find(execution.name);
      read_log(present != nullptr ? *present : execution, query, done);
    });
  });
}

// What there is at once; otherwise when something comes, or the replica ends.
void ExecutionControl::read_log(const Execution& execution, const Log& query,
                                Done<api::LogPage> done) {
  const std::string replica = query.replica.empty() ? latest_replica(execution) : query.replica;
  const auto found = std::ranges::find(execution.replicas, replica, &executions::Replica::name);
  if (found == execution.replicas.end())
    return done(fail(Code::NotFound, execution.name + " has no replica '" + replica + "'"));
  const bool ended = found->finished();
  parts_.pool.post([this, path = log_path(execution, replica), ended, execution = execution.name,
                    job = execution.job, query, replica, done = std::move(done)] {
    auto page = query.tail ? targets::tail_log(path, *query.tail)
                           : targets::read_log(path, query.offset, kLogPage);
    // A replica that was lost with its server before it had a log has written nothing.
    if (!page && page.error().code == Code::NotFound)
      page = targets::LogRead{.text = {}, .next = query.offset};
    if (!page) return done(page.error());
    if (!page->text.empty() || ended || query.wait <= Duration::zero() || query.tail)
      return done(api::LogPage{page->text, page->next, ended && page->text.empty()});
    on_control([this, job, query, replica, execution, done] {
      Log again = query;
      again.execution = execution;
      again.replica = replica;
      again.wait = Duration::zero();
      const Execution* present = engine_.find(execution);
      const bool may_wait = present != nullptr && !present->finished() && !stopping_;
      const auto answer = [this, job, again, done] { log_now(job, again, done); };
      if (!may_wait) return answer();
      wait(log_waiters_, replica, query.wait, answer);
    });
  });
}

// A replica that writes much makes one round, not one for each line.
void ExecutionControl::log_grew(const std::string& replica) {
  const std::lock_guard lock(grown_mutex_);
  const bool first = grown_.empty();
  grown_.insert(replica);
  if (!first) return;
  on_control([this] {
    std::unique_lock told(grown_mutex_);
    const std::set<std::string> grown = std::exchange(grown_, {});
    told.unlock();
    for (const std::string& one : grown) {
      engine_.wrote(one, parts_.clock.now());
      wake(log_waiters_, one);
    }
  });
}

// --- waiting ------------------------------------------------------------------------------------

void ExecutionControl::wait(Waiters& waiters, const std::string& key, Duration wait,
                            std::function<void()> wake) {
  const std::uint64_t id = ++last_waiter_;
  const auto timer = parts_.control.run_after(wait, [&waiters, key, id] {
    const auto it = waiters.find(key);
    if (it == waiters.end()) return;
    const auto mine = std::ranges::find(it->second, id, &Waiter::id);
    if (mine == it->second.end()) return;
    const auto late = std::move(mine->wake);
    it->second.erase(mine);
    if (it->second.empty()) waiters.erase(it);
    late();
  });
  waiters[key].push_back({id, timer, std::move(wake)});
}

// Later: who is woken looks at what is being changed.
void ExecutionControl::wake(Waiters& waiters, const std::string& key) {
  const auto it = waiters.find(key);
  if (it == waiters.end()) return;
  for (Waiter& waiter : it->second) {
    parts_.control.cancel(waiter.timer);
    on_control(std::move(waiter.wake));
  }
  waiters.erase(it);
}

void ExecutionControl::watch(JobKey key, Duration wait_for, std::function<void()> changed) {
  on_control([this, key = lower(key), wait_for, changed = std::move(changed)] {
    if (engine_.job(key) == nullptr || stopping_) return changed();
    wait(job_waiters_, ExecutionTriggers::text(key), wait_for, changed);
  });
}

// --- explanations -------------------------------------------------------------------------------

void ExecutionControl::explain(JobKey key, Explain query, Done<Node> done) {
  on_control([this, key = lower(key), query = std::move(query), done = std::move(done)] {
    const auto job = known(key);
    if (!job) return done(job.error());
    if (query.execution.empty())
      return with_queues(key, [this, key, query, done](std::vector<broker::QueueDescription> all) {
        done(explained(key, query, std::move(all)));
      });
    if (const Execution* execution = engine_.find(query.execution))
      return done(explain_execution(*execution));
    parts_.pool.post([this, key, query, done] {
      const auto found = parts_.store.find(key, query.execution);
      if (!found) return done(found.error());
      done(explain_execution(*found));
    });
  });
}

// The settings of its queues are the broker's to tell.
void ExecutionControl::with_queues(
    const JobKey& key, std::function<void(std::vector<broker::QueueDescription>)> done) {
  std::vector<std::string> paths = triggers_.queues_of(key);
  if (paths.empty()) return done({});
  parts_.feed->describe(std::move(paths), std::move(done));
}

Result<Node> ExecutionControl::explained(const JobKey& key, const Explain& query,
                                         std::vector<broker::QueueDescription> queues) {
  std::optional<JobPicture> known = picture(key);
  if (!known) return no_job(key);
  JobPicture& about = *known;
  about.queues = std::move(queues);
  return query.why_not ? explain_why_not(about, parts_.clock.now())
                       : explain_job(about, parts_.clock.now());
}

}  // namespace jobmill::app
