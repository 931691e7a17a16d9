// SPDX-License-Identifier: Apache-2.0
#include "broker/limits.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "broker_bench.h"

namespace jobmill::broker {
namespace {

using testing::BrokerBench;
using testing::code_of;
using testing::Hands;
using Bodies = BrokerBench::Bodies;

struct Bench : BrokerBench {
  explicit Bench(Limits with) { reopen(with); }
  void reopen(Limits with) {
    limits = with;
    crash();
  }
};

Status put_rules(BrokerBench& bench, std::vector<AuthorizationRule> rules) {
  return bench.status([&](auto done) {
    bench.broker->put_namespace_rules("sbemulatorns", std::move(rules), done);
  });
}

AuthorizationRule rule(std::string name) { return {.name = std::move(name), .rights = {1}}; }

}  // namespace

TEST_CASE("limits: a namespace has so many entities, those that are being made included") {
  Bench bench({.entities = 2});
  REQUIRE(bench.create({.name = "a"}));
  std::vector<bool> made;
  for (const char* name : {"b", "c"})
    bench.broker->create("", {.name = name}, bench.clock.now(),
                         [&](const Status& status) { made.push_back(bool(status)); });
  bench.rest();
  CHECK(made == std::vector{false, true});  // the refusal needs no write
  CHECK(code_of(bench.create({.name = "d"})) == Code::Exhausted);
  REQUIRE(bench.status([&](auto done) { bench.broker->put_namespace("other", "{}", done); }));
  CHECK(bench.create({.name = "d"}, "other"));
  REQUIRE(bench.remove("a"));
  CHECK(bench.create({.name = "e"}));
}

TEST_CASE("limits: an entity has so many receivers, those of its dead letters included") {
  Bench bench({.receivers = 2});
  REQUIRE(bench.create({.name = "a"}));
  REQUIRE(bench.create({.name = "b"}));
  Hands hands;
  const ReceiverId first = bench.open_receiver("a", hands);
  bench.open_receiver("a/$deadletterqueue", hands);
  const ReceiverOptions another{.address = bench.at("a")};
  CHECK(code_of(bench.broker->open_receiver(another, hands, bench.clock.now())) == Code::Exhausted);
  CHECK(bench.broker->open_receiver({.address = bench.at("b")}, hands, bench.clock.now()));
  bench.broker->close(first, bench.clock.now());
  CHECK(bench.broker->open_receiver(another, hands, bench.clock.now()));
  // Who asks for deferred messages by number opens none.
  CHECK(code_of(bench.receive_deferred("a", {7})) == Code::NotFound);
}

TEST_CASE("limits: who waits for a session counts among the receivers") {
  Bench bench({.receivers = 1});
  REQUIRE(bench.create({.name = "s", .requires_session = true}));
  Hands hands;
  std::vector<Code> codes;
  for (int i = 0; i < 2; ++i)
    bench.broker->open_session(
        {.address = bench.at("s")}, {.give_up_at = bench.clock.now() + std::chrono::hours(1)},
        hands, bench.clock.now(),
        [&](const Result<SessionGrant>& answer) { codes.push_back(code_of(answer)); });
  bench.rest();
  CHECK(codes == std::vector{Code::Exhausted});
}

TEST_CASE("limits: a namespace has so many rules, its root rule included; they can be changed") {
  Bench bench({.rules = 3});
  REQUIRE(put_rules(bench, {rule("a"), rule("b")}));
  CHECK(code_of(put_rules(bench, {rule("a"), rule("b"), rule("c")})) == Code::Exhausted);
  CHECK(put_rules(bench, {rule("a"), rule("c")}));
}

TEST_CASE("limits: properties of a queue beyond them are refused, usual ones are cut to them") {
  Bench bench(kCloudLimits);
  REQUIRE(bench.create({.name = "a"}));
  CHECK(bench.broker->queue("a")->description.max_message_kb == 256);
  CHECK(code_of(bench.create({.name = "b", .max_message_kb = 257})) == Code::InvalidArgument);
  CHECK(code_of(bench.create({.name = "b", .max_size_mb = 1023})) == Code::InvalidArgument);
  CHECK(code_of(bench.create({.name = "b", .max_size_mb = 5121})) == Code::InvalidArgument);
  CHECK(bench.create({.name = "b", .max_size_mb = 5120, .max_message_kb = 256}));
  CHECK(code_of(bench.update({.name = "b", .max_size_mb = 80 * 1024})) == Code::InvalidArgument);
  CHECK(bench.send("a", {.body = std::string(200 << 10, 'x')}));
  CHECK(code_of(bench.send("a", {.body = std::string(300 << 10, 'x')})) == Code::InvalidArgument);
}

TEST_CASE("limits: what was made under wider ones stays, keeps within them, and can be changed") {
  Bench bench(kOpenLimits);
  REQUIRE(bench.create({.name = "wide", .max_size_mb = 10 * 1024, .max_message_kb = 2048}));
  REQUIRE(bench.create({.name = "small", .max_size_mb = 100}));
  bench.reopen(kCloudLimits);
  CHECK(bench.broker->queue("wide")->description.max_size_mb == 5 * 1024);
  CHECK(bench.broker->queue("wide")->description.max_message_kb == 256);
  QueueDescription small = bench.broker->queue("small")->description;
  small.max_delivery_count = 3;
  CHECK(bench.update(small));
  bench.reopen(kOpenLimits);
  CHECK(bench.broker->queue("wide")->description.max_size_mb == 10 * 1024);
}

TEST_CASE("limits: what others would refuse is told in words") {
  Bench bench(kOpenLimits);
  REQUIRE(bench.create({.name = "a"}));
  CHECK(bench.broker->beyond(kCloudLimits).empty());
  REQUIRE(bench.create({.name = "wide", .max_size_mb = 10 * 1024}));
  REQUIRE(put_rules(bench, {rule("x"), rule("y")}));
  Hands hands;
  bench.open_receiver("a", hands);
  const Bodies all{"namespace sbemulatorns has 2 entities, the limit is 1",
                   "namespace sbemulatorns has 3 authorization rules, the limit is 2",
                   "queue a has 1 receivers, the limit is 0",
                   "queue wide: MaxSizeInMegabytes must be from 1 to 5120"};
  CHECK(bench.broker->beyond({.receivers = 0, .entities = 1, .rules = 2, .queue_mb = 5120}) == all);
}

}  // namespace jobmill::broker
