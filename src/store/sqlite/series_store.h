// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "scale/series.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

// Numbers over time in the control server's SQLite file, each in every resolution for as long as
// that is kept. Writes ask for no sync of their own, and what is too old goes in the same
// transactions, so that nothing has to wake up for it.
//
// Safe from any thread; the reads not from the commit thread.
class SeriesStore final : public scale::SeriesStore {
 public:
  // Ends what an earlier server left open, and keeps the time since its last sign of life as a gap.
  // `failed`: on the commit thread, when something could not be written.
  static Result<std::unique_ptr<SeriesStore>> open(SqliteFile& file, TimePoint now,
                                                   std::function<void(const Fault&)> failed);
  ~SeriesStore() override;

  void write(std::vector<scale::SeriesRecorder::Entry> entries, TimePoint now) override;
  void alive(TimePoint now) override;
  void begin_gap(const std::string& series, const std::string& reason, TimePoint now) override;
  void end_gap(const std::string& series, TimePoint now) override;

  Result<std::vector<Track>> read(const std::string& series, TimePoint from, TimePoint to,
                                  const scale::Resolution& resolution) override;
  Result<std::vector<scale::SeriesGap>> gaps(const std::string& series, TimePoint from,
                                             TimePoint to) override;

 private:
  using Name = std::pair<std::string, std::string>;
  struct Known {
    std::int64_t id = 0;
    TimePoint pruned{};
  };

  SeriesStore(SqliteFile& file, std::function<void(const Fault&)> failed);
  void submit(std::function<Status(Database&)> work);
  Status write_entry(Database& db, const scale::SeriesRecorder::Entry& entry, TimePoint now);
  Result<Known*> known(Database& db, const scale::SeriesRecorder::Entry& entry);

  SqliteFile& file_;
  const std::function<void(const Fault&)> failed_;
  std::map<Name, Known> known_;  // of the commit thread
};

}  // namespace jobmill::sqlite
