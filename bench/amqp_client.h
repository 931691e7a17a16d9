// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "amqp/connection.h"
#include "net/event_loop.h"
#include "net/stream.h"

// A load client of our own engine: as many connections as wanted on one thread, each with one link.
// It speaks plain AMQP 1.0, so other brokers can be measured with it as well.
namespace jobmill::bench {

struct Broker {
  std::string host{};
  std::uint16_t port = 0;
  amqp::ConnectionOptions::Login login{};
};

// A connection with one session and one link. Whatever goes wrong ends the program.
class Peer : public net::Stream::Events, public std::enable_shared_from_this<Peer> {
 public:
  explicit Peer(const amqp::ConnectionOptions::Login& login);

  // `attached` is called once, when the link may be used.
  void start(std::shared_ptr<net::Stream> stream, amqp::Attach attach,
             std::function<void()> attached);
  void write_out();

 protected:
  virtual void on_attached() {}
  virtual void on_message(const amqp::MessageReceived& /*message*/) {}
  virtual void on_disposition(const amqp::DispositionReceived& /*disposition*/) {}
  virtual void on_turn() {}  // all events of what has come were told

  amqp::Connection engine_;
  amqp::LinkId link_ = 0;

 private:
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override {}
  void on_broken() override;
  void on(const amqp::Event& event);

  std::shared_ptr<net::Stream> stream_;
  std::function<void()> attached_;
};

// The thread that peers live on: the one that calls.
class Peers {
 public:
  explicit Peers(Broker broker) : broker_(std::move(broker)) {}
  ~Peers();

  const amqp::ConnectionOptions::Login& login() const { return broker_.login; }
  // Connects and attaches; from then on it runs whenever a function below does.
  void add(const std::shared_ptr<Peer>& peer, const amqp::Attach& attach);
  // Until every peer that was added is attached.
  void wait_attached();
  // Until finish() is called by a peer.
  void run();
  void run_for(Duration duration);
  void finish() { stop_.request_stop(); }

 private:
  void connected(const std::shared_ptr<Peer>& peer, const amqp::Attach& attach,
                 std::shared_ptr<net::Stream> stream);

  const Broker broker_;
  net::EventLoop loop_;
  std::stop_source stop_;
  std::vector<std::shared_ptr<net::Stream>> streams_;
  std::size_t added_ = 0;
  std::size_t attached_ = 0;
};

}  // namespace jobmill::bench
