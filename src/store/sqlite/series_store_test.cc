// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/series_store.h"

#include <atomic>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

using namespace std::chrono_literals;
using scale::kResolutions;
using scale::SeriesPoint;
using scale::SeriesRecorder;
using scale::TrackKind;
using Tracks = std::vector<scale::SeriesStore::Track>;

constexpr TimePoint kStart{std::chrono::seconds(1'704'067'200)};

class Data {
 public:
  explicit Data(TimePoint now = kStart) { reopen(now); }

  void reopen(TimePoint now) {
    store_.reset();
    file_.reset();
    auto file = SqliteFile::open(folder_.path() + "/jobmill.db");
    REQUIRE(file);
    file_ = *std::move(file);
    auto store = SeriesStore::open(*file_, now, [this](const Fault&) { ++failures_; });
    REQUIRE(store);
    store_ = *std::move(store);
  }

  void write(const std::string& track, TrackKind kind, SeriesPoint point, TimePoint now) {
    store_->write({{"queue:mail", track, kind, point}}, now);
  }
  void level(Duration at, double value) {
    const TimePoint bucket = scale::bucket_of(kStart + at, 10s);
    write("backlog", TrackKind::Level, {bucket, value, value, value}, bucket + 10s);
  }

  Tracks read(Duration from, Duration to, std::size_t resolution) {
    auto tracks = store_->read("queue:mail", kStart + from, kStart + to, kResolutions[resolution]);
    REQUIRE(tracks);
    return *std::move(tracks);
  }

  scale::SeriesStore& store() { return *store_; }
  SqliteFile& file() { return *file_; }
  int failures() const { return failures_; }

 private:
  testing::TemporaryFolder folder_;
  std::unique_ptr<SqliteFile> file_;
  std::unique_ptr<SeriesStore> store_;
  std::atomic<int> failures_ = 0;
};

}  // namespace

TEST_CASE("sqlite series: each point is in every resolution, merged with what is there") {
  Data data;
  data.level(0s, 3);
  data.level(10s, 9);
  data.level(50s, 1);
  data.write("arrivals", TrackKind::Rate, {kStart, 2, 2, 2}, kStart + 10s);
  data.write("arrivals", TrackKind::Rate, {kStart + 20s, 5, 5, 5}, kStart + 30s);
  data.write("arrivals", TrackKind::Rate, {kStart + 20s, 1, 1, 1}, kStart + 30s);  // what came late

  const Tracks fine = data.read(0s, 60s, 0);
  REQUIRE(fine.size() == 2);
  CHECK(fine[0].name == "arrivals");
  CHECK(fine[0].kind == TrackKind::Rate);
  CHECK(fine[0].points.size() == 2);
  CHECK(fine[0].points[1].value == 6);
  CHECK(fine[1].points.size() == 3);
  for (std::size_t resolution = 1; resolution < kResolutions.size(); ++resolution) {
    const Tracks coarse = data.read(0s, 60s, resolution);
    CHECK(coarse[0].points.at(0).value == 8);
    CHECK(coarse[1].points == std::vector<SeriesPoint>{{kStart, 1, 9, 1}});
  }
  CHECK(data.failures() == 0);
}

TEST_CASE("sqlite series: a level that rests is found, however long ago it moved") {
  Data data;
  data.level(0s, 4);
  data.level(40s, 7);
  data.level(30 * 24h, 8);  // what is too old goes with what is written
  data.reopen(kStart + 30 * 24h + 10s);
  const Tracks tracks = data.read(20 * 24h, 20 * 24h + 1h, 0);
  REQUIRE(tracks.size() == 1);
  CHECK(tracks[0].points.empty());
  REQUIRE(tracks[0].before);
  CHECK(tracks[0].before->value == 7);
  CHECK_FALSE(data.read(-1h, 0s, 0)[0].before);
}

TEST_CASE("sqlite series: what is too old goes, but for the last that is known") {
  Data data;
  for (int hour = 0; hour < 30; ++hour) data.level(std::chrono::hours(hour), hour);
  data.reopen(kStart + 30h);
  CHECK(data.read(0h, 30h, 0)[0].points.size() == 1);
  CHECK(data.read(0h, 30h, 1)[0].points.size() == 24);
  CHECK(data.read(0h, 30h, 3)[0].points.size() == 30);
  data.reopen(kStart + 1000 * 24h);
  CHECK(data.read(0h, 30h, 3)[0].points.size() == 1);
}

TEST_CASE("sqlite series: the time in which no server ran is a gap") {
  Data data;
  CHECK(data.store().gaps("queue:mail", kStart - 1h, kStart + 1h)->empty());  // the first start
  data.level(0s, 4);
  data.store().begin_gap("target:mail", "waiting: refused", kStart + 12s);
  data.store().alive(kStart + 60s);
  data.reopen(kStart + 100s);  // also after a kill: the last sign of life counts
  const auto gaps = data.store().gaps("target:mail", kStart, kStart + 1h);
  REQUIRE(gaps);
  REQUIRE(gaps->size() == 2);
  CHECK((*gaps)[0].reason == "waiting: refused");
  CHECK((*gaps)[0].to == kStart + 60s);
  CHECK((*gaps)[1].from == kStart + 60s);
  CHECK((*gaps)[1].to == kStart + 100s);
  CHECK((*gaps)[1].reason == "the server was not running");
  CHECK(data.store().gaps("queue:mail", kStart, kStart + 1h)->size() == 1);
  CHECK(data.store().gaps("queue:mail", kStart + 101s, kStart + 1h)->empty());
}

TEST_CASE("sqlite series: a gap goes on until it ends") {
  Data data;
  data.store().begin_gap("target:mail", "refused", kStart + 10s);
  auto open = data.store().gaps("target:mail", kStart + 1h, kStart + 2h);
  REQUIRE(open->size() == 1);
  CHECK_FALSE(open->front().to);
  data.store().end_gap("target:mail", kStart + 20s);
  CHECK(data.store().gaps("target:mail", kStart + 1h, kStart + 2h)->empty());
  CHECK(data.store().gaps("target:mail", kStart, kStart + 2h)->front().to == kStart + 20s);
}

TEST_CASE("sqlite series: a tick is one transaction and asks for no sync") {
  Data data;
  const auto transactions = data.file().transactions();
  const auto synced = data.file().synced_transactions();
  std::vector<SeriesRecorder::Entry> entries;
  for (int i = 0; i < 100; ++i)
    entries.push_back(
        {"queue:" + std::to_string(i), "backlog", TrackKind::Level, {kStart, 1, 1, 1}});
  data.store().write(std::move(entries), kStart + 10s);
  (void)data.store().gaps("x", kStart, kStart + 1s);  // behind it
  CHECK(data.file().transactions() <= transactions + 2);
  CHECK(data.file().synced_transactions() <= synced + 1);  // that of the read
}

}  // namespace jobmill::sqlite
