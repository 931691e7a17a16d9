// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/job_explorer.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "base/id.h"
#include "store/postgres/job_reader.h"
#include "store/postgres/job_search.h"
#include "store/postgres/job_views.h"
#include "store/postgres/lanes.h"
#include "store/postgres/storage_clock.h"

namespace jobmill::postgres {
namespace {

using namespace jobs;

constexpr int kMaxPage = 1000;
constexpr int kMaxIds = 10'000;
constexpr std::int64_t kMaxOffset = 10'000;

constexpr Statement kNow{"explorer_now", "SELECT jobmill_now()"};

constexpr Statement kStateCounts{"state_counts",
                                 R"sql(
  SELECT coalesce(sum(scheduled), 0)::bigint, coalesce(sum(enqueued), 0)::bigint,
         coalesce(sum(running), 0)::bigint, coalesce(sum(succeeded), 0)::bigint,
         coalesce(sum(failed), 0)::bigint, coalesce(sum(deleted), 0)::bigint
  FROM jobmill_count WHERE lane = ANY($1))sql"};
constexpr std::array kStateColumns{JobState::Scheduled, JobState::Enqueued, JobState::Processing,
                                   JobState::Succeeded, JobState::Failed,   JobState::Deleted};

// From one group to the next, along the index: each is read at its latest. Only those of the page
// are counted.
#define EACH_GROUP                                                                     \
  "WITH RECURSIVE g AS ("                                                              \
  "  (SELECT fingerprint, at, id FROM jobmill_failure WHERE final"                     \
  "   ORDER BY fingerprint DESC, at DESC, id DESC LIMIT 1)"                            \
  "  UNION ALL"                                                                        \
  "  SELECT n.* FROM g CROSS JOIN LATERAL ("                                           \
  "    SELECT fingerprint, at, id FROM jobmill_failure WHERE final AND fingerprint < " \
  "g.fingerprint"                                                                      \
  "    ORDER BY fingerprint DESC, at DESC, id DESC LIMIT 1) n) "
constexpr Statement kFailures{
    "failures", EACH_GROUP
    "SELECT p.fingerprint, f.type, f.frame, f.message, l.kind, p.id, c.n, c.quarantined, c.first,"
    " p.at"
    " FROM (SELECT * FROM g ORDER BY at DESC, fingerprint LIMIT $1 OFFSET $2) p"
    " CROSS JOIN LATERAL ("
    "   SELECT count(*) AS n, count(*) FILTER (WHERE quarantined) AS quarantined, min(at) AS first"
    "   FROM jobmill_failure WHERE final AND fingerprint = p.fingerprint) c"
    " JOIN jobmill_failure f ON f.id = p.id"
    " JOIN jobmill_job j ON j.id = p.id JOIN jobmill_lane l ON l.id = j.lane"
    " ORDER BY p.at DESC, p.fingerprint"};
constexpr Statement kFailureGroups{"failure_groups", EACH_GROUP "SELECT count(*) FROM g"};

// Neither reads all jobs: those that people would complete are the latest, or many.
constexpr Statement kLabels{"labels",
                            R"sql(
  SELECT DISTINCT label COLLATE "C" FROM (
    SELECT unnest(labels) FROM (
      SELECT labels FROM jobmill_job ORDER BY created_at DESC LIMIT 20000) latest
    UNION ALL
    SELECT unnest(most_common_elems::text::text[]) FROM pg_stats
    WHERE schemaname = current_schema() AND tablename = 'jobmill_job' AND attname = 'labels') x(label)
  WHERE starts_with(label, $1) ORDER BY 1 LIMIT $2)sql"};

Fault wrong(std::string_view field, std::string_view reason) {
  return fail(Code::InvalidArgument, std::string(field) + ": " + std::string(reason));
}

Status check(const JobSliceRequest& request) {
  if (request.limit < 1 || request.limit > kMaxPage) return wrong("limit", "must be 1 to 1000");
  if (request.offset < 0 || request.offset > kMaxOffset) {
    return wrong("offset", "must be 0 to 10000; go on with `after`");
  }
  const int starts = (request.after.empty() ? 0 : 1) + (request.before.empty() ? 0 : 1) +
                     (request.last ? 1 : 0) + (request.offset > 0 ? 1 : 0);
  return starts > 1 ? Status(wrong("after", "excludes before, last and offset")) : Status();
}

bool by_counters(const JobFilter& filter) {
  JobFilter rest = filter;
  rest.states.clear();
  rest.queue.clear();
  rest.kind.clear();
  return rest == JobFilter{};
}

ConnectOptions limited(ConnectOptions options) {
  options.statement_timeout = std::chrono::seconds(5);
  options.plan_for_values = true;
  return options;
}

ConnectOptions for_searches(ConnectOptions options) {
  options.rows_in_order = false;
  return limited(std::move(options));
}

class PostgresJobExplorer final : public JobExplorer {
 public:
  PostgresJobExplorer(const Url& url, const JobExplorerOptions& options)
      : times_(options.clock),
        lists_(url, limited(options.connect), options.clock),
        searches_(url, for_searches(options.connect), options.clock) {}

