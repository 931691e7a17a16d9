// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/tally_rows.h"

#include <array>

#include "base/document.h"
#include "base/json_writer.h"

namespace jobmill::postgres {
namespace {

using jobs::Histogram;
using jobs::Tally;

constexpr std::array kCounters{&Tally::enqueued,    &Tally::runs,    &Tally::succeeded,
                               &Tally::failed,      &Tally::retried, &Tally::crashed,
                               &Tally::quarantined, &Tally::deleted};
constexpr std::array kHistograms{&Tally::wait, &Tally::run, &Tally::lateness};

// Row 0 is that of all whose rows were folded.
constexpr Statement kLockTally{"lock_tally",
                               "SELECT data FROM jobmill_tally WHERE shard = $1 FOR UPDATE"};
constexpr Statement kPutTally{"put_tally",
                              "INSERT INTO jobmill_tally (shard, at, data)"
                              " VALUES ($1, jobmill_now(), $2) ON CONFLICT (shard)"
                              " DO UPDATE SET at = excluded.at, data = excluded.data"};
constexpr Statement kAllTallies{"all_tallies", "SELECT data FROM jobmill_tally"};
constexpr Statement kRunning{"running",
                             "SELECT lane, sum(running)::bigint FROM jobmill_count GROUP BY lane"};
constexpr Statement kOldTallies{"old_tallies",
                                "DELETE FROM jobmill_tally"
                                " WHERE shard <> 0 AND at < jobmill_now() - interval '1 hour'"
                                " RETURNING data"};

std::uint64_t number(const Node& node) {
  return static_cast<std::uint64_t>(node.as_int().value_or(0));
}

void write(JsonWriter& json, const Histogram& histogram) {
  json.array().raw(Node::number(histogram.sum).text);
  for (const std::uint64_t bucket : histogram.buckets) json.value(bucket);
  json.end();
}

Histogram histogram_of(const Node& node) {
  Histogram histogram;
  if (node.items.size() != histogram.buckets.size() + 1) return histogram;
  histogram.sum = node.items[0].as_double().value_or(0);
  for (std::size_t i = 0; i < histogram.buckets.size(); ++i)
    histogram.buckets[i] = number(node.items[i + 1]);
  return histogram;
}

// [queue, kind, counters…, histograms…]
Result<Tally> tally_of(const Node& node) {
  constexpr std::size_t kNames = 2;
  if (node.items.size() != kNames + kCounters.size() + kHistograms.size())
    return fail(Code::Internal, "jobmill_tally holds what this version cannot read");
  Tally tally;
  tally.queue = node.items[0].text;
  tally.kind = node.items[1].text;
  std::size_t at = kNames;
  for (const auto counter : kCounters) tally.*counter = number(node.items[at++]);
  for (const auto histogram : kHistograms) tally.*histogram = histogram_of(node.items[at++]);
  return tally;
}

Status merge(jobs::Tallies& sum, const Rows& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    TRY(const auto tallies, tallies_of(rows.text(i, 0)));
    for (const Tally& tally : tallies) sum.merge(tally);
  }
  return {};
}

Status put(Connection& connection, std::int64_t shard, const jobs::Tallies& sum) {
  TRY([[maybe_unused]] const Rows rows,
      connection.run(kPutTally, Parameters().int8(shard).text(to_text(sum.all()))));
  return {};
}

}  // namespace

std::string to_text(std::span<const Tally> tallies) {
  JsonWriter json;
  json.array();
  for (const Tally& tally : tallies) {
    json.array().value(tally.queue).value(tally.kind);
    for (const auto counter : kCounters) json.value(tally.*counter);
    for (const auto histogram : kHistograms) write(json, tally.*histogram);
    json.end();
  }
  return std::move(json.end()).text();
}

Result<std::vector<Tally>> tallies_of(std::string_view text) {
  TRY(const Node node, parse_json(text));
  std::vector<Tally> tallies;
  for (const Node& item : node.items) {
    TRY(tallies.emplace_back(), tally_of(item));
  }
  return tallies;
}

Status add_tallies(Connection& connection, std::int64_t shard, std::span<const Tally> counted) {
  TRY(const Rows own, connection.run(kLockTally, Parameters().int8(shard)));
  jobs::Tallies sum;
  TRY_VOID(merge(sum, own));
  for (const Tally& tally : counted) sum.merge(tally);
  return put(connection, shard, sum);
}

Result<std::vector<Tally>> all_tallies(Connection& connection, const Lanes& lanes) {
  Pipeline pipeline(connection);
  pipeline.add(kAllTallies);
  pipeline.add(kRunning);
  TRY(const auto answers, pipeline.finish());
  jobs::Tallies sum;
  TRY_VOID(merge(sum, answers[0]));
  for (std::size_t i = 0; i < answers[1].size(); ++i)
    if (const Lane* lane = lanes.find(answers[1].int4(i, 0)))
      sum.of(lane->queue, lane->kind).in_progress += answers[1].int8(i, 1);
  return sum.all();
}

// Row 0 is locked first, so of two leaders one waits and then finds nothing more to fold.
Status fold_tallies(Connection& connection) {
  TRY(const Rows folded, connection.run(kLockTally, Parameters().int8(0)));
  TRY(const Rows old, connection.run(kOldTallies));
  if (old.empty()) return {};
  jobs::Tallies sum;
  TRY_VOID(merge(sum, folded));
  TRY_VOID(merge(sum, old));
  return put(connection, 0, sum);
}

}  // namespace jobmill::postgres
