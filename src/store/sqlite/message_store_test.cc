// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/message_store.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <doctest/doctest.h>

#include "conformance/message_store.h"
#include "control_queue.h"
#include "memory_message_store.h"
#include "store/sqlite/execution_store.h"
#include "temporary_folder.h"

namespace jobmill::sqlite {
namespace {

using namespace broker;
using namespace std::chrono_literals;

constexpr QueueKey kOrders{.entity = 7};

InsertMessage insert(SequenceNumber sequence, std::string bytes = "sections") {
  auto message = std::make_shared<Message>();
  message->sequence = sequence;
  message->bytes = std::make_shared<const std::string>(std::move(bytes));
  return {kOrders, std::move(message)};
}

class FileWorld final : public MessageStoreWorld {
 public:
  explicit FileWorld(MessageStoreOptions options = {}) : options_(options) { reopen(); }

  MessageStore& store() override { return *store_; }
  SqliteFile& file() { return *file_; }
  int timers() const { return timers_; }
  std::string path() const { return folder_.path() + "/jobmill.db"; }

  void reopen() override {
    store_.reset();
    file_.reset();
    auto file = SqliteFile::open(path());
    REQUIRE(file);
    file_ = *std::move(file);
    MessageStore::Loop loop{.post = queue_.post(),
                            .run_after = [this](Duration delay, std::function<void()> work) {
                              ++timers_;
                              queue_.run_after(delay, std::move(work));
                            }};
    auto store = sqlite::MessageStore::open(*file_, folder_.path() + "/secrets.key",
                                            std::move(loop), options_);
    REQUIRE_MESSAGE(store, (store ? "" : store.error().message));
    store_ = *std::move(store);
  }

  void run_until(const std::function<bool()>& come_true) override { queue_.run_until(come_true); }

  Status write(std::vector<Change> changes) {
    std::optional<Status> answer;
    store_->write(std::move(changes), [&](const Status& status) { answer = status; });
    run_until([&] { return answer.has_value(); });
    return *std::move(answer);
  }

  std::vector<SequenceNumber> read(std::vector<SequenceNumber> sequences) {
    std::vector<SequenceNumber> found;
    bool done = false;
    store_->read(kOrders, std::move(sequences), [&](auto messages) {
      REQUIRE(messages);
      for (const auto& message : *messages) found.push_back(message->sequence);
      done = true;
    });
    run_until([&] { return done; });
    return found;
  }

  Status exec(const char* sql) {
    return file_->run<void>([&](Database& db) { return db.exec(sql); });
  }

  std::string at_rest() override {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      std::ifstream in(entry.path(), std::ios::binary);
      all.append(std::istreambuf_iterator<char>(in), {});
    }
    REQUIRE(all.find("visible-rule") != std::string::npos);  // else it would prove nothing
    return all;
  }

 private:
  const MessageStoreOptions options_;
  testing::TemporaryFolder folder_;
  testing::ControlQueue queue_;
  int timers_ = 0;
  std::unique_ptr<SqliteFile> file_;
  std::unique_ptr<sqlite::MessageStore> store_;
};

class MemoryWorld final : public MessageStoreWorld {
 public:
  broker::MessageStore& store() override { return store_; }
  void reopen() override { store_.close(); }
  std::string at_rest() override { return {}; }

  void run_until(const std::function<bool()>& come_true) override {
    while (!come_true()) REQUIRE(store_.run_one());
  }

 private:
  testing::MemoryMessageStore store_;
};

}  // namespace

TEST_CASE("memory message store: what engines are tested with keeps the contract, too") {
  exercise_message_store([] { return std::make_unique<MemoryWorld>(); });
}

TEST_CASE("sqlite message store: keeps the contract of stores") {
  exercise_message_store([] { return std::make_unique<FileWorld>(); });
}

TEST_CASE("sqlite message store: keeps the contract without a cache, too") {
  exercise_message_store(
      [] { return std::make_unique<FileWorld>(MessageStoreOptions{.body_cache_bytes = 0}); });
}

TEST_CASE("sqlite message store: what was sent or read last does not touch the disk") {
  FileWorld world;
  REQUIRE(world.write({insert(1), insert(2)}));
  auto before = world.file().transactions();
  CHECK(world.read({2, 1}).size() == 2);
  CHECK(world.file().transactions() == before);

  world.reopen();
  before = world.file().transactions();
  CHECK(world.read({1, 2}).size() == 2);
  CHECK(world.file().transactions() == before + 1);
  CHECK(world.read({1, 2}).size() == 2);
  CHECK(world.file().transactions() == before + 1);
}

