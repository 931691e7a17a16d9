// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/job_search.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/core.h>

#include "base/document.h"
#include "base/id.h"
#include "store/postgres/job_views.h"

namespace jobmill::postgres {
namespace {

using jobs::ArgumentFilter;
using jobs::JobFilter;
using jobs::JobOrder;
using jobs::JobState;

constexpr std::array kStored{JobState::Scheduled, JobState::Enqueued, JobState::Processing,
                             JobState::Succeeded, JobState::Failed,   JobState::Deleted};

// Up to so many lanes are merged in the order of places; of more the first rows of each are sorted.
constexpr std::size_t kMergedLanes = 64;

// Up to so many jobs a search begins with those, and up to fewer it looks up each.
constexpr std::int64_t kFew = 100'000;
constexpr std::int64_t kLookedUp = 10'000;

constexpr char letter(SortKey key) { return "puct"[static_cast<int>(key)]; }

std::string counter_of(JobState state) {
  switch (state) {
    case JobState::Scheduled:
      return "scheduled";
    case JobState::Enqueued:
      return "enqueued";
    case JobState::Processing:
      return "running";
    case JobState::Succeeded:
      return "succeeded";
    case JobState::Failed:
      return "failed";
    default:
      return "deleted";
  }
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (;;) {
    const auto end = text.find(at);
    parts.emplace_back(text.substr(0, end));
    if (end == text.npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// What contains the text, for ILIKE.
std::string pattern_of(std::string_view text) {
  std::string pattern = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + '%';
}

bool contains(std::string_view text, std::string_view part) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::ranges::search(text, part, {}, lower, lower).begin() != text.end();
}

Status check(const ArgumentFilter& arg) {
  if (arg.op == ArgumentFilter::Op::Exists || arg.op == ArgumentFilter::Op::Contains) return {};
  const auto value = parse_json(arg.value);
  if (!value || value->is_object() || value->is_array()) {
    return fail(Code::InvalidArgument,
                "arg.value: expected a JSON text, number, true, false, null");
  }
  return {};
}

bool needs_failure(const JobFilter& filter) {
  return !filter.error_type.empty() || !filter.error_text.empty() ||
         !filter.failure_fingerprint.empty();
}

// Those in which a job can be that matches.
std::vector<JobState> states_of(const JobFilter& filter, JobOrder order) {
  std::vector<JobState> states(kStored.begin(), kStored.end());
  const auto only = [&](std::initializer_list<JobState> these) {
    std::erase_if(states,
                  [&](JobState state) { return std::ranges::find(these, state) == these.end(); });
  };
  if (order == JobOrder::ScheduledAt || filter.scheduled_after || filter.scheduled_before) {
    only({JobState::Scheduled});
  }
  if (needs_failure(filter)) only({JobState::Failed, JobState::Scheduled, JobState::Enqueued});
  if (!filter.failure_fingerprint.empty()) only({JobState::Failed});
  if (filter.min_duration) only({JobState::Succeeded, JobState::Deleted});
  if (!filter.states.empty()) {
    std::erase_if(states, [&](JobState state) {
      return std::ranges::find(filter.states, state) == filter.states.end();
    });
  }
  return states;
}

}  // namespace

// --- places --------------------------------------------------------------------------------------

std::string Place::text(SortKey by) const { return fmt::format("{}{:x}.{}", letter(by), key, id); }

Result<Place> Place::parse(std::string_view text, SortKey by) {
  Place place;
  const auto dot = text.find('.');
  const char* end = text.data() + std::min(dot, text.size());
  const char* begin = text.data() + (text.empty() ? 0 : 1);
  const auto [at, error] = std::from_chars(begin, end, place.key, 16);
  if (text.empty() || text.front() != letter(by) || dot == text.npos || error != std::errc() ||
      at != end || !is_uuid(text.substr(dot + 1))) {
    return fail(Code::InvalidArgument, "after: is no place of this order");
  }
  place.id = text.substr(dot + 1);
  return place;
}

// --- what is asked for ---------------------------------------------------------------------------

Result<JobSearch> JobSearch::make(const JobFilter& filter, JobOrder order, const Lanes& lanes,
                                  const StorageClock& times) {
  if (filter.arg) TRY_VOID(check(*filter.arg));
  JobSearch search(filter, times);
  search.some_lanes_ = !filter.queue.empty() || !filter.kind.empty();
  for (const Lane* lane : lanes.all()) {
    const bool asked = (filter.queue.empty() || lane->queue == filter.queue) &&
                       (filter.kind.empty() || lane->kind == filter.kind);
    if (asked) search.lanes_.push_back(lane->id);
    if (contains(lane->kind, filter.text)) search.text_lanes_.push_back(lane->id);
  }
  search.states_ = search.lanes_.empty() ? std::vector<JobState>() : states_of(filter, order);
  const bool ready_only = search.states_ == std::vector{JobState::Enqueued};
  search.key_ = order == JobOrder::CreatedAt     ? SortKey::CreatedAt
                : order == JobOrder::ScheduledAt ? SortKey::ScheduledAt
                : ready_only                     ? SortKey::Place
                                                 : SortKey::UpdatedAt;
  search.branches_ = search.branches();
  return search;
}

void JobSearch::begin_with(std::int64_t jobs) {
  few_ = jobs <= kLookedUp ? Few::EachLookedUp : jobs <= kFew ? Few::Joined : Few::None;
  branches_ = branches();
}

// An index has the jobs of one state in the order of their changes; other orders gain nothing from
// taking states apart, nor do few jobs.
std::vector<JobSearch::Branch> JobSearch::branches() const {
  const bool apart = key_ == SortKey::UpdatedAt && few_ == Few::None;
  std::vector<Branch> all;
  Branch hot{Table::Hot, {}}, done{Table::Done, {}};
  for (const JobState state : states_) {
    const bool in_hot = state == JobState::Enqueued || state == JobState::Processing;
    if (state == JobState::Scheduled) {
      all.push_back({Table::Due, {state}});
    } else if (in_hot && few_ == Few::None && (apart || states_.size() == 1)) {
      const auto some =
          state == JobState::Enqueued ? ready() : std::vector<Branch>{{Table::Running, {state}}};
      all.insert(all.end(), some.begin(), some.end());
    } else if (apart) {
      all.push_back({Table::Done, {state}});
    } else {
      (in_hot ? hot : done).states.push_back(state);
    }
  }
  if (!hot.states.empty()) all.push_back(std::move(hot));
  if (!done.states.empty()) all.push_back(std::move(done));
  return all;
}

std::vector<JobSearch::Branch> JobSearch::ready() const {
  const Branch all{Table::Ready, {JobState::Enqueued}};
  if (key_ != SortKey::Place || lanes_.size() > kMergedLanes) return {all};
  std::vector<Branch> each(lanes_.size(), all);
  for (std::size_t i = 0; i < each.size(); ++i) each[i].lane = lanes_[i];
  return each;
}

// --- SQL -----------------------------------------------------------------------------------------

// One statement and its values.
class JobSearch::Writer {
 public:
  Writer(const JobSearch& search, const Cut& cut)
      : search_(search), filter_(search.filter_), cut_(cut) {}

  // All that matches, cut to what is wanted: as `x`.
  std::string cut() {
    const std::string order = " ORDER BY k" + direction() + ", id" + direction();
    const std::string limit = " LIMIT " + bind(cut_.limit);
    job_outside_ = search_.key_ == SortKey::CreatedAt;
    if (job_outside_) {
      // The table of the one state can be looked up by the job, or the other way round; of several
      // it is looked up which one has the job.
      each_job_ = search_.branches_.size() > 1;
      const std::string states = "(" + together({}) + ") x";
      const std::string jobs = "(SELECT * FROM jobmill_job j" +
                               where(with_place("j.created_at", "j.id", of_job())) +
                               (search_.few_ == Few::None ? ") j" : " OFFSET 0) j");
      return "(SELECT x.*, j.created_at AS k FROM " + jobs +
             (each_job_ ? " CROSS JOIN LATERAL " + states : " JOIN " + states + " ON x.id = j.id") +
             order + limit + " OFFSET " + bind(cut_.offset) + ") x";
    }
    // Each part gives no more than can be of use, in order.
    const std::string part = order + " LIMIT " + bind(cut_.limit + cut_.offset);
    return "(" + few() + "SELECT * FROM (" + together(part) + ") y" + order + limit + " OFFSET " +
           bind(cut_.offset) + ") x";
  }

  // The jobs that a search begins with, found once for all parts.
  std::string few() {
    if (!begins_with_few()) return "";
    return "WITH few AS MATERIALIZED (SELECT j.id FROM jobmill_job j" + where(of_job()) + ") ";
  }
  std::string direction() const { return cut_.backward ? " DESC" : ""; }

  std::string together(const std::string& part) {
    std::string all;
    for (const Branch& branch : search_.branches_) {
      if (!all.empty()) all += " UNION ALL ";
      all += '(' + select(branch, part) + ')';
    }
    return all;
  }

  // What indexes have of a job.
  std::vector<std::string> indexed() {
    std::vector<std::string> all;
    if (!filter_.labels.empty()) all.push_back("j.labels @> " + bind(filter_.labels));
    if (!filter_.recurring_id.empty()) all.push_back("j.recurring = " + bind(filter_.recurring_id));
    between(all, "j.created_at", filter_.created_after, filter_.created_before);
    return all;
  }

  static std::string where(const std::vector<std::string>& conditions) {
    std::string all;
    for (const std::string& one : conditions) all += (all.empty() ? " WHERE " : " AND ") + one;
    return all;
  }

  std::string bind(std::int64_t value) { return values_.int8(value), last(); }
  Query query(std::string sql) { return {std::move(sql), std::move(values_)}; }

 private:
  using Conditions = std::vector<std::string>;

  std::string last() const { return '$' + std::to_string(values_.size()); }
  std::string bind(std::string_view text) { return values_.text(text), last(); }
  std::string bind(TimePoint at) { return values_.timestamp(at), last(); }
  std::string bind(std::span<const std::int32_t> numbers) {
    return values_.array(Int4Array(numbers)), last();
  }
  std::string bind(const std::vector<std::string>& texts) {
    TextArray array(texts.size());
    for (const std::string& text : texts) array.add(text);
    return values_.array(std::move(array)), last();
  }
  std::string bind_id(std::string_view id) { return values_.uuid(id), last(); }
  std::string bind_json(std::string_view json) { return values_.jsonb(json), last(); }

  static std::string since(const Branch& branch) {
    return branch.table == Table::Done ? "x.at" : "x.since";
  }

  // Of the key within a part; orders that stand over the parts have none.
  std::string key(const Branch& branch) const {
    switch (search_.key_) {
      case SortKey::Place:
        return "x.place";
      case SortKey::UpdatedAt:
        return since(branch);
      case SortKey::ScheduledAt:
        return "x.run_at";
      default:
        return "";
    }
  }

  std::string select(const Branch& branch, const std::string& part) {
    const bool sorted = !part.empty();
    const bool due = branch.table == Table::Due;
    const std::string state = due ? "1" : "x.state::integer";
    std::string columns =
        "x.id, x.lane, " + state + " AS state, x.version, x.attempt, x.failures, x.crashes, " +
        since(branch) + " AS since, " + (due ? "x.run_at" : "NULL::timestamptz") + " AS run_at";
    if (sorted) columns += ", " + key(branch) + " AS k";
    Conditions conditions = of_branch(branch);
    if (each_job_) conditions.push_back("x.id = j.id");
    std::string joined;
    if (!job_outside_ && !begins_with_few()) {
      const Conditions more = of_job();
      if (!more.empty()) joined += " JOIN jobmill_job j ON j.id = x.id";
      conditions.insert(conditions.end(), more.begin(), more.end());
    }
    if (needs_failure(filter_)) {
      joined += " JOIN jobmill_failure f ON f.id = x.id";
      add_failure(branch, conditions);
    }
    if (sorted) conditions = with_place(key(branch), "x.id", std::move(conditions));
    return from(branch, columns, joined, conditions, part);
  }

  // A lane's ready jobs are in the order of their places. Those that run are nearly all before them
  // and it is known how many they are, so that nobody looks for more behind.
  std::string from(const Branch& branch, const std::string& columns, const std::string& joined,
                   Conditions conditions, const std::string& part) {
    const std::string table = branch.table == Table::Due    ? "jobmill_due"
                              : branch.table == Table::Done ? "jobmill_done"
                                                            : "jobmill_hot";
    if (begins_with_few()) {
      // OFFSET 0: the planner does not know how few they are, and might read the whole table.
      const std::string looked_up =
          " CROSS JOIN LATERAL (SELECT * FROM " + table + " t WHERE t.id = j.id OFFSET 0) x";
      const bool each = search_.few_ == Few::EachLookedUp;
      return "SELECT " + columns + " FROM few j" +
             (each ? looked_up : " JOIN " + table + " x ON x.id = j.id") + joined +
             where(conditions) + part;
    }
    const auto lanes = [&](std::string_view column) {
      return fmt::format(
          "(SELECT lane, sum({0})::bigint AS n FROM jobmill_count{1} GROUP BY lane"
          " HAVING sum({0}) > 0) l",
          column, search_.some_lanes_ ? " WHERE lane = ANY(" + lanes_value() + ")" : "");
    };
    const bool by_place = branch.table == Table::Ready && search_.key_ == SortKey::Place;
    if (by_place && !branch.lane && !part.empty()) {
      conditions.insert(conditions.begin(), "x.lane = l.lane");
      return "SELECT z.* FROM " + lanes("enqueued") + " CROSS JOIN LATERAL (SELECT " + columns +
             " FROM jobmill_hot x" + joined + where(conditions) + part + ") z";
    }
    if (branch.table == Table::Running) {
      return "SELECT " + columns + " FROM " + lanes("running") +
             " CROSS JOIN LATERAL (SELECT * FROM jobmill_hot h WHERE h.lane = l.lane AND"
             " h.state = 3 ORDER BY h.place LIMIT l.n) x" +
             joined + where(conditions) + part;
    }
    return "SELECT " + columns + " FROM " + table + " x" + joined + where(conditions) + part;
  }

  bool begins_with_few() const { return search_.few_ != Few::None && !job_outside_; }

  std::string lanes_value() {
    if (lanes_.empty()) lanes_ = bind(std::span<const std::int32_t>(search_.lanes_));
    return lanes_;
  }

  Conditions with_place(const std::string& key, const std::string& id, Conditions conditions) {
    if (cut_.from == nullptr) return conditions;
    const std::string at = search_.key_ == SortKey::Place
                               ? bind(cut_.from->key)
                               : bind(TimePoint(Duration(cut_.from->key)));
    const std::string compare =
        std::string(cut_.backward ? "<" : ">") + (cut_.inclusive ? "=" : "");
    conditions.push_back(
        fmt::format("({}, {}) {} ({}, {})", key, id, compare, at, bind_id(cut_.from->id)));
    return conditions;
  }

  Conditions of_branch(const Branch& branch) {
    Conditions all;
    if (branch.table != Table::Due) all.push_back("x.state IN (" + numbers(branch.states) + ")");
    if (branch.lane) {
      all.push_back(fmt::format("x.lane = {}", *branch.lane));
    } else if (search_.some_lanes_) {
      // The counters spare a walk along a whole state for what it does not hold.
      all.push_back("x.lane = ANY(" + lanes_value() + ")");
      all.push_back(fmt::format("(SELECT sum({}) > 0 FROM jobmill_count WHERE lane = ANY({}))",
                                counters(branch.states), lanes_value()));
    }
    between(all, since(branch), filter_.updated_after, filter_.updated_before);
    if (branch.table == Table::Due) {
      between(all, "x.run_at", filter_.scheduled_after, filter_.scheduled_before);
    }
    if (filter_.min_attempt) all.push_back("x.attempt >= " + bind(*filter_.min_attempt));
    if (filter_.min_duration) {
      all.push_back("x.ended - x.started >= " + bind(filter_.min_duration->count()) +
                    " * interval '1 microsecond'");
    }
    if (!filter_.text.empty()) add_text(branch, all);
    return all;
  }

  static std::string numbers(const std::vector<JobState>& states) {
    std::string all;
    for (const JobState state : states)
      all += (all.empty() ? "" : ",") + std::to_string(static_cast<int>(state));
    return all;
  }

  static std::string counters(const std::vector<JobState>& states) {
    std::string all;
    for (const JobState state : states) all += (all.empty() ? "" : " + ") + counter_of(state);
    return all;
  }

  void between(Conditions& all, const std::string& column, std::optional<TimePoint> from,
               std::optional<TimePoint> to) {
    if (from) all.push_back(column + " >= " + bind(search_.times_->to_storage(*from)));
    if (to) all.push_back(column + " < " + bind(search_.times_->to_storage(*to)));
  }

  Conditions of_job() {
    Conditions all = indexed();
    for (const std::string& word : split(filter_.name, ' ')) {
      if (!word.empty()) all.push_back("j.name ILIKE " + bind(pattern_of(word)));
    }
    if (filter_.arg) all.push_back(argument(*filter_.arg));
    return all;
  }

  // Whether the latest failure is still what the job ended with, or waits after.
  static std::string failed(const Branch& branch) {
    return branch.table == Table::Done ? "f.final" : "x.failures > 0";
  }

  void add_failure(const Branch& branch, Conditions& all) {
    all.push_back(failed(branch));
    if (!filter_.error_type.empty()) all.push_back("f.type = " + bind(filter_.error_type));
    if (!filter_.error_text.empty()) {
      all.push_back("f.message ILIKE " + bind(pattern_of(filter_.error_text)));
    }
    if (!filter_.failure_fingerprint.empty()) {
      all.push_back("f.fingerprint = " + bind(filter_.failure_fingerprint));
    }
  }

  void add_text(const Branch& branch, Conditions& all) {
    const std::string pattern = bind(pattern_of(filter_.text));
    all.push_back(fmt::format(
        "(x.lane = ANY({1}) OR EXISTS (SELECT FROM jobmill_job t WHERE t.id = x.id AND"
        " (t.name ILIKE {0} OR t.args ILIKE {0} OR array_to_string(t.labels, E'\\n') ILIKE {0}))"
        " OR EXISTS (SELECT FROM jobmill_failure f WHERE f.id = x.id AND {2}"
        " AND f.message ILIKE {0}))",
        pattern, bind(std::span<const std::int32_t>(search_.text_lanes_)), failed(branch)));
  }

  // Arguments are text, as they were sent. What jsonb may refuse goes the careful way.
  std::string argument(const ArgumentFilter& arg) {
    constexpr char kParsed[] =
        "(CASE WHEN octet_length(j.args) > 100000 OR j.args ~ '\\\\u(0000|[dD])|[0-9][eE]'"
        " THEN jobmill_jsonb(j.args) ELSE j.args::jsonb END)";
    std::vector<std::string> path = split(arg.path, '.');
    std::string value = std::string(kParsed) + " #> " + bind(path);
    if (path.front() == "named" && path.size() > 1) {
      path.erase(path.begin());
      value = "coalesce(" + value + ", " + kParsed + " #> " + bind(path) + ")";
    }
    return "(SELECT " + holds(arg) + " FROM (SELECT " + value + " AS v OFFSET 0) a)";
  }

  std::string holds(const ArgumentFilter& arg) {
    using Op = ArgumentFilter::Op;
    if (arg.op == Op::Exists) return "v IS NOT NULL";
    const auto parsed = parse_json(arg.value);
    const bool text = parsed && parsed->is_string();
    if (arg.op == Op::Contains) {
      return "jsonb_typeof(v) = 'string' AND v #>> '{}' ILIKE " +
             bind(pattern_of(text ? parsed->text : arg.value));
    }
    if (arg.op == Op::Equal) return "v = " + bind_json(arg.value);
    if (arg.op == Op::NotEqual) return "v <> " + bind_json(arg.value);
    const std::string compare = arg.op == Op::Less      ? " < "
                                : arg.op == Op::AtMost  ? " <= "
                                : arg.op == Op::Greater ? " > "
                                                        : " >= ";
    if (text) {  // by its bytes, as everywhere
      return "jsonb_typeof(v) = 'string' AND (v #>> '{}') COLLATE \"C\"" + compare +
             bind(parsed->text);
    }
    const std::string other = bind_json(arg.value);
    return "jsonb_typeof(v) = jsonb_typeof(" + other + ") AND v" + compare + other;
  }

  const JobSearch& search_;
  const JobFilter& filter_;
  const Cut& cut_;
  Parameters values_;
  std::string lanes_;         // the name of their value
  bool each_job_ = false;     // parts are looked up for one
  bool job_outside_ = false;  // the conditions of jobmill_job stand over the parts
};

Query JobSearch::jobs(const Cut& cut) const {
  Writer writer(*this, cut);
  const std::string order = " ORDER BY x.k" + writer.direction() + ", x.id" + writer.direction();
  return writer.query("SELECT " JOB_COLUMNS ", x.k FROM " + writer.cut() + WITH_JOB + order);
}

Query JobSearch::ids(const Cut& cut) const {
  Writer writer(*this, cut);
  return writer.query("SELECT x.id, x.k FROM " + writer.cut());
}

Query JobSearch::count(std::int64_t cap) const {
  const Cut all;
  Writer writer(*this, all);
  const std::string few = writer.few();
  const std::string some = writer.together({});
  return writer.query(few + "SELECT count(*) FROM (SELECT FROM (" + some + ") x LIMIT " +
                      writer.bind(cap + 1) + ") y");
}

std::optional<Query> JobSearch::few() const {
  const Cut all;
  Writer writer(*this, all);
  const auto conditions = writer.indexed();
  if (conditions.empty()) return std::nullopt;
  const std::string some = "SELECT FROM jobmill_job j" + Writer::where(conditions);
  return writer.query("SELECT count(*) FROM (" + some + " LIMIT " + writer.bind(kFew + 1) + ") y");
}

}  // namespace jobmill::postgres
