// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/insight.h"
#include "app/queue_sampler.h"
#include "app/recorder.h"
#include "app/series_json.h"
#include "app/target_picture.h"
#include "base/log.h"
#include "base/thread_pool.h"
#include "jobs/job_store.h"
#include "net/event_loop.h"
#include "scale/ledger.h"
#include "scale/series.h"

namespace jobmill::app {

class Control;
class ExecutionControl;

// What the control thread works with; all of it outlives this.
struct InsightParts {
  net::EventLoop& loop;  // of the control thread
  scale::Ledger& ledger;
  scale::SeriesStore& series;
  jobs::JobStoreOwner& store;
  ThreadPool& pool;
  const Clock& clock;
  std::function<Control&()> control;  // made later, as the next
  std::function<ExecutionControl&()> executions;
};

// Keeps what happens: decisions in the ledger, numbers in series; and answers questions about it.
// Everything happens on the control thread, but where api::Insight says otherwise; reads of what is
// kept on the pool.
//
// What rests costs nothing: after a change one timer ends the bucket of ten seconds, and then there
// is none.
class InsightControl final : public api::Insight, public Recorder {
 public:
  explicit InsightControl(InsightParts parts);

  void start();          // on the control thread
  void stop();           // on the control thread: writes what is left
  void queues_changed()  // from any thread: the store said so
  {
    sampler_.changed();
  }

  void decided(const manifest::ObjectKey& key, const scale::Decision& decision) override;
  void repeated(const manifest::ObjectKey& key, const scale::Decision& decision) override;
  void changed(const manifest::ObjectKey& key) override;
  Last last(const manifest::ObjectKey& key) override;
  void decided(const manifest::ObjectKey& job, const scale::ExecutionsDecision& decision) override;

  void targets(Done<Node> done) override;
  void target_item(std::string target, Done<Node> done) override;
  void target(std::string target, Done<Node> done) override;
  void on_change(std::function<void(std::string target)> listener) override;
  void target_series(std::string target, Range range, Done<std::string> done) override;
  void series(std::string name, Range range, Done<std::string> done) override;
  void decisions(std::string target, Page page, Done<std::string> done) override;
  void decision(std::string target, std::string id, Done<std::string> done) override;
  void why_not(std::string target, TimePoint at, Done<Node> done) override;
  void pause(std::string target, std::optional<int> replicas, Done<void> done) override;
  void resume(std::string target, Done<void> done) override;
  void set(std::string target, int replicas, Done<void> done) override;

 private:
  using Key = manifest::ObjectKey;

  // An evaluation that says what the last record says: told to the ledger with the next write.
  struct Repeat {
    std::string id;
    std::int64_t repeated = 0;
    TimePoint until{};
  };
  struct Tallied {
    std::uint64_t enqueued = 0;
    std::uint64_t succeeded = 0;
    std::uint64_t failed = 0;
    jobs::Histogram wait{};
  };

  template <class T>
  void with_target(std::string target, Done<T> done, std::function<void(const Key&)> then);
  Result<Key> find(const std::string& target) const;
  std::vector<Key> keys() const;
  std::optional<JobPicture> job_picture(const Key& key) const;
  std::optional<TargetPicture> picture(const Key& key) const;
  std::optional<Node> latest_record(const Key& key) const;
  std::string name_of(const Key& key) const;

  void touch(const Key& key);
  void refresh();
  void record(const TargetPicture& picture);
  void record_gap(const TargetPicture& picture);
  void record_queues(const QueueSampler::Seen& seen);
  void count(const std::string& series, const Tallied& now, Tallied& before, TimePoint at);

  void arm();
  void write(bool all);
  void prune(TimePoint now);
  TimeSpan span_of(const Range& range) const;
  void pause_now(const Key& key, std::optional<int> replicas, bool paused, const Done<void>& done);

  InsightParts parts_;
  scale::SeriesRecorder recorder_;
  QueueSampler sampler_;
  std::function<void(std::string)> listener_;
  std::set<Key> touched_;
  std::map<std::string, Repeat> repeats_;              // by the ledger's name
  std::map<std::string, scale::LedgerRecord> latest_;  // of jobs that start executions
  std::set<std::string> gaps_;                         // series whose triggers cannot be read
  std::map<std::string, Tallied> tallied_;             // by series
  bool sampled_ = false;
  TimePoint pruned_{};
  std::optional<net::EventLoop::TimerId> timer_;
  bool started_ = false;
  bool stopped_ = false;
};

}  // namespace jobmill::app
