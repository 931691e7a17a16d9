// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/job_search.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/core.h>

#include "base/document.h"

namespace jobmill::sqlite {
namespace {

using jobs::ArgumentFilter;
using jobs::JobFilter;
using jobs::JobOrder;
using jobs::JobState;

constexpr std::size_t kStates = 8;
// Up to so many rows are looked at one by one and sorted; beyond, an index that has the order is
// walked through until enough of it match.
constexpr std::int64_t kFew = 50'000;

constexpr char kCounts[] = R"sql(
  SELECT coalesce(sum(q.scheduled), 0),
         coalesce(sum((SELECT sum(l.enqueued) FROM lane l WHERE l.queue = q.id)), 0),
         coalesce(sum(q.processing), 0), coalesce(sum(q.succeeded), 0), coalesce(sum(q.failed), 0),
         coalesce(sum(q.deleted), 0)
    FROM queue q WHERE ?1 = '' OR q.name = ?1
)sql";
constexpr char kLanesOf[] = R"sql(
  SELECT l.id FROM lane l JOIN queue q ON q.id = l.queue
   WHERE (?1 = '' OR q.name = ?1) AND (?2 = '' OR l.kind = ?2)
)sql";
constexpr char kCountLabel[] =
    "SELECT count(*) FROM (SELECT 1 FROM job_label WHERE label = ?1 LIMIT ?2)";
constexpr char kDueQueues[] = "SELECT id FROM queue WHERE scheduled > 0 AND (?1 = '' OR name = ?1)";

int number_of(JobState state) { return static_cast<int>(state); }

std::int64_t micros(TimePoint at) { return at.time_since_epoch().count(); }

