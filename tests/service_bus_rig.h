// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/service_bus_access.h"
#include "base/clock.h"
#include "broker/authorization.h"
#include "broker/broker.h"
#include "http/server.h"
#include "memory_message_store.h"
#include "net/event_loop.h"

namespace jobmill::testing {

inline constexpr char kRootKey[] = "SAS_KEY_VALUE";
inline constexpr char kRootRule[] = "RootManageSharedAccessKey";

// The answer to one request, and the request's client.
struct AskedSink final : http::Responder::Sink {
  std::shared_ptr<http::Body> stream(http::Response) override { return nullptr; }
  void send(http::Response answer) override {
    if (!response) response = std::move(answer);
    answered.request_stop();
  }
  void on_gone(std::function<void()> fn) override { gone = std::move(fn); }

  std::optional<http::Response> response;
  std::function<void()> gone;
  std::stop_source answered;
};

// A broker on a store in memory, and requests to what is built on it. Time stands still, but for
// timers of the loop; everything happens in the calls.
class ServiceBusRig {
 public:
  explicit ServiceBusRig(broker::Limits limits = {}) {
    auto opened =
        broker::Broker::open(store, {.root_key = Secret(kRootKey), .limits = limits}, clock.now());
    REQUIRE(opened);
    broker_ = *std::move(opened);
  }

  ManualClock clock;
  MemoryMessageStore store;
  net::EventLoop loop;
  broker::Broker& broker() { return *broker_; }

  // What was posted and written, until nothing waits any more.
  void settle() {
    do {
      store.run();
      (void)broker_->tick(clock.now());
      run_posted();
    } while (store.waiting() > 0);
  }

  http::Response ask(const std::function<void(const http::Responder&)>& request) {
    const auto sink = begin(request);
    settle();
    settle();  // what the posted work wrote is answered by a call of the loop again
    REQUIRE_MESSAGE(sink->response, "the request was not answered");
    return *sink->response;
  }

  // One that may stay without an answer.
  std::shared_ptr<AskedSink> begin(const std::function<void(const http::Responder&)>& request) {
    auto sink = std::make_shared<AskedSink>();
    request(http::Responder(sink));
    return sink;
  }

  // With the timers of the loop.
  void wait_for(const AskedSink& sink) { loop.run(sink.answered.get_token()); }

  void make(broker::QueueDescription queue) {
    Status made = fail(Code::Internal, "not answered");
    broker_->create("sbemulatorns", std::move(queue), clock.now(),
                    [&](const Status& status) { made = status; });
    settle();
    REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
  }

 private:
  void run_posted() {
    std::stop_source stop;
    stop.request_stop();
    loop.run(stop.get_token());
  }

  std::unique_ptr<broker::Broker> broker_;
};

// "GET", "/orders?api-version=2021-05", with a token of the root rule unless `token` is given.
struct AskedRequest {
  std::string method = "GET";
  std::string target{};
  std::string body{};
  std::optional<std::string> token{};
  std::vector<std::pair<std::string, std::string>> headers{};
};

inline std::string root_token(const Clock& clock, std::string_view resource = "sb://localhost/") {
  return broker::make_sas(resource, kRootRule, Secret(kRootKey),
                          clock.now() + std::chrono::hours(1));
}

inline http::Request http_request(const Clock& clock, AskedRequest asked) {
  http::Request request;
  request.method = std::move(asked.method);
  request.target = std::move(asked.target);
  request.body = std::move(asked.body);
  REQUIRE(http::parse_target(request));
  request.headers.add("Host", "localhost:5300");
  const std::string token = asked.token ? *asked.token : root_token(clock);
  if (!token.empty()) request.headers.add("Authorization", token);
  for (auto& [name, value] : asked.headers) request.headers.add(name, value);
  return request;
}

}  // namespace jobmill::testing
