// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/job_rows.h"

#include <algorithm>

namespace jobmill::sqlite {
namespace {

using jobs::Job;
using jobs::JobState;

constexpr char kLabelSeparator = '\x1f';

int small(std::int64_t number) { return static_cast<int>(number); }

}  // namespace

JobRow row_of(const Statement& row) {
  JobRow job;
  job.seq = row.number(0);
  const auto id = row.blob(1);
  std::copy_n(id.begin(), std::min(id.size(), job.id.size()), job.id.begin());
  job.lane = row.number(2);
  job.state = static_cast<JobState>(row.number(3));
  job.version = small(row.number(4));
  job.run_at = row.maybe_instant(5);
  job.place = row.number(6);
  job.attempt = job.ran = small(row.number(7));
  job.failures = small(row.number(8));
  job.crashes = small(row.number(9));
  job.max_attempts = small(row.number(10));
  job.max_crashes = small(row.number(11));
  job.token = row.number(12);
  job.worker = row.number(13);
  job.waited = Duration(row.number(14));
  job.updated_at = row.instant(15);
  if (!row.null(16)) job.retries = small(row.number(16));
  job.extra = row.text(17);
  return job;
}

Result<Job> job_of(const Statement& row, const LaneNames& lane) {
  const JobRow core = row_of(row);
  Job job;
  job.id = core.id_text();
  job.kind = lane.kind;
  job.queue = lane.queue;
  job.priority = lane.priority;
  job.state = core.state;
  job.version = core.version;
  job.run_at = core.run_at;
  job.attempt = core.attempt;
  job.failures = core.failures;
  job.crashes = core.crashes;
  job.max_attempts = core.max_attempts;
  job.max_crashes = core.max_crashes;
  job.updated_at = core.updated_at;
  job.retries = core.retries;
  TRY(job.extra, jobs::extra_of(core.extra));
  job.v = small(row.number(18));
  job.name = row.text(19);
  job.labels = split_labels(row.view(20));
  job.recurring_id = row.text(21);
  job.created_by = row.text(22);
  job.created_at = row.instant(23);
  job.args = row.text(24);
  job.meta = row.text(25);
  return job;
}

Result<Job> shown_job_of(const Statement& row, const LaneNames& lane) {
  TRY(Job job, job_of(row, lane));
  if (!row.null(26)) job.progress = {row.number(26), row.number(27), row.number(28)};
  if (job.state == JobState::Processing && job.extra.timeout > Duration::zero())
    job.deadline = job.updated_at + job.extra.timeout;
  return job;
}

Result<std::vector<jobs::JobEvent>> history_of(Statement& query) {
  std::vector<jobs::JobEvent> events;
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return events;
    events.push_back({static_cast<JobState>(query.number(0)), query.instant(1), query.text(2)});
  }
}

std::string join_labels(const std::vector<std::string>& labels) {
  std::string text;
  for (const std::string& label : labels) {
    if (!text.empty()) text += kLabelSeparator;
    text += label;
  }
  return text;
}

std::vector<std::string> split_labels(std::string_view text) {
  std::vector<std::string> labels;
  while (!text.empty()) {
    const auto end = std::min(text.find(kLabelSeparator), text.size());
    labels.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return labels;
}

}  // namespace jobmill::sqlite
