// SPDX-License-Identifier: Apache-2.0
#include "amqp/connection.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "amqp_fixture.h"

using namespace jobmill;
using namespace jobmill::amqp;
using namespace std::chrono_literals;

// --- opening -----------------------------------------------------------------------------------

TEST_CASE("connection: a client logs in, opens and begins") {
  Endpoint server(server_options());
  Endpoint client(client_options());
  client.connection.open();
  const SessionId session = client.connection.begin();
  converse(client, server);

  CHECK(server.transcript() ==
        "login ANONYMOUS  \n"
        "opened client 65536\n"
        "begun 1\n");
  CHECK(client.transcript() == "opened broker 65536\nbegun " + std::to_string(session) + "\n");
  CHECK(client.connection.peer().idle_time_out == 240'000);
  CHECK_FALSE(client.connection.peer().properties.empty());
}

TEST_CASE("connection: messages go both ways and are settled") {
  Pair pair;
  const auto to = pair.sender();
  const auto from = pair.receiver();
  pair.server.connection.grant(to.server, 10);
  pair.client.connection.grant(from.client, 10);
  pair.run();

  REQUIRE(pair.client.connection.send(to.client, {.tag = "t1", .cookie = 7}, {"hel", "lo"}));
  pair.run();
  const auto sent = pair.server.take<MessageReceived>();
  REQUIRE(sent);
  CHECK(sent->bytes == "hello");
  CHECK(sent->tag == "t1");
  CHECK(pair.server.connection.granted(to.server) == 9);
  pair.server.connection.settle(sent->link, sent->delivery, Accepted{});
  pair.run();
  const auto outcome = pair.client.take<DispositionReceived>();
  REQUIRE(outcome);
  CHECK(outcome->cookie == 7);
  CHECK(outcome->settled);

  REQUIRE(pair.server.connection.send(from.server, {.tag = "t2", .cookie = 8}, {"world"}));
  pair.run();
  const auto received = pair.client.take<MessageReceived>();
  REQUIRE(received);
  CHECK(received->bytes == "world");
  pair.client.connection.propose(received->link, received->delivery, Accepted{});
  pair.run();
  const auto proposal = pair.server.take<DispositionReceived>();
  REQUIRE(proposal);
  CHECK(proposal->cookie == 8);
  CHECK_FALSE(proposal->settled);
  pair.server.connection.settle(proposal->link, proposal->delivery, Accepted{});
  pair.run();
  const auto end = pair.client.take<DispositionReceived>();
  REQUIRE(end);
  CHECK_FALSE(end->we_sent);
  CHECK(end->settled);
}

TEST_CASE("connection: a peer that pipelines everything is answered in order") {
  Endpoint server(server_options());
  const std::string all =
      header(Protocol::Sasl) + sasl(SaslInit{.mechanism = "ANONYMOUS", .initial_response = ""}) +
      header(Protocol::Amqp) + frame(Open{.container_id = "SBSender"}) +
      frame(Begin{.incoming_window = 65536}, 1) +
      frame(Attach{.name = "cbs", .handle = 1, .role = Role::Sender, .initial_delivery_count = 0},
            1) +
      frame(Attach{.name = "cbs-in", .handle = 2, .role = Role::Receiver}, 1) +
      frame(Flow{.incoming_window = 65536, .handle = 2, .delivery_count = 0, .link_credit = 100},
            1);

  SUBCASE("and nothing behind the login is read before its outcome") {
    server.connection.feed(all);
    CHECK(describe(*server.connection.next_event()) == "login ANONYMOUS  ");
    CHECK_FALSE(server.connection.next_event());
    server.connection.sasl_outcome(SaslCode::Ok);
    CHECK(describe(*server.connection.next_event()) == "opened SBSender 4294967295");
  }
  SUBCASE("with its credit after the link is accepted") {
    server.hear(all);
    CHECK(server.transcript() ==
          "login ANONYMOUS  \n"
          "opened SBSender 4294967295\n"
          "begun 1\n"
          "attached 1 1 cbs 0 0\n"
          "attached 2 1 cbs-in 1 0\n"
          "credit 2 100\n");
    const std::string out = server.connection.take_output();
    const std::string mechanisms =
        sasl(SaslMechanisms{.mechanisms = {"MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"}});
    const std::string login = header(Protocol::Sasl) + mechanisms +
                              sasl(SaslOutcome{.code = SaslCode::Ok}) + header(Protocol::Amqp);
    REQUIRE(out.substr(0, login.size()) == login);
    const Written written = read_frames(std::string_view(out).substr(login.size()));
    CHECK(written.at<Open>(0).container_id == "broker");
    CHECK(written.at<Begin>(1).remote_channel == 1);
    CHECK(written.at<Attach>(2).name == "cbs");
    CHECK(written.at<Attach>(3).name == "cbs-in");
    CHECK(written.at<Attach>(3).initial_delivery_count == 0);
    CHECK(written.bodies.size() == 4);
  }
}

TEST_CASE("connection: every SASL mechanism, and what it tells") {
  const auto login_by = [](std::string mechanism, std::string response) {
    Endpoint server(server_options());
    server.hear(header(Protocol::Sasl) + sasl(SaslInit{.mechanism = std::move(mechanism),
                                                       .initial_response = std::move(response)}));
    return server.transcript();
  };
  using namespace std::string_literals;
  CHECK(login_by("MSSBCBS", "") == "login MSSBCBS  \n");
  CHECK(login_by("ANONYMOUS", "trace") == "login ANONYMOUS  \n");
  CHECK(login_by("EXTERNAL", "me") == "login EXTERNAL me \n");
  CHECK(login_by("PLAIN", "\0root\0key=="s) == "login PLAIN root key==\n");
  CHECK(login_by("PLAIN", "other\0root\0key"s) == "login PLAIN root key\n");
  for (const auto& response : {""s, "root"s, "\0root"s}) {
    CHECK(login_by("PLAIN", response).starts_with("closed by us"));
  }
  CHECK(login_by("CRAM-MD5", "").starts_with("closed by us"));
}

TEST_CASE("connection: clients log in with each mechanism") {
  for (const std::string mechanism : {"ANONYMOUS", "PLAIN", "EXTERNAL", "MSSBCBS"}) {
    CAPTURE(mechanism);
    auto options = client_options();
    options.login = {.mechanism = mechanism, .user = "root", .password = Secret("key")};
    Pair pair(server_options(), std::move(options));
    CHECK(pair.sender().server != 0);
  }
}

TEST_CASE("connection: a client without SASL") {
  auto options = client_options();
  options.login.reset();
  CHECK(Pair(server_options(), options).sender().server != 0);

  auto strict = server_options();
  strict.without_sasl = false;
  Endpoint server(strict);
  Endpoint client(options);
  client.connection.open();
  converse(client, server);
  CHECK(server.transcript().starts_with("closed by us"));
  CHECK(client.transcript().starts_with("closed by us"));
}

TEST_CASE("connection: a login that is refused is the end") {
  Endpoint server(server_options());
  Endpoint client(client_options());
  server.outcome = SaslCode::Auth;
  client.connection.open();
  (void)client.connection.begin();
  converse(client, server);
  CHECK(server.transcript() ==
        "login ANONYMOUS  \nclosed (amqp:unauthorized-access: The login was refused.)\n");
  CHECK(client.transcript() ==
        "closed (amqp:unauthorized-access: The server refused the login.)\n");
  server.hear(header(Protocol::Amqp) + frame(Open{}));
  CHECK(server.connection.take_output().empty());
  CHECK(server.events.size() == 2);
}

TEST_CASE("connection: a client asks only for a mechanism that is offered") {
  auto options = server_options();
  options.sasl_mechanisms = {"PLAIN"};
  Endpoint server(options);
  Endpoint client(client_options());
  client.connection.open();
  converse(client, server);
  CHECK(client.transcript().starts_with("closed by us"));
  CHECK(server.events.empty());
}

TEST_CASE("connection: another protocol gets our header and the end") {
  Endpoint server(server_options());
  server.hear("GET / HTTP/1.1\r\n");
  CHECK(server.connection.take_output() == header(Protocol::Sasl));
  CHECK(server.transcript().starts_with("closed by us (amqp:connection:framing-error"));
}

// --- links -------------------------------------------------------------------------------------

TEST_CASE("connection: a refused link is attached to nothing and detached") {
  Handmade hand;
  hand.begin();
  hand.server.accepts = false;
  const LinkId link = hand.attach(Role::Receiver, 5);
  hand.server.connection.refuse(link, {.condition = "amqp:not-found", .description = "none"});
  const Written written = read_frames(hand.server.connection.take_output());
  const auto& answer = written.at<Attach>(0);
  CHECK(answer.name == "link");
  CHECK(answer.role == Role::Sender);
  CHECK_FALSE(answer.source);
  CHECK(answer.target.index() == 0);
  const auto& detach = written.at<Detach>(1);
  CHECK(detach.closed);
  REQUIRE(detach.error);
  CHECK(detach.error->condition == "amqp:not-found");
  CHECK_FALSE(detach.error->info.empty());

  CHECK(hand.say(frame(Detach{.handle = 5, .closed = true}, 3)).bodies.empty());
  CHECK(hand.server.events.empty());
  CHECK(hand.attach(Role::Receiver, 5) != link);  // the handle is free again
}

TEST_CASE("connection: a link that is withdrawn before its answer is answered all the same") {
  Handmade hand;
  hand.begin();
  hand.server.accepts = false;
  const LinkId link = hand.attach(Role::Receiver, 5);
  const Written written = hand.say(frame(Detach{.handle = 5, .closed = true}, 3));
  CHECK_FALSE(written.at<Attach>(0).source);
  CHECK(written.at<Detach>(1).closed);
  CHECK(hand.server.transcript() == "detached " + std::to_string(link) + " closed\n");
  hand.server.connection.accept(link, {});
  CHECK(hand.server.connection.output_size() == 0);
}

TEST_CASE("connection: links detach from either end and attach again") {
  Pair pair;
  for (int i = 0; i < 3; ++i) {
    const auto link = pair.receiver();
    pair.client.connection.detach(link.client, std::nullopt, i != 1);
    pair.run();
    const auto at_server = pair.server.take<LinkDetached>();
    REQUIRE(at_server);
    CHECK(at_server->link == link.server);
    CHECK(at_server->closed == (i != 1));
    REQUIRE(pair.client.take<LinkDetached>());

    const auto again = pair.receiver();
    CHECK(again.server != link.server);
    pair.server.connection.detach(again.server, Error{.condition = "amqp:link:detach-forced"});
    CHECK(pair.server.connection.credit(again.server) == 0);
    pair.run();
    const auto at_client = pair.client.take<LinkDetached>();
    REQUIRE(at_client);
    CHECK(at_client->error->condition == "amqp:link:detach-forced");
    CHECK(pair.server.take<LinkDetached>());
  }
}

TEST_CASE("connection: many sessions carry links of one name") {
  Pair pair;
  std::vector<Pair::Ends> all;
  for (int i = 0; i < 300; ++i) {
    pair.session = pair.client.connection.begin();
    all.push_back(pair.sender("same"));
  }
  for (const auto& link : all) pair.server.connection.grant(link.server, 1);
  pair.run();
  for (const auto& link : all) {
    REQUIRE(pair.client.connection.send(link.client, {.tag = "t"}, {"m"}));
    pair.run();
    CHECK(pair.server.take<MessageReceived>().value_or(MessageReceived{}).link == link.server);
  }
}

TEST_CASE("connection: a link that is attached again in its session has been stolen") {
  Handmade hand;
  hand.begin();
  const LinkId first = hand.attach(Role::Receiver, 0);
  const Written written = hand.say(
      frame(Attach{.name = "link", .handle = 1, .role = Role::Receiver, .source = Source{}}, 3));
  CHECK(written.at<Detach>(0).error->condition == "amqp:link:stolen");
  CHECK(written.at<Attach>(1).source);
  CHECK(hand.server.take<LinkDetached>().value_or(LinkDetached{}).link == first);
  CHECK(hand.attach(Role::Sender, 2) != 0);  // of the same name, in the other direction
  CHECK_FALSE(hand.server.take<LinkDetached>());
}

TEST_CASE("connection: a coordinator is a target") {
  Pair pair;
  (void)pair.client.connection.attach(
      pair.session,
      {.name = "tx", .role = Role::Sender, .source = Source{}, .target = Coordinator{}});
  pair.run();
  const auto attached = pair.server.take<LinkAttached>();
  REQUIRE(attached);
  CHECK(std::holds_alternative<Coordinator>(attached->attach.target));
}

// --- credit ------------------------------------------------------------------------------------

TEST_CASE("connection: credit counts from the receiver's view") {
  Handmade hand;
  hand.begin();
  const LinkId link = hand.attach(Role::Receiver);
  const auto flow = [&](std::optional<std::uint32_t> seen, std::uint32_t credit) {
    (void)hand.say(frame(Flow{.next_incoming_id = 0,
                              .incoming_window = 1000,
                              .handle = 0,
                              .delivery_count = seen,
                              .link_credit = credit},
                         3));
    return hand.server.connection.credit(link);
  };
  const auto send = [&] { return hand.server.connection.send(link, {.tag = "t"}, {"m"}); };
  CHECK(hand.server.connection.credit(link) == 0);
  CHECK_FALSE(send());
  CHECK(flow(std::nullopt, 3) == 3);
  REQUIRE(send());
  REQUIRE(send());
  CHECK(hand.server.connection.credit(link) == 1);
  CHECK(flow(0, 3) == 1);  // both are on their way
  CHECK(flow(2, 3) == 3);
  CHECK(flow(0, 1) == 0);  // less than what is on its way
  CHECK(flow(2, 0) == 0);
  CHECK_FALSE(send());
  CHECK(hand.server.take<CreditGiven>().value_or(CreditGiven{}).credit == 3);
}

TEST_CASE("connection: a drained link gives the rest of its credit back") {
  Pair pair;
  const auto link = pair.receiver();
  pair.client.connection.grant(link.client, 10);
  pair.run();
  REQUIRE(pair.server.connection.send(link.server, {.tag = "t"}, {"one"}));
  pair.client.connection.drain(link.client);
  pair.run();
  pair.server.events.clear();
  pair.server.connection.drained(link.server);
  const Written written = read_frames(pair.server.connection.take_output());
  const auto& answer = written.at<Flow>(0);
  CHECK(answer.drain);
  CHECK(answer.link_credit == 0);
  CHECK(answer.delivery_count == 10);
  CHECK(pair.server.connection.credit(link.server) == 0);

  pair.server.connection.drained(link.server);  // nobody asks any more
  CHECK(pair.server.connection.output_size() == 0);
}

TEST_CASE("connection: the receiver hears that its link is drained") {
  Pair pair;
  const auto link = pair.receiver();
  pair.server.also = [&](const Event& event) {
    const auto* credit = std::get_if<CreditGiven>(&event);
    if (credit != nullptr && credit->drain) pair.server.connection.drained(credit->link);
  };
  pair.client.connection.grant(link.client, 10);
  pair.client.connection.drain(link.client);
  pair.run();
  CHECK(pair.client.transcript() == "credit " + std::to_string(link.client) + " 0 drain\n");
  CHECK(pair.client.connection.granted(link.client) == 0);
  pair.client.connection.grant(link.client, 1);
  pair.run();
  CHECK(pair.server.connection.credit(link.server) == 1);
}

TEST_CASE("connection: a flow that asks for an echo gets one") {
  Handmade hand;
  hand.begin();
  const LinkId link = hand.attach(Role::Receiver, 4);
  const Flow flow{.next_incoming_id = 0, .incoming_window = 9, .echo = true};
  CHECK_FALSE(hand.say(frame(flow, 3)).at<Flow>(0).handle);
  Flow on_link = flow;
  on_link.handle = 4;
  on_link.delivery_count = 0;
  on_link.link_credit = 5;
  CHECK(hand.say(frame(on_link, 3)).at<Flow>(0).link_credit == 5);
  CHECK(hand.server.take<CreditGiven>().value_or(CreditGiven{}).echo);

  on_link.drain = true;  // one answer, when it is drained: a drain with credit left is none
  CHECK(hand.say(frame(on_link, 3)).bodies.empty());
  hand.server.connection.drained(link);
  CHECK(read_frames(hand.server.connection.take_output()).at<Flow>(0).drain);
}

TEST_CASE("connection: a transfer beyond the credit costs the link") {
  Handmade hand;
  hand.begin();
  const LinkId link = hand.attach(Role::Sender);
  hand.server.connection.grant(link, 1);
  const auto transfer = [](DeliveryId id) {
    return frame(Transfer{.delivery_id = id, .delivery_tag = "t"}, 3, "m");
  };
  CHECK(hand.say(transfer(0)).bodies.size() == 1);  // our grant
  CHECK(hand.server.take<MessageReceived>());
  const Written written = hand.say(transfer(1));
  CHECK(written.at<Detach>(0).error->condition == "amqp:link:transfer-limit-exceeded");
  CHECK(hand.server.take<LinkDetached>().value_or(LinkDetached{}).link == link);
  CHECK(hand.say(transfer(2)).bodies.empty());  // was on its way
  CHECK(hand.say(frame(Detach{.closed = true}, 3)).bodies.empty());
  CHECK(hand.server.events.empty());
}
