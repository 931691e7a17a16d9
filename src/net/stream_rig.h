// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "net/address.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "net/stream.h"

// For the tests of streams.
namespace jobmill::net::testing {

struct LoopThread {
  EventLoop loop;
  std::jthread thread{[this](std::stop_token stop) { loop.run(std::move(stop)); }};

  void call(const std::function<void()>& work) {  // on the loop, and waits for it
    std::promise<void> done;
    loop.post([&] {
      work();
      done.set_value();
    });
    done.get_future().get();
  }
  void stop() {
    if (!thread.joinable()) return;
    thread.request_stop();
    thread.join();
  }
};

// Sends back what arrives; pauses its reading while more than a little waits to be sent.
struct Echo final : Stream::Events {
  explicit Echo(std::shared_ptr<Stream> s) : stream(std::move(s)) {}

  void on_bytes(std::string_view bytes) override {
    stream->write(std::string(bytes));
    most_unsent = std::max(most_unsent, stream->unsent());
    if (stream->unsent() == 0) return;
    stream->pause();
    if (!std::exchange(was_full, true)) full.set_value();
  }
  void on_end() override {
    ended = true;
    if (stream->unsent() == 0) finish();
  }
  void on_drained() override {
    if (ended) return finish();
    stream->resume();
  }
  void on_broken() override { broken.set_value(stream->failure()); }

  void finish() {
    stream->finish();
    finished.set_value(most_unsent);
  }

  std::shared_ptr<Stream> stream;
  std::size_t most_unsent = 0;
  bool was_full = false;
  std::promise<void> full;  // the peer has not read for a while
  bool ended = false;
  std::promise<std::size_t> finished;
  std::promise<std::string> broken;  // why
};

// Echoes on a free loopback port. Ends the thread when it goes, since its streams live there.
class EchoListener {
 public:
  using OnAccept = std::function<void(Stream&)>;

  explicit EchoListener(LoopThread& thread, ListenOptions options = {}) : thread_(thread) {
    auto opened = Listener::open(thread_.loop, ":0", std::move(options));
    REQUIRE(opened);
    listener_ = *opened;
    thread_.loop.post([this] {
      listener_->start([this](std::shared_ptr<Stream> stream) { accept(std::move(stream)); });
    });
  }
  ~EchoListener() {
    thread_.stop();
    for (const auto& weak : streams_) {
      if (const auto stream = weak.lock()) stream->close();
    }
  }
  EchoListener(const EchoListener&) = delete;
  EchoListener& operator=(const EchoListener&) = delete;

  const std::string& address() const { return listener_->address(); }
  std::uint16_t port() const { return parse_address(address())->port; }

  OnAccept on_accept;                         // set it before the first connection
  std::promise<std::shared_ptr<Echo>> first;  // connection

 private:
  void accept(std::shared_ptr<Stream> stream) {
    auto echo = std::make_shared<Echo>(stream);
    stream->start(echo);
    if (on_accept) on_accept(*stream);
    if (streams_.empty()) first.set_value(std::move(echo));
    streams_.push_back(stream);
  }

  LoopThread& thread_;
  std::shared_ptr<Listener> listener_;
  std::vector<std::weak_ptr<Stream>> streams_;
};

}  // namespace jobmill::net::testing
