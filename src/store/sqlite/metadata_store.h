// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "jobs/metadata.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

// Facts in the control server's SQLite file. Safe from any thread but the commit thread.
class MetadataStore final : public jobs::Metadata {
 public:
  explicit MetadataStore(SqliteFile& file) : file_(file) {}

  Status put(std::string_view name, std::string_view owner, std::string_view value,
             TimePoint now) override;
  Status remove(std::string_view name, std::string_view owner) override;
  Result<std::optional<jobs::Fact>> get(std::string_view name, std::string_view owner) override;
  Result<std::vector<jobs::Fact>> list(std::string_view name) override;

 private:
  SqliteFile& file_;
};

}  // namespace jobmill::sqlite
