// SPDX-License-Identifier: Apache-2.0
#include "scalers/metrics_api.h"

#include <chrono>
#include <deque>
#include <optional>
#include <thread>

#include <doctest/doctest.h>

#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

using namespace std::chrono_literals;
using Texts = scale::TriggerSpec::Texts;

// The world of one scaler: requests wait here until the test answers them.
struct World {
  struct Exchange {
    http::ClientRequest request;
    std::function<void(http::ClientResult)> done;
  };

  ManualClock clock;
  std::deque<Exchange> exchanges;
  std::optional<Result<scale::Sample>> answer;
  std::unique_ptr<scale::Scaler> scaler;

  explicit World(Texts metadata = {}, Texts auth = {}) {
    scale::TriggerSpec spec;
    spec.type = "metrics-api";
    spec.metadata = {
        {"url", "http://u:p@h:8000/api?key=K"}, {"valueLocation", "count"}, {"targetValue", "8"}};
    spec.metadata.insert(metadata.begin(), metadata.end());
    spec.auth = std::move(auth);
    auto made = make_scaler(spec, context());
    REQUIRE_MESSAGE(made, (made ? "" : made.error().message));
    scaler = *std::move(made);
  }

  ScalerContext context() {
    return {.fetch =
                [this](http::ClientRequest request, auto done) {
                  exchanges.push_back({std::move(request), done});
                },
            .jobs = {},
            .run_after = {},
            .clock = clock};
  }

  // Starts a read and takes the request that it sends.
  Exchange read() {
    answer.reset();
    scaler->read([this](Result<scale::Sample> sample) { answer = std::move(sample); });
    return take();
  }

  Exchange take() {
    REQUIRE(exchanges.size() == 1);
    Exchange exchange = std::move(exchanges.front());
    exchanges.pop_front();
    return exchange;
  }

  scale::Sample sample() const {
    REQUIRE(answer.has_value());
    REQUIRE_MESSAGE(*answer, (*answer ? "" : answer->error().message));
    return **answer;
  }

  std::string complaint() const {
    REQUIRE(answer.has_value());
    REQUIRE_FALSE(*answer);
    return answer->error().message;
  }
};

http::Response response(int status, std::string body = {}) {
  return {.status = status, .headers = {}, .body = std::move(body)};
}

http::Response waiting(std::string body, std::string vary = "Accept, prefer") {
  http::Response result = response(200, std::move(body));
  result.headers.add("ETag", "\"v1\"");
  result.headers.add("Vary", std::move(vary));
  return result;
}

}  // namespace

TEST_CASE("metrics-api: a plain read") {
  World world(Texts{{"activationTargetValue", "5"}});
  auto exchange = world.read();
  CHECK(exchange.request.method == "GET");
  CHECK(exchange.request.timeout == 3s);
  CHECK(exchange.request.follow_redirects);
  CHECK(exchange.request.verify_tls);
  exchange.done(response(200, R"({"count":6})"));
  CHECK(world.sample().value == 6);
  CHECK(world.sample().active);
  CHECK_FALSE(world.sample().waits);
}

TEST_CASE("metrics-api: active means more than activationTargetValue") {
  World world(Texts{{"activationTargetValue", "6"}});
  world.read().done(response(200, R"({"count":6})"));
  CHECK_FALSE(world.sample().active);
}

TEST_CASE("metrics-api: unsafeSsl and timeout go into the request") {
  World world(Texts{{"unsafeSsl", "true"}, {"timeout", "500ms"}});
  const auto exchange = world.read();
  CHECK_FALSE(exchange.request.verify_tls);
  CHECK(exchange.request.timeout == 500ms);
}

TEST_CASE("metrics-api: a failed read says where and what, and no secrets") {
  World world;
  const auto complaint = [&](http::ClientResult result) {
    world.read().done(std::move(result));
    return world.complaint();
  };
  CHECK(complaint(response(503, "secret")) == "http://h:8000/api: status 503");
  CHECK(complaint(response(204)) == "http://h:8000/api: status 204");
  CHECK(complaint(response(304)) == "http://h:8000/api: status 304");
  CHECK(complaint(response(200, "<html>")) == "http://h:8000/api: the answer is not JSON");
  CHECK(complaint(response(200, R"({"n":1})")) == "http://h:8000/api: no number at count");
  CHECK(complaint(response(200, R"({"count":true})")) == "http://h:8000/api: no number at count");
  CHECK(complaint(response(200, R"({"count":1x})")) == "http://h:8000/api: the answer is not JSON");
  CHECK(complaint(fail(Code::Timeout, "http://h:8000/api: no answer")) ==
        "http://h:8000/api: no answer");
}

