// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/document.h"
#include "base/result.h"
#include "executions/container_job.h"
#include "executions/execution.h"
#include "executions/execution_store.h"
#include "executions/resources.h"

namespace jobmill::api {

// Part of a replica's log.
struct LogPage {
  std::string text;        // whole lines: "2026-11-22T03:14:15.926Z stdout text\n"
  std::uint64_t next = 0;  // offset to go on from
  bool ended = false;      // no more will come
};

// What the HTTP requests about jobs of Container Apps need; the app implements it on the control
// thread. Every call returns at once and answers later, from any thread, after what it changed is
// durable. Names and groups in any case. NotFound, InvalidArgument (all that is wrong, one line
// each), Conflict.
class ExecutionPlane {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;
  using JobKey = executions::JobKey;

  virtual ~ExecutionPlane() = default;

  // The resource as GET shows it, with id and `created` (it was not there before).
  struct Put {
    Node resource;
    bool created = false;
  };
  // `patch`: merged into what is there (NotFound when nothing is); else it replaces all of it, but
  // secrets that come without a value keep theirs. `id`: the path of the request.
  virtual void put_job(JobKey key, std::string id, Node resource, bool patch, Done<Put> done) = 0;
  virtual void get_job(JobKey key, Done<Node> done) = 0;
  virtual void list_jobs(std::string group, Done<Node> done) = 0;  // array; empty group: all
  virtual void delete_job(JobKey key, Done<void> done) = 0;        // when its executions have ended
  virtual void secrets(JobKey key, Done<Node> done) = 0;           // [{name, value}]

  // {id, name}. `pod`: {containers, initContainers} or null.
  virtual void start(JobKey key, Node pod, Done<Node> done) = 0;
  // One, or all that are unfinished: [{id, name}]. Answers when their processes have ended.
  virtual void stop(JobKey key, std::string execution, Done<Node> done) = 0;

  struct List {
    std::optional<executions::ExecutionStatus> status{};
    std::optional<TimePoint> since{};
    std::size_t limit = 100;
    std::string after{};
  };
  virtual void list_executions(JobKey key, List query, Done<Node> done) = 0;  // array
  virtual void get_execution(JobKey key, std::string execution, Done<Node> done) = 0;

  // For pages: executions of one job or of all, newest first; one of them by its name alone; and
  // how many of a job are unfinished.
  virtual void find_executions(executions::ExecutionQuery query,
                               Done<std::vector<executions::Execution>> done) = 0;
  virtual void find_execution(std::string name, Done<executions::Execution> done) = 0;
  struct JobFacts {
    JobKey key{};
    Node document{};
    std::size_t unfinished = 0;
    bool suspended = false;
  };
  virtual void job_facts(Done<std::vector<JobFacts>> done) = 0;

  // The log of a replica; empty names: the latest execution, its first replica. Answers at once
  // unless there is nothing after `offset` and the replica still runs: then when there is, or after
  // `wait`. `tail`: only this many of the last lines, of what is there.
  struct Log {
    std::string execution{};
    std::string replica{};
    std::uint64_t offset = 0;
    std::optional<std::size_t> tail{};
    Duration wait{};
  };
  virtual void log(JobKey key, Log query, Done<LogPage> done) = 0;

  // {text, decision, …}: why there are, or are not, executions now; of one execution its timeline.
  struct Explain {
    std::string execution{};
    bool why_not = false;
  };
  virtual void explain(JobKey key, Explain query, Done<Node> done) = 0;

  // Answers after the next change of the job's executions, or when `wait` is over.
  virtual void watch(JobKey key, Duration wait, std::function<void()> changed) = 0;

  // Secrets of a key vault or roles of identities are others: who waits for them, or counts by
  // them, looks again.
  virtual void resources_changed() = 0;

  // Entries of the image map that are no resources: of the configuration, and built-in ones.
  virtual Node fixed_images() = 0;

  // Groups, environments, identities, role assignments, images, registries.
  virtual executions::Resources& resources() = 0;
};

}  // namespace jobmill::api
