// SPDX-License-Identifier: Apache-2.0
#include "api/metrics_text.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

namespace jobmill::api {
namespace {

using jobs::Tally;

// Backslash, newline and, in values of labels, the quote.
std::string escaped(std::string_view text, bool quoted) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || (quoted && c == '"')) out += '\\';
    out += c == '\n' ? std::string_view("\\n") : std::string_view(&c, 1);
  }
  return out;
}

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

// --- jobs ---------------------------------------------------------------------------------------

void write_states(MetricsText& text, const MetricsFacts& facts) {
  text.gauge("jobmill_jobs", "Jobs in this state.");
  for (const jobs::QueueStats& queue : facts.queues)
    for (const auto& [state, count] :
         {std::pair<std::string_view, std::int64_t>("SCHEDULED", queue.scheduled),
          {"ENQUEUED", queue.enqueued},
          {"PROCESSING", queue.processing},
          {"SUCCEEDED", queue.succeeded},
          {"FAILED", queue.failed},
          {"DELETED", queue.deleted}})
      text.sample({{"state", state}, {"queue", queue.queue}}, count);
}

struct TallyCounter {
  std::string_view name;
  std::uint64_t Tally::*value;
  std::string_view help;
};

constexpr std::array kCounters{
    TallyCounter{"jobmill_jobs_enqueued_total", &Tally::enqueued,
                 "Jobs that came to ENQUEUED: new, due, to be retried, put back."},
    TallyCounter{"jobmill_jobs_runs_total", &Tally::runs, "Attempts that were begun."},
    TallyCounter{"jobmill_jobs_succeeded_total", &Tally::succeeded, "Attempts that ended well."},
    TallyCounter{"jobmill_jobs_failed_total", &Tally::failed, "Attempts that failed."},
    TallyCounter{"jobmill_jobs_retried_total", &Tally::retried,
                 "Failed attempts that are followed by a retry."},
    TallyCounter{"jobmill_jobs_crashed_total", &Tally::crashed, "Attempts whose worker died."},
    TallyCounter{"jobmill_jobs_quarantined_total", &Tally::quarantined,
                 "Jobs that reached their limit of crashes."},
    TallyCounter{"jobmill_jobs_deleted_total", &Tally::deleted, "Jobs that came to DELETED."},
};

constexpr std::array kJobRunrCounters{
    TallyCounter{"jobrunr_jobs_runs_total", &Tally::runs, "Attempts that were begun."},
    TallyCounter{"jobrunr_jobs_runs_succeeded", &Tally::succeeded, "Attempts that ended well."},
    TallyCounter{"jobrunr_jobs_runs_failed", &Tally::failed, "Attempts that failed."},
};

struct TallyHistogram {
  std::string_view name;
  jobs::Histogram Tally::*value;
  std::string_view help;
};

constexpr std::array kHistograms{
    TallyHistogram{"jobmill_job_wait_seconds", &Tally::wait, "From ENQUEUED to PROCESSING."},
    TallyHistogram{"jobmill_job_run_seconds", &Tally::run, "From PROCESSING to its end."},
    TallyHistogram{"jobmill_job_schedule_lateness_seconds", &Tally::lateness,
                   "From when a job was due to ENQUEUED."},
};

MetricsText::Labels labels_of(const Tally& tally) {
  return {{"queue", tally.queue}, {"kind", tally.kind}};
}

void write_counters(MetricsText& text, std::span<const TallyCounter> counters,
                    const std::vector<Tally>& tallies) {
  for (const TallyCounter& counter : counters) {
    text.counter(counter.name, counter.help);
    for (const Tally& tally : tallies) text.sample(labels_of(tally), tally.*counter.value);
  }
}

// Processes are asked one after the other, so a sum may be below zero for a moment.
void write_in_progress(MetricsText& text, std::string_view name,
                       const std::vector<Tally>& tallies) {
  text.gauge(name, "Jobs that run.");
  for (const Tally& tally : tallies)
    text.sample(labels_of(tally), std::max<std::int64_t>(0, tally.in_progress));
}

void write_tallies(MetricsText& text, const std::vector<Tally>& tallies) {
  write_counters(text, kCounters, tallies);
  write_in_progress(text, "jobmill_jobs_in_progress", tallies);
  for (const TallyHistogram& histogram : kHistograms) {
    text.histogram(histogram.name, histogram.help);
    for (const Tally& tally : tallies) text.sample(labels_of(tally), tally.*histogram.value);
  }
}

// --- queues, workers, recurring jobs ------------------------------------------------------------

void write_queues(MetricsText& text, const MetricsFacts& facts) {
  text.gauge("jobmill_queue_oldest_seconds", "Age of the oldest enqueued job.");
  for (const jobs::QueueStats& queue : facts.queues) {
    const Duration age = queue.oldest ? facts.now - *queue.oldest : Duration::zero();
    text.sample({{"queue", queue.queue}}, seconds(std::max(age, Duration::zero())));
  }
  text.gauge("jobmill_queue_paused", "1: nothing is taken from it.");
  for (const jobs::QueueStats& queue : facts.queues)
    text.sample({{"queue", queue.queue}}, std::int64_t{queue.paused ? 1 : 0});
  text.gauge("jobmill_queue_consumable", "Jobs that a worker could take now.");
  for (const jobs::QueueStats& queue : facts.queues)
    text.sample({{"queue", queue.queue}}, queue.paused ? 0 : queue.enqueued);
}

