// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/job_explorer.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <utility>

#include "base/id.h"
#include "store/job_events.h"
#include "store/sqlite/batch.h"
#include "store/sqlite/job_rows.h"
#include "store/sqlite/job_search.h"
#include "store/uuid.h"

namespace jobmill::sqlite {
namespace {

using namespace jobs;

constexpr auto kLimit = std::chrono::seconds(5);
constexpr int kMostItems = 1000;
constexpr int kMostIds = 10'000;
constexpr std::int64_t kMostSkipped = 10'000;
constexpr std::size_t kConnections = 2;

constexpr char kReaderPragmas[] = R"sql(
  PRAGMA query_only = ON;
  PRAGMA busy_timeout = 1000;
  PRAGMA cache_size = -16384;
  PRAGMA temp_store = MEMORY;
)sql";

constexpr char kJobs[] = "SELECT " JOB_SHOWN
                         ", q.name, l.kind, l.priority, b.c1 FROM batch b "
                         "CROSS JOIN job j ON j.seq = b.c0 " JOB_SHOWN_JOINS
                         "JOIN lane l ON l.id = j.lane JOIN queue q ON q.id = l.queue";
constexpr char kIds[] = "SELECT j.id, b.c1 FROM batch b CROSS JOIN job j ON j.seq = b.c0";
constexpr char kHistory[] = R"sql(
  SELECT state, at, data FROM job_history
   WHERE seq = (SELECT j.seq FROM job j WHERE j.id = ?1) ORDER BY n
)sql";
constexpr char kFailures[] = R"sql(
  SELECT g.fingerprint, f.type, f.frame, f.message, l.kind, j.id, g.count, g.quarantined,
         (SELECT min(first.at) FROM job_failure first WHERE first.fingerprint = g.fingerprint),
         g.last_at
    FROM (SELECT * FROM failure_group ORDER BY last_at DESC, fingerprint DESC LIMIT ?2 OFFSET ?1) g
         CROSS JOIN job_failure f
           ON f.seq = (SELECT last.seq FROM job_failure last WHERE last.fingerprint = g.fingerprint
                        ORDER BY last.at DESC, last.lane DESC, last.seq DESC LIMIT 1)
         CROSS JOIN job j ON j.seq = f.seq CROSS JOIN lane l ON l.id = j.lane
   ORDER BY g.last_at DESC, g.fingerprint DESC
)sql";
constexpr char kGroups[] = "SELECT count(*) FROM failure_group";
constexpr char kKinds[] = "SELECT DISTINCT kind FROM lane ORDER BY kind";
constexpr char kLabelFrom[] =
    "SELECT label FROM job_label WHERE label >= ?1 ORDER BY label LIMIT 1";
constexpr char kLabelAfter[] =
    "SELECT label FROM job_label WHERE label > ?1 ORDER BY label LIMIT 1";

std::string uuid_of(std::string_view blob) { return store::uuid_text(blob); }

std::string_view view(const store::UuidBytes& id) { return {id.data(), id.size()}; }

Batch numbered(const std::vector<Place>& places) {
  Batch batch(2);
  for (std::size_t i = 0; i < places.size(); ++i) {
    batch.add(places[i].seq).add(static_cast<std::int64_t>(i));
  }
  return batch;
}

Status check(const JobSliceRequest& request) {
  if (request.limit < 1 || request.limit > kMostItems) {
    return fail(Code::InvalidArgument, "limit: must be 1 to 1000");
  }
  if (request.offset < 0 || request.offset > kMostSkipped) {
    return fail(Code::InvalidArgument, "offset: must be 0 to 10000; follow the places instead");
  }
  const int ways = (request.after.empty() ? 0 : 1) + (request.before.empty() ? 0 : 1) +
                   (request.last ? 1 : 0) + (request.offset > 0 ? 1 : 0);
  if (ways > 1) {
    return fail(Code::InvalidArgument, "offset: excludes after, before and last, as each does");
  }
  return {};
}

Result<std::vector<Job>> read_jobs(Database& db, const std::vector<Place>& places) {
  std::vector<Job> jobs(places.size());
  const Batch batch = numbered(places);
  auto query = db.use(kJobs, batch);
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return jobs;
    const LaneNames lane{query.view(29), query.view(30), static_cast<int>(query.number(31))};
    TRY(jobs[static_cast<std::size_t>(query.number(32))], shown_job_of(query, lane));
  }
}

