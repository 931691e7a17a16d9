// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "amqp/message.h"
#include "amqp_endpoint.h"
#include "base/clock.h"
#include "base/log.h"
#include "broker/broker.h"
#include "front/amqp_server.h"
#include "memory_message_store.h"
#include "net/event_loop.h"
#include "net/stream.h"

namespace jobmill::front {

// For tests: a stream whose other end the test holds.
class MemoryStream final : public net::Stream {
 public:
  static constexpr char kPeer[] = "127.0.0.1:40000";

  explicit MemoryStream(std::string peer = kPeer) : peer_(std::move(peer)) {}

  void start(std::shared_ptr<Events> events) override { events_ = std::move(events); }
  void pause() override { paused_ = true; }
  void resume() override { paused_ = false; }
  void write(std::string bytes) override {
    REQUIRE_FALSE(finished_);
    if (!bytes.empty()) ++writes;
    written_ += bytes;
  }
  std::size_t unsent() const override { return stuck ? written_.size() : 0; }
  void finish() override {
    finished_ = true;
    events_.reset();
  }
  void close() override { finish(); }
  bool closed() const override { return finished_; }
  const std::string& peer() const override { return peer_; }

  // --- the peer's end
  bool stuck = false;  // what is written does not arrive
  std::size_t writes = 0;

  bool paused() const { return paused_; }
  void say(std::string_view bytes) {
    const auto events = events_;
    if (events && !bytes.empty()) events->on_bytes(bytes);
  }
  std::string hear() { return stuck ? std::string() : std::exchange(written_, {}); }
  void unstick() {
    stuck = false;
    const auto events = events_;
    if (events) events->on_drained();
  }
  // The process at the other end died: what it wrote is read, then comes the end.
  void end() {
    const auto events = events_;
    if (events) events->on_end();
  }
  void vanish() {
    finished_ = true;
    const auto events = std::exchange(events_, nullptr);
    if (events) events->on_broken();
  }

 private:
  std::shared_ptr<Events> events_;
  std::string written_;
  bool paused_ = false;
  bool finished_ = false;
  const std::string peer_;
};

// For tests: the server with a real broker, a clock that stands still, and clients in memory.
class FrontRig {
 public:
  static constexpr std::string_view kKey = "SAS_KEY_VALUE";

  explicit FrontRig(AmqpOptions given = anonymous(), broker::Limits limits = {})
      : broker(open_broker(limits)), server(loop, *broker, clock, log, std::move(given)) {
    make_queue({.name = "queue1"});
  }

  static AmqpOptions anonymous() {
    AmqpOptions options;
    options.auth = AmqpOptions::Auth::None;
    return options;
  }

  ManualClock clock;
  Log log{clock, {.level = LogLevel::Off}};
  net::EventLoop loop;
  testing::MemoryMessageStore store;
  bool held = false;  // the store answers nothing
  std::unique_ptr<broker::Broker> broker;
  AmqpServer server;

  void make_queue(broker::QueueDescription queue) {
    std::optional<bool> made;
    broker->create("", std::move(queue), clock.now(),
                   [&](const Status& status) { made = static_cast<bool>(status); });
    run_loop();
    REQUIRE(made == true);
  }

  // Lets everything that was posted, and what that posts, happen.
  void run_loop() {
    for (int quiet = 0; quiet < 3;) {
      std::stop_source stopped;
      stopped.request_stop();
      loop.run(stopped.get_token());
      const bool busy = !held && store.waiting() > 0;
      if (busy) store.run();
      broker->tick(clock.now());
      quiet = busy ? 0 : quiet + 1;
    }
  }

  void advance(Duration by) {
    clock.advance(by);
    run_loop();
    server.tick();
    run_loop();
  }

  broker::Counts counts(std::string_view queue = "queue1") const {
    const auto info = broker->queue(queue);
    REQUIRE(info);
    return info->counts;
  }

 private:
  std::unique_ptr<broker::Broker> open_broker(broker::Limits limits) {
    auto opened = broker::Broker::open(
        store, {.root_key = Secret(std::string(kKey)), .limits = limits}, clock.now());
    REQUIRE(opened);
    return *std::move(opened);
  }
};

// For tests: a client with one session, as a released client would behave on the wire.
class FrontClient {
 public:
  struct Options {
    std::string container = "client";
    std::optional<amqp::ConnectionOptions::Login> login = amqp::ConnectionOptions::Login{};
    std::string peer = MemoryStream::kPeer;
  };

  explicit FrontClient(FrontRig& server) : FrontClient(server, Options()) {}
  FrontClient(FrontRig& server, Options options)
      : rig(server),
        stream(std::make_shared<MemoryStream>(options.peer)),
        end({.side = amqp::ConnectionOptions::Side::Client,
             .container_id = options.container,
             .hostname = "localhost",
             .login = options.login}) {
    rig.server.serve(stream);
    end.connection.open();
    session = end.connection.begin();
    pump();
  }

