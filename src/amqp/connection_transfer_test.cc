// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "amqp/connection.h"
#include "amqp_fixture.h"

using namespace jobmill;
using namespace jobmill::amqp;

namespace {

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

struct Shape {
  std::uint32_t frame = 65536;
  std::uint32_t window = 65536;
};

Pair pair_of(const Shape& shape) {
  auto at_server = server_options();
  at_server.max_frame_size = shape.frame;
  at_server.incoming_window = shape.window;
  auto at_client = client_options();
  at_client.max_frame_size = shape.frame;
  at_client.incoming_window = shape.window;
  return Pair(at_server, at_client);
}

// A frame of a delivery on handle 0 of channel 3.
std::string part(DeliveryId id, std::string_view payload, bool first, bool more,
                 std::uint32_t handle = 0) {
  Transfer transfer{.handle = handle, .more = more};
  if (first) {
    transfer.delivery_id = id;
    transfer.delivery_tag = "tag";
    transfer.message_format = 0;
  }
  return frame(transfer, 3, payload);
}

std::string disposition(DeliveryId first, DeliveryId last, bool settled,
                        DeliveryState state = Accepted{}) {
  return frame(Disposition{.role = Role::Receiver,
                           .first = first,
                           .last = last,
                           .settled = settled,
                           .state = std::move(state)},
               3);
}

// A server with a link on which it has sent `count` deliveries; cookies are 100 and up.
struct Sent : Handmade {
  explicit Sent(int count) {
    begin();
    link = attach(Role::Receiver);
    (void)say(frame(Flow{.next_incoming_id = 0,
                         .incoming_window = 10'000'000,
                         .handle = 0,
                         .delivery_count = 0,
                         .link_credit = 10'000'000},
                    3));
    for (int i = 0; i < count; ++i) {
      REQUIRE(server.connection.send(
          link, {.tag = std::to_string(i), .cookie = static_cast<std::uint64_t>(100 + i)}, {"m"}));
    }
    (void)server.connection.take_output();
    server.events.clear();
  }
  std::vector<std::uint64_t> cookies() {
    std::vector<std::uint64_t> all;
    while (auto event = server.take<DispositionReceived>()) all.push_back(event->cookie);
    return all;
  }
  LinkId link = 0;
};

}  // namespace