// A page between two places, and whether there is more on either side.
class Page {
 public:
  Page(Database& db, const JobSliceRequest& request) : db_(db), request_(request) {}

  Result<JobSlice> read() {
    const std::string& text = request_.after.empty() ? request_.before : request_.after;
    std::optional<Place> from;
    if (!text.empty()) {
      TRY(from, read_place(text, request_.order, request_.after.empty() ? "before" : "after"));
    }
    TRY(JobSearch search, JobSearch::make(db_, request_.filter, request_.order));
    const bool backwards = !request_.before.empty() || request_.last;
    const auto limit = static_cast<std::size_t>(request_.limit);
    TRY(auto places, search.places({.descending = request_.descending != backwards,
                                    .from = from,
                                    .limit = request_.offset + request_.limit + 1}));
    const auto skipped = std::min(places.size(), static_cast<std::size_t>(request_.offset));
    bool behind = skipped > 0;  // on the side that this page comes from
    if (from) {
      TRY(const auto there, search.places({.descending = request_.descending == backwards,
                                           .from = from,
                                           .inclusive = true,
                                           .limit = 1}));
      behind = !there.empty();
    }
    places.erase(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(skipped));
    const bool ahead = places.size() > limit;
    if (ahead) places.resize(limit);
    if (backwards) std::reverse(places.begin(), places.end());

    JobSlice slice;
    slice.has_before = backwards ? ahead : behind;
    slice.has_after = backwards ? behind : ahead;
    if (places.empty()) return slice;
    slice.first = place_text(request_.order, places.front());
    slice.last = place_text(request_.order, places.back());
    TRY(slice.items, read_jobs(db_, places));
    return slice;
  }

 private:
  Database& db_;
  const JobSliceRequest& request_;
};

Result<JobIds> read_ids(Database& db, const JobFilter& filter, const std::string& after,
                        int limit) {
  JobSearch::Range range{.limit = limit};
  if (!after.empty()) {
    TRY(range.from, read_place(after, JobOrder::UpdatedAt, "after"));
  }
  TRY(JobSearch search, JobSearch::make(db, filter, JobOrder::UpdatedAt));
  TRY(const auto places, search.places(range));
  JobIds found;
  if (places.empty()) return found;
  found.ids.resize(places.size());
  found.last = place_text(JobOrder::UpdatedAt, places.back());
  const Batch batch = numbered(places);
  auto query = db.use(kIds, batch);
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return found;
    found.ids[static_cast<std::size_t>(query.number(1))] = uuid_of(query.blob(0));
  }
}

Result<std::vector<JobEvent>> read_history(Database& db, std::string_view id) {
  const store::UuidBytes key = store::uuid_bytes(canonical_id(id));
  auto query = db.use(kHistory);
  TRY(auto events, history_of(query.bind_blob(1, view(key))));
  store::add_heartbeats(events, std::nullopt);
  return events;
}

class SqliteJobExplorer final : public JobExplorer {
 public:
  explicit SqliteJobExplorer(SqliteFile& file) : file_(file) {}

  Result<JobSlice> slice(const JobSliceRequest& request) override {
    TRY_VOID(check(request));
    return read<JobSlice>([&](Database& db) { return Page(db, request).read(); });
  }

  Result<JobCount> count(const JobFilter& filter, std::int64_t cap) override {
    return read<JobCount>([&](Database& db) -> Result<JobCount> {
      TRY(JobSearch search, JobSearch::make(db, filter, JobOrder::UpdatedAt));
      return search.count(cap);
    });
  }

  Result<JobIds> ids(const JobFilter& filter, const std::string& after, int limit) override {
    if (limit < 1 || limit > kMostIds) {
      return fail(Code::InvalidArgument, "limit: must be 1 to 10000");
    }
    return read<JobIds>([&](Database& db) { return read_ids(db, filter, after, limit); });
  }

  Result<std::vector<std::vector<JobEvent>>> histories(std::span<const std::string> ids) override {
    using Histories = std::vector<std::vector<JobEvent>>;
    return read<Histories>([&](Database& db) -> Result<Histories> {
      Histories histories;
      histories.reserve(ids.size());
      for (const std::string& id : ids) {
        TRY(auto events, read_history(db, id));
        histories.push_back(std::move(events));
      }
      return histories;
    });
  }

