// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "jobs/job_store.h"
#include "jobs/metered_job_store.h"
#include "jobs/tally.h"

namespace jobmill::api {

// The text format that Prometheus reads (version 0.0.4). A family is opened once; the samples that
// follow belong to it.
//
//   MetricsText text;
//   text.gauge("jobmill_workers", "Workers whose lease lives.");
//   text.sample({{"tag", "DEFAULT"}}, 3);
class MetricsText {
 public:
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  void counter(std::string_view name, std::string_view help) { family(name, help, "counter"); }
  void gauge(std::string_view name, std::string_view help) { family(name, help, "gauge"); }
  void histogram(std::string_view name, std::string_view help) { family(name, help, "histogram"); }

  void sample(const Labels& labels, std::int64_t value);
  void sample(const Labels& labels, std::uint64_t value);
  void sample(const Labels& labels, double value);
  // Cumulative buckets, sum and count.
  void sample(const Labels& labels, const jobs::Histogram& histogram);

  std::string text() && { return std::move(text_); }

 private:
  void family(std::string_view name, std::string_view help, std::string_view type);
  void line(std::string_view suffix, const Labels& labels, std::string_view value);

  std::string name_;  // of the open family
  std::string text_;
};

// All that is told of a server and its jobs.
struct MetricsFacts {
  TimePoint now{};
  std::string_view version{};
  bool leads = true;
  bool healthy = true;  // the storage is there
  std::vector<jobs::QueueStats> queues{};
  std::vector<jobs::Worker> workers{};
  std::vector<jobs::Tally> tallies{};
  std::vector<jobs::RecurringJob> recurring{};
  jobs::StorageMeter storage{};
};

// `jobrunr`: some of it also under the names that JobRunr's users know.
std::string metrics_text(const MetricsFacts& facts, bool jobrunr);

}  // namespace jobmill::api