TEST_CASE("transfers: ten thousand messages each way, with any window and frame") {
  for (const Shape shape : {Shape{}, Shape{.window = 1}, Shape{.frame = 512, .window = 3}}) {
    CAPTURE(shape.frame);
    CAPTURE(shape.window);
    Pair pair = pair_of(shape);
    const auto to = pair.sender();
    const auto from = pair.receiver();
    pair.server.connection.grant(to.server, 10'000);
    pair.client.connection.grant(from.client, 10'000);
    pair.run();
    pair.server.events.clear();
    pair.client.events.clear();
    int at_server = 0;
    int at_client = 0;
    int outcomes = 0;
    bool in_order = true;
    const auto count = [&](Endpoint& end, int& messages) {
      end.also = [&](const Event& event) {
        if (const auto* message = std::get_if<MessageReceived>(&event)) {
          in_order = in_order && message->bytes == "body " + std::to_string(messages++);
          end.connection.settle(message->link, message->delivery, Accepted{});
        } else if (const auto* outcome = std::get_if<DispositionReceived>(&event)) {
          if (outcome->settled && outcome->link != 0) ++outcomes;
        }
      };
    };
    count(pair.server, at_server);
    count(pair.client, at_client);
    for (int i = 0; i < 10'000; ++i) {
      const std::string number = std::to_string(i);
      REQUIRE(pair.client.connection.send(to.client, {.tag = number}, {"body ", number}));
      REQUIRE(pair.server.connection.send(from.server, {.tag = number}, {"body ", number}));
      if (i % 100 == 0) pair.run();
    }
    pair.run();
    CHECK(in_order);
    CHECK(at_server == 10'000);
    CHECK(at_client == 10'000);
    CHECK(outcomes == 20'000);
    CHECK(pair.client.connection.credit(to.client) == 0);
    CHECK_FALSE(pair.client.connection.send(to.client, {.tag = "t"}, {"m"}));
  }
}

TEST_CASE("transfers: a message of any size arrives as it was sent") {
  for (const Shape shape : {Shape{}, Shape{.frame = 512}, Shape{.frame = 512, .window = 1}}) {
    CAPTURE(shape.frame);
    CAPTURE(shape.window);
    Pair pair = pair_of(shape);
    const auto to = pair.sender();
    const auto from = pair.receiver();
    pair.server.connection.grant(to.server, 100);
    pair.client.connection.grant(from.client, 100);
    pair.run();
    for (const std::size_t size :
         {0u, 1u, 440u, 450u, 460u, 470u, 480u, 511u, 512u, 1023u, 66'000u, 200'000u}) {
      CAPTURE(size);
      const std::string body = pattern(size);
      const Outgoing delivery{.tag = "large", .message_format = 0x80013700};
      REQUIRE(pair.client.connection.send(to.client, delivery, {body}));
      REQUIRE(pair.server.connection.send(from.server, delivery, {body}));
      pair.run();
      for (Endpoint* end : {&pair.server, &pair.client}) {
        const auto message = end->take<MessageReceived>();
        REQUIRE(message);
        CHECK(message->bytes == body);
        CHECK(message->tag == "large");
        CHECK(message->message_format == 0x80013700);
        CHECK_FALSE(message->settled);
      }
    }
  }
}

TEST_CASE("transfers: what was settled when sent is forgotten by both") {
  Pair pair;
  const auto from = pair.receiver("from", ReceiverSettleMode::First);
  pair.client.connection.grant(from.client, 2);
  pair.run();
  REQUIRE(pair.server.connection.send(from.server, {.tag = "t", .settled = true}, {"m"}));
  pair.run();
  const auto message = pair.client.take<MessageReceived>();
  REQUIRE(message);
  CHECK(message->settled);
  pair.client.connection.settle(message->link, message->delivery, Accepted{});
  CHECK(pair.client.connection.output_size() == 0);
}

TEST_CASE("transfers: frames that the window keeps back follow a flow") {
  Handmade hand;
  hand.begin(2);
  const LinkId link = hand.attach(Role::Receiver);
  const auto flow = [&](std::uint32_t seen, std::uint32_t window) {
    return hand.say(frame(Flow{.next_incoming_id = seen,
                               .incoming_window = window,
                               .handle = 0,
                               .delivery_count = 0,
                               .link_credit = 4,
                               .drain = true},
                          3));
  };
  (void)flow(0, 2);
  for (const char* body : {"0", "1", "2", "3"}) {
    REQUIRE(hand.server.connection.send(link, {.tag = body, .cookie = 9}, {body}));
  }
  CHECK_FALSE(hand.server.connection.send(link, {.tag = "4"}, {"4"}));
  Written written = read_frames(hand.server.connection.take_output());
  CHECK(written.bodies.size() == 2);
  CHECK(written.at<Transfer>(1).delivery_id == 1);
  hand.server.connection.drained(link);  // waits for what waits
  CHECK(hand.server.connection.output_size() == 0);

  written = flow(1, 2);  // one of the two is still on its way
  CHECK(written.bodies.size() == 1);
  CHECK(written.at<Transfer>(0).delivery_id == 2);
  hand.server.connection.drained(link);
  CHECK(hand.server.connection.output_size() == 0);
  written = flow(3, 1);
  CHECK(written.at<Transfer>(0).delivery_id == 3);
  CHECK(written.at<Transfer>(0).payload == "3");
  CHECK(hand.server.connection.credit(link) == 0);
}

TEST_CASE("transfers: what waits goes with its link, and leaves no gap") {
  Handmade hand;
  hand.begin(0);
  const LinkId first = hand.attach(Role::Receiver, 0, "first");
  const LinkId second = hand.attach(Role::Receiver, 1, "second");
  const auto flow = [&](std::uint32_t handle, std::uint32_t window) {
    return hand.say(frame(Flow{.next_incoming_id = 0,
                               .incoming_window = window,
                               .handle = handle,
                               .delivery_count = 0,
                               .link_credit = 5},
                          3));
  };
  (void)flow(0, 0);
  (void)flow(1, 0);
  REQUIRE(hand.server.connection.send(first, {.tag = "a"}, {"lost"}));
  REQUIRE(hand.server.connection.send(second, {.tag = "b"}, {"kept"}));
  CHECK(hand.server.connection.output_size() == 0);
  CHECK(hand.server.connection.waiting_bytes() == 8);  // the client makes us keep these
  hand.server.connection.detach(first);
  CHECK(hand.server.connection.waiting_bytes() == 4);
  CHECK(read_frames(hand.server.connection.take_output()).bodies.size() == 1);
  const Written written = flow(1, 10);
  CHECK(written.bodies.size() == 1);
  CHECK(written.at<Transfer>(0).delivery_id == 0);
  CHECK(written.at<Transfer>(0).payload == "kept");
}

TEST_CASE("transfers: deliveries of several links arrive interleaved") {
  Handmade hand;
  hand.begin();
  const LinkId a = hand.attach(Role::Sender, 0, "a");
  const LinkId b = hand.attach(Role::Sender, 1, "b");
  hand.server.connection.grant(a, 10);
  hand.server.connection.grant(b, 10);
  (void)hand.say(part(0, "a1", true, true, 0) + part(1, "b1", true, true, 1) +
                 part(0, "a2", false, true, 0) + part(1, "b2", false, false, 1) +
                 part(2, "b3", true, false, 1) + part(0, "a3", false, false, 0));
  const auto text = [](Pair::Ends link) { return std::to_string(link.server); };
  CHECK(hand.server.transcript() == "message " + text({.server = b}) + " 1 0 tag b1b2\n" +
                                        "message " + text({.server = b}) + " 2 0 tag b3\n" +
                                        "message " + text({.server = a}) + " 0 0 tag a1a2a3\n");
}

TEST_CASE("transfers: an aborted delivery never shows, but used its credit") {
  Handmade hand;
  hand.begin();
  const LinkId link = hand.attach(Role::Sender);
  hand.server.connection.grant(link, 3);
  const auto aborted = frame(Transfer{.aborted = true}, 3);
  (void)hand.say(part(0, "half", true, true) + aborted + part(1, "whole", true, false));
  (void)hand.say(frame(Transfer{.delivery_id = 2, .delivery_tag = "t", .aborted = true}, 3));
  CHECK(hand.server.take<MessageReceived>().value_or(MessageReceived{}).bytes == "whole");
  CHECK(hand.server.events.empty());
  CHECK(hand.server.connection.granted(link) == 0);
}

TEST_CASE("transfers: a delivery larger than we said is told once and can be rejected") {
  Handmade hand;
  hand.begin();
  hand.server.max_message_size = 10;
  const LinkId link = hand.attach(Role::Sender);
  hand.server.connection.grant(link, 10);
  (void)hand.server.connection.take_output();
  (void)hand.say(part(0, "0123456789", true, false) + part(1, "0123456789a", true, false) +
                 part(2, "012345", true, true) + part(2, "6789a", false, true) +
                 part(2, "and more", false, false) + part(3, "next", true, false));
  const std::string id = std::to_string(link);
  CHECK(hand.server.transcript() == "message " + id + " 0 0 tag 0123456789\n" + "too large " + id +
                                        " 1\n" + "too large " + id + " 2\n" + "message " + id +
                                        " 3 0 tag next\n");
  hand.server.connection.settle(link, 2, Rejected{Error{.condition = "x"}});
  const Written written = read_frames(hand.server.connection.take_output());
  CHECK(written.at<Disposition>(0).first == 2);
  CHECK(std::holds_alternative<Rejected>(*written.at<Disposition>(0).state));
}

TEST_CASE("transfers: unfinished deliveries are bounded together") {
  auto options = server_options();
  options.max_partial_bytes = 1000;
  Handmade hand(options);
  hand.begin();
  for (std::uint32_t handle = 0; handle < 2; ++handle) {
    hand.server.connection.grant(hand.attach(Role::Sender, handle, std::to_string(handle)), 5);
  }
  const std::string half(500, 'h');
  (void)hand.say(part(0, half, true, true, 0) + part(0, half, false, false, 0));
  (void)hand.say(part(1, half, true, true, 0) + part(2, half, true, true, 1));
  CHECK(hand.server.events.size() == 1);
  (void)hand.say(part(1, "x", false, true, 0));
  const auto closed = hand.server.take<Closed>();
  REQUIRE(closed);
  CHECK(closed->error->condition == "amqp:resource-limit-exceeded");
}

TEST_CASE("transfers: the bound of unfinished deliveries may change") {
  auto options = server_options();
  options.max_partial_bytes = 10;
  Handmade hand(options);
  hand.begin();
  hand.server.connection.grant(hand.attach(Role::Sender), 5);
  hand.server.connection.limit_partial(1000);
  (void)hand.say(part(0, std::string(500, 'h'), true, true) + part(0, "x", false, false));
  CHECK(hand.server.take<MessageReceived>());
}

TEST_CASE("transfers: our ids run on over the end of the numbers of the peer") {
  Handmade hand;
  hand.begin(10, 0xfffffffe);
  const LinkId link = hand.attach(Role::Sender);
  hand.server.connection.grant(link, 10);
  (void)hand.server.connection.take_output();
  for (const DeliveryId id : {0xfffffffeu, 0xffffffffu, 0u, 1u}) {
    (void)hand.say(part(id, "m", true, false));
    hand.server.connection.settle(link, id, Accepted{});
  }
  CHECK(hand.server.events.size() == 4);
  hand.server.connection.grant(link, 5);
  const Written written = read_frames(hand.server.connection.take_output());
  CHECK(written.at<Flow>(1).next_incoming_id == 2);
}

// --- dispositions ------------------------------------------------------------------------------

TEST_CASE("dispositions: a range is taken apart") {
  Sent sent(5);
  (void)sent.say(disposition(1, 3, true));
  CHECK(sent.cookies() == std::vector<std::uint64_t>{101, 102, 103});
  (void)sent.say(disposition(0, 4, true));  // what is settled is not told again
  CHECK(sent.cookies() == std::vector<std::uint64_t>{100, 104});
}

TEST_CASE("dispositions: an outcome that waits is known until it is settled") {
  Sent sent(2);
  (void)sent.say(disposition(0, 0, false));
  (void)sent.say(disposition(0, 0, false, Released{}));
  CHECK(sent.cookies() == std::vector<std::uint64_t>{100, 100});
  sent.server.connection.settle(sent.link, 0, Accepted{});
  const Written written = read_frames(sent.server.connection.take_output());
  CHECK(written.at<Disposition>(0).role == Role::Sender);
  CHECK(written.at<Disposition>(0).settled);

  (void)sent.say(disposition(0, 1, false));
  const auto late = sent.server.take<DispositionReceived>();
  REQUIRE(late);
  CHECK(late->link == 0);
  CHECK(sent.cookies() == std::vector<std::uint64_t>{101});
  const Rejected lost{Error{.condition = "com.microsoft:message-lock-lost"}};
  sent.server.connection.settle_unknown(late->session, late->delivery, lost);
  const Written answer = read_frames(sent.server.connection.take_output());
  CHECK(answer.at<Disposition>(0).first == 0);
  CHECK(answer.at<Disposition>(0).role == Role::Sender);
}

TEST_CASE("dispositions: the largest range costs no more than what is there") {
  Sent sent(10'000);
  (void)sent.say(disposition(0xfffffff0, 0x7fffff00, true));
  CHECK(sent.cookies().size() == 10'000);
  (void)sent.say(disposition(0, 0x7fffffff, false));
  CHECK(sent.cookies().size() == 2048);
}

TEST_CASE("dispositions: deliveries of a link that is gone are unknown") {
  Sent sent(2);
  (void)sent.say(frame(Detach{.closed = true}, 3));
  sent.server.events.clear();
  (void)sent.say(disposition(0, 0, true) + disposition(1, 1, false));
  const auto late = sent.server.take<DispositionReceived>();
  REQUIRE(late);
  CHECK(late->link == 0);
  CHECK(late->delivery == 1);
  CHECK(sent.server.events.empty());
}

TEST_CASE("dispositions: what is accepted in a row shares a frame") {
  Handmade hand;
  hand.begin();
  const LinkId link = hand.attach(Role::Sender);
  hand.server.connection.grant(link, 100);
  for (DeliveryId id = 0; id < 8; ++id) (void)hand.say(part(id, "m", true, false));
  auto& connection = hand.server.connection;
  for (const DeliveryId id : {0u, 1u, 2u, 4u}) connection.settle(link, id, Accepted{});
  connection.settle(link, 4, Accepted{});  // twice is once
  connection.settle(link, 5, Released{});
  connection.settle(link, 6, Accepted{});
  CHECK(connection.output_size() > 0);
  connection.detach(link);
  const Written written = read_frames(connection.take_output());
  CHECK(written.at<Disposition>(0).first == 0);
  CHECK(written.at<Disposition>(0).last == 2);
  CHECK(written.at<Disposition>(1).first == 4);
  CHECK(written.at<Disposition>(2).first == 5);
  CHECK(written.at<Disposition>(3).first == 6);
  CHECK(written.bodies.size() == 5);
  CHECK(std::holds_alternative<Detach>(written.bodies.back()));
}

TEST_CASE("dispositions: the sender's word settles what we received") {
  Pair pair;
  const auto to = pair.sender();
  pair.server.connection.grant(to.server, 1);
  pair.run();
  REQUIRE(pair.client.connection.send(to.client, {.tag = "t"}, {"m"}));
  pair.run();
  pair.client.connection.settle(to.client, 0, Released{});
  pair.run();
  const auto told = pair.server.take<DispositionReceived>();
  REQUIRE(told);
  CHECK_FALSE(told->we_sent);
  CHECK(told->link == to.server);
  pair.server.connection.settle(to.server, 0, Accepted{});
  CHECK(pair.server.connection.output_size() == 0);
}
