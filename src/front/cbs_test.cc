// SPDX-License-Identifier: Apache-2.0
#include "front/cbs.h"

#include <chrono>
#include <string>
#include <utility>
#include <variant>

#include <doctest/doctest.h>

#include "amqp_fixture.h"
#include "front/front_rig.h"

namespace jobmill::front {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kRoot = "RootManageSharedAccessKey";
constexpr amqp::Uuid kUuid{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

broker::AuthorizationRule rule(std::string name, broker::Right right, std::string key) {
  return {.name = std::move(name),
          .rights = {static_cast<std::uint8_t>(right)},
          .primary_key = Secret(std::move(key))};
}

std::string condition_of(const std::optional<amqp::Error>& error) {
  return error ? error->condition : "";
}

// A server that wants tokens, and a client with both links to $cbs.
struct Tokens {
  explicit Tokens(AmqpOptions options = {}) : rig(std::move(options)) {
    rig.make_queue({.name = "guarded",
                    .rules = {rule("reader", broker::Right::Listen, "r"),
                              rule("writer", broker::Right::Send, "w")}});
    request = client.attach(client.sender("$cbs", "$cbs"));
    answers = client.attach(client.receiver("$cbs", "$cbs"));
    client.pump();
    client.end.connection.grant(answers, 1000);
    client.pump();
  }

  FrontRig rig;
  FrontClient client{rig};
  amqp::LinkId request = 0;
  amqp::LinkId answers = 0;

  std::string token(std::string_view resource, std::string_view rule_name = kRoot,
                    std::string_view key = FrontRig::kKey, Duration lives = 1h) const {
    return broker::make_sas(resource, rule_name, Secret(std::string(key)), rig.clock.now() + lives);
  }

  static std::string put_token(std::string_view audience, std::string_view token,
                               amqp::Value id = kUuid, std::string reply_to = {},
                               std::string_view type = "servicebus.windows.net:sastoken") {
    std::string out;
    amqp::Properties properties{.message_id = std::move(id)};
    if (!reply_to.empty()) properties.reply_to = std::move(reply_to);
    amqp::encode_properties(out, properties);
    amqp::Map application;
    amqp::set_string(application, "operation", "put-token");
    amqp::set_string(application, "type", type);
    amqp::set_string(application, "name", audience);
    amqp::encode_map_section(out, amqp::kApplicationProperties, application);
    amqp::encode_value_section(out, amqp::Value(token));
    return out;
  }

  // The status-code of the answer to a request, 0 when none came.
  std::int32_t ask(std::string_view bytes) {
    client.send(request, bytes);
    answer = client.receive();
    if (!answer) return 0;
    const amqp::Value* status = amqp::find(answer->application, "status-code");
    REQUIRE(status != nullptr);
    REQUIRE(status->as<std::int32_t>() != nullptr);
    return *status->as<std::int32_t>();
  }
  std::int32_t put(std::string_view audience, std::string_view sas) {
    return ask(put_token(audience, sas));
  }

  std::string attach(amqp::Attach attach) {
    attach.name += std::to_string(++names_);
    link = client.attach(std::move(attach));
    return condition_of(client.answered(link).refusal);
  }

  std::optional<FrontClient::Message> answer;
  amqp::LinkId link = 0;

 private:
  int names_ = 0;
};

TEST_CASE_FIXTURE(Tokens, "cbs: Python's put-token is answered under the request's uuid") {
  CHECK(put("sb://localhost:5672/queue1", token("sb://localhost:5672/queue1")) == 202);
  const auto* id = answer->properties.correlation_id.as<amqp::Uuid>();
  REQUIRE(id != nullptr);
  CHECK(*id == kUuid);
  CHECK(amqp::find(answer->application, "status-description") != nullptr);
  CHECK(attach(client.sender("amqps://localhost:5672/queue1")).empty());
  CHECK(attach(client.receiver("queue1")).empty());
}

TEST_CASE_FIXTURE(Tokens, "cbs: links without a valid claim are refused") {
  CHECK(attach(client.sender("queue1")) == "amqp:unauthorized-access");
  CHECK(attach(client.receiver("queue1")) == "amqp:unauthorized-access");
  CHECK(attach(client.sender("queue1/$management")) == "amqp:unauthorized-access");
  CHECK(attach(client.sender("missing")) == "amqp:unauthorized-access");  // no way to find names
  CHECK(put("sb://localhost/queue1", token("sb://localhost/queue1")) == 202);
  CHECK(attach(client.sender("guarded")) == "amqp:unauthorized-access");
}

TEST_CASE_FIXTURE(Tokens, "cbs: the rights of the rule decide about links") {
  CHECK(put("sb://h/guarded", token("sb://h/guarded", "reader", "r")) == 202);
  CHECK(attach(client.receiver("guarded")).empty());
  CHECK(attach(client.receiver("guarded/$DeadLetterQueue")).empty());
  CHECK(attach(client.sender("guarded")) == "amqp:unauthorized-access");
  FrontClient other(rig, {.container = "other"});
  CHECK(put("sb://h/guarded", token("sb://h/guarded", "writer", "w")) == 202);
  CHECK(attach(client.sender("guarded")).empty());  // both claims count
  // A rule of one queue signs for no other.
  CHECK(put("sb://h/queue1", token("sb://h/queue1", "writer", "w")) == 401);
}

TEST_CASE_FIXTURE(Tokens, "cbs: wrong, expired and foreign tokens are answered with 401") {
  CHECK(put("sb://h/queue1", token("sb://h/queue1", kRoot, "wrong")) == 401);
  const amqp::Value* condition = amqp::find(answer->application, "error-condition");
  REQUIRE(condition != nullptr);
  CHECK(condition->as<amqp::Symbol>() != nullptr);
  CHECK(put("sb://h/queue1", token("sb://h/queue1", kRoot, FrontRig::kKey, -1s)) == 401);
  CHECK(put("sb://h/queue1", token("sb://h/queue1", "nobody")) == 401);
  CHECK(put("sb://h/queue1", token("sb://h/guarded")) == 401);
  CHECK(put("sb://h/queue1", "some words") == 401);
  CHECK(put("sb://h/queue1", "aaa.bbb.ccc") == 401);  // nobody verifies these here
  CHECK(attach(client.sender("queue1")) == "amqp:unauthorized-access");
}

TEST_CASE_FIXTURE(Tokens, "cbs: a token for an entity that is missing is answered with 404") {
  CHECK(put("amqp://localhost:5672/missing", token("sb://localhost/missing")) == 404);
  CHECK(put("sb://localhost/", token("sb://localhost/")) == 202);  // the namespace is there
  CHECK(attach(client.sender("queue1")).empty());
  CHECK(attach(client.sender("missing")) == "amqp:not-found");
}

TEST_CASE_FIXTURE(Tokens, "cbs: what a token is, its text says") {  // Python: sas labelled jwt
  CHECK(ask(put_token("sb://h/queue1", token("sb://h/queue1"), kUuid, {}, "jwt")) == 202);
}

TEST_CASE("cbs: JSON Web Tokens go to the function given") {
  AmqpOptions options;
  options.verify_jwt = [](std::string_view jwt, std::string_view,
                          TimePoint) -> Result<broker::Claim> {
    if (jwt != "good.token.here") return fail(Code::PermissionDenied, "bad signature");
    return broker::Claim{.rights = {static_cast<std::uint8_t>(broker::Right::Send)}};
  };
  Tokens tokens(std::move(options));
  CHECK(tokens.put("sb://h/queue1", "bad.token.here") == 401);
  // The type says the contrary.
  CHECK(tokens.put("sb://h/queue1", "good.token.here") == 202);
  CHECK(tokens.attach(tokens.client.sender("queue1")).empty());
  CHECK(tokens.attach(tokens.client.receiver("queue1")) == "amqp:unauthorized-access");
}

TEST_CASE_FIXTURE(Tokens, "cbs: Go asks on a session of its own and names where the answer goes") {
  const auto session = client.end.connection.begin();
  amqp::Attach sender = client.sender("$cbs");
  sender.name = "go-sender";
  sender.source = std::nullopt;
  amqp::Attach other = client.receiver("$cbs", "another-node");
  other.name = "go-other";
  amqp::Attach receiver = client.receiver("$cbs", "$cbs$$cbs-reply-to-1");
  receiver.name = "go-receiver";
  const auto asks = client.attach(session, sender);
  const auto named = client.attach(session, receiver);
  const auto latest = client.attach(session, other);
  client.pump();
  client.end.connection.grant(named, 10);
  client.end.connection.grant(latest, 10);
  client.pump();
  client.send(asks, put_token("amqp://localhost:5672/queue1", token("sb://localhost/queue1"),
                              amqp::Value("id-1"), "$cbs$$cbs-reply-to-1"));
  const auto received = client.take<amqp::MessageReceived>();
  REQUIRE(received);
  CHECK(received->link == named);
  CHECK(FrontClient::read(received->bytes).properties.correlation_id.text() == "id-1");
  // The claim is the connection's.
  CHECK(attach(client.sender("queue1")).empty());
}

TEST_CASE("cbs: requests that come before the answer link has credit are answered later") {
  FrontRig rig{AmqpOptions{}};
  FrontClient client(rig);
  const auto request = client.attach(client.sender("$cbs", "$cbs"));
  const auto answers = client.attach(client.receiver("$cbs", "$cbs"));
  client.pump();
  const std::string token = broker::make_sas(
      "sb://h/queue1", kRoot, Secret(std::string(FrontRig::kKey)), rig.clock.now() + 1h);
  client.send(request, Tokens::put_token("sb://h/queue1", token));
  CHECK_FALSE(client.receive());
  client.end.connection.grant(answers, 1);
  CHECK(client.receive());
}

TEST_CASE_FIXTURE(Tokens,
                  "cbs: links are detached when their claim runs out, a newer one keeps them") {
  CHECK(put("sb://h/queue1", token("sb://h/queue1", kRoot, FrontRig::kKey, 100s)) == 202);
  CHECK(attach(client.receiver("queue1")).empty());
  rig.advance(50s);
  CHECK(put("sb://h/queue1", token("sb://h/queue1", kRoot, FrontRig::kKey, 100s)) == 202);
  rig.advance(60s);
  CHECK_FALSE(client.take<amqp::LinkDetached>());
  rig.advance(40s);
  const auto detached = client.take<amqp::LinkDetached>();
  REQUIRE(detached);
  CHECK(detached->link == link);
  CHECK(condition_of(detached->error) == "amqp:unauthorized-access");
  // The connection and its $cbs links are still good.
  CHECK(put("sb://h/queue1", token("sb://h/queue1")) == 202);
  CHECK(attach(client.receiver("queue1")).empty());
}

TEST_CASE("cbs: a connection that shows no token in time is closed") {
  FrontRig rig{AmqpOptions{}};
  FrontClient client(rig);
  rig.advance(59s);
  CHECK_FALSE(client.take<amqp::Closed>());
  rig.advance(1s);
  const auto closed = client.take<amqp::Closed>();
  REQUIRE(closed);
  CHECK(condition_of(closed->error) == "amqp:unauthorized-access");
}

TEST_CASE_FIXTURE(Tokens, "cbs: a connection that showed one stays") {
  CHECK(put("sb://h/queue1", token("sb://h/queue1")) == 202);
  rig.advance(61s);
  CHECK_FALSE(client.take<amqp::Closed>());
}

TEST_CASE("cbs: PLAIN logs in with a rule and its key, for the whole connection") {
  FrontRig rig{AmqpOptions{}};
  rig.make_queue({.name = "guarded", .rules = {rule("reader", broker::Right::Listen, "r")}});
  const auto login = [](std::string user, std::string key) {
    return amqp::ConnectionOptions::Login{
        .mechanism = "PLAIN", .user = std::move(user), .password = Secret(std::move(key))};
  };
  FrontClient root(rig, {.login = login(std::string(kRoot), std::string(FrontRig::kKey))});
  CHECK_FALSE(root.answered(root.attach(root.sender("queue1"))).refusal);
  rig.advance(61s);
  CHECK_FALSE(root.take<amqp::Closed>());

  FrontClient reader(rig, {.container = "reader", .login = login("reader", "r")});
  CHECK_FALSE(reader.answered(reader.attach(reader.receiver("guarded"))).refusal);
  CHECK(condition_of(reader.answered(reader.attach(reader.sender("guarded"))).refusal) ==
        "amqp:unauthorized-access");
  CHECK(condition_of(reader.answered(reader.attach(reader.receiver("queue1"))).refusal) ==
        "amqp:unauthorized-access");

  FrontClient wrong(rig, {.container = "wrong", .login = login(std::string(kRoot), "x")});
  CHECK(wrong.take<amqp::Closed>());
  CHECK(wrong.stream->closed());
}

TEST_CASE("cbs: without authorization any token will do that looks like one") {
  Tokens tokens(FrontRig::anonymous());
  CHECK(tokens.put("sb://h/queue1", "aaa.bbb.ccc") == 202);
  CHECK(tokens.put("sb://h/queue1", "SharedAccessSignature x") == 202);
  CHECK(tokens.put("sb://h/queue1", "some words") == 401);
  CHECK(tokens.put("sb://h/missing", "aaa.bbb.ccc") == 404);
  CHECK(tokens.attach(tokens.client.sender("guarded")).empty());
}

TEST_CASE_FIXTURE(Tokens, "cbs: what is no request is rejected or answered, never ignored") {
  client.send(request, "\x01\x02");
  CHECK(client.rejection() == "amqp:decode-error");
  std::string unknown;
  amqp::encode_properties(unknown, {.message_id = "x"});
  amqp::encode_value_section(unknown, amqp::Value("token"));
  CHECK(ask(unknown) == 400);
}

TEST_CASE_FIXTURE(Tokens, "cbs: credit for requests is topped up") {
  for (int i = 0; i < 300; ++i) REQUIRE(put("sb://h/queue1", "no token") != 0);
}

TEST_CASE_FIXTURE(Tokens, "cbs: a request is as large as a token may be, no larger") {
  client.send(request, put_token("sb://localhost/queue1", std::string(70 * 1000, 'x')));
  CHECK(client.rejection() == "amqp:link:message-size-exceeded");
}

TEST_CASE_FIXTURE(Tokens, "cbs: who has shown no token cannot leave much unfinished") {
  FrontClient stranger(rig, {.container = "stranger"});
  for (int i = 0; i < 8; ++i) {
    auto attach = stranger.sender("$cbs", "$cbs");
    attach.name += std::to_string(i);
    stranger.attach(std::move(attach));
  }
  stranger.pump();
  for (std::uint32_t i = 0; i < 8 && !stranger.stream->closed(); ++i) {
    const amqp::Transfer begun{
        .handle = i, .delivery_id = i, .delivery_tag = "tag", .message_format = 0, .more = true};
    stranger.stream->say(amqp::frame(begun, 0, std::string(60 * 1000, 'x')));
  }
  const auto closed = stranger.take<amqp::Closed>();
  REQUIRE(closed);
  CHECK(condition_of(closed->error) == "amqp:resource-limit-exceeded");
}

}  // namespace
}  // namespace jobmill::front
