// SPDX-License-Identifier: Apache-2.0
#include "base/commit_queue.h"

#include <future>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace jobmill {
namespace {

// Keeps what was written as texts, in memory, and tells what was done to it. `next` of each kind
// can be made to fail. All of it is touched by the queue's thread only, and by the test while the
// queue is idle or gone.
struct Ledger {
  std::vector<std::string> committed;
  std::vector<std::string> open;
  std::size_t savepoint = 0;
  std::uint64_t written = 0;
  int transactions = 0;
  int relaxed = 0;          // of these
  bool full = false;        // the commit fails
  bool undo_fails = false;  // the transaction is lost

  Status write(std::string text) {
    open.push_back(std::move(text));
    ++written;
    return {};
  }

  CommitQueue::Transaction transaction() {
    return {.begin = [this](CommitQueue::Durability durability) -> Status {
              ++transactions;
              relaxed += durability == CommitQueue::Durability::Relaxed ? 1 : 0;
              return {};
            },
            .commit = [this]() -> Status {
              if (full) return fail(Code::Exhausted, "disk full");
              committed.insert(committed.end(), open.begin(), open.end());
              open.clear();
              return {};
            },
            .rollback = [this] { open.clear(); },
            .save = [this]() -> Status {
              savepoint = open.size();
              return {};
            },
            .release = []() -> Status { return {}; },
            .undo = [this]() -> Status {
              if (undo_fails) return fail(Code::Unavailable, "transaction lost");
              open.resize(savepoint);
              return {};
            },
            .written = [this] { return written; }};
  }
};

// Holds the queue's thread inside a work, so that what is submitted meanwhile goes together.
class Gate {
 public:
  explicit Gate(CommitQueue& queue) {
    std::promise<void> entered;
    queue.submit(
        [&, opened = opened_.get_future().share()]() -> Status {
          entered.set_value();
          opened.wait();
          return {};
        },
        {});
    entered.get_future().wait();
  }
  void open() { opened_.set_value(); }

 private:
  std::promise<void> opened_;
};

CommitQueue::Done into(std::vector<std::string>& outcomes, std::string name) {
  return [&outcomes, name = std::move(name)](const Status& status) {
    outcomes.push_back(name + (status ? " ok" : " " + status.error().message));
  };
}

}  // namespace

TEST_CASE("commit queue: only a transaction of relaxed items is relaxed") {
  Ledger ledger;
  {
    CommitQueue queue(ledger.transaction());
    const auto relaxed = CommitQueue::Durability::Relaxed;
    const auto write = [&] { return ledger.write("x"); };
    CHECK(queue.run(write, {}, CommitQueue::Mode::ChecksFirst, relaxed));
    CHECK(queue.run(write));
    Gate gate(queue);  // an item of its own, that is not relaxed
    queue.submit(write, {}, CommitQueue::Mode::ChecksFirst, relaxed);
    queue.submit(write, {});
    queue.submit(write, {}, CommitQueue::Mode::ChecksFirst, relaxed);
    gate.open();
  }
  CHECK(ledger.transactions == 4);
  CHECK(ledger.relaxed == 1);
  CHECK(ledger.committed.size() == 5);
}

TEST_CASE("commit queue: what waits goes together, and is told in order after the commit") {
  Ledger ledger;
  std::vector<std::string> outcomes;
  {
    CommitQueue queue(ledger.transaction());
    Gate gate(queue);
    for (const char* name : {"a", "b", "c"}) {
      queue.submit([&ledger, name] { return ledger.write(name); },
                   [&, name](const Status& status) {
                     CHECK(status);
                     CHECK(ledger.committed.size() == 3);
                     outcomes.emplace_back(name);
                   });
    }
    gate.open();
  }
  CHECK(outcomes == std::vector<std::string>{"a", "b", "c"});
  CHECK(ledger.committed == outcomes);
  CHECK(ledger.transactions == 2);  // the gate's and theirs
}

TEST_CASE("commit queue: run waits for the commit and brings its outcome") {
  Ledger ledger;
  CommitQueue queue(ledger.transaction());
  bool told = false;
  const Status done = queue.run([&] { return ledger.write("a"); },
                                [&](const Status& status) { told = bool(status); });
  CHECK(done);
  CHECK(told);
  CHECK(ledger.committed.size() == 1);

  const Status refused = queue.run([]() -> Status { return fail(Code::Conflict, "too late"); });
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::Conflict);
}

