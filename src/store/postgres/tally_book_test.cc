// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/tally_book.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>

#include "store/postgres/tally_rows.h"

namespace jobmill::postgres {
namespace {

using namespace std::chrono_literals;
using jobs::Tally;

Tally enqueued(std::string_view kind, std::uint64_t count) {
  Tally tally;
  tally.queue = "q";
  tally.kind = kind;
  tally.enqueued = count;
  return tally;
}

// Takes what is written, or refuses it.
struct Paper {
  Status write(const std::vector<Tally>& counted) {
    const std::lock_guard lock(mutex);
    ++tries;
    came.notify_all();
    if (away) return fail(Code::Unavailable, "away");
    for (const Tally& tally : counted) sum.merge(tally);
    return {};
  }
  bool wait_for_tries(int wanted) {
    std::unique_lock lock(mutex);
    return came.wait_for(lock, 60s, [&] { return tries >= wanted; });
  }

  std::mutex mutex;
  std::condition_variable came;
  bool away = false;
  int tries = 0;
  jobs::Tallies sum;
};

}  // namespace

TEST_CASE("postgres tally book: what was counted is written by itself, and nothing without it") {
  Paper paper;
  TallyBook book([&](const auto& counted) { return paper.write(counted); }, 1ms);
  CHECK(book.flush());
  CHECK(paper.tries == 0);
  book.add(enqueued("a", 2));
  CHECK(paper.wait_for_tries(1));
  book.close();
  CHECK(paper.sum.of("q", "a").enqueued == 2);
}

TEST_CASE("postgres tally book: what could not be written is kept") {
  Paper paper;
  paper.away = true;
  TallyBook book([&](const auto& counted) { return paper.write(counted); }, 1h);
  book.add(enqueued("a", 2));
  CHECK_FALSE(book.flush());
  book.add(enqueued("a", 3));
  book.add(enqueued("b", 1));
  paper.away = false;
  book.close();  // writes at its end what there is
  CHECK(paper.tries == 2);
  CHECK(paper.sum.of("q", "a").enqueued == 5);
  CHECK(paper.sum.of("q", "b").enqueued == 1);
}

TEST_CASE("postgres tally rows: their text holds all that was counted") {
  Tally tally = enqueued("k\"\n", 1ull << 60);
  tally.runs = 2;
  tally.deleted = 3;
  tally.wait.add(3ms);
  tally.lateness.add(2h);
  const auto read = tallies_of(to_text(std::span(&tally, 1)));
  REQUIRE(read);
  REQUIRE(read->size() == 1);
  CHECK(read->front().kind == tally.kind);
  CHECK(read->front().enqueued == tally.enqueued);
  CHECK(read->front().runs == 2);
  CHECK(read->front().deleted == 3);
  CHECK(read->front().wait == tally.wait);
  CHECK(read->front().lateness == tally.lateness);
  CHECK(tallies_of("[]")->empty());
  CHECK_FALSE(tallies_of(R"([["q","k",1]])"));
}

}  // namespace jobmill::postgres
