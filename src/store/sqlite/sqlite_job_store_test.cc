// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite_job_store.h"

#include <memory>

#include <doctest/doctest.h>

#include "conformance/job_store.h"

namespace jobmill::sqlite {
namespace {

struct Opened {
  ManualClock clock;
  std::unique_ptr<SqliteFile> file;
  std::unique_ptr<jobs::JobStoreOwner> store;
};

std::shared_ptr<Opened> open(const std::string& path, JobStoreOptions options = {}) {
  auto opened = std::make_shared<Opened>();
  auto file = SqliteFile::open(path);
  REQUIRE_MESSAGE(file, (file ? "" : file.error().message));
  opened->file = *std::move(file);
  auto store = open_job_store(*opened->file, opened->clock.now(), std::move(options));
  REQUIRE_MESSAGE(store, (store ? "" : store.error().message));
  opened->store = *std::move(store);
  return opened;
}

}  // namespace

TEST_CASE("sqlite job store: keeps the contract of JobStore") {
  jobs::exercise_job_store([] {
    auto opened = open(":memory:");
    return jobs::JobStoreFixture{opened, *opened->store, *opened->store, opened->clock};
  });
}

}  // namespace jobmill::sqlite
