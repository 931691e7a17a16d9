// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "manifest/object.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

// The applied manifests, kept across restarts in the control server's SQLite file. Secrets are
// sealed with the key in a file beside it, so the database alone does not give them away.
//
// Each call is one transaction: all of it survives a crash, or none. Safe from any thread but the
// commit thread.
class ObjectStore {
 public:
  // Makes the key file when there is none. Refuses a key that cannot open what is kept.
  static Result<std::unique_ptr<ObjectStore>> open(SqliteFile& file, const std::string& key_path);

  Status save(const std::vector<manifest::Object>& objects);    // new, or in place of the old
  Status remove(const std::vector<manifest::ObjectKey>& keys);  // what is not there is no error

  // In the order of their keys. Lines and columns are not kept: messages name the file only.
  Result<std::vector<manifest::Object>> load();

 private:
  ObjectStore(SqliteFile& file, Secret key, std::string key_path)
      : file_(file), key_(std::move(key)), key_path_(std::move(key_path)) {}

  Result<std::string> stored_form(const manifest::Object& object) const;
  Result<std::string> document_text(const manifest::ObjectKey& key, std::string stored) const;

  SqliteFile& file_;
  const Secret key_;
  const std::string key_path_;
};

}  // namespace jobmill::sqlite
