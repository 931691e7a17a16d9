// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"
#include "jobmill/jobs.h"
#include "worker/store.h"

namespace jobmill {
namespace {

std::vector<std::string> split_labels(std::string_view text) {
  std::vector<std::string> labels;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    if (comma > 0) labels.emplace_back(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return labels;
}

// {i} in a handle's texts is the index among `count`, also when there is one.
bool has_index(const Options& options) {
  const auto holds = [](std::string_view text) { return text.find("{i}") != text.npos; };
  return holds(options.labels) || holds(options.name);
}

jobs::JobSpec job_spec(const detail::Spec& spec) {
  jobs::JobSpec job;
  job.id = spec.id;
  job.kind = spec.kind;
  job.v = spec.version;
  job.args = spec.args;
  job.name = spec.options.name;
  job.queue = spec.options.queue;
  job.priority = spec.options.priority;
  job.labels = split_labels(spec.options.labels);
  job.retries = spec.options.retries;
  job.extra.timeout = spec.options.timeout;
  job.extra.trace.parent = spec.traceparent;
  if (spec.at) job.run_at = std::chrono::floor<Duration>(*spec.at);
  if (spec.count != 1 || (spec.id.empty() && has_index(spec.options))) job.count = spec.count;
  return job;
}

// Whether it was done; a job that is not in a state for it is no error.
bool done(const Status& status) {
  if (status) return true;
  const Code code = status.error().code;
  if (code != Code::NotFound && code != Code::Conflict) throw worker::to_error(status.error());
  return false;
}

jobs::Missed missed_of(const Recurrence& recurrence) {
  if (recurrence.missed_within > seconds(0)) return jobs::Missed::Within;
  switch (recurrence.missed) {
    case Missed::skip:
      return jobs::Missed::Skip;
    case Missed::run_all:
      return jobs::Missed::All;
    case Missed::run_once:
      break;
  }
  return jobs::Missed::Once;
}

}  // namespace

// Ids are made here, and kept until the jobs are stored: a commit that failed on its way back finds
// its jobs when it is repeated, and adds none.
std::vector<JobId> Bulk::commit() {
  std::vector<jobs::JobSpec> specs;
  for (detail::Spec& spec : specs_) {
    specs.push_back(job_spec(spec));
    if (specs.back().id.empty() && !specs.back().count)
      specs.back().id = spec.id = new_id(store_->now());
  }
  if (specs.empty()) return {};
  const auto result = worker::value_or_throw(store_->insert(specs));
  specs_.clear();
  std::vector<JobId> ids;
  for (const jobs::Inserted& job : result.jobs) ids.push_back({job.id});
  return ids;
}

void Client::put_recurring(const Recurrence& recurrence, const detail::Spec& spec) {
  jobs::RecurringSpec recurring;
  recurring.id = recurrence.id;
  recurring.schedule = recurrence.schedule;
  recurring.zone = recurrence.zone;
  recurring.job = job_spec(spec);
  recurring.missed = missed_of(recurrence);
  recurring.missed_within = recurrence.missed_within;
  recurring.max_concurrent = recurrence.max_concurrent;
  recurring.created_by = "API";
  worker::value_or_throw(store_->jobs().put_recurring(recurring, store_->now()));
}

bool Client::cancel(const JobId& id) {
  return done(store_->jobs().remove(id.uuid, "cancelled by its producer", store_->now()));
}

JobResult Client::result(const JobId& id) {
  auto outcome = worker::value_or_throw(store_->jobs().result(id.uuid, store_->now()));
  return {.available = outcome.available,
          .json = std::move(outcome.json),
          .retry_after = std::chrono::ceil<milliseconds>(outcome.retry_after)};
}

bool Client::requeue(const JobId& id) {
  return done(store_->jobs().requeue(id.uuid, store_->now()));
}

}  // namespace jobmill
