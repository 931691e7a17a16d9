// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "executions/resources.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

// Resources in the control server's SQLite file. Each call is one transaction. Safe from any thread
// but the commit thread.
class ResourceStore final : public executions::ResourceStore {
 public:
  explicit ResourceStore(SqliteFile& file) : file_(file) {}

  Status save(const executions::Resource& resource) override;
  Status remove(std::string_view id) override;                // what is not there is no error
  Result<std::vector<executions::Resource>> load() override;  // by id

 private:
  SqliteFile& file_;
};

}  // namespace jobmill::sqlite
