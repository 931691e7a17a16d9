// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "net/event_loop.h"
#include "net/stream.h"

// For the tests of streams.
namespace jobmill::net::testing {

struct LoopThread {
  EventLoop loop;
  std::jthread thread{[this](std::stop_token stop) { loop.run(std::move(stop)); }};

  void stop() {
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

}  // namespace jobmill::net::testing