TEST_CASE("metrics-api: an infinite number is an error, other odd ones are not active") {
  World world(Texts{{"format", "yaml"}, {"activationTargetValue", "-1"}});
  world.read().done(response(200, "count: .inf"));
  CHECK(world.complaint() == "http://h:8000/api: the number at count is infinite");
  for (const char* body : {"count: .nan", "count: -.inf"}) {
    CAPTURE(body);
    world.read().done(response(200, body));
    CHECK(world.sample().value == 0);
    CHECK_FALSE(world.sample().active);
  }
}

TEST_CASE("metrics-api: a server that lets reads wait is asked to") {
  World world;
  const auto first = world.read();
  CHECK_FALSE(first.request.headers.get("Prefer"));
  first.done(waiting(R"({"count":4})"));
  CHECK(world.sample().waits);

  const auto second = world.read();
  CHECK(second.request.headers.get("If-None-Match") == "\"v1\"");
  CHECK(second.request.headers.get("Prefer") == "wait=25");
  CHECK(second.request.timeout == 28s);

  SUBCASE("unchanged is a good read of the old number") {
    world.clock.advance(25s);
    second.done(response(304));
    CHECK(world.sample().value == 4);
    CHECK(world.sample().active);
    CHECK(world.sample().waits);
    CHECK(world.read().request.headers.get("If-None-Match") == "\"v1\"");
  }
  SUBCASE("unchanged at once is read at the interval") {
    world.clock.advance(1s);
    second.done(response(304));
    CHECK(world.sample().value == 4);
    CHECK_FALSE(world.sample().waits);
  }
  SUBCASE("a change ends the wait") {
    second.done(waiting(R"({"count":40})"));
    CHECK(world.sample().value == 40);
    CHECK(world.sample().waits);
  }
  SUBCASE("a server that stops offering it is no longer asked") {
    second.done(response(200, R"({"count":1})"));
    CHECK_FALSE(world.sample().waits);
    CHECK_FALSE(world.read().request.headers.get("Prefer"));
  }
}

TEST_CASE("metrics-api: an ETag alone is no offer to wait") {
  World world;
  world.read().done(waiting(R"({"count":4})", "Accept-Encoding, X-Prefer"));
  CHECK_FALSE(world.sample().waits);
  CHECK_FALSE(world.read().request.headers.get("If-None-Match"));
}

TEST_CASE("metrics-api: OAuth fetches a token and keeps it until shortly before it ends") {
  World world(Texts{{"authMode", "oauth"}},
              {{"oauthTokenURI", "http://id/token?x=1"}, {"clientID", "c"}, {"clientSecret", "s"}});
  const auto token = world.read();
  CHECK(token.request.url == "http://id/token?x=1");
  token.done(response(200, R"({"access_token":"T1","expires_in":60})"));
  const auto read = world.take();
  CHECK(read.request.headers.get("Authorization") == "Bearer T1");
  read.done(response(200, R"({"count":1})"));
  CHECK(world.sample().value == 1);

  world.clock.advance(49s);
  CHECK(world.read().request.headers.get("Authorization") == "Bearer T1");
  world.clock.advance(1s);
  CHECK(world.read().request.url == "http://id/token?x=1");
}

TEST_CASE("metrics-api: a refused token request is tried once more with the password in the form") {
  World world(Texts{{"authMode", "oauth"}},
              {{"oauthTokenURI", "http://id/token?x=1"}, {"clientID", "c"}});
  world.read().done(response(401));
  const auto again = world.take();
  CHECK(again.request.body.find("client_id=c") != std::string::npos);
  again.done(response(401));
  CHECK(world.complaint() == "http://id/token: no token: status 401");
}

TEST_CASE("metrics-api: a scaler that is gone answers nothing") {
  World world;
  const auto exchange = world.read();
  world.scaler.reset();
  exchange.done(response(200, R"({"count":1})"));
  CHECK_FALSE(world.answer);
}

TEST_CASE("metrics-api: the end of the scaler and a late answer may meet") {
  for (int i = 0; i < 200; ++i) {
    World world;
    const auto exchange = world.read();
    std::thread client([&] { exchange.done(response(200, R"({"count":1})")); });
    world.scaler.reset();
    const bool answered = world.answer.has_value();  // no longer written to from here on
    client.join();
    CHECK(world.answer.has_value() == answered);
  }
}

TEST_CASE("metrics-api: the answer may destroy the scaler") {
  World world;
  world.scaler->read([&](Result<scale::Sample>) { world.scaler.reset(); });
  world.take().done(response(200, R"({"count":1})"));
  CHECK(world.scaler == nullptr);
}

}  // namespace jobmill::scalers
