// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/access_store.h"

#include <doctest/doctest.h>

#include <future>

#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

using namespace std::chrono_literals;

std::unique_ptr<SqliteFile> open(const std::string& path = ":memory:") {
  auto file = SqliteFile::open(path);
  REQUIRE_MESSAGE(file, (file ? "" : file.error().message));
  return *std::move(file);
}

// Calls that return at once, waited for.
template <class Call>
void wait(Call call) {
  std::promise<Status> done;
  call([&](const Status& status) { done.set_value(status); });
  const Status status = done.get_future().get();
  REQUIRE_MESSAGE(status, (status ? "" : status.error().message));
}

void append(AccessStore& store, const access::AuditEntry& entry) {
  wait([&](auto done) { store.append(entry, std::move(done)); });
}

std::string actions(const Result<std::vector<access::AuditEntry>>& entries) {
  REQUIRE(entries);
  std::string text;
  for (const auto& entry : *entries) text += (text.empty() ? "" : " ") + entry.action;
  return text;
}

}  // namespace

TEST_CASE("access: logins and tokens are there after a restart") {
  const testing::TemporaryFolder folder;
  const ManualClock clock;
  {
    auto file = open(folder.path() + "/a.db");
    AccessStore store(*file);
    const access::Session session{.id = "s1",
                                  .key = "k1",
                                  .user = "ann",
                                  .role = "viewer",
                                  .address = "10.0.0.1",
                                  .foreign_user = true,
                                  .started = clock.now(),
                                  .seen = clock.now()};
    wait([&](auto done) { store.save(session, std::move(done)); });
    const access::AccessToken token{.id = "t1",
                                    .key = "k2",
                                    .name = "ci",
                                    .scopes = 3,
                                    .queues = {"mail", "a \"b\""},
                                    .creator = "ann",
                                    .created = clock.now(),
                                    .expires = clock.now() + 24h};
    wait([&](auto done) { store.save(token, std::move(done)); });
    store.session_seen("s1", clock.now() + 5min);
    store.token_used("t1", clock.now() + 6min);
  }
  auto file = open(folder.path() + "/a.db");
  AccessStore store(*file);
  const auto sessions = store.sessions();
  REQUIRE(sessions);
  REQUIRE(sessions->size() == 1);
  CHECK(sessions->front().user == "ann");
  CHECK(sessions->front().foreign_user);
  CHECK(sessions->front().seen == clock.now() + 5min);
  const auto tokens = store.tokens();
  REQUIRE(tokens);
  REQUIRE(tokens->size() == 1);
  CHECK(tokens->front().queues == std::vector<std::string>{"mail", "a \"b\""});
  CHECK(tokens->front().expires == clock.now() + 24h);
  CHECK(tokens->front().used == clock.now() + 6min);

  wait([&](auto done) { store.remove_session("s1", std::move(done)); });
  wait([&](auto done) { store.remove_token("t1", std::move(done)); });
  CHECK(store.sessions()->empty());
  CHECK(store.tokens()->empty());
}

TEST_CASE("access: the audit log is read from its new end, by page and by filter") {
  auto file = open();
  AccessStore store(*file);
  ManualClock clock;
  const auto write = [&](const char* user, const char* action, const char* target) {
    append(store,
           {.at = clock.now(), .user = user, .action = action, .target = target, .status = 204});
    clock.advance(1min);
  };
  const TimePoint start = clock.now();
  write("ann", "job.requeue", "j1");
  write("bob", "job.delete", "j2");
  write("ann", "queue.pause", "mail");

  CHECK(actions(store.audit({})) == "queue.pause job.delete job.requeue");
  const auto page = store.audit({.limit = 2});
  CHECK(actions(page) == "queue.pause job.delete");
  append(store, {.at = clock.now(), .user = "eve", .action = "login", .status = 401});
  CHECK(actions(store.audit({.before_id = page->back().id, .limit = 2})) == "job.requeue");

  CHECK(actions(store.audit({.user = "ann"})) == "queue.pause job.requeue");
  CHECK(actions(store.audit({.action = "job.*"})) == "job.delete job.requeue");
  CHECK(actions(store.audit({.action = "job.delete"})) == "job.delete");
  CHECK(actions(store.audit({.target = "ai"})) == "queue.pause");
  CHECK(actions(store.audit({.from = start + 1min, .to = start + 2min})) == "job.delete");

  REQUIRE(store.forget_audit(start + 2min));
  CHECK(actions(store.audit({})) == "login queue.pause");
}

}  // namespace jobmill::sqlite