  Result<std::vector<FailureGroup>> failures(std::int64_t offset, int limit) override {
    if (offset < 0 || offset > kMostSkipped) {
      return fail(Code::InvalidArgument, "offset: must be 0 to 10000");
    }
    using Groups = std::vector<FailureGroup>;
    return read<Groups>([&](Database& db) -> Result<Groups> {
      Groups groups;
      auto query = db.use(kFailures);
      query.bind(1, offset).bind(2, std::clamp(limit, 1, kMostItems));
      for (;;) {
        TRY(const bool some, query.step());
        if (!some) return groups;
        groups.push_back({.fingerprint = query.text(0),
                          .error_type = query.text(1),
                          .top_frame = query.text(2),
                          .message = query.text(3),
                          .kind = query.text(4),
                          .example = uuid_of(query.blob(5)),
                          .count = query.number(6),
                          .quarantined = query.number(7),
                          .first_seen = query.instant(8),
                          .last_seen = query.instant(9)});
      }
    });
  }

  Result<JobCount> failure_groups() override {
    return read<JobCount>([](Database& db) -> Result<JobCount> {
      auto query = db.use(kGroups);
      TRY([[maybe_unused]] const bool row, query.step());
      return JobCount{query.number(0), true};
    });
  }

  Result<std::vector<std::string>> kinds() override {
    using Names = std::vector<std::string>;
    return read<Names>([](Database& db) -> Result<Names> {
      Names kinds;
      auto query = db.use(kKinds);
      for (;;) {
        TRY(const bool some, query.step());
        if (!some) return kinds;
        kinds.push_back(query.text(0));
      }
    });
  }

  // From one label to the next, whatever the number of jobs that have it.
  Result<std::vector<std::string>> labels(std::string_view prefix, int limit) override {
    using Names = std::vector<std::string>;
    return read<Names>([&](Database& db) -> Result<Names> {
      Names labels;
      std::string at(prefix);
      while (labels.size() < static_cast<std::size_t>(std::max(limit, 0))) {
        auto query = db.use(labels.empty() ? kLabelFrom : kLabelAfter);
        TRY(const bool some, query.bind(1, std::string_view(at)).step());
        if (!some || !query.view(0).starts_with(prefix)) break;
        labels.push_back(query.text(0));
        at = labels.back();
      }
      return labels;
    });
  }

 private:
  template <class T>
  using Work = std::function<Result<T>(Database&)>;

  template <class T>
  Result<T> read(const Work<T>& work) {
    if (file_.in_memory()) {
      return file_.run<T>([&](Database& db) { return limited<T>(db, work); });
    }
    TRY(auto reader, take());
    Result<T> result = in_one_moment<T>(*reader, work);
    give_back(std::move(reader));
    return result;
  }

  template <class T>
  static Result<T> in_one_moment(Database& db, const Work<T>& work) {
    TRY_VOID(db.exec("BEGIN"));
    Result<T> result = limited<T>(db, work);
    TRY_VOID(db.exec("ROLLBACK"));  // nothing was written
    return result;
  }

  template <class T>
  static Result<T> limited(Database& db, const Work<T>& work) {
    db.limit(std::chrono::steady_clock::now() + kLimit);
    Result<T> result = work(db);
    db.limit(std::nullopt);
    if (!result && result.error().code == Code::Timeout) {
      return fail(Code::Timeout,
                  "the search took longer than 5 seconds; narrow it by state, queue or time");
    }
    return result;
  }

  Result<std::unique_ptr<Database>> take() {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [&] { return !idle_.empty() || open_ < kConnections; });
    if (!idle_.empty()) {
      auto reader = std::move(idle_.back());
      idle_.pop_back();
      return reader;
    }
    TRY(auto db, Database::open(file_.path()));
    TRY_VOID(db.exec(kReaderPragmas));
    ++open_;
    return std::make_unique<Database>(std::move(db));
  }

  void give_back(std::unique_ptr<Database> reader) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(reader));
    freed_.notify_one();
  }

  SqliteFile& file_;
  std::mutex mutex_;  // guards the following
  std::condition_variable freed_;
  std::vector<std::unique_ptr<Database>> idle_;
  std::size_t open_ = 0;
};

}  // namespace

Result<std::unique_ptr<JobExplorer>> open_job_explorer(SqliteFile& file) {
  return std::unique_ptr<JobExplorer>(std::make_unique<SqliteJobExplorer>(file));
}

}  // namespace jobmill::sqlite
