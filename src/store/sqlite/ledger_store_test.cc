// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/ledger_store.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

using scale::LedgerRecord;

constexpr TimePoint kStart{std::chrono::seconds(1'704'067'200)};
constexpr char kMail[] = "ScaledObject/default/mail";

TimePoint at(int seconds) { return kStart + std::chrono::seconds(seconds); }

LedgerRecord record(int number, int from, int to, const std::string& target = kMail) {
  return {.target = target,
          .id = "id-" + std::to_string(number),
          .at = at(number),
          .until = at(number),
          .repeated = 0,
          .kind = from == to ? "blocked" : "up",
          .from = from,
          .to = to,
          .rule = "max",
          .sentence = "stays \"here\"",
          .document = R"({"id":1})"};
}

class Data {
 public:
  Data() { reopen(); }

  void reopen() {
    ledger_.reset();
    file_.reset();
    auto file = SqliteFile::open(folder_.path() + "/jobmill.db");
    REQUIRE(file);
    file_ = *std::move(file);
    ledger_ = std::make_unique<LedgerStore>(*file_, [this](const Fault&) { ++failures_; });
  }

  LedgerStore& ledger() { return *ledger_; }
  SqliteFile& file() { return *file_; }
  const std::string& folder() const { return folder_.path(); }
  int failures() const { return failures_; }

 private:
  testing::TemporaryFolder folder_;
  std::unique_ptr<SqliteFile> file_;
  std::unique_ptr<LedgerStore> ledger_;
  std::atomic<int> failures_ = 0;
};

std::string ids(const Result<std::vector<LedgerRecord>>& records) {
  REQUIRE(records);
  std::string out;
  for (const LedgerRecord& one : *records) out += (out.empty() ? "" : " ") + one.id.substr(3);
  return out;
}

}  // namespace

TEST_CASE("sqlite ledger: what was decided is there after a restart, newest first") {
  Data data;
  for (int i = 1; i <= 5; ++i) data.ledger().append(record(i, i, i + i % 2));
  data.ledger().append(record(9, 0, 1, "ScaledJob/shop/other"));
  data.reopen();
  CHECK(ids(data.ledger().list({.target = kMail})) == "5 4 3 2 1");
  const auto found = data.ledger().find(kMail, "id-3");
  REQUIRE(found);
  const LedgerRecord same = record(3, 3, 4);
  CHECK(found->at == same.at);
  CHECK(found->kind == same.kind);
  CHECK(found->from == 3);
  CHECK(found->to == 4);
  CHECK(found->rule == same.rule);
  CHECK(found->sentence == same.sentence);
  CHECK(found->document == same.document);
  CHECK(data.ledger().find(kMail, "id-9").error().code == Code::NotFound);
  CHECK(data.failures() == 0);
}

TEST_CASE("sqlite ledger: pages go on where the last one ended, whatever comes in") {
  Data data;
  for (int i = 1; i <= 7; ++i) data.ledger().append(record(i, 1, 1));
  auto first = data.ledger().list({.target = kMail, .limit = 3});
  CHECK(ids(first) == "7 6 5");
  data.ledger().append(record(8, 1, 1));
  CHECK(ids(data.ledger().list({.target = kMail, .before = first->back().id, .limit = 3})) ==
        "4 3 2");
  CHECK(ids(data.ledger().list({.target = kMail, .from = at(3), .to = at(6)})) == "5 4 3");
  CHECK(*data.ledger().count({.target = kMail, .from = at(3), .to = at(6)}) == 3);
  CHECK(data.ledger().list({.target = kMail, .before = "id-99"}).error().code ==
        Code::InvalidArgument);
  const auto bare = data.ledger().list({.target = kMail, .limit = 1, .documents = false});
  CHECK(bare->front().document.empty());
}

TEST_CASE("sqlite ledger: what was in force is the last before, and the last that changed it") {
  Data data;
  data.ledger().append(record(10, 0, 2));
  data.ledger().append(record(20, 2, 2));
  data.ledger().extend(kMail, "id-20", 7, at(55));
  CHECK_FALSE(*data.ledger().in_force(kMail, at(9), false));
  CHECK((*data.ledger().in_force(kMail, at(10), false))->id == "id-10");
  const auto now = data.ledger().in_force(kMail, at(1000), false);
  CHECK((*now)->id == "id-20");
  CHECK((*now)->repeated == 7);
  CHECK((*now)->until == at(55));
  CHECK((*data.ledger().in_force(kMail, at(1000), true))->id == "id-10");
}

TEST_CASE("sqlite ledger: old records go, and no target has more than its share") {
  Data data;
  for (int i = 1; i <= LedgerStore::kMostRecords + 1500; ++i) data.ledger().append(record(i, 1, 1));
  const std::int64_t kept = *data.ledger().count({.target = kMail});
  CHECK(kept >= LedgerStore::kMostRecords);
  CHECK(kept < LedgerStore::kMostRecords + 1000);

  const TimePoint later = at(LedgerStore::kMostRecords) + std::chrono::days(400);
  int rounds = 1;
  while (*data.ledger().prune(later, 4000)) ++rounds;
  CHECK(rounds > 3);
  CHECK(*data.ledger().count({.target = kMail}) == 1501);
}

TEST_CASE("sqlite ledger: what was written survives kill -9") {
  testing::TemporaryFolder folder;  // no threads are about when this process forks
  const std::string path = folder.path() + "/child.db";
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe[0]);
    auto file = SqliteFile::open(path);
    LedgerStore ledger(**file, {});
    for (int i = 1; i <= 50; ++i) ledger.append(record(i, 1, 2));
    (void)ledger.count({.target = kMail});  // behind all of them
    const char done = '!';
    if (::write(pipe[1], &done, 1) == 1) ::pause();
    ::_exit(1);
  }
  ::close(pipe[1]);
  char done = 0;
  REQUIRE(::read(pipe[0], &done, 1) == 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(pipe[0]);
  auto file = SqliteFile::open(path);
  REQUIRE(file);
  LedgerStore ledger(**file, {});
  CHECK(*ledger.count({.target = kMail}) == 50);
}

}  // namespace jobmill::sqlite
