// SPDX-License-Identifier: Apache-2.0
#include "broker/message_index.h"

#include <map>
#include <random>

#include <doctest/doctest.h>

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kNow{1'750'000'000'000'000us};

// The same in the most obvious form.
struct Model {
  struct Row {
    Place place;
    TimePoint expires_at;
  };
  std::map<SequenceNumber, Row> rows;

  SequenceNumber first_ready() const {
    for (const auto& [sequence, row] : rows) {
      if (row.place == Place::Ready) return sequence;
    }
    return 0;
  }
  std::int64_t count(Place place) const {
    std::int64_t count = 0;
    for (const auto& [sequence, row] : rows) count += row.place == place ? 1 : 0;
    return count;
  }
};

}  // namespace

TEST_CASE("message index: behaves like a sorted map, whatever is added, moved and removed") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    MessageIndex index;
    Model model;
    SequenceNumber last = 0;
    for (int step = 0; step < 4000; ++step) {
      const auto dice = random() % 10;
      if (dice < 5 || model.rows.empty()) {
        last += 1 + random() % 3;
        const TimePoint expires =
            random() % 2 == 0 ? TimePoint::max() : kNow + 1s * static_cast<int>(random() % 9);
        const Place place = random() % 4 == 0 ? Place::Scheduled : Place::Ready;
        index.append({.sequence = last, .expires_at = expires, .place = place});
        model.rows[last] = {place, expires};
        continue;
      }
      const SequenceNumber wanted = static_cast<SequenceNumber>(random() % (last + 2));
      auto at = model.rows.lower_bound(wanted);
      const Entry* found = index.at_or_after(wanted);
      REQUIRE((found == nullptr) == (at == model.rows.end()));
      if (found == nullptr) continue;
      CHECK(found->sequence == at->first);
      CHECK((index.find(wanted) != nullptr) == model.rows.contains(wanted));
      if (dice < 8) {
        const auto place = static_cast<Place>(1 + random() % 7);
        index.move(at->first, place);
        at->second.place = place;
      } else {
        index.erase(at->first);
        model.rows.erase(at);
      }
      const Entry* ready = index.first_ready();
      CHECK((ready == nullptr ? 0 : ready->sequence) == model.first_ready());
      if (step % 100 != 0) continue;
      for (std::size_t place = 1; place < kPlaces; ++place)
        CHECK(index.count(static_cast<Place>(place)) == model.count(static_cast<Place>(place)));
      CHECK(index.count() == static_cast<std::int64_t>(model.rows.size()));
    }
    for (int second = 0; second < 10; ++second) {
      const TimePoint now = kNow + 1s * second;
      const TimePoint bound = index.earliest_expiry();
      for (const auto& [sequence, row] : model.rows) {
        if (row.place == Place::Ready) CHECK(bound <= row.expires_at);
      }
      std::vector<SequenceNumber> expected;
      for (const auto& [sequence, row] : model.rows) {
        if (row.place == Place::Ready && row.expires_at <= now) expected.push_back(sequence);
      }
      const auto expired = index.expired(now);
      CHECK(expired == expected);
      for (const SequenceNumber sequence : expired) {
        index.erase(sequence);
        model.rows.erase(sequence);
      }
      CHECK(index.earliest_expiry() > now);
    }
  }
}

TEST_CASE("message index: a waiting message costs its entry and little else") {
  CHECK(sizeof(Entry) <= 48);
}

}  // namespace jobmill::broker