TEST_CASE("sqlite message store: writes that wait share one transaction") {
  FileWorld world;
  REQUIRE(world.write({insert(1)}));
  const auto before = world.file().transactions();
  int answered = 0;
  // The commit thread is held up while they come, or it might be faster than we are.
  std::mutex gate;
  gate.lock();
  world.file().queue().submit(
      [&] {
        const std::lock_guard wait(gate);
        return Status();
      },
      [](const Status&) {});
  for (SequenceNumber i = 2; i <= 500; ++i)
    world.store().write({insert(i), DeleteMessage{kOrders, i - 1}},
                        [&](const Status& status) { answered += status ? 1 : 0; });
  gate.unlock();
  world.run_until([&] { return answered == 499; });
  CHECK(world.file().transactions() <= before + 2);  // that of the gate, and ours
  CHECK(world.read({499, 500}) == std::vector<SequenceNumber>{500});
}

TEST_CASE("sqlite message store: what is written later goes by itself, with one timer, or joins") {
  FileWorld world({.write_later_after = 1ms});
  REQUIRE(world.write({insert(1), insert(2)}));
  CHECK(world.timers() == 0);
  const auto before = world.file().transactions();
  world.store().write_later(CountDelivery{kOrders, 1, 5});
  world.store().write_later(CountDelivery{kOrders, 2, 6});
  CHECK(world.timers() == 1);
  world.run_until([&] { return world.file().transactions() == before + 1; });
  const auto counted = world.file().run<std::int64_t>([](Database& db) -> Result<std::int64_t> {
    auto query = db.use("SELECT count(*) FROM message WHERE delivery_count IN (5, 6)");
    TRY([[maybe_unused]] const bool row, query.step());
    return query.number(0);
  });
  REQUIRE(counted);
  CHECK(*counted == 2);
  CHECK(world.timers() == 1);

  world.store().write_later(CountDelivery{kOrders, 1, 7});
  REQUIRE(world.write({insert(3)}));
  world.reopen();
  CHECK(world.timers() == 2);
  CHECK(world.read({1, 3}).size() == 2);
}

TEST_CASE("sqlite message store: a full disk is an error for all, and passes") {
  FileWorld world;
  REQUIRE(world.write({insert(1)}));
  REQUIRE(world.exec("PRAGMA max_page_count = 1"));  // SQLite takes the present size instead
  const auto full = world.write({insert(2, std::string(1u << 20, 'x')), DeleteMessage{kOrders, 1}});
  REQUIRE_FALSE(full);
  CHECK(full.error().code == Code::Exhausted);
  CHECK(world.read({1, 2}) == std::vector<SequenceNumber>{1});
  REQUIRE(world.exec("PRAGMA max_page_count = 1000000"));
  REQUIRE(world.write({insert(2, std::string(1u << 20, 'x')), DeleteMessage{kOrders, 1}}));
  CHECK(world.read({1, 2}) == std::vector<SequenceNumber>{2});
}

TEST_CASE("sqlite message store: what a holder did is written with its settlement, or not at all") {
  FileWorld world;
  const auto done = [](SequenceNumber sequence, std::string outcome) {
    return RecordOutcome{{.holder = "mail-1",
                          .entity = "orders",
                          .sequence = sequence,
                          .message_id = "m" + std::to_string(sequence),
                          .outcome = std::move(outcome),
                          .at = TimePoint(5s)}};
  };
  REQUIRE(world.write({insert(1), insert(2)}));
  REQUIRE(world.write({DeleteMessage{kOrders, 1}, done(1, "completed")}));
  REQUIRE_FALSE(world.write({insert(2), done(3, "completed")}));  // the number is there already
  REQUIRE(world.write({done(2, "deferred")}));
  REQUIRE(world.write({DeleteMessage{kOrders, 2}, done(2, "dead-lettered")}));
  world.reopen();
  const auto executions = ExecutionStore::open(world.file(), world.path() + ".key", {});
  REQUIRE(executions);
  const auto found = (*executions)->outcomes("mail-1");
  REQUIRE(found);
  REQUIRE(found->size() == 2);
  CHECK(found->at(0).entity == "orders");
  CHECK(found->at(0).sequence == 1);
  CHECK(found->at(0).message_id == "m1");
  CHECK(found->at(0).outcome == "completed");
  CHECK(found->at(1).outcome == "dead-lettered");  // the last one counts
}

TEST_CASE("sqlite message store: another key opens no rules, and the message names the file") {
  testing::TemporaryFolder folder;
  const auto open = [&](SqliteFile& file, const std::string& key) {
    auto store = sqlite::MessageStore::open(
        file, folder.path() + key,
        {.post = [](auto work) { work(); }, .run_after = [](Duration, auto) {}});
    REQUIRE(store);
    return *std::move(store);
  };
  const auto file = SqliteFile::open(":memory:");
  REQUIRE(file);
  {
    const auto store = open(**file, "/one.key");
    AuthorizationRule rule{.name = "send", .primary_key = Secret("p")};
    store->write({PutNamespaceRules{"shop", {rule}}}, {});
  }
  const auto found = open(**file, "/other.key")->namespaces();
  REQUIRE_FALSE(found);
  CHECK(found.error().code == Code::PermissionDenied);
  CHECK(found.error().message.find("/other.key") != std::string::npos);
}

