// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "executions/execution_store.h"
#include "store/sqlite/sqlite_file.h"

namespace jobmill::sqlite {

// Jobs and executions in the control server's SQLite file. What is saved goes to the commit queue,
// so many changes at a time share one sync; the others wait for it. Secrets of jobs are sealed with
// the key in a file beside it, so the database alone does not give them away.
//
// Safe from any thread but the commit thread. Nobody is called back after the destructor, which
// belongs to the thread that `post` leads to; what was saved before is written all the same.
class ExecutionStore final : public executions::ExecutionStore {
 public:
  using Post = std::function<void(std::function<void()>)>;

  // `post` leads to the thread on which `done` is called; from any thread. The key file is the one
  // that ObjectStore uses; made when there is none. A key that cannot open what is kept is refused.
  static Result<std::unique_ptr<ExecutionStore>> open(SqliteFile& file, const std::string& key_path,
                                                      Post post);

  void save_job(const executions::ContainerJob& job, Done done) override;
  void remove_job(const executions::JobKey& key, Done done) override;
  void save(const executions::Execution& execution, Done done) override;

  Result<std::vector<executions::ContainerJob>> jobs() override;
  Result<std::vector<executions::Execution>> unfinished() override;
  Result<std::vector<executions::Execution>> list(const executions::ExecutionQuery& query) override;
  Result<executions::Execution> find(const executions::JobKey& job, std::string_view name) override;
  Result<std::vector<std::string>> prune(const executions::JobKey& job,
                                         const executions::History& history, TimePoint now,
                                         std::size_t limit) override;
  Result<std::vector<executions::TakenMessage>> outcomes(std::string_view replica) override;

 private:
  struct JobRow;
  ExecutionStore(SqliteFile& file, Secret key, std::string key_path, Post post)
      : file_(file), key_(std::move(key)), key_path_(std::move(key_path)), post_(std::move(post)) {}

  void submit(std::function<Status(Database&)> work, Done done);
  Result<std::string> sealed_secrets(const executions::ContainerJob& job) const;
  Result<executions::ContainerJob> read_job(const JobRow& row) const;

  SqliteFile& file_;
  const Secret key_;
  const std::string key_path_;
  const Post post_;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace jobmill::sqlite
