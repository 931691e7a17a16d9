// SPDX-License-Identifier: Apache-2.0
#include "app/insight_control.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "app/control.h"
#include "app/execution_control.h"
#include "app/execution_explain.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "scale/explain.h"

namespace jobmill::app {

using manifest::ObjectKey;
using scale::LedgerRecord;

namespace {

constexpr Duration kUsualRange = std::chrono::hours(1);
constexpr int kMostMarkers = 20'000;
constexpr Duration kPruneEvery = std::chrono::hours(24);
constexpr std::int64_t kPruneChunk = 500;
constexpr char kAllJobs[] = "jobs";
constexpr std::array<std::string_view, 3> kKinds{"ScaledObject", "ScaledJob", "ContainerJob"};

std::string queue_series(std::string_view queue) { return "queue:" + std::string(queue); }

double millis(std::optional<TimePoint> at) {
  if (!at) return 0;
  return static_cast<double>(
      std::chrono::floor<std::chrono::milliseconds>(at->time_since_epoch()).count());
}

executions::JobKey job_key(const ObjectKey& key) { return {key.ns, key.name}; }

bool is_object(const ObjectKey& key) { return key.kind == kKinds[0]; }

// The value that 95 of 100 were not above, as far as the buckets tell.
double p95(const jobs::Histogram& waits) {
  const double rank = 0.95 * static_cast<double>(waits.count());
  double below = 0;
  for (std::size_t i = 0; i < waits.buckets.size(); ++i) {
    const auto here = static_cast<double>(waits.buckets[i]);
    if (below + here < rank || here == 0) {
      below += here;
      continue;
    }
    const double low = i == 0 ? 0 : jobs::Histogram::kBounds[i - 1];
    if (i == jobs::Histogram::kBounds.size()) return low;
    return low + (jobs::Histogram::kBounds[i] - low) * (rank - below) / here;
  }
  return 0;
}

// What was counted since. A count that fell began anew, in another process.
std::uint64_t grown(std::uint64_t now, std::uint64_t before) {
  return now >= before ? now - before : now;
}

jobs::Histogram grown(const jobs::Histogram& now, const jobs::Histogram& before) {
  jobs::Histogram out;
  for (std::size_t i = 0; i < out.buckets.size(); ++i)
    out.buckets[i] = grown(now.buckets[i], before.buckets[i]);
  return out;
}

// "demand": nothing held the number back, it is what the triggers ask for.
std::string_view rule_of(const LedgerRecord& record) {
  return record.rule == "none" ? std::string_view("demand") : std::string_view(record.rule);
}

Node nothing_decided(TimePoint at) {
  Node out = Node::object();
  out.set("at", Node::string(format_instant(at)));
  out.set("replicas", Node{});
  out.set("rule", Node::string("unknown"));
  out.set("sentence", Node::string("no decision is kept from then or before"));
  return out;
}

std::string text_of(const ObjectKey& key, const Node& document, const LedgerRecord& record,
                    const std::optional<LedgerRecord>& change, TimePoint at) {
  const std::string plain =
      fmt::format("{}: {} at {}\n  {}\n", key.name, record.to, format_instant(at), record.sentence);
  if (!is_object(key)) {
    const auto kept = explain_kept_decision(document);
    return kept ? fmt::format("{}: {} at {}\n{}", key.name, record.to, format_instant(at), *kept)
                : plain;
  }
  auto decision = scale::decision_from(document);
  if (!decision) return plain;
  decision->repeated = record.repeated;
  decision->until = record.until;
  std::optional<scale::Decision> earlier;
  if (change) {
    const auto before = parse_json(change->document);
    auto parsed = before ? scale::decision_from(*before) : before.error();
    if (parsed) earlier = *std::move(parsed);
  }
  return scale::explain(*decision, earlier ? &*earlier : nullptr, at);
}

Result<Node> answer_why_not(scale::Ledger& ledger, const ObjectKey& key, TimePoint at) {
  TRY(const auto record, ledger.in_force(ledger_name(key), at, false));
  if (!record) return nothing_decided(at);
  TRY(const auto change, ledger.in_force(ledger_name(key), at, true));
  Node out = Node::object();
  out.set("at", Node::string(format_instant(at)));
  out.set("replicas", Node::integer(record->to));
  out.set("rule", Node::string(rule_of(*record)));
  out.set("sentence", Node::string(record->sentence));
  TRY(Node document, parse_json(record_json(*record)));
  out.set("text", Node::string(text_of(key, document, *record, change, at)));
  out.set("decision", std::move(document));
  return out;
}

}  // namespace

InsightControl::InsightControl(InsightParts parts)
    : parts_(std::move(parts)),
      sampler_(parts_.store, parts_.pool, parts_.loop, parts_.clock,
               [this](const QueueSampler::Seen& seen) { record_queues(seen); }) {}

void InsightControl::start() {
  started_ = true;
  sampler_.changed();
  for (const Key& key : keys()) touch(key);
}

void InsightControl::stop() {
  stopped_ = true;
  sampler_.stop();
  write(true);
  parts_.series.alive(parts_.clock.now());
}

// --- what happens -------------------------------------------------------------------------------

void InsightControl::decided(const Key& key, const scale::Decision& decision) {
  const std::string name = ledger_name(key);
  if (const auto left = repeats_.extract(name))
    parts_.ledger.extend(name, left.mapped().id, left.mapped().repeated, left.mapped().until);
  parts_.ledger.append(scale::to_record(name, decision));
}

void InsightControl::repeated(const Key& key, const scale::Decision& decision) {
  repeats_[ledger_name(key)] = {decision.id, decision.repeated, decision.until};
  arm();
}

void InsightControl::changed(const Key& key) { touch(key); }

Recorder::Last InsightControl::last(const Key& key) {
  const auto read = [&](bool change) -> std::optional<scale::Decision> {
    const auto record = parts_.ledger.in_force(ledger_name(key), TimePoint::max(), change);
    if (!record || !*record) return std::nullopt;
    const auto document = parse_json((*record)->document);
    if (!document) return std::nullopt;
    auto decision = scale::decision_from(*document);
    if (!decision) return std::nullopt;
    decision->repeated = (*record)->repeated;
    decision->until = (*record)->until;
    return *std::move(decision);
  };
  return {.latest = read(false), .change = read(true)};
}

void InsightControl::decided(const Key& job, const scale::ExecutionsDecision& decision) {
  const std::string name = ledger_name(job);
  LedgerRecord record = scale::to_record(name, decision);
  auto known = latest_.find(name);
  if (known == latest_.end()) {
    auto last = parts_.ledger.in_force(name, TimePoint::max(), false);
    if (last && *last) known = latest_.emplace(name, **std::move(last)).first;
  }
  if (known != latest_.end() && scale::same_record(known->second, record)) {
    LedgerRecord& last = known->second;
    last.until = record.at;
    repeats_[name] = {last.id, ++last.repeated, last.until};
    return arm();
  }
  if (const auto left = repeats_.extract(name))
    parts_.ledger.extend(name, left.mapped().id, left.mapped().repeated, left.mapped().until);
  latest_.insert_or_assign(name, record);
  latest_.at(name).document.clear();
  parts_.ledger.append(std::move(record));
}

// Many changes of one turn of the loop are one look.
void InsightControl::touch(const Key& key) {
  if (!started_ || stopped_) return;
  if (touched_.empty()) parts_.loop.post([this] { refresh(); });
  touched_.insert(key);
}

void InsightControl::refresh() {
  if (stopped_) return;
  for (const Key& key : std::exchange(touched_, {})) {
    if (const auto now = picture(key)) {
      record(*now);
      record_gap(*now);
    } else {
      recorder_.forget(series_name(key));
    }
    if (listener_) listener_(name_of(key));
  }
  arm();
}

void InsightControl::record(const TargetPicture& target) {
  const std::string series = series_name(target.key);
  const TimePoint now = parts_.clock.now();
  const auto level = [&](std::string_view track, double value) {
    recorder_.level(series, track, value, now);
  };
  if (target.known) {
    level("desired", target.desired);
    level("ready", target.ready);
    level("starting", target.starting);
    level("draining", target.draining);
    level("busy", target.busy);
    level("idle", std::max(0, target.ready - target.busy));
  }
  level("min", target.min);
  level("max", target.max);
  for (const TargetPicture::Trigger& trigger : target.triggers)
    if (trigger.error.empty() && trigger.value) level("trigger:" + trigger.name, *trigger.value);
  if (target.work.backlog) level("backlog", *target.work.backlog);
  if (target.work.consumable) level("consumable", *target.work.consumable);
  if (target.work.in_flight) level("inflight", *target.work.in_flight);
}

void InsightControl::record_gap(const TargetPicture& target) {
  const std::string series = series_name(target.key);
  const auto failed = std::ranges::find_if(
      target.triggers, [](const auto& trigger) { return !trigger.error.empty(); });
  const TimePoint now = parts_.clock.now();
  if (failed == target.triggers.end()) {
    if (gaps_.erase(series) > 0) parts_.series.end_gap(series, now);
  } else if (gaps_.insert(series).second) {
    parts_.series.begin_gap(series, failed->name + ": " + failed->error, now);
  }
}

void InsightControl::record_queues(const QueueSampler::Seen& seen) {
  jobs::QueueStats all;
  for (const jobs::QueueStats& queue : seen.queues) {
    all.enqueued += queue.enqueued;
    all.processing += queue.processing;
    if (queue.oldest) all.oldest = std::min(all.oldest.value_or(*queue.oldest), *queue.oldest);
  }
  const auto levels = [&](const std::string& series, const jobs::QueueStats& queue,
                          std::int64_t consumable) {
    recorder_.level(series, "backlog", static_cast<double>(queue.enqueued), seen.at);
    recorder_.level(series, "consumable", static_cast<double>(consumable), seen.at);
    recorder_.level(series, "inflight", static_cast<double>(queue.processing), seen.at);
    recorder_.level(series, "oldestSince", millis(queue.oldest), seen.at);
  };
  std::int64_t consumable = 0;
  for (const jobs::QueueStats& queue : seen.queues) {
    const std::int64_t own = queue.paused ? 0 : queue.enqueued;
    consumable += own;
    levels(queue_series(queue.queue), queue, own);
  }
  levels(kAllJobs, all, consumable);

  std::map<std::string, Tallied> sums;
  for (const jobs::Tally& tally : seen.tallies) {
    for (const std::string& series : {std::string(kAllJobs), queue_series(tally.queue)}) {
      Tallied& sum = sums[series];
      sum.enqueued += tally.enqueued;
      sum.succeeded += tally.succeeded;
      sum.failed += tally.failed;
      sum.wait.merge(tally.wait);
    }
  }
  for (const auto& [series, sum] : sums) count(series, sum, tallied_[series], seen.at);
  // What a server finds at its start is written at once: it may be idle from then on.
  if (!std::exchange(sampled_, true)) write(true);
  arm();
}

// The first look is where counting begins: a database that others share has counted before.
void InsightControl::count(const std::string& series, const Tallied& now, Tallied& before,
                           TimePoint at) {
  const Tallied last = std::exchange(before, now);
  if (!sampled_) return;
  const auto add = [&](std::string_view track, std::uint64_t more) {
    recorder_.count(series, track, static_cast<double>(more), at);
  };
  const std::uint64_t enqueued = grown(now.enqueued, last.enqueued);
  const std::uint64_t succeeded = grown(now.succeeded, last.succeeded);
  const std::uint64_t failed = grown(now.failed, last.failed);
  add("arrivals", enqueued);
  add("completions", succeeded + failed);
  add("succeeded", succeeded);
  add("failed", failed);
  if (series == kAllJobs) add("enqueued", enqueued);
  const jobs::Histogram waits = grown(now.wait, last.wait);
  if (waits.count() > 0) recorder_.measure(series, "p95WaitMs", p95(waits) * 1000, at);
}

// --- writing ------------------------------------------------------------------------------------

void InsightControl::arm() {
  if (timer_ || stopped_) return;
  auto due = recorder_.next();
  if (!repeats_.empty() && !due)
    due = scale::bucket_of(parts_.clock.now(), scale::kResolutions.front().step) +
          scale::kResolutions.front().step;
  if (!due) return;
  const Duration wait = std::max(*due - parts_.clock.now(), Duration(0));
  timer_ = parts_.loop.run_after(wait, [this] {
    timer_.reset();
    write(false);
    arm();
  });
}

void InsightControl::write(bool all) {
  const TimePoint now = parts_.clock.now();
  for (const auto& [target, repeat] : std::exchange(repeats_, {}))
    parts_.ledger.extend(target, repeat.id, repeat.repeated, repeat.until);
  auto entries = recorder_.take(now, all);
  if (!entries.empty()) parts_.series.write(std::move(entries), now);
  if (now - pruned_ >= kPruneEvery) prune(now);
}

void InsightControl::prune(TimePoint now) {
  pruned_ = now;
  parts_.pool.post([this, now] {
    for (;;) {
      const auto more = parts_.ledger.prune(now, kPruneChunk);
      if (!more || !*more) return;
    }
  });
}

// --- what people ask ----------------------------------------------------------------------------

std::vector<ObjectKey> InsightControl::keys() const {
  std::vector<Key> keys = parts_.control().scaled_objects();
  std::ranges::copy(parts_.control().scaled_jobs().keys(), std::back_inserter(keys));
  for (const executions::JobKey& job : parts_.executions().event_jobs())
    keys.push_back({std::string(kKinds[2]), job.group, job.name});
  return keys;
}

std::optional<JobPicture> InsightControl::job_picture(const Key& key) const {
  if (key.kind == kKinds[1]) return parts_.control().scaled_jobs().picture(key);
  if (parts_.executions().is_scaled_job(job_key(key))) return std::nullopt;
  return parts_.executions().picture(job_key(key));
}

std::optional<TargetPicture> InsightControl::picture(const Key& key) const {
  if (is_object(key)) return parts_.control().picture(key);
  const bool scaled = key.kind == kKinds[1];
  const auto job = job_picture(key);
  if (!job) return std::nullopt;
  TargetPicture out = picture_of(*job, scaled);
  if (scaled) parts_.control().describe_scaled_job(out);
  return out;
}

// The kind is said where a ScaledObject of that name would be meant.
std::string InsightControl::name_of(const Key& key) const {
  const bool ambiguous =
      !is_object(key) && parts_.control().picture({std::string(kKinds[0]), key.ns, key.name});
  return target_name(key, ambiguous);
}

Result<ObjectKey> InsightControl::find(const std::string& target) const {
  const auto slash = target.find('/');
  const auto second = slash == std::string::npos ? slash : target.find('/', slash + 1);
  std::vector<Key> candidates;
  if (second != std::string::npos) {
    candidates.push_back({target.substr(0, slash), target.substr(slash + 1, second - slash - 1),
                          target.substr(second + 1)});
  } else {
    const bool named = slash != std::string::npos;
    for (const std::string_view kind : kKinds)
      candidates.push_back(
          {std::string(kind),
           named ? target.substr(0, slash) : std::string(manifest::kDefaultNamespace),
           named ? target.substr(slash + 1) : target});
  }
  for (const Key& key : candidates)
    if (picture(key)) return key;
  return fail(Code::NotFound,
              fmt::format("nothing that is scaled has the name {}; `jobmill get scaledobjects` and "
                          "`jobmill get scaledjobs` list what there is",
                          target));
}

template <class T>
void InsightControl::with_target(std::string target, Done<T> done,
                                 std::function<void(const Key&)> then) {
  parts_.loop.post(
      [this, target = std::move(target), done = std::move(done), then = std::move(then)] {
        const auto key = find(target);
        if (!key) return done(key.error());
        then(*key);
      });
}

void InsightControl::targets(Done<Node> done) {
  parts_.loop.post([this, done = std::move(done)] {
    Node list = Node::array();
    for (const Key& key : keys())
      if (const auto one = picture(key))
        list.push(to_document(*one, name_of(key), parts_.clock.now()));
    done(std::move(list));
  });
}

void InsightControl::target_item(std::string target, Done<Node> done) {
  with_target<Node>(std::move(target), done, [this, done](const Key& key) {
    done(to_document(*picture(key), name_of(key), parts_.clock.now()));
  });
}

void InsightControl::target(std::string target, Done<Node> done) {
  with_target<Node>(std::move(target), done, [this, done](const Key& key) {
    Node item = to_document(*picture(key), name_of(key), parts_.clock.now());
    if (key.kind != kKinds[2])
      item.set("manifest", Node::string(parts_.control().manifest_text(key)));
    if (auto record = latest_record(key)) item.set("decision", *std::move(record));
    parts_.control().explain_target(key, [item, done](Result<Node> explained) mutable {
      if (!explained) return done(explained.error());
      if (Node* text = explained->find("text")) item.set("text", std::move(*text));
      done(std::move(item));
    });
  });
}

// With all that it looked at.
std::optional<Node> InsightControl::latest_record(const Key& key) const {
  if (is_object(key)) return parts_.control().latest_decision(key);
  const auto job = job_picture(key);
  if (!job || job->latest == nullptr) return std::nullopt;
  auto document = parse_json(scale::to_record(ledger_name(key), *job->latest).document);
  if (!document) return std::nullopt;
  return *std::move(document);
}

void InsightControl::on_change(std::function<void(std::string target)> listener) {
  listener_ = std::move(listener);
}

TimeSpan InsightControl::span_of(const Range& range) const {
  const TimePoint now = parts_.clock.now();
  const TimePoint to = std::min(range.to.value_or(now), now);
  const TimePoint from = std::min(range.from.value_or(to - kUsualRange), to);
  const scale::Resolution& resolution = scale::resolution_for(from, to, range.step, now);
  // Whole buckets: what was counted in the one that `from` lies in belongs to the answer.
  return {scale::bucket_of(from, resolution.step), to, resolution};
}

void InsightControl::target_series(std::string target, Range range, Done<std::string> done) {
  with_target<std::string>(std::move(target), done, [this, range, done](const Key& key) {
    write(true);  // what is read is what is known
    SeriesAnswer answer;
    answer.span = span_of(range);
    answer.wanted = range.tracks;
    auto read = [this, key, queues = picture(key)->queues,
                 answer = std::move(answer)]() mutable -> Result<std::string> {
      const TimeSpan& span = answer.span;
      scale::SeriesStore& series = parts_.series;
      TRY(answer.own, series.read(series_name(key), span.from, span.to, span.resolution));
      for (const std::string& queue : queues) {
        TRY(auto tracks, series.read(queue, span.from, span.to, span.resolution));
        answer.queues.push_back(std::move(tracks));
      }
      TRY(answer.gaps, series.gaps(series_name(key), span.from, span.to));
      TRY(answer.outages, series.gaps({}, span.from, span.to));
      TRY(answer.decisions, parts_.ledger.list({.target = ledger_name(key),
                                                .from = span.from,
                                                .to = span.to + Duration(1),
                                                .before = {},
                                                .limit = kMostMarkers,
                                                .documents = false}));
      return to_json(answer);
    };
    parts_.pool.post([read, done]() mutable { done(read()); });
  });
}

void InsightControl::series(std::string name, Range range, Done<std::string> done) {
  parts_.loop.post([this, name = std::move(name), range = std::move(range),
                    done = std::move(done)] {
    if (name != kAllJobs && !name.starts_with("queue:"))
      return done(fail(Code::NotFound, "there is no series " + name + "; try jobs, or queue:NAME"));
    write(true);
    SeriesAnswer answer;
    answer.span = span_of(range);
    answer.wanted = range.tracks;
    parts_.pool.post([this, name, answer = std::move(answer), done]() mutable {
      const TimeSpan& span = answer.span;
      auto own = parts_.series.read(name, span.from, span.to, span.resolution);
      auto gaps = parts_.series.gaps({}, span.from, span.to);
      if (!own || !gaps) return done(!own ? own.error() : gaps.error());
      answer.own = *std::move(own);
      answer.gaps = answer.outages = *std::move(gaps);
      done(to_json(answer));
    });
  });
}

void InsightControl::decisions(std::string target, Page page, Done<std::string> done) {
  with_target<std::string>(std::move(target), done, [this, page, done](const Key& key) {
    write(false);
    parts_.pool.post([this, page, done, key] {
      const auto records = parts_.ledger.list({.target = ledger_name(key),
                                               .from = page.from,
                                               .to = page.to,
                                               .before = page.before,
                                               .limit = page.limit + 1,
                                               .documents = true});
      if (!records) return done(records.error());
      const std::size_t shown = std::min(records->size(), static_cast<std::size_t>(page.limit));
      JsonWriter json;
      json.object().key("items").array();
      for (std::size_t i = 0; i < shown; ++i) json.raw(record_json((*records)[i]));
      json.end();
      if (shown < records->size()) json.member("next", (*records)[shown - 1].id);
      done(std::move(json.end()).text());
    });
  });
}

void InsightControl::decision(std::string target, std::string id, Done<std::string> done) {
  with_target<std::string>(std::move(target), done, [this, id, done](const Key& key) {
    write(false);
    parts_.pool.post([this, id, done, key] {
      const auto record = parts_.ledger.find(ledger_name(key), id);
      if (!record) return done(record.error());
      done(record_json(*record));
    });
  });
}

void InsightControl::why_not(std::string target, TimePoint at, Done<Node> done) {
  with_target<Node>(std::move(target), done, [this, at, done](const Key& key) {
    write(false);
    parts_.pool.post([this, at, done, key] { done(answer_why_not(parts_.ledger, key, at)); });
  });
}

// --- a hand on the wheel ------------------------------------------------------------------------

void InsightControl::pause(std::string target, std::optional<int> replicas, Done<void> done) {
  with_target<void>(std::move(target), done, [this, replicas, done](const Key& key) {
    pause_now(key, replicas, true, done);
  });
}

void InsightControl::resume(std::string target, Done<void> done) {
  with_target<void>(std::move(target), done,
                    [this, done](const Key& key) { pause_now(key, {}, false, done); });
}

void InsightControl::pause_now(const Key& key, std::optional<int> replicas, bool paused,
                               const Done<void>& done) {
  if (replicas && !is_object(key))
    return done(fail(Code::Conflict, "replicas: only a ScaledObject is paused at a number"));
  if (key.kind == kKinds[2]) return parts_.executions().suspend(job_key(key), paused, done);
  done(parts_.control().pause(key, replicas, paused));
}

void InsightControl::set(std::string target, int replicas, Done<void> done) {
  with_target<void>(std::move(target), done, [this, replicas, done](const Key& key) {
    if (!is_object(key))
      return done(fail(Code::Conflict,
                       "executions cannot be set; `jobmill containerapp job start` "
                       "starts one"));
    done(parts_.control().set_replicas(key, replicas));
  });
}

}  // namespace jobmill::app