TEST_CASE("message cache: keeps what was used last, up to its size") {
  const auto cached = [](SequenceNumber sequence) {
    return insert(sequence, std::string(10'000, 'x')).message;
  };
  const auto has = [](MessageCache& cache, SequenceNumber sequence) {
    return cache.find({number_of(kOrders), sequence}) != nullptr;
  };
  MessageCache cache(35'000);
  for (const SequenceNumber i : {1, 2, 3}) cache.put(kOrders, cached(i));
  CHECK(has(cache, 1));  // and is used by this
  cache.put(kOrders, cached(4));
  CHECK(has(cache, 1));
  CHECK_FALSE(has(cache, 2));
  CHECK(cache.bytes() <= 35'000);

  cache.put(kOrders, insert(1, "short now").message);
  cache.put(kOrders, cached(5));
  for (const SequenceNumber i : {1, 3, 4, 5}) CHECK(has(cache, i));
  cache.put(kOrders, insert(1, std::string(40'000, 'x')).message);
  CHECK_FALSE(has(cache, 1));
  cache.drop(MessageKey{number_of(kOrders), 3});
  cache.drop(MessageKey{number_of(kOrders), 3});
  CHECK_FALSE(has(cache, 3));
  cache.drop(EntityId{7});
  CHECK(cache.bytes() == 0);
}

namespace {

// Sends and completes, and says what was confirmed: "+" and "-" with a number of 8 digits. Its
// loop is this thread: posts come from the commit thread, so they are only taken down there.
[[noreturn]] void send_for_ever(const std::string& folder, SequenceNumber first, int out) {
  auto file = SqliteFile::open(folder + "/jobmill.db");
  if (!file) ::_exit(1);
  testing::ControlQueue queue;
  auto store = sqlite::MessageStore::open(
      **file, folder + "/secrets.key", {.post = queue.post(), .run_after = [](Duration, auto) {}});
  if (!store) ::_exit(1);
  const auto say = [out](char what, SequenceNumber sequence) {
    char line[16];
    const int size = std::snprintf(line, sizeof line, "%c%08d", what, static_cast<int>(sequence));
    if (::write(out, line, static_cast<std::size_t>(size)) != size) ::_exit(1);
  };
  SequenceNumber next = first;
  std::function<void()> send = [&] {
    const SequenceNumber sequence = next++;
    (*store)->write(
        {insert(sequence, std::string(1024, 'x'))}, [&, sequence](const Status& status) {
          if (!status) ::_exit(1);
          say('+', sequence);
          send();
          if (sequence % 2 == 0) return;
          (*store)->write({DeleteMessage{kOrders, sequence}}, [&, sequence](const Status& deleted) {
            if (!deleted) ::_exit(1);
            say('-', sequence);
          });
        });
  };
  for (int i = 0; i < 8; ++i) send();
  queue.run_until([] { return false; });
  ::_exit(1);
}

}  // namespace

TEST_CASE("sqlite message store: kill -9 loses no confirmed message and brings none back") {
  testing::TemporaryFolder folder;
  std::set<SequenceNumber> sent, completed;
  SequenceNumber next = 1;
  for (int round = 0; round < 5; ++round) {
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) send_for_ever(folder.path(), next, pipe[1]);
    ::close(pipe[1]);
    std::string text;
    char bytes[4096];
    for (;;) {
      const auto size = ::read(pipe[0], bytes, sizeof bytes);
      if (size <= 0) break;
      text.append(bytes, static_cast<std::size_t>(size));
      if (text.size() > 9 * 300) ::kill(child, SIGKILL);  // in the middle of its work
    }
    ::close(pipe[0]);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    for (std::size_t at = 0; at + 9 <= text.size(); at += 9)
      (text[at] == '+' ? sent : completed).insert(std::stoi(text.substr(at + 1, 8)));
    next = *sent.rbegin() + 1000;  // what was not confirmed may be there
  }
  REQUIRE(sent.size() > 500);
  REQUIRE(completed.size() > 100);

  const auto file = SqliteFile::open(folder.path() + "/jobmill.db");
  REQUIRE(file);
  const auto store = sqlite::MessageStore::open(
      **file, folder.path() + "/secrets.key",
      {.post = [](auto work) { work(); }, .run_after = [](Duration, auto) {}});
  REQUIRE(store);
  std::set<SequenceNumber> found;
  REQUIRE((*store)->messages(
      [&](const StoredMessage& message) { CHECK(found.insert(message.message.sequence).second); }));
  std::size_t doubtful = 0;
  for (const SequenceNumber sequence : sent) {
    CAPTURE(sequence);
    if (completed.count(sequence) != 0) {
      CHECK(found.count(sequence) == 0);
    } else if (sequence % 2 == 0) {
      CHECK(found.count(sequence) == 1);
    } else {
      ++doubtful;  // its completion was under way
    }
  }
  CHECK(doubtful <= 5 * 16);
}

}  // namespace jobmill::sqlite