TEST_CASE("commit queue: an item that is refused before it writes leaves the others alone") {
  Ledger ledger;
  std::vector<std::string> outcomes;
  {
    CommitQueue queue(ledger.transaction());
    Gate gate(queue);
    queue.submit([&] { return ledger.write("a"); }, into(outcomes, "a"));
    queue.submit([]() -> Status { return fail(Code::NotFound, "unknown"); }, into(outcomes, "b"));
    queue.submit([&] { return ledger.write("c"); }, into(outcomes, "c"));
    gate.open();
  }
  CHECK(outcomes == std::vector<std::string>{"a ok", "b unknown", "c ok"});
  CHECK(ledger.committed == std::vector<std::string>{"a", "c"});
  CHECK(ledger.transactions == 2);
}

TEST_CASE("commit queue: with a savepoint an item may fail after it wrote") {
  Ledger ledger;
  std::vector<std::string> outcomes;
  {
    CommitQueue queue(ledger.transaction());
    Gate gate(queue);
    queue.submit([&] { return ledger.write("a"); }, into(outcomes, "a"));
    queue.submit(
        [&]() -> Status {
          TRY_VOID(ledger.write("b"));
          return fail(Code::Conflict, "second thoughts");
        },
        into(outcomes, "b"), CommitQueue::Mode::Savepoint);
    queue.submit([&] { return ledger.write("c"); }, into(outcomes, "c"),
                 CommitQueue::Mode::Savepoint);
    gate.open();
  }
  CHECK(outcomes == std::vector<std::string>{"a ok", "b second thoughts", "c ok"});
  CHECK(ledger.committed == std::vector<std::string>{"a", "c"});
}

TEST_CASE("commit queue: an item that breaks off while it writes takes its transaction with it") {
  Ledger ledger;
  std::vector<std::string> outcomes;
  const auto break_off = [&]() -> Status {
    TRY_VOID(ledger.write("b"));
    return fail(Code::Exhausted, "disk full");
  };
  SUBCASE("without a savepoint") {
    CommitQueue queue(ledger.transaction());
    Gate gate(queue);
    queue.submit([&] { return ledger.write("a"); }, into(outcomes, "a"));
    queue.submit(break_off, into(outcomes, "b"));
    queue.submit([&] { return ledger.write("c"); }, into(outcomes, "c"));
    gate.open();
  }
  SUBCASE("with one, when the transaction is lost altogether") {
    ledger.undo_fails = true;
    CommitQueue queue(ledger.transaction());
    Gate gate(queue);
    queue.submit([&] { return ledger.write("a"); }, into(outcomes, "a"));
    queue.submit(break_off, into(outcomes, "b"), CommitQueue::Mode::Savepoint);
    queue.submit([&] { return ledger.write("c"); }, into(outcomes, "c"));
    gate.open();
  }
  // What came after it has a new transaction.
  CHECK(outcomes == std::vector<std::string>{"a disk full", "b disk full", "c ok"});
  CHECK(ledger.committed == std::vector<std::string>{"c"});
}

TEST_CASE("commit queue: a commit that fails is told to each item, but for what failed itself") {
  Ledger ledger;
  std::vector<std::string> outcomes;
  CommitQueue queue(ledger.transaction());
  {
    Gate gate(queue);
    ledger.full = true;
    queue.submit([&] { return ledger.write("a"); }, into(outcomes, "a"));
    queue.submit([]() -> Status { return fail(Code::NotFound, "unknown"); }, into(outcomes, "b"));
    gate.open();
  }
  CHECK_FALSE(queue.run([&] { return ledger.write("c"); }));
  CHECK(outcomes == std::vector<std::string>{"a disk full", "b unknown"});
  CHECK(ledger.committed.empty());

  (void)queue.run([&]() -> Status {  // on the queue's thread, as all of the ledger
    ledger.full = false;
    return {};
  });
  CHECK(queue.run([&] { return ledger.write("d"); }));  // there is room again
  CHECK(ledger.committed == std::vector<std::string>{"d"});
}

TEST_CASE("commit queue: a done may submit more, and the destructor runs what waits") {
  Ledger ledger;
  {
    CommitQueue queue(ledger.transaction());
    queue.submit([&] { return ledger.write("a"); },
                 [&](const Status&) { queue.submit([&] { return ledger.write("b"); }, {}); });
  }
  CHECK(ledger.committed == std::vector<std::string>{"a", "b"});
}

TEST_CASE("commit queue: an idle queue begins no transaction") {
  Ledger ledger;
  { CommitQueue queue(ledger.transaction()); }
  CHECK(ledger.transactions == 0);
}

}  // namespace jobmill
