// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "scale/ledger.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

// Decisions in the control server's SQLite file, for 400 days and at most 20,000 of each target.
// Writes ride along with what else is committed and ask for no sync of their own: they survive the
// death of the process, and loss of power but for the last moments.
//
// Safe from any thread; the reads not from the commit thread.
class LedgerStore final : public scale::Ledger {
 public:
  // Of one target; the oldest go first.
  static constexpr std::int64_t kMostRecords = 20'000;

  // `failed`: on the commit thread, when a record could not be written.
  LedgerStore(SqliteFile& file, std::function<void(const Fault&)> failed)
      : file_(file), failed_(std::move(failed)) {}

  void append(scale::LedgerRecord record) override;
  void extend(const std::string& target, const std::string& id, std::int64_t repeated,
              TimePoint until) override;

  Result<std::vector<scale::LedgerRecord>> list(const scale::LedgerQuery& query) override;
  Result<std::int64_t> count(const scale::LedgerQuery& query) override;
  Result<scale::LedgerRecord> find(const std::string& target, const std::string& id) override;
  Result<std::optional<scale::LedgerRecord>> in_force(const std::string& target, TimePoint at,
                                                      bool changed) override;

  Result<bool> prune(TimePoint now, std::int64_t limit) override;

 private:
  void submit(std::function<Status(Database&)> work);

  SqliteFile& file_;
  const std::function<void(const Fault&)> failed_;
};

}  // namespace jobmill::sqlite
