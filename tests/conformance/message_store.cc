// SPDX-License-Identifier: Apache-2.0
#include "conformance/message_store.h"

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace jobmill::broker {
namespace {

using namespace std::chrono_literals;

constexpr QueueKey kOrders{.entity = 7, .sub_queue = SubQueue::Main};
constexpr QueueKey kDead{.entity = 7, .sub_queue = SubQueue::DeadLetter};
constexpr QueueKey kOther{.entity = 8, .sub_queue = SubQueue::Main};
constexpr TimePoint kNow{1'750'000'000'123'456us};

using Messages = std::vector<std::shared_ptr<const Message>>;

template <class T>
T need(Result<T> result) {
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  return *std::move(result);
}

std::shared_ptr<Message> message(SequenceNumber sequence, std::string bytes = "sections") {
  auto made = std::make_shared<Message>();
  made->sequence = sequence;
  made->enqueued_at = kNow;
  made->message_id = "m" + std::to_string(sequence);
  made->size = static_cast<std::uint32_t>(bytes.size());
  made->bytes = std::make_shared<const std::string>(std::move(bytes));
  return made;
}

InsertMessage insert(QueueKey queue, SequenceNumber sequence, std::string bytes = "sections") {
  return {queue, message(sequence, std::move(bytes))};
}

// With nothing left at its default.
std::shared_ptr<Message> full(SequenceNumber sequence) {
  auto made = message(sequence, std::string("a\0b\xff", 4));
  made->state = MessageState::Scheduled;
  made->delivery_count = 3;
  made->expires_at = kNow + 1h;
  made->scheduled_for = kNow + 1min;
  made->session_id = "s";
  made->partition_key = "";  // is not the same as none
  made->enqueue_sequence = 99;
  made->forwards = 2;
  made->dead_letter_source = "orders";
  return made;
}

void check_head(const Message& found, const Message& wanted) {
  CHECK(found.sequence == wanted.sequence);
  CHECK(found.state == wanted.state);
  CHECK(found.delivery_count == wanted.delivery_count);
  CHECK(found.enqueued_at == wanted.enqueued_at);
  CHECK(found.expires_at == wanted.expires_at);
  CHECK(found.scheduled_for == wanted.scheduled_for);
  CHECK(found.message_id == wanted.message_id);
  CHECK(found.session_id == wanted.session_id);
  CHECK(found.partition_key == wanted.partition_key);
  CHECK(found.enqueue_sequence == wanted.enqueue_sequence);
  CHECK(found.forwards == wanted.forwards);
  CHECK(found.dead_letter_source == wanted.dead_letter_source);
  CHECK(found.size == wanted.size);
}

void check_whole(const Message& found, const Message& wanted) {
  check_head(found, wanted);
  REQUIRE(found.bytes);
  CHECK(*found.bytes == *wanted.bytes);
}

AuthorizationRule rule(std::string name, std::string primary, std::string secondary) {
  return {.name = std::move(name),
          .rights = {5},
          .primary_key = Secret(std::move(primary)),
          .secondary_key = Secret(std::move(secondary)),
          .created_at = kNow,
          .updated_at = kNow + 1s};
}

void check_rule(const AuthorizationRule& found, const AuthorizationRule& wanted) {
  CHECK(found.name == wanted.name);
  CHECK(found.rights == wanted.rights);
  CHECK(found.primary_key.equals(wanted.primary_key.reveal()));
  CHECK(found.secondary_key.equals(wanted.secondary_key.reveal()));
  CHECK(found.created_at == wanted.created_at);
  CHECK(found.updated_at == wanted.updated_at);
}

// A store with the calls that the tests make again and again.
class Bench {
 public:
  explicit Bench(const MakeMessageStoreWorld& make) : world(make()) {}

  std::unique_ptr<MessageStoreWorld> world;
  MessageStore& store() { return world->store(); }

  Status try_write(std::vector<Change> changes) {
    std::optional<Status> answer;
    store().write(std::move(changes), [&](const Status& status) { answer = status; });
    CHECK_FALSE(answer);  // never from within the call
    world->run_until([&] { return answer.has_value(); });
    return *std::move(answer);
  }

  template <class... Changes>
  void write(Changes... changes) {
    const Status status = try_write({std::move(changes)...});
    REQUIRE_MESSAGE(status, (status ? "" : status.error().message));
  }

  Messages read(QueueKey queue, std::vector<SequenceNumber> sequences) {
    std::optional<Result<Messages>> answer;
    store().read(queue, std::move(sequences),
                 [&](Result<Messages> found) { answer = std::move(found); });
    CHECK_FALSE(answer);
    world->run_until([&] { return answer.has_value(); });
    return need(*std::move(answer));
  }

  std::vector<SequenceNumber> read_sequences(QueueKey queue, std::vector<SequenceNumber> wanted) {
    std::vector<SequenceNumber> found;
    for (const auto& one : read(queue, std::move(wanted))) found.push_back(one->sequence);
    return found;
  }

  std::vector<StoredMessage> scan() {
    std::vector<StoredMessage> found;
    const Status status = store().messages([&](const StoredMessage& one) { found.push_back(one); });
    REQUIRE_MESSAGE(status, (status ? "" : status.error().message));
    return found;
  }

  std::vector<SequenceNumber> scan(QueueKey queue) {
    std::vector<SequenceNumber> found;
    for (const StoredMessage& one : scan()) {
      if (one.queue == queue) found.push_back(one.message.sequence);
    }
    return found;
  }
};

using Sequences = std::vector<SequenceNumber>;

}  // namespace

void exercise_message_store(const MakeMessageStoreWorld& make) {
  Bench bench(make);

  SUBCASE("a new store is empty") {
    CHECK(need(bench.store().entities()).empty());
    CHECK(need(bench.store().namespaces()).empty());
    CHECK(need(bench.store().sequences()).empty());
    CHECK(need(bench.store().sessions()).empty());
    CHECK(need(bench.store().duplicates()).empty());
    CHECK(bench.scan().empty());
    CHECK(bench.read(kOrders, {1, 2}).empty());
    bench.write();  // of nothing
  }

  SUBCASE("a message is given back as it was, before and after a restart") {
    const auto wanted = full(1);
    bench.write(InsertMessage{kOrders, wanted});
    for (const bool restarted : {false, true}) {
      CAPTURE(restarted);
      if (restarted) bench.world->reopen();
      const auto found = bench.read(kOrders, {1});
      REQUIRE(found.size() == 1);
      check_whole(*found[0], *wanted);
      const auto scanned = bench.scan();
      REQUIRE(scanned.size() == 1);
      CHECK(scanned[0].queue == kOrders);
      CHECK_FALSE(scanned[0].message.bytes);
      check_head(scanned[0].message, *wanted);
    }
  }

  SUBCASE("empty and large sections are kept") {
    const std::string large(3u << 20, 'x');
    bench.write(insert(kOrders, 1, ""), insert(kOrders, 2, large));
    bench.world->reopen();
    const auto found = bench.read(kOrders, {1, 2});
    REQUIRE(found.size() == 2);
    CHECK(found[0]->bytes->empty());
    CHECK(*found[1]->bytes == large);
  }

  SUBCASE("queues and their sub-queues have numbers of their own, and the scan is in order") {
    bench.write(insert(kOrders, 3), insert(kOther, 1), insert(kDead, 1));
    bench.write(insert(kOrders, 1));
    bench.write(insert(kOrders, 2), insert(kOther, 2));
    bench.world->reopen();
    CHECK(bench.scan(kOrders) == Sequences{1, 2, 3});
    CHECK(bench.scan(kDead) == Sequences{1});
    CHECK(bench.scan(kOther) == Sequences{1, 2});
    CHECK(bench.scan().size() == 6);
  }

  SUBCASE("a scan finds many messages, each once") {
    std::vector<Change> changes;
    Sequences wanted;
    for (SequenceNumber i = 1; i <= 10'000; ++i) {
      changes.emplace_back(insert(kOrders, i));
      wanted.push_back(i);
    }
    REQUIRE(bench.try_write(std::move(changes)));
    bench.world->reopen();
    CHECK(bench.scan(kOrders) == wanted);

    bench.write(DeleteMessage{kOrders, 5});
    bench.write(insert(kOrders, 5));  // now the last one that came
    bench.world->reopen();
    CHECK(bench.scan(kOrders) == wanted);
  }

  SUBCASE("messages are read in the order asked for, without those that are not there") {
    bench.write(insert(kOrders, 1), insert(kOrders, 2), insert(kOrders, 3), insert(kOther, 4));
    for (const bool restarted : {false, true}) {
      CAPTURE(restarted);
      if (restarted) bench.world->reopen();
      CHECK(bench.read_sequences(kOrders, {3, 9, 1, 4, 2}) == Sequences{3, 1, 2});
      CHECK(bench.read_sequences(kOrders, {}).empty());
      CHECK(bench.read_sequences(kOrders, {9}).empty());
    }
    CHECK(*bench.read(kOrders, {2, 1})[1]->bytes == "sections");
  }

  SUBCASE("a deleted message is gone; deleting it again is no error") {
    bench.write(insert(kOrders, 1), insert(kOrders, 2), insert(kDead, 1));
    bench.write(DeleteMessage{kOrders, 1});
    bench.write(DeleteMessage{kOrders, 1});
    for (const bool restarted : {false, true}) {
      CAPTURE(restarted);
      if (restarted) bench.world->reopen();
      CHECK(bench.read_sequences(kOrders, {1, 2}) == Sequences{2});
      CHECK(bench.scan(kOrders) == Sequences{2});
      CHECK(bench.scan(kDead) == Sequences{1});
    }
  }

  SUBCASE("an update changes state, count and times, and the sections when told to") {
    auto first = full(1);
    bench.write(InsertMessage{kOrders, first}, insert(kOrders, 2, "old"));
    auto changed = std::make_shared<Message>(*first);
    changed->state = MessageState::Deferred;
    changed->delivery_count = 4;
    changed->enqueued_at = kNow + 1min;
    changed->expires_at.reset();
    changed->scheduled_for.reset();
    auto without_bytes = std::make_shared<Message>(*changed);
    without_bytes->bytes = nullptr;
    without_bytes->size = 0;
    auto second = message(2, "new");
    second->delivery_count = 1;
    bench.write(UpdateMessage{kOrders, without_bytes, false}, UpdateMessage{kOrders, second, true});
    for (const bool restarted : {false, true}) {
      CAPTURE(restarted);
      if (restarted) bench.world->reopen();
      const auto found = bench.read(kOrders, {1, 2});
      REQUIRE(found.size() == 2);
      check_whole(*found[0], *changed);
      check_whole(*found[1], *second);
    }
  }

  SUBCASE("a delivery is counted, and the message otherwise left alone") {
    const auto wanted = full(1);
    bench.write(InsertMessage{kOrders, wanted});
    bench.write(CountDelivery{kOrders, 1, 9});
    wanted->delivery_count = 9;
    check_whole(*bench.read(kOrders, {1}).at(0), *wanted);
    bench.world->reopen();
    check_head(bench.scan().at(0).message, *wanted);
    check_whole(*bench.read(kOrders, {1}).at(0), *wanted);
  }

  SUBCASE("what is written later is seen at once, and is there after a restart") {
    bench.write(insert(kOrders, 1), insert(kOrders, 2));
    bench.world->reopen();
    bench.store().write_later(CountDelivery{kOrders, 1, 5});
    CHECK(bench.read(kOrders, {1}).at(0)->delivery_count == 5);
    bench.store().write_later(CountDelivery{kOrders, 1, 6});
    CHECK(bench.read(kOrders, {1}).at(0)->delivery_count == 6);
    bench.store().write_later(CountDelivery{kOrders, 2, 7});
    bench.write(insert(kOrders, 3));
    CHECK(bench.read(kOrders, {2}).at(0)->delivery_count == 7);
    bench.world->reopen();
    const auto found = bench.read(kOrders, {1, 2, 3});
    REQUIRE(found.size() == 3);
    CHECK(found[0]->delivery_count == 6);
    CHECK(found[1]->delivery_count == 7);
    CHECK(found[2]->delivery_count == 0);
  }

  SUBCASE("what was to be written later is not lost when the store is closed") {
    bench.write(insert(kOrders, 1));
    bench.store().write_later(CountDelivery{kOrders, 1, 5});
    bench.world->reopen();
    CHECK(bench.read(kOrders, {1}).at(0)->delivery_count == 5);
  }

  SUBCASE("a failed write leaves nothing, and its neighbours are not harmed") {
    bench.write(insert(kOrders, 1, "first"));
    std::vector<std::pair<int, bool>> answers;
    const auto note = [&](int number) {
      return
          [&answers, number](const Status& status) { answers.emplace_back(number, bool(status)); };
    };
    bench.store().write({insert(kOrders, 2)}, note(1));
    bench.store().write({ReserveSequences{kOrders, 50}, insert(kOrders, 3), insert(kDead, 3),
                         insert(kOrders, 1, "second"), DeleteMessage{kOrders, 2},
                         RememberDuplicate{7, "key", kNow}},
                        note(2));
    bench.store().write({insert(kOrders, 4), DeleteMessage{kOrders, 1}, insert(kOrders, 5)},
                        note(3));
    bench.store().write({insert(kOrders, 6), insert(kOrders, 6)}, note(4));
    bench.store().write({insert(kOrders, 7)}, note(5));
    bench.world->run_until([&] { return answers.size() == 5; });
    CHECK(answers == std::vector<std::pair<int, bool>>{
                         {1, true}, {2, false}, {3, true}, {4, false}, {5, true}});
    for (const bool restarted : {false, true}) {
      CAPTURE(restarted);
      if (restarted) bench.world->reopen();
      CHECK(bench.read_sequences(kOrders, {1, 2, 3, 4, 5, 6, 7}) == Sequences{2, 4, 5, 7});
      CHECK(bench.scan(kDead).empty());
      CHECK(need(bench.store().sequences()).empty());
      CHECK(need(bench.store().duplicates()).empty());
    }
  }

  SUBCASE("answers come in the order of the calls") {
    std::vector<int> writes, reads;
    for (int i = 0; i < 100; ++i) {
      bench.store().write({insert(kOrders, i + 1)}, [&, i](const Status&) { writes.push_back(i); });
      // Some of these are remembered, others must be looked for.
      bench.store().read(kOrders, {i % 3 == 0 ? 1 : 1000 + i},
                         [&, i](Result<Messages>) { reads.push_back(i); });
      if (i == 50) bench.world->run_until([&] { return writes.size() > 10; });
    }
    bench.world->run_until([&] { return writes.size() == 100 && reads.size() == 100; });
    std::vector<int> ascending;
    for (int i = 0; i < 100; ++i) ascending.push_back(i);
    CHECK(writes == ascending);
    CHECK(reads == ascending);
  }

  SUBCASE("a write may be made from within an answer, and what was answered can be read there") {
    Sequences found;
    bool done = false;
    bench.store().write({insert(kOrders, 1)}, [&](const Status&) {
      bench.store().write({insert(kOrders, 2)}, [&](const Status&) {
        bench.store().read(kOrders, {1, 2}, [&](Result<Messages> messages) {
          for (const auto& one : need(std::move(messages))) found.push_back(one->sequence);
          done = true;
        });
      });
    });
    bench.world->run_until([&] { return done; });
    CHECK(found == Sequences{1, 2});
  }

  SUBCASE("writes that wait when the store is closed are made, and nobody is called back") {
    bool called = false;
    bench.store().write({insert(kOrders, 1)}, [&](const Status&) { called = true; });
    bench.store().read(kOrders, {1}, [&](Result<Messages>) { called = true; });
    bench.world->reopen();
    CHECK(bench.scan(kOrders) == Sequences{1});
    bench.write(insert(kOrders, 2));
    CHECK_FALSE(called);
  }

  SUBCASE("reserved sequence numbers") {
    bench.write(ReserveSequences{kOrders, 1001}, ReserveSequences{kDead, 11});
    bench.write(ReserveSequences{kOrders, 2001});
    bench.world->reopen();
    const auto found = need(bench.store().sequences());
    REQUIRE(found.size() == 2);
    CHECK(found[0].queue == kOrders);
    CHECK(found[0].next == 2001);
    CHECK(found[1].queue == kDead);
    CHECK(found[1].next == 11);
  }

  SUBCASE("states of message sessions") {
    const std::string state("\0\x01text", 6);
    bench.write(PutSessionState{kOrders, "a", "old", kNow}, PutSessionState{kOrders, "b", "", kNow},
                PutSessionState{kOrders, "c", "x", kNow});
    bench.write(PutSessionState{kOrders, "a", state, kNow + 1s},
                PutSessionState{kOrders, "c", std::nullopt, kNow},
                PutSessionState{kOrders, "d", std::nullopt, kNow});
    bench.world->reopen();
    const auto found = need(bench.store().sessions());
    REQUIRE(found.size() == 2);
    CHECK(found[0].queue == kOrders);
    CHECK(found[0].session == "a");
    CHECK(found[0].state == state);
    CHECK(found[0].at == kNow + 1s);
    CHECK(found[1].session == "b");
    CHECK(found[1].state.empty());
  }

  SUBCASE("duplicates are remembered until they are forgotten") {
    bench.write(RememberDuplicate{7, "a", kNow}, RememberDuplicate{7, "b", kNow + 2s},
                RememberDuplicate{8, "a", kNow});
    bench.write(RememberDuplicate{7, "a", kNow + 1s});
    bench.write(ForgetDuplicates{7, kNow + 1s});  // the time itself is not before
    bench.world->reopen();
    CHECK(need(bench.store().duplicates()).size() == 3);
    bench.write(ForgetDuplicates{7, kNow + 2s});
    bench.world->reopen();
    const auto found = need(bench.store().duplicates());
    REQUIRE(found.size() == 2);
    CHECK(found[0].entity == 7);
    CHECK(found[0].key == "b");
    CHECK(found[0].until == kNow + 2s);
    CHECK(found[1].entity == 8);
  }

  SUBCASE("an entity is given back as it was; putting it again replaces it") {
    StoredEntity entity{.id = 7, .name_space = "shop", .created_at = kNow, .updated_at = kNow + 1s};
    bench.write(PutEntity{entity});
    entity.description = {.name = "Orders \"1\"",
                          .lock_duration = 30s,
                          .max_size_mb = 2048,
                          .requires_duplicate_detection = true,
                          .requires_session = true,
                          .default_ttl = 14 * 24h,
                          .dead_letter_on_expiration = true,
                          .duplicate_window = 20s,
                          .max_delivery_count = 3,
                          .batched_operations = false,
                          .status = EntityStatus::ReceiveDisabled,
                          .forward_to = "sb://host/next",
                          .forward_dead_letters_to = "graveyard",
                          .user_metadata = "caf\xc3\xa9\n",
                          .auto_delete_on_idle = 5min,
                          .partitioning = true,
                          .express = true,
                          .max_message_kb = 256,
                          .rules = {rule("send", "p1", "s1"), rule("all", "p2", "s2")}};
    bench.write(PutEntity{entity}, PutEntity{{.id = 8, .name_space = "other"}});
    bench.world->reopen();
    const auto found = need(bench.store().entities());
    REQUIRE(found.size() == 2);
    CHECK(found[0].id == 7);
    CHECK(found[0].name_space == "shop");
    CHECK(found[0].created_at == kNow);
    CHECK(found[0].updated_at == kNow + 1s);
    const QueueDescription& kept = found[0].description;
    const QueueDescription& wanted = entity.description;
    CHECK(kept.name == wanted.name);
    CHECK(kept.lock_duration == wanted.lock_duration);
    CHECK(kept.max_size_mb == wanted.max_size_mb);
    CHECK(kept.requires_duplicate_detection);
    CHECK(kept.requires_session);
    CHECK(kept.default_ttl == wanted.default_ttl);
    CHECK(kept.dead_letter_on_expiration);
    CHECK(kept.duplicate_window == wanted.duplicate_window);
    CHECK(kept.max_delivery_count == wanted.max_delivery_count);
    CHECK_FALSE(kept.batched_operations);
    CHECK(kept.status == wanted.status);
    CHECK(kept.forward_to == wanted.forward_to);
    CHECK(kept.forward_dead_letters_to == wanted.forward_dead_letters_to);
    CHECK(kept.user_metadata == wanted.user_metadata);
    CHECK(kept.auto_delete_on_idle == wanted.auto_delete_on_idle);
    CHECK(kept.partitioning);
    CHECK(kept.express);
    CHECK(kept.max_message_kb == wanted.max_message_kb);
    REQUIRE(kept.rules.size() == 2);
    for (std::size_t i = 0; i < 2; ++i) check_rule(kept.rules[i], wanted.rules[i]);
    CHECK_FALSE(found[1].description.default_ttl);
    CHECK_FALSE(found[1].description.auto_delete_on_idle);
    CHECK(found[1].description.rules.empty());
  }

  SUBCASE("with an entity all that belongs to it is deleted") {
    for (const QueueKey queue : {kOrders, kDead, kOther})
      bench.write(insert(queue, 1), ReserveSequences{queue, 10},
                  PutSessionState{queue, "s", "x", kNow});
    for (const EntityId id : {7, 8})
      bench.write(PutEntity{{.id = id}}, RememberDuplicate{id, "key", kNow});
    bench.write(DeleteEntity{7});
    CHECK(bench.read(kOrders, {1}).empty());
    bench.world->reopen();
    REQUIRE(bench.scan().size() == 1);
    CHECK(bench.scan(kOther) == Sequences{1});
    REQUIRE(need(bench.store().entities()).size() == 1);
    CHECK(need(bench.store().entities())[0].id == 8);
    REQUIRE(need(bench.store().sequences()).size() == 1);
    CHECK(need(bench.store().sequences())[0].queue == kOther);
    REQUIRE(need(bench.store().sessions()).size() == 1);
    CHECK(need(bench.store().sessions())[0].queue == kOther);
    REQUIRE(need(bench.store().duplicates()).size() == 1);
    CHECK(need(bench.store().duplicates())[0].entity == 8);
  }

  SUBCASE("namespaces and their rules, in any order") {
    bench.write(PutNamespace{"shop", R"({"sku":"Standard"})"},
                PutNamespaceRules{"shop", {rule("a", "p", "s"), rule("b", "p", "s")}});
    bench.write(PutNamespaceRules{"early", {rule("c", "p", "s")}});
    bench.write(PutNamespaceRules{"shop", {rule("d", "p4", "s4")}}, PutNamespace{"gone", "{}"});
    bench.write(PutNamespace{"early", "{}"}, PutNamespace{"shop", R"({"sku":"Premium"})"},
                DeleteNamespace{"gone"});
    bench.world->reopen();
    const auto found = need(bench.store().namespaces());
    REQUIRE(found.size() == 2);
    CHECK(found[0].name == "early");
    CHECK(found[0].rules.size() == 1);
    CHECK(found[1].name == "shop");
    CHECK(found[1].properties == R"({"sku":"Premium"})");
    REQUIRE(found[1].rules.size() == 1);
    check_rule(found[1].rules[0], rule("d", "p4", "s4"));
  }

  SUBCASE("keys of rules are not readable at rest") {
    StoredEntity entity{.id = 7};
    entity.description.rules = {rule("visible-rule", "swordfish-1", "swordfish-2")};
    bench.write(PutEntity{entity},
                PutNamespaceRules{"shop", {rule("visible-rule", "swordfish-3", "swordfish-4")}});
    CHECK(bench.world->at_rest().find("swordfish") == std::string::npos);
  }
}

}  // namespace jobmill::broker
