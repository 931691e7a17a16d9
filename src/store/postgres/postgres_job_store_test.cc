// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/postgres_job_store.h"

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "conformance/job_store.h"
#include "postgres_rig.h"
#include "store/postgres/migrations.h"
#include "store/postgres/test_connection.h"

namespace jobmill::postgres {
namespace {

struct Opened {
  ManualClock clock;
  std::unique_ptr<jobs::JobStoreOwner> store;
};

std::string fresh_store() {
  const std::string url = testing::Postgres::shared().fresh_schema();
  Connection connection = connect(url);
  const Status made = migrate(connection);
  REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
  return url;
}

std::shared_ptr<Opened> open(const std::string& text) {
  auto opened = std::make_shared<Opened>();
  const auto url = Url::parse(text);
  REQUIRE(url);
  JobStoreOptions options;
  options.clock = &opened->clock;
  auto store = open_job_store(*url, std::move(options));
  REQUIRE_MESSAGE(store, (store ? "" : store.error().message));
  opened->store = *std::move(store);
  return opened;
}

jobs::JobStoreFixture fixture() {
  auto opened = open(fresh_store());
  return {opened, *opened->store, *opened->store, opened->clock};
}

TEST_CASE("a job store in PostgreSQL keeps its contract") { jobs::exercise_job_store(fixture); }

}  // namespace
}  // namespace jobmill::postgres