  Result<JobSlice> slice(const JobSliceRequest& request) override {
    TRY_VOID(check(request));
    return search<JobSlice>(request.filter, request.order,
                            [&](Connection& connection, const JobSearch& search) {
                              return slice(connection, search, request);
                            });
  }

  Result<JobCount> count(const JobFilter& filter, std::int64_t cap) override {
    if (by_counters(filter)) return count_by_counters(filter);
    return search<JobCount>(
        filter, JobOrder::UpdatedAt,
        [&](Connection& connection, const JobSearch& search) -> Result<JobCount> {
          if (search.nothing()) return JobCount{};
          const Query query = search.count(cap);
          TRY(const Rows rows, connection.query(query.sql, query.values));
          const std::int64_t found = rows.int8(0, 0);
          return JobCount{.count = std::min(found, cap), .exact = found <= cap};
        });
  }

  Result<JobIds> ids(const JobFilter& filter, const std::string& after, int limit) override {
    if (limit < 1 || limit > kMaxIds) return wrong("limit", "must be 1 to 10000");
    return search<JobIds>(filter, JobOrder::UpdatedAt,
                          [&](Connection& connection, const JobSearch& search) -> Result<JobIds> {
                            TRY(const auto from, place_of(after, search));
                            JobIds page;
                            if (search.nothing()) return page;
                            const Query query =
                                search.ids({.from = from ? &*from : nullptr, .limit = limit});
                            TRY(const Rows rows, connection.query(query.sql, query.values));
                            for (std::size_t i = 0; i < rows.size(); ++i)
                              page.ids.push_back(rows.uuid(i, 0));
                            if (!rows.empty())
                              page.last = place_text(search, rows, rows.size() - 1, 1);
                            return page;
                          });
  }

  Result<std::vector<std::vector<JobEvent>>> histories(std::span<const std::string> ids) override {
    std::vector<std::string> canonical;
    for (const std::string& id : ids) canonical.push_back(canonical_id(id));
    return lists_.run([&](Connection& connection) -> Result<std::vector<std::vector<JobEvent>>> {
      TRY_VOID(look_around(connection));
      TRY(const auto told, postgres::histories(connection, canonical));
      std::vector<std::vector<JobEvent>> all;
      for (const std::string& id : canonical) {
        const auto found = told.find(id);
        auto& events = all.emplace_back();
        if (found != told.end()) events = found->second;
        for (JobEvent& event : events) event.at = times_.to_caller(event.at);
      }
      return all;
    });
  }

  Result<std::vector<FailureGroup>> failures(std::int64_t offset, int limit) override {
    if (limit < 1 || limit > kMaxPage) return wrong("limit", "must be 1 to 1000");
    if (offset < 0 || offset > kMaxOffset) return wrong("offset", "must be 0 to 10000");
    return lists_.run([&](Connection& connection) -> Result<std::vector<FailureGroup>> {
      TRY_VOID(look_around(connection));
      TRY(const Rows rows, connection.run(kFailures, Parameters().int8(limit).int8(offset)));
      std::vector<FailureGroup> groups;
      for (std::size_t i = 0; i < rows.size(); ++i) groups.push_back(group_of(rows, i));
      return groups;
    });
  }

  Result<JobCount> failure_groups() override {
    return lists_.run([](Connection& connection) -> Result<JobCount> {
      TRY(const Rows rows, connection.run(kFailureGroups));
      return JobCount{.count = rows.int8(0, 0)};
    });
  }

  Result<std::vector<std::string>> kinds() override {
    TRY_VOID(lists_.run([this](Connection& connection) { return look_around(connection); }));
    std::set<std::string> kinds;
    for (const Lane* lane : lanes_.all()) kinds.insert(lane->kind);
    return std::vector(kinds.begin(), kinds.end());
  }

  Result<std::vector<std::string>> labels(std::string_view prefix, int limit) override {
    return searches_.run([&](Connection& connection) -> Result<std::vector<std::string>> {
      TRY(const Rows rows, connection.run(kLabels, Parameters().text(prefix).int8(limit)));
      std::vector<std::string> labels;
      for (std::size_t i = 0; i < rows.size(); ++i) labels.emplace_back(rows.text(i, 0));
      return labels;
    });
  }

 private:
  // What is known of lanes and clocks must not be older than the answer.
  Status look_around(Connection& connection) {
    TRY_VOID(lanes_.load(connection));
    const auto now = std::chrono::steady_clock::now();
    if (now < measure_at_.load()) return {};
    TRY(const Rows rows, connection.run(kNow));
    times_.measure(rows.timestamp(0, 0));
    measure_at_ = now + std::chrono::seconds(10);
    return {};
  }