// For LIKE, which knows no case: anywhere in the text.
std::string anywhere(std::string_view text) {
  std::string pattern = "%";
  for (const char c : text) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (!text.empty()) {
    const auto begin = std::min(text.find_first_not_of(' '), text.size());
    text.remove_prefix(begin);
    const auto end = std::min(text.find(' '), text.size());
    if (end > 0) found.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return found;
}

// The failure that a FAILED job ended with, or a waiting one is to make good for.
Sql of_failure(std::string_view column, std::string_view member, std::string_view compare,
               const std::string& value) {
  Sql sql;
  sql.add("CASE WHEN j.state = 6 THEN EXISTS (SELECT 1 FROM job_failure f WHERE f.seq = j.seq");
  sql.add(fmt::format(" AND f.{} {})", column, compare), value);
  sql.add(" WHEN j.state IN (1, 2) AND j.failures > 0 THEN coalesce((SELECT json_extract(e.data, ");
  sql.add(fmt::format("'$.{}') FROM job_event e WHERE e.seq = j.seq AND e.state = 6 ", member));
  return sql.add(fmt::format("ORDER BY e.n DESC LIMIT 1) {}, 0) ELSE 0 END", compare), value);
}

bool is_index(std::string_view part) {
  return !part.empty() && part.size() < 10 &&
         std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "0.customer" as SQLite writes it: $[0]."customer". Nothing: no argument has that name.
std::optional<std::string> argument_path(std::string_view path) {
  constexpr std::string_view kNamed = "named.";
  if (path.starts_with(kNamed)) path.remove_prefix(kNamed.size());
  std::string text = "$";
  for (;;) {
    const auto end = std::min(path.find('.'), path.size());
    const auto part = path.substr(0, end);
    if (part.empty() || part.find_first_of("\"\\") != part.npos) return std::nullopt;
    text += is_index(part) ? fmt::format("[{}]", part) : fmt::format(".\"{}\"", part);
    if (end == path.size()) return text;
    path.remove_prefix(end + 1);
  }
}

Fault bad_value() {
  return fail(Code::InvalidArgument, "arg.value: must be a number, a text, true, false or null");
}

// On p.args, whose member the path names.
class ArgumentCondition {
 public:
  ArgumentCondition(const ArgumentFilter& filter, std::string path)
      : filter_(filter), path_(std::move(path)) {}

  Result<Sql> make() const {
    using Op = ArgumentFilter::Op;
    if (filter_.op == Op::Exists) return Sql().add("json_type(p.args, ?) IS NOT NULL", path_);
    if (filter_.op == Op::Contains) return contains();
    auto value = parse_json(filter_.value);
    if (!value) return bad_value();
    if (filter_.op == Op::Equal) return compare(*value, "=");
    if (filter_.op == Op::NotEqual) {
      TRY(const Sql same, compare(*value, "="));
      Sql sql;
      sql.add("json_type(p.args, ?) IS NOT NULL AND NOT (", path_).add(same);
      return sql.add(")");
    }
    if (!is_number(*value) && !value->is_string()) {
      return fail(Code::InvalidArgument, "arg.value: only numbers and texts have an order");
    }
    return compare(*value, order());
  }

 private:
  static bool is_number(const Node& value) {
    return value.is(Node::Kind::Integer) || value.is(Node::Kind::Number);
  }

  std::string_view order() const {
    switch (filter_.op) {
      case ArgumentFilter::Op::Less:
        return "<";
      case ArgumentFilter::Op::AtMost:
        return "<=";
      case ArgumentFilter::Op::Greater:
        return ">";
      default:
        return ">=";
    }
  }

  // A text in JSON's quotes, or as it is.
  Sql contains() const {
    const auto value = parse_json(filter_.value);
    const std::string text = value && value->is_string() ? value->text : filter_.value;
    Sql sql;
    sql.add("json_type(p.args, ?) = 'text'", path_);
    sql.add(" AND json_extract(p.args, ?)", path_);
    return sql.add(" LIKE ? ESCAPE '\\'", anywhere(text));
  }

  Result<Sql> compare(const Node& value, std::string_view op) const {
    Sql sql;
    if (value.is_null()) return sql.add("json_type(p.args, ?) = 'null'", path_);
    if (const auto flag = value.as_bool()) {
      sql.add("json_type(p.args, ?)", path_);
      return sql.add(" = ?", std::string(*flag ? "true" : "false"));
    }
    if (is_number(value)) {
      sql.add("json_type(p.args, ?) IN ('integer', 'real')", path_);
      sql.add(" AND json_extract(p.args, ?)", path_);
      // JSON's numbers are SQL's, too.
      return sql.add(fmt::format(" {} {}", op, value.text));
    }
    if (!value.is_string()) return bad_value();
    sql.add("json_type(p.args, ?) = 'text'", path_);
    sql.add(" AND json_extract(p.args, ?)", path_);
    return sql.add(fmt::format(" {} ?", op), value.text);
  }

  const ArgumentFilter& filter_;
  const std::string path_;
};

std::string_view letter(JobOrder order) {
  switch (order) {
    case JobOrder::UpdatedAt:
      return "u";
    case JobOrder::CreatedAt:
      return "c";
    case JobOrder::ScheduledAt:
      break;
  }
  return "s";
}

bool read_number(std::string_view& text, std::int64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

bool skip_dot(std::string_view& text) {
  if (!text.starts_with('.')) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

// --- statements ----------------------------------------------------------------------------------

Sql& Sql::add(std::string_view more) {
  text += more;
  return *this;
}

Sql& Sql::add(std::string_view more, std::int64_t value) {
  text += more;
  values.emplace_back(value);
  return *this;
}

Sql& Sql::add(std::string_view more, std::string value) {
  text += more;
  values.emplace_back(std::move(value));
  return *this;
}

Sql& Sql::add(const Sql& other) {
  text += other.text;
  values.insert(values.end(), other.values.begin(), other.values.end());
  return *this;
}

Statement Sql::prepare(Database& db) const {
  Statement statement = db.once(text);
  int index = 0;
  for (const auto& value : values) {
    std::visit(
        [&](const auto& each) {
          if constexpr (std::is_same_v<std::decay_t<decltype(each)>, std::string>) {
            statement.bind(++index, std::string_view(each));
          } else {
            statement.bind(++index, each);
          }
        },
        value);
  }
  return statement;
}

// --- places --------------------------------------------------------------------------------------

std::string place_text(JobOrder order, const Place& place) {
  return fmt::format("{}{}.{}.{}", letter(order), place.at, place.lane, place.seq);
}

Result<Place> read_place(std::string_view text, JobOrder order, std::string_view field) {
  Place place;
  if (text.starts_with(letter(order))) {
    text.remove_prefix(1);
    const bool read = read_number(text, place.at) && skip_dot(text) &&
                      read_number(text, place.lane) && skip_dot(text) &&
                      read_number(text, place.seq);
    if (read && text.empty()) return place;
  }
  return fail(Code::InvalidArgument, fmt::format("{}: not a place of this list", field));
}

// --- choosing ------------------------------------------------------------------------------------

Result<JobSearch> JobSearch::make(Database& db, const JobFilter& filter, JobOrder order) {
  JobSearch search(db, filter, order);
  TRY_VOID(search.choose());
  return search;
}

Status JobSearch::choose() {
  TRY_VOID(read_counts());
  choose_states();
  TRY_VOID(choose_lanes());
  TRY_VOID(choose_conditions());
  nothing_ |= states_.empty();
  if (nothing_) return {};
  return choose_sources();
}

Status JobSearch::read_counts() {
  auto query = db_.use(kCounts);
  TRY([[maybe_unused]] const bool row, query.bind(1, std::string_view(filter_.queue)).step());
  counts_.assign(kStates, 0);
  int column = 0;
  for (const JobState state : {JobState::Scheduled, JobState::Enqueued, JobState::Processing,
                               JobState::Succeeded, JobState::Failed, JobState::Deleted}) {
    counts_[static_cast<std::size_t>(state)] = query.number(column++);
  }
  return {};
}

void JobSearch::choose_states() {
  const auto wanted = [&](int state) {
    const auto is = [&](std::initializer_list<JobState> some) {
      return std::any_of(some.begin(), some.end(),
                         [&](JobState each) { return number_of(each) == state; });
    };
    const JobFilter& f = filter_;
    const auto& states = f.states;
    if (!states.empty() && std::none_of(states.begin(), states.end(),
                                        [&](JobState each) { return number_of(each) == state; })) {
      return false;
    }
    const bool due = order_ == JobOrder::ScheduledAt || f.scheduled_after || f.scheduled_before;
    if (due && !is({JobState::Scheduled})) return false;
    if (!f.failure_fingerprint.empty() && !is({JobState::Failed})) return false;
    if (f.min_duration && !is({JobState::Succeeded, JobState::Deleted})) return false;
    const bool failed = !f.error_type.empty() || !f.error_text.empty();
    return !failed || is({JobState::Scheduled, JobState::Enqueued, JobState::Failed});
  };
  for (int state = 0; state < static_cast<int>(kStates); ++state) {
    if (counts_[static_cast<std::size_t>(state)] > 0 && wanted(state)) states_.push_back(state);
  }
}

Status JobSearch::choose_lanes() {
  if (filter_.queue.empty() && filter_.kind.empty()) return {};
  auto query = db_.use(kLanesOf);
  query.bind(1, std::string_view(filter_.queue)).bind(2, std::string_view(filter_.kind));
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) break;
    lanes_ += fmt::format("{}{}", lanes_.empty() ? "" : ", ", query.number(0));
  }
  nothing_ |= lanes_.empty();
  return {};
}

// In the order of what they cost: the index first, then the row, then other tables.
Status JobSearch::choose_conditions() {
  const JobFilter& f = filter_;
  Sql& sql = conditions_;
  // Not for the index, of which read() uses the narrower end; see window().
  if (f.updated_after) sql.add(" AND +j.updated_at >= ?", micros(*f.updated_after));
  if (f.updated_before) sql.add(" AND +j.updated_at < ?", micros(*f.updated_before));
  if (!lanes_.empty()) sql.add(" AND j.lane IN (" + lanes_ + ")");
  if (f.created_after) sql.add(" AND j.created_at >= ?", micros(*f.created_after));
  if (f.created_before) sql.add(" AND j.created_at < ?", micros(*f.created_before));
  if (f.scheduled_after) sql.add(" AND j.run_at >= ?", micros(*f.scheduled_after));
  if (f.scheduled_before) sql.add(" AND j.run_at < ?", micros(*f.scheduled_before));
  if (f.min_duration) sql.add(" AND j.ran >= ?", f.min_duration->count());
  if (f.min_attempt) sql.add(" AND j.attempt >= ?", std::int64_t{*f.min_attempt});
  if (!f.recurring_id.empty()) sql.add(" AND j.recurring = ?", f.recurring_id);
  for (const std::string_view word : words(f.name)) {
    sql.add(" AND j.name LIKE ? ESCAPE '\\'", anywhere(word));
  }
  for (const std::string& label : f.labels) {
    sql.add(" AND EXISTS (SELECT 1 FROM job_label b WHERE b.label = ? AND b.seq = j.seq)", label);
  }
  if (!f.error_type.empty()) {
    sql.add(" AND ").add(of_failure("type", "exceptionType", "= ?", f.error_type));
  }
  if (!f.error_text.empty()) {
    sql.add(" AND ").add(
        of_failure("message", "exceptionMessage", "LIKE ? ESCAPE '\\'", anywhere(f.error_text)));
  }
  if (f.arg) {
    auto path = argument_path(f.arg->path);
    nothing_ |= !path.has_value();
    if (path) {
      TRY(const Sql condition, ArgumentCondition(*f.arg, *std::move(path)).make());
      sql.add(" AND (SELECT ").add(condition).add(" FROM job_payload p WHERE p.seq = j.seq)");
    }
  }
  if (!f.text.empty()) {
    const std::string pattern = anywhere(f.text);
    sql.add(" AND (j.name LIKE ? ESCAPE '\\'", pattern);
    sql.add(" OR j.labels LIKE ? ESCAPE '\\'", pattern);
    sql.add(" OR j.lane IN (SELECT l.id FROM lane l WHERE l.kind LIKE ? ESCAPE '\\')", pattern);
    sql.add(" OR (SELECT p.args LIKE ? ESCAPE '\\' FROM job_payload p WHERE p.seq = j.seq)",
            pattern);
    sql.add(" OR ").add(of_failure("message", "exceptionMessage", "LIKE ? ESCAPE '\\'", pattern));
    sql.add(")");
  }
  return {};
}

Status JobSearch::choose_sources() {
  if (!filter_.failure_fingerprint.empty()) {
    Source source;
    source.rows.add("FROM job_failure f CROSS JOIN job j ON j.seq = f.seq WHERE f.fingerprint = ?",
                    filter_.failure_fingerprint);
    add_rest(source.rows);
    source.indexed = order_ == JobOrder::UpdatedAt;
    if (source.indexed) source.at = "f.at", source.lane = "f.lane";
    source.seq = "f.seq";
    sources_.push_back(std::move(source));
    return {};
  }
  if (!filter_.recurring_id.empty()) {
    Sql rows;
    rows.add("FROM job j INDEXED BY job_recurring WHERE j.recurring = ?", filter_.recurring_id);
    add_source(std::move(rows));
    return {};
  }
  TRY(const bool labelled, choose_label());
  if (labelled) return {};
  if (order_ == JobOrder::ScheduledAt) return choose_queues();
  if (order_ == JobOrder::CreatedAt && candidates() > kFew) {
    Sql rows;
    rows.add("FROM job j NOT INDEXED WHERE true");
    add_source(std::move(rows));
    return {};
  }
  for (const int state : states_) add_state(state);
  return {};
}

std::int64_t JobSearch::candidates() const {
  std::int64_t sum = 0;
  for (const int state : states_) sum += counts_[static_cast<std::size_t>(state)];
  return sum;
}

// The rarest of the labels, unless all of them are common.
Result<bool> JobSearch::choose_label() {
  const std::string* rarest = nullptr;
  std::int64_t fewest = kFew + 1;
  for (const std::string& label : filter_.labels) {
    auto query = db_.use(kCountLabel);
    query.bind(1, std::string_view(label)).bind(2, kFew + 1);
    TRY([[maybe_unused]] const bool row, query.step());
    if (query.number(0) < fewest) rarest = &label, fewest = query.number(0);
  }
  if (rarest == nullptr) return false;
  Sql rows;
  rows.add("FROM job_label b CROSS JOIN job j ON j.seq = b.seq WHERE b.label = ?", *rarest);
  add_source(std::move(rows));
  return true;
}

// job_due has each queue by time.
Status JobSearch::choose_queues() {
  auto query = db_.use(kDueQueues);
  query.bind(1, std::string_view(filter_.queue));
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return {};
    Source source;
    source.rows.add("FROM job_due d CROSS JOIN job j ON j.seq = d.seq WHERE d.queue = ?",
                    query.number(0));
    add_rest(source.rows);
    source.at = "d.run_at";
    source.seq = "d.seq";
    sources_.push_back(std::move(source));
  }
}

// Of running jobs there is no index: they are few.
void JobSearch::add_state(int state) {
  if (state == number_of(JobState::Processing)) {
    Sql rows;
    rows.add("FROM job_running r CROSS JOIN job j ON j.seq = r.seq WHERE true");
    return add_source(std::move(rows));
  }
  Source source;
  source.rows.add("FROM job j INDEXED BY job_state WHERE j.state <> 3 AND j.state = ?",
                  std::int64_t{state});
  source.rows.add(conditions_);
  source.indexed = order_ == JobOrder::UpdatedAt;
  if (source.indexed) source.at = "j.updated_at", source.lane = "j.lane";
  source.seq = "j.seq";
  sources_.push_back(std::move(source));
}

void JobSearch::add_source(Sql rows) {
  Source source;
  source.rows = std::move(rows);
  add_rest(source.rows);
  if (order_ == JobOrder::UpdatedAt) source.at = "j.updated_at", source.lane = "j.lane";
  if (order_ == JobOrder::ScheduledAt) source.at = "j.run_at";
  source.seq = "j.seq";
  sources_.push_back(std::move(source));
}

void JobSearch::add_rest(Sql& rows) const {
  add_state_list(rows);
  rows.add(conditions_);
}

// The unary plus keeps the planner from looking them up by state.
void JobSearch::add_state_list(Sql& rows) const {
  std::string list;
  for (const int state : states_) list += fmt::format("{}{}", list.empty() ? "" : ", ", state);
  rows.add(" AND +j.state IN (" + list + ")");
}

// --- reading -------------------------------------------------------------------------------------

Result<std::vector<Place>> JobSearch::places(const Range& range) {
  std::vector<Place> found;
  for (const Source& source : sources_) TRY_VOID(read(source, range, found));
  if (range.descending) {
    std::sort(found.begin(), found.end(), std::greater<>());
  } else {
    std::sort(found.begin(), found.end());
  }
  if (found.size() > static_cast<std::size_t>(range.limit)) {
    found.resize(static_cast<std::size_t>(range.limit));
  }
  return found;
}

// (a, b) > (?, ?), of the columns that there are.
Sql JobSearch::beyond(const Source& source, const Place& from, std::string_view compare) {
  std::string columns, marks;
  Sql values;
  for (const auto& [column, value] :
       {std::pair{&source.at, from.at}, {&source.lane, from.lane}, {&source.seq, from.seq}}) {
    if (*column == "0") continue;
    columns += (columns.empty() ? "" : ", ") + *column;
    marks += marks.empty() ? "?" : ", ?";
    values.values.emplace_back(value);
  }
  values.text = fmt::format(" AND ({}) {} ({})", columns, compare, marks);
  return values;
}

// The times that the filter allows, from one end or from both.
Sql JobSearch::window(const Source& source, bool lower, bool upper) const {
  Sql sql;
  if (!source.indexed) return sql;
  const auto add = [&](bool wanted, std::string_view compare, const std::optional<TimePoint>& at) {
    if (wanted && at) sql.add(fmt::format(" AND {} {} ?", source.at, compare), micros(*at));
  };
  add(lower, ">=", filter_.updated_after);
  add(upper, "<", filter_.updated_before);
  return sql;
}

// As a million jobs may have come in one instant, (a, b, c) > (?, ?, ?) will not do: SQLite seeks
// by a prefix of it alone. So the rest of the place's own instant and lane is one statement, the
// rest of its instant another, and what lies beyond the third.
Status JobSearch::read(const Source& source, const Range& range, std::vector<Place>& found) {
  if (!range.from) return read(source, window(source, true, true), range, found);
  const Place& from = *range.from;
  const std::string further = range.descending ? "<" : ">";
  const std::string compare = range.inclusive ? further + "=" : further;
  if (!source.indexed) return read(source, beyond(source, from, compare), range, found);

  std::array<Sql, 3> steps;
  steps[0].add(fmt::format(" AND {} = ?", source.at), from.at);
  steps[0].add(fmt::format(" AND {} = ?", source.lane), from.lane);
  steps[0].add(fmt::format(" AND {} {} ?", source.seq, compare), from.seq);
  steps[1].add(fmt::format(" AND {} = ?", source.at), from.at);
  steps[1].add(fmt::format(" AND {} {} ?", source.lane, further), from.lane);
  steps[2].add(fmt::format(" AND {} {} ?", source.at, further), from.at);
  steps[2].add(window(source, range.descending, !range.descending));
  Range rest = range;
  const auto wanted = found.size() + static_cast<std::size_t>(range.limit);
  for (const Sql& step : steps) {
    if (found.size() == wanted) break;
    rest.limit = static_cast<std::int64_t>(wanted - found.size());
    TRY_VOID(read(source, step, rest, found));
  }
  return {};
}

Status JobSearch::read(const Source& source, const Sql& bounds, const Range& range,
                       std::vector<Place>& found) {
  std::string order;
  for (const std::string* column : {&source.at, &source.lane, &source.seq}) {
    if (*column == "0") continue;
    order += (order.empty() ? "" : ", ") + *column + (range.descending ? " DESC" : "");
  }
  Sql sql;
  sql.add(fmt::format("SELECT {}, {}, {} ", source.at, source.lane, source.seq));
  sql.add(source.rows).add(bounds).add(" ORDER BY " + order).add(" LIMIT ?", range.limit);
  auto query = sql.prepare(db_);
  for (;;) {
    TRY(const bool some, query.step());
    if (!some) return {};
    found.push_back({query.number(0), query.number(1), query.number(2)});
  }
}

Result<jobs::JobCount> JobSearch::count(std::int64_t cap) {
  JobFilter rest = filter_;
  rest.states.clear();
  rest.queue.clear();
  if (rest == JobFilter{}) return jobs::JobCount{candidates(), true};
  std::int64_t count = 0;
  for (const Source& source : sources_) {
    Sql sql;
    sql.add("SELECT count(*) FROM (SELECT 1 ").add(source.rows);
    sql.add(window(source, true, true)).add(" LIMIT ?)", cap + 1 - count);
    auto query = sql.prepare(db_);
    TRY([[maybe_unused]] const bool row, query.step());
    count += query.number(0);
    if (count > cap) return jobs::JobCount{cap, false};
  }
  return jobs::JobCount{count, true};
}

}  // namespace jobmill::sqlite
