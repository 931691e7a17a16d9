// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "scalers/table.h"

namespace jobmill::scalers {

// For tests: the world of one azure-servicebus scaler. Requests, questions to the broker of this
// process and timers wait until the test answers them.
struct ServiceBusRig {
  using Counts = Result<std::vector<std::int64_t>>;
  struct Exchange {
    http::ClientRequest request;
    std::function<void(http::ClientResult)> done;
  };
  struct Timer {
    Duration after;
    std::function<void()> fn;
  };

  ManualClock clock;
  bool has_broker = false;
  std::deque<Exchange> exchanges;
  std::deque<std::function<void(Counts)>> questions;
  std::function<void()> changed;
  std::weak_ptr<void> subscription, kept_timer;
  std::optional<Timer> timer;
  std::optional<Result<scale::Sample>> answer;
  std::unique_ptr<scale::Scaler> scaler;

  static scale::TriggerSpec spec(scale::TriggerSpec::Texts metadata) {
    scale::TriggerSpec result;
    result.type = "azure-servicebus";
    result.metadata = std::move(metadata);
    result.auth["connection"] =
        "Endpoint=sb://ns.example.test/;SharedAccessKeyName=Root;SharedAccessKey=c2VjcmV0";
    return result;
  }

  void make(const scale::TriggerSpec& trigger) {
    auto made = make_scaler(trigger, context());
    REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
    scaler = *std::move(made);
  }

  ScalerContext context() {
    ScalerContext out{.fetch =
                          [this](http::ClientRequest request, auto done) {
                            exchanges.push_back({std::move(request), std::move(done)});
                          },
                      .jobs = {},
                      .run_after =
                          [this](Duration after, std::function<void()> fn) {
                            timer = Timer{after, std::move(fn)};
                            return handle(kept_timer);
                          },
                      .clock = clock};
    if (!has_broker) return out;
    out.service_bus = {.read = [this](const ServiceBusTrigger&,
                                      auto done) { questions.push_back(std::move(done)); },
                       .subscribe =
                           [this](const ServiceBusTrigger&, std::function<void()> fn) {
                             changed = std::move(fn);
                             return handle(subscription);
                           }};
    return out;
  }

  static std::shared_ptr<void> handle(std::weak_ptr<void>& kept) {
    auto made = std::make_shared<int>();
    kept = made;
    return made;
  }

  void read() {
    answer.reset();
    scaler->read([this](Result<scale::Sample> sample) { answer = std::move(sample); });
  }

  // Answers the oldest question to the broker.
  void tell(Counts counts) {
    REQUIRE_FALSE(questions.empty());
    auto done = std::move(questions.front());
    questions.pop_front();
    done(std::move(counts));
  }

  Exchange take() {
    REQUIRE(exchanges.size() == 1);
    Exchange exchange = std::move(exchanges.front());
    exchanges.pop_front();
    return exchange;
  }

  // Answers the one request that is on its way.
  http::ClientRequest respond(int status, std::string body = {}) {
    Exchange exchange = take();
    exchange.done(http::Response{.status = status, .body = std::move(body)});
    return exchange.request;
  }

  void time_up() {
    REQUIRE(timer);
    std::exchange(timer, std::nullopt)->fn();
  }

  scale::Sample sample() const {
    REQUIRE(answer.has_value());
    REQUIRE_MESSAGE(*answer, (*answer ? "" : answer->error().message));
    return **answer;
  }

  Fault complaint() const {
    REQUIRE(answer.has_value());
    REQUIRE_FALSE(*answer);
    return answer->error();
  }
};

// An answer of Service Bus, as far as scalers read it.
struct AtomEntry {
  std::string kind = "Queue";
  std::string name = "q";
  std::string times = "2026-01-02T03:04:05.1234567Z";
  std::string message_count = "<MessageCount>10</MessageCount>";
  std::string counts =
      "<CountDetails xmlns:d2p1='urn:counts'><d2p1:ActiveMessageCount>7</d2p1:ActiveMessageCount>"
      "<d2p1:ScheduledMessageCount>2</d2p1:ScheduledMessageCount></CountDetails>";
  std::string atom_namespace = " xmlns='http://www.w3.org/2005/Atom'";

  std::string text() const {
    return fmt::format(
        "<entry{0}><title type='text'>{1}</title><content type='application/xml'>"
        "<{2}Description><SizeInBytes>10</SizeInBytes>{3}<CreatedAt>{4}</CreatedAt>"
        "<UpdatedAt>{4}</UpdatedAt><AccessedAt>{4}</AccessedAt>{5}</{2}Description></content>"
        "</entry>",
        atom_namespace, name, kind, message_count, times, counts);
  }
};

inline std::string atom_feed(std::string_view title, const std::vector<AtomEntry>& entries) {
  std::string text =
      fmt::format("<feed xmlns='http://www.w3.org/2005/Atom'><title>{}</title>", title);
  for (const AtomEntry& entry : entries) text += entry.text();
  return text + "</feed>";
}

}  // namespace jobmill::scalers