  FrontRig& rig;
  std::shared_ptr<MemoryStream> stream;
  amqp::Endpoint end;
  amqp::SessionId session = 0;

  // Carries bytes both ways until nothing moves.
  void pump() {
    for (int quiet = 0; quiet < 2;) {
      const std::string out = end.connection.take_output();
      stream->say(out);
      rig.run_loop();
      const std::string in = stream->hear();
      end.hear(in);
      quiet = out.empty() && in.empty() ? quiet + 1 : 0;
    }
  }

  template <class T>
  std::optional<T> take() {
    pump();
    return end.take<T>();
  }

  // --- links: nothing is sent before pump()
  amqp::Attach sender(std::string address, std::string source = "client") const {
    return {.name = "sender-" + address,
            .role = amqp::Role::Sender,
            .sender_settle_mode = amqp::SenderSettleMode::Unsettled,
            .receiver_settle_mode = amqp::ReceiverSettleMode::Second,
            .source = amqp::Source{.address = std::move(source)},
            .target = amqp::Target{.address = std::move(address)},
            .initial_delivery_count = 0};
  }
  amqp::Attach receiver(std::string address, std::string target = "client") const {
    return {.name = "receiver-" + address,
            .role = amqp::Role::Receiver,
            .sender_settle_mode = amqp::SenderSettleMode::Unsettled,
            .receiver_settle_mode = amqp::ReceiverSettleMode::Second,
            .source = amqp::Source{.address = std::move(address)},
            .target = amqp::Target{.address = std::move(target)}};
  }
  amqp::LinkId attach(amqp::Attach attach) { return this->attach(session, std::move(attach)); }
  amqp::LinkId attach(amqp::SessionId in, amqp::Attach attach) {
    return end.connection.attach(in, std::move(attach));
  }

  struct Attached {
    amqp::LinkId link = 0;
    amqp::Attach answer{};
    std::optional<amqp::Error> refusal{};
  };
  // What became of an attach; REQUIREs an answer.
  Attached answered(amqp::LinkId link) {
    pump();
    Attached out{.link = link};
    bool found = false;
    for (const amqp::Event& event : end.events) {
      if (const auto* attached = std::get_if<amqp::LinkAttached>(&event))
        if (attached->link == link) found = true, out.answer = attached->attach;
      if (const auto* detached = std::get_if<amqp::LinkDetached>(&event))
        if (detached->link == link && detached->error) out.refusal = detached->error;
    }
    REQUIRE(found);
    return out;
  }

  // --- messages
  static std::string message(std::string_view body, amqp::Properties properties = {}) {
    std::string out;
    amqp::encode_properties(out, properties);
    amqp::encode_data_section(out, body);
    return out;
  }

  bool send(amqp::LinkId link, std::string_view bytes, std::uint32_t format = 0,
            bool settled = false) {
    const std::string tag = std::to_string(++tags_);
    return end.connection.send(link, {.tag = tag, .message_format = format, .settled = settled},
                               {bytes});
  }

  // The server's word on the next message sent.
  std::optional<amqp::DeliveryState> outcome() {
    const auto told = take<amqp::DispositionReceived>();
    if (!told) return std::nullopt;
    CHECK(told->settled);
    return told->state;
  }
  std::string rejection() {
    const auto state = outcome();
    const auto* rejected = state ? std::get_if<amqp::Rejected>(&*state) : nullptr;
    return rejected != nullptr && rejected->error ? rejected->error->condition : "";
  }

  struct Message {
    amqp::DeliveryId delivery = 0;
    std::string tag{};
    bool settled = false;
    std::string body{};
    std::string bytes{};
    amqp::Header header{};
    amqp::Properties properties{};
    amqp::Map annotations{};
    amqp::Map application{};
  };
  std::optional<Message> receive() {
    const auto received = take<amqp::MessageReceived>();
    if (!received) return std::nullopt;
    Message out = read(received->bytes);
    out.delivery = received->delivery;
    out.tag = received->tag;
    out.settled = received->settled;
    return out;
  }

  static Message read(std::string_view bytes) {
    const auto sections = amqp::split(bytes);
    REQUIRE(sections);
    Message out{.bytes = std::string(bytes)};
    out.header = *amqp::decode_header(sections->header);
    out.properties = *amqp::decode_properties(sections->properties);
    out.annotations = *amqp::decode_map_section(sections->message_annotations);
    out.application = *amqp::decode_map_section(sections->application_properties);
    const auto data = amqp::data_sections(sections->body);
    if (data && !data->empty()) out.body = std::string(data->front());
    return out;
  }

  void propose(amqp::LinkId link, const Message& message, amqp::DeliveryState state) {
    end.connection.propose(link, message.delivery, std::move(state));
  }

 private:
  std::uint64_t tags_ = 0;
};

}  // namespace jobmill::front