struct TagCounts {
  std::int64_t workers = 0;
  std::int64_t occupied = 0;
  std::int64_t draining = 0;
};

std::map<std::string_view, TagCounts> by_tag(const std::vector<jobs::Worker>& workers) {
  static const std::vector<std::string> untagged{"DEFAULT"};
  std::map<std::string_view, TagCounts> tags;
  for (const jobs::Worker& worker : workers)
    for (const std::string& tag : worker.spec.tags.empty() ? untagged : worker.spec.tags) {
      TagCounts& counts = tags[tag];
      counts.workers += 1;
      counts.occupied += std::min(worker.occupied, worker.spec.concurrency);
      counts.draining += worker.state == jobs::WorkerState::Run ? 0 : 1;
    }
  return tags;
}

void write_workers(MetricsText& text, const MetricsFacts& facts) {
  const auto tags = by_tag(facts.workers);
  const auto write = [&](std::string_view name, std::string_view help,
                         std::int64_t TagCounts::*value) {
    text.gauge(name, help);
    for (const auto& [tag, counts] : tags) text.sample({{"tag", tag}}, counts.*value);
  };
  write("jobmill_workers", "Workers whose lease lives.", &TagCounts::workers);
  write("jobmill_workers_occupied", "Slots of workers that run a job.", &TagCounts::occupied);
  write("jobmill_workers_draining", "Workers that take no more jobs.", &TagCounts::draining);
  text.counter("jobmill_worker_lost_total",
               "Workers whose lease ran out or whose process died, as this server found.");
  text.sample({}, facts.storage.workers_lost);
}

void write_recurring(MetricsText& text, const MetricsFacts& facts) {
  const auto write = [&](std::string_view name, std::string_view help,
                         std::int64_t jobs::RecurringJob::*value) {
    text.counter(name, help);
    for (const jobs::RecurringJob& job : facts.recurring)
      text.sample({{"recurring", job.spec.id}}, job.*value);
  };
  write("jobmill_recurring_runs_total", "Runs that started.", &jobs::RecurringJob::runs);
  write("jobmill_recurring_skipped_total", "Runs that did not start.",
        &jobs::RecurringJob::skipped_runs);
  write("jobmill_recurring_missed_total", "Runs that fell due while nobody could start them.",
        &jobs::RecurringJob::missed_runs);
}

// --- this server --------------------------------------------------------------------------------

void write_server(MetricsText& text, const MetricsFacts& facts) {
  text.histogram("jobmill_storage_seconds", "How long calls of the store took.");
  for (const auto& [name, operation] : facts.storage.operations)
    text.sample({{"op", name}}, operation.seconds);
  text.counter("jobmill_storage_errors_total", "Calls that failed because of the storage.");
  for (const auto& [name, operation] : facts.storage.operations)
    text.sample({{"op", name}}, operation.errors);
  text.gauge("jobmill_storage_healthy", "1: the storage is there.");
  text.sample({}, std::int64_t{facts.healthy ? 1 : 0});
  text.gauge("jobmill_leader", "1: this server does the maintenance.");
  text.sample({}, std::int64_t{facts.leads ? 1 : 0});
  text.gauge("jobmill_build_info", "Always 1.");
  text.sample({{"version", facts.version}}, std::int64_t{1});
}

}  // namespace

void MetricsText::family(std::string_view name, std::string_view help, std::string_view type) {
  name_ = name;
  text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, escaped(help, false), name, type);
}

void MetricsText::line(std::string_view suffix, const Labels& labels, std::string_view value) {
  text_ += fmt::format("{}{}", name_, suffix);
  char before = '{';
  for (const auto& [label, content] : labels) {
    text_ += fmt::format("{}{}=\"{}\"", before, label, escaped(content, true));
    before = ',';
  }
  if (!labels.empty()) text_ += '}';
  text_ += fmt::format(" {}\n", value);
}

void MetricsText::sample(const Labels& labels, std::int64_t value) {
  line("", labels, fmt::format("{}", value));
}
void MetricsText::sample(const Labels& labels, std::uint64_t value) {
  line("", labels, fmt::format("{}", value));
}
void MetricsText::sample(const Labels& labels, double value) {
  line("", labels, fmt::format("{}", value));
}

void MetricsText::sample(const Labels& labels, const jobs::Histogram& histogram) {
  Labels bounded = labels;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < histogram.buckets.size(); ++i) {
    count += histogram.buckets[i];
    const bool last = i == jobs::Histogram::kBounds.size();
    const std::string bound = last ? "+Inf" : fmt::format("{}", jobs::Histogram::kBounds[i]);
    bounded.emplace_back("le", bound);
    line("_bucket", bounded, fmt::format("{}", count));
    bounded.pop_back();
  }
  line("_sum", labels, fmt::format("{}", histogram.sum));
  line("_count", labels, fmt::format("{}", count));
}

std::string metrics_text(const MetricsFacts& facts, bool jobrunr) {
  MetricsText text;
  write_states(text, facts);
  write_tallies(text, facts.tallies);
  write_queues(text, facts);
  write_workers(text, facts);
  write_recurring(text, facts);
  write_server(text, facts);
  if (jobrunr) {
    write_counters(text, kJobRunrCounters, facts.tallies);
    write_in_progress(text, "jobrunr_jobs_in_progress", facts.tallies);
  }
  return std::move(text).text();
}

}  // namespace jobmill::api