  template <class T, class Work>
  Result<T> search(const JobFilter& filter, JobOrder order, const Work& work) {
    const auto look = [&](Connection& connection) -> Result<T> {
      TRY_VOID(look_around(connection));
      TRY(auto search, JobSearch::make(filter, order, lanes_, times_));
      if (const auto few = search.few()) {
        TRY(const Rows rows, connection.query(few->sql, few->values));
        search.begin_with(rows.int8(0, 0));
      }
      return work(connection, search);
    };
    return scans(filter) ? searches_.run(look) : lists_.run(look);
  }

  static bool scans(const JobFilter& filter) {
    return !by_counters(filter) && filter.failure_fingerprint.empty();
  }

  Result<JobCount> count_by_counters(const JobFilter& filter) {
    return lists_.run([&](Connection& connection) -> Result<JobCount> {
      TRY_VOID(look_around(connection));
      std::vector<std::int32_t> lanes;
      for (const Lane* lane : lanes_.all()) {
        const bool asked = (filter.queue.empty() || lane->queue == filter.queue) &&
                           (filter.kind.empty() || lane->kind == filter.kind);
        if (asked) lanes.push_back(lane->id);
      }
      TRY(const Rows rows, connection.run(kStateCounts, Parameters().array(Int4Array(lanes))));
      JobCount all;
      for (std::size_t i = 0; i < kStateColumns.size(); ++i) {
        const bool asked =
            filter.states.empty() ||
            std::ranges::find(filter.states, kStateColumns[i]) != filter.states.end();
        if (asked) all.count += rows.int8(0, static_cast<int>(i));
      }
      return all;
    });
  }

  static Result<std::optional<Place>> place_of(const std::string& text, const JobSearch& search) {
    if (text.empty()) return std::optional<Place>();
    TRY(Place place, Place::parse(text, search.sorted_by()));
    return std::optional(std::move(place));
  }

  static std::string place_text(const JobSearch& search, const Rows& rows, std::size_t row,
                                int column) {
    const bool place = search.sorted_by() == SortKey::Place;
    const std::int64_t key =
        place ? rows.int8(row, column) : rows.timestamp(row, column).time_since_epoch().count();
    return Place{key, rows.uuid(row, 0)}.text(search.sorted_by());
  }

  // One row more than asked for tells whether there is more that way; the other way is looked at
  // from where the page began.
  Result<JobSlice> slice(Connection& connection, const JobSearch& search,
                         const JobSliceRequest& request) {
    JobSlice slice;
    TRY(const auto from, place_of(request.after + request.before, search));
    if (search.nothing()) return slice;
    const bool towards_start = request.last || !request.before.empty();
    const Cut cut{.from = from ? &*from : nullptr,
                  .backward = towards_start != request.descending,
                  .limit = request.limit + 1,
                  .offset = request.offset};
    const Query query = search.jobs(cut);
    TRY(const Rows rows, connection.query(query.sql, query.values));
    const auto limit = static_cast<std::size_t>(request.limit);
    const std::size_t count = std::min(rows.size(), limit);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t row = towards_start ? count - 1 - i : i;
      slice.items.push_back(job_of(rows, row, lanes_));
      times_.translate(slice.items.back());
      if (i == 0) slice.first = place_text(search, rows, row, kJobColumns);
      if (i + 1 == count) slice.last = place_text(search, rows, row, kJobColumns);
    }
    const bool on = rows.size() > limit;
    bool back = false;
    if (from || request.offset > 0) {
      TRY(back, any_behind(connection, search, cut));
    }
    slice.has_before = towards_start ? on : back;
    slice.has_after = towards_start ? back : on;
    return slice;
  }

  static Result<bool> any_behind(Connection& connection, const JobSearch& search, Cut cut) {
    cut.inclusive = true;
    cut.backward = !cut.backward;
    cut.limit = 1;
    cut.offset = 0;
    const Query query = search.ids(cut);
    TRY(const Rows rows, connection.query(query.sql, query.values));
    return !rows.empty();
  }

  FailureGroup group_of(const Rows& rows, std::size_t i) const {
    return {.fingerprint = std::string(rows.text(i, 0)),
            .error_type = std::string(rows.text(i, 1)),
            .top_frame = std::string(rows.text(i, 2)),
            .message = std::string(rows.text(i, 3)),
            .kind = std::string(rows.text(i, 4)),
            .example = rows.uuid(i, 5),
            .count = rows.int8(i, 6),
            .quarantined = rows.int8(i, 7),
            .first_seen = times_.to_caller(rows.timestamp(i, 8)),
            .last_seen = times_.to_caller(rows.timestamp(i, 9))};
  }

  StorageClock times_;
  Lanes lanes_{{}};
  std::atomic<std::chrono::steady_clock::time_point> measure_at_{};
  JobReader lists_;
  JobReader searches_;
};

}  // namespace

Result<std::unique_ptr<JobExplorer>> open_job_explorer(const Url& url, JobExplorerOptions options) {
  return std::unique_ptr<JobExplorer>(std::make_unique<PostgresJobExplorer>(url, options));
}

}  // namespace jobmill::postgres
