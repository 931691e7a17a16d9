// SPDX-License-Identifier: Apache-2.0
#include "scalers/azure_servicebus.h"

#include <array>
#include <thread>

#include <doctest/doctest.h>

#include "scalers/azure_servicebus_admin.h"
#include "scalers/azure_servicebus_rig.h"

namespace jobmill::scalers {
namespace {

using namespace std::chrono_literals;

using Rig = ServiceBusRig;
using Counts = std::vector<std::int64_t>;

void make_local(Rig& rig, scale::TriggerSpec::Texts metadata = {{"queueName", "orders"}}) {
  rig.has_broker = true;
  rig.make(Rig::spec(std::move(metadata)));
}

void make_remote(Rig& rig, scale::TriggerSpec::Texts metadata = {{"queueName", "orders"}}) {
  rig.make(Rig::spec(std::move(metadata)));
}

Fault elsewhere() { return fail(Code::Unsupported, "not a namespace of this server"); }

std::string refusal(const char* connection) {
  const auto parsed = parse_connection(Secret(connection));
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == Code::InvalidArgument);
  return parsed.error().message;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

// --- connection strings -------------------------------------------------------------------------

TEST_CASE("azure-servicebus: a connection string, its keys in any case") {
  const auto parsed = parse_connection(
      Secret("endpoint=sb://NS.example.test:5671/ ; SHAREDACCESSKEYNAME=Root;SharedAccessKey=a=b==;"
             "EntityPath=orders;UseDevelopmentEmulator=true;"));
  REQUIRE(parsed);
  CHECK(parsed->endpoint == "sb://NS.example.test:5671/");
  CHECK(parsed->host == "NS.example.test:5671");
  CHECK(parsed->key_name == "Root");
  CHECK(parsed->key.reveal() == "a=b==");
  CHECK(parsed->entity_path == "orders");
}

TEST_CASE("azure-servicebus: a connection string with a signature needs no key") {
  const auto parsed = parse_connection(Secret(
      "Endpoint=sb://ns/;SharedAccessSignature=SharedAccessSignature sr=x&sig=y&se=1&skn=z"));
  REQUIRE(parsed);
  CHECK(parsed->signature.reveal() == "SharedAccessSignature sr=x&sig=y&se=1&skn=z");
}

TEST_CASE("azure-servicebus: what is wrong with a connection string, without showing it") {
  CHECK(refusal("hunter2") == "the connection string has a part without \"=\"");
  CHECK(contains(refusal(""), "Endpoint"));
  CHECK(contains(refusal("Endpoint=ns;SharedAccessKeyName=R;SharedAccessKey=k"), "sb://"));
  CHECK(contains(refusal("Endpoint=sb:///;SharedAccessKeyName=R;SharedAccessKey=k"), "host"));
  CHECK(contains(refusal("Endpoint=sb://ns;SharedAccessKey=hunter2"), "SharedAccessKeyName"));
  CHECK(contains(refusal("Endpoint=sb://ns;SharedAccessKeyName=R"), "SharedAccessKey"));
  CHECK_FALSE(contains(refusal("Endpoint=sb://ns;SharedAccessKey=hunter2"), "hunter2"));
}

// --- a namespace of this server -----------------------------------------------------------------

TEST_CASE("azure-servicebus: here, the first read answers at once, the next with a change") {
  Rig rig;
  make_local(rig);
  rig.read();
  rig.tell(Counts{3});
  CHECK(rig.sample().value == 3);
  CHECK(rig.sample().active);
  CHECK(rig.sample().waits);

  rig.read();
  rig.tell(Counts{3});
  CHECK_FALSE(rig.answer);
  rig.changed();
  rig.tell(Counts{3});
  CHECK_FALSE(rig.answer);
  rig.changed();
  rig.tell(Counts{0});
  CHECK(rig.sample().value == 0);
  CHECK_FALSE(rig.sample().active);
  CHECK(rig.exchanges.empty());
}

TEST_CASE("azure-servicebus: here, a read without a change ends with its wait") {
  Rig rig;
  make_local(rig);
  rig.read();
  rig.tell(Counts{3});
  rig.read();
  rig.tell(Counts{3});
  REQUIRE(rig.timer);
  CHECK(rig.timer->after == 25s);
  rig.time_up();
  rig.tell(Counts{3});
  CHECK(rig.sample().value == 3);
  CHECK(rig.sample().waits);
}

TEST_CASE("azure-servicebus: here, several queues are combined") {
  Rig rig;
  make_local(rig, {{"queueName", "orders-.*"},
                   {"useRegex", "true"},
                   {"operation", "avg"},
                   {"activationMessageCount", "4"}});
  rig.read();
  rig.tell(Counts{4, 5, 5});
  CHECK(rig.sample().value == 4);
  CHECK_FALSE(rig.sample().active);
}

TEST_CASE("azure-servicebus: here, what cannot be counted is an error, not a zero") {
  Rig rig;
  make_local(rig);
  rig.read();
  rig.tell(fail(Code::NotFound, "the queue orders does not exist"));
  CHECK(rig.complaint().message == "the queue orders does not exist");
  CHECK(rig.exchanges.empty());
}

TEST_CASE("azure-servicebus: here, a scaler that is gone lets go of everything") {
  Rig rig;
  make_local(rig);
  rig.read();
  rig.tell(Counts{3});
  rig.read();
  const auto late = rig.changed;
  rig.scaler.reset();
  CHECK(rig.subscription.expired());
  CHECK(rig.kept_timer.expired());
  rig.tell(Counts{4});
  late();
  CHECK(rig.questions.empty());
  CHECK_FALSE(rig.answer);
}

TEST_CASE("azure-servicebus: a namespace elsewhere is asked over HTTPS, once for each read") {
  Rig rig;
  make_local(rig);
  rig.read();
  rig.changed();  // a second question while the first is on its way
  rig.tell(elsewhere());
  rig.tell(elsewhere());
  AtomEntry entry;
  entry.name = "orders";
  const auto request = rig.respond(200, entry.text());
  CHECK(request.url == "https://ns.example.test/orders?api-version=2021-05");
  CHECK(rig.sample().value == 7);
  CHECK_FALSE(rig.sample().waits);

  rig.read();  // it may have been created here in the meantime
  rig.tell(Counts{1});
  CHECK(rig.sample().value == 1);
  CHECK(rig.sample().waits);
}

TEST_CASE("azure-servicebus: with an identity only namespaces of this server can be read") {
  Rig rig;
  rig.has_broker = true;
  scale::TriggerSpec spec = Rig::spec({{"queueName", "orders"}, {"namespace", "ns"}});
  spec.auth.clear();
  spec.pod_identity = "azure-workload";
  rig.make(spec);
  rig.read();
  rig.tell(elsewhere());
  CHECK(rig.complaint().code == Code::Unsupported);
  CHECK(contains(rig.complaint().message, "ns.servicebus.windows.net"));

  rig.read();
  rig.tell(Counts{2});
  CHECK(rig.sample().value == 2);
}

TEST_CASE("azure-servicebus: the answer may destroy the scaler") {
  Rig rig;
  make_local(rig);
  rig.scaler->read([&](Result<scale::Sample>) { rig.scaler.reset(); });
  rig.tell(Counts{1});
  CHECK(rig.scaler == nullptr);

  Rig prompt;
  scale::TriggerSpec spec = Rig::spec({{"queueName", "orders"}});
  spec.auth["connection"] = "hunter2";  // known to be wrong within read()
  prompt.make(spec);
  prompt.scaler->read([&](Result<scale::Sample>) { prompt.scaler.reset(); });
  CHECK(prompt.scaler == nullptr);
}

TEST_CASE("azure-servicebus: no answer after the scaler is gone, whichever thread brings it") {
  for (int i = 0; i < 200; ++i) {
    Rig rig;
    make_local(rig);
    rig.read();
    const auto question = std::exchange(rig.questions, {}).front();
    std::thread broker([&] {
      question(i % 2 == 0 ? Rig::Counts(Counts{1}) : Rig::Counts(elsewhere()));
      rig.changed();
    });
    rig.scaler.reset();
    const bool answered = rig.answer.has_value();  // no longer written to from here on
    broker.join();
    CHECK(rig.answer.has_value() == answered);
  }
}

// --- elsewhere ----------------------------------------------------------------------------------

TEST_CASE("azure-servicebus: elsewhere, a failed request is tried four times, with pauses") {
  constexpr std::array kLeast{640ms, 1920ms, 4480ms};
  constexpr std::array kMost{1040ms, 3120ms, 7280ms};
  Rig rig;
  make_remote(rig);
  rig.read();
  for (std::size_t i = 0; i < kLeast.size(); ++i) {
    rig.take().done(fail(Code::Timeout, "no answer"));
    REQUIRE(rig.timer);
    CHECK(rig.timer->after >= kLeast[i]);
    CHECK(rig.timer->after <= kMost[i]);
    CHECK_FALSE(rig.answer);
    rig.time_up();
  }
  rig.take().done(fail(Code::Timeout, "no answer"));
  CHECK(rig.complaint().code == Code::Timeout);
}

TEST_CASE("azure-servicebus: elsewhere, each attempt has a token of its own") {
  Rig rig;
  make_remote(rig);
  rig.read();
  const auto first = rig.respond(503);
  rig.clock.advance(1s);
  rig.time_up();
  const auto second = rig.respond(200, AtomEntry().text());
  CHECK(first.url == second.url);
  CHECK(first.headers.get("Authorization") != second.headers.get("Authorization"));
  CHECK(rig.sample().value == 7);
}

TEST_CASE("azure-servicebus: elsewhere, a given signature is sent as it is") {
  Rig rig;
  scale::TriggerSpec spec = Rig::spec({{"queueName", "orders"}});
  spec.auth["connection"] = "Endpoint=sb://ns/;SharedAccessSignature=SharedAccessSignature sr=x";
  rig.make(spec);
  rig.read();
  CHECK(rig.respond(404).headers.get("Authorization") == "SharedAccessSignature sr=x");
  CHECK(rig.complaint().message == "ns: has no queue orders");
}

TEST_CASE("azure-servicebus: elsewhere, names are escaped segment by segment") {
  ServiceBusTrigger trigger;
  trigger.queue = "shop/new orders";
  CHECK(entity_url("ns", trigger) == "https://ns/shop/new%20orders?api-version=2021-05");
}

TEST_CASE("azure-servicebus: elsewhere, entities that match are summed over all pages") {
  Rig rig;
  make_remote(rig, {{"queueName", "orders.*"}, {"useRegex", "true"}});
  rig.read();
  AtomEntry orders, old, mails;
  orders.name = "orders";
  old.name = "old-orders";
  mails.name = "orders-2";
  rig.respond(200, atom_feed("Queues", {orders, old}));
  rig.respond(200, atom_feed("Queues", {mails}));
  CHECK(rig.respond(200, atom_feed("Queues", {})).url ==
        "https://ns.example.test/$Resources/Queues?%24skip=3&api-version=2021-05");
  CHECK(rig.sample().value == 14);
}

TEST_CASE("azure-servicebus: elsewhere, answers with holes are errors of the read") {
  const auto refused = [](AtomEntry entry, std::string_view why) {
    const auto read = read_entity(EntityKind::Queue, {.body = entry.text()});
    REQUIRE_FALSE(read);
    CHECK(contains(read.error().message, why));
  };
  AtomEntry entry;
  entry.name.clear();
  refused(entry, "title");
  entry = {};
  entry.times = "yesterday";
  refused(entry, "CreatedAt");
  entry = {};
  entry.times.clear();
  refused(entry, "CreatedAt");
  entry = {};
  entry.message_count = "<MessageCount>many</MessageCount>";
  refused(entry, "MessageCount");
  entry = {};
  entry.kind = "Topic";
  refused(entry, "description");
  CHECK_FALSE(read_entity(EntityKind::Queue, {.body = "{}"}));
  CHECK_FALSE(read_entity(EntityKind::Queue, {.body = "<html/>"}));
  CHECK_FALSE(read_listing(EntityKind::Queue, {.body = AtomEntry().text()}));
  const auto missing =
      read_entity(EntityKind::Queue, {.body = atom_feed("Publicly Listed Services", {})});
  REQUIRE(missing);
  CHECK_FALSE(*missing);
}

TEST_CASE("azure-servicebus: a connection string that cannot be read is an error of the read") {
  Rig rig;
  scale::TriggerSpec spec = Rig::spec({{"queueName", "orders"}});
  spec.auth["connection"] = "hunter2";
  rig.make(spec);
  rig.read();
  CHECK(rig.complaint().code == Code::InvalidArgument);
  CHECK(rig.exchanges.empty());
}

}  // namespace jobmill::scalers
