// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "executions/resources.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

// Resources in the control server's SQLite file. Each call is one transaction. Their values are
// sealed with the key in a file beside it. Safe from any thread but the commit thread.
class ResourceStore final : public executions::ResourceStore {
 public:
  // The key file is the one that ExecutionStore uses; made when there is none.
  static Result<std::unique_ptr<ResourceStore>> open(SqliteFile& file, const std::string& key_path);

  Status save(const executions::Resource& resource) override;
  Status remove(std::string_view id) override;                // what is not there is no error
  Result<std::vector<executions::Resource>> load() override;  // by id

 private:
  ResourceStore(SqliteFile& file, Secret key) : file_(file), key_(std::move(key)) {}

  SqliteFile& file_;
  const Secret key_;
};

}  // namespace jobmill::sqlite
