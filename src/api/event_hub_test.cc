// SPDX-License-Identifier: Apache-2.0
#include "api/event_hub.h"

#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace jobmill;
using namespace jobmill::api;
using namespace std::chrono_literals;

namespace {

// A browser: keeps what comes, and takes it at once unless it is slow.
struct Browser final : http::Body {
  void write(std::string bytes, std::function<void(bool)> taken) override {
    if (bytes == ":\n\n" || bytes.starts_with("retry")) return;
    got.push_back(std::move(bytes));
    if (!taken) return;
    if (slow)
      waiting.push_back(std::move(taken));
    else
      taken(true);
  }
  void end() override { ended = true; }
  void on_gone(std::function<void()> fn) override { gone = std::move(fn); }

  std::string last() const { return got.empty() ? "" : got.back(); }
  std::string last_id() const {
    const auto at = last().rfind("id: ");
    return at == std::string::npos ? "" : last().substr(at + 4, last().find('\n', at) - at - 4);
  }

  std::vector<std::string> got;
  std::vector<std::function<void(bool)>> waiting;
  std::function<void()> gone;
  bool slow = false;
  bool ended = false;
};

// The hub on a loop that runs until something is so, and resources that it reads.
struct Rig {
  net::EventLoop loop;
  std::map<std::string, std::string> resources;  // JSON by target; absent: 404
  std::vector<std::string> reads;
  EventHub hub{loop, [this](const std::string& target, const EventHub::Answered& answered) {
                 reads.push_back(target);
                 const auto it = resources.find(target);
                 answered(it == resources.end()
                              ? http::Response{.status = 404}
                              : http::Response{.status = 200, .body = it->second});
               }};

  std::shared_ptr<Browser> listen(std::vector<std::string> topics, std::string last = {},
                                  EventHub::Listener other = {}) {
    auto browser = std::make_shared<Browser>();
    other.topics = std::move(topics);
    other.last_event_id = std::move(last);
    hub.listen(std::move(other), browser);
    return browser;
  }

  // Runs the loop until `done`, for a minute at most.
  template <class Done>
  void until(const Done& done) {
    std::stop_source stop;
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    std::function<void()> look = [&] {
      if (done() || std::chrono::steady_clock::now() > deadline) return (void)stop.request_stop();
      loop.run_after(1ms, look);
    };
    loop.post(look);
    loop.run(stop.get_token());
    CHECK(done());
  }
  void set(const std::string& target, const std::string& json) { resources[target] = json; }
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("topics are resources of the API") {
  CHECK(path_of_topic("stats") == "/api/stats");
  CHECK(path_of_topic("job:a/b") == "/v1/jobs/a%2Fb?history=1");
  CHECK(path_of_topic("logs:42:3") == "/v1/jobs/42/logs?attempt=3");
  CHECK(path_of_topic("logs:a:b:3") == "/v1/jobs/a%3Ab/logs?attempt=3");
  for (const std::string_view none :
       {"", "stats:", "stat", "job:", "logs:42", "logs:42:x", "logs::1", "logs:"})
    CHECK_MESSAGE(!path_of_topic(none), none);
}

TEST_CASE("a patch says what changed, and a null is not patched") {
  const auto patch = [](std::string_view from, std::string_view to) {
    const auto made = merge_patch(*parse_json(from), *parse_json(to));
    return made ? to_json(*made) : "none";
  };
  CHECK(patch(R"({"a":1,"b":{"c":2,"d":3}})", R"({"a":1,"b":{"c":2,"d":4},"e":[1]})") ==
        R"({"b":{"d":4},"e":[1]})");
  CHECK(patch(R"({"a":1,"b":2})", R"({"b":2})") == R"({"a":null})");
  CHECK(patch(R"({"a":1})", R"({"a":null})") == "none");
  CHECK(patch("[1]", "[2]") == "none");
}

TEST_CASE("first the whole value, then what changed, each read once for all") {
  Rig rig;
  rig.set("/api/stats", R"({"enqueued":1,"failed":0})");
  const auto one = rig.listen({"stats"});
  const auto two = rig.listen({"stats"});
  rig.until([&] { return one->got.size() == 1 && two->got.size() == 1; });
  CHECK(has(one->last(), R"(data: {"v":1,"full":{"enqueued":1,"failed":0}})"));
  CHECK(has(one->last(), "event: stats\nid: "));
  CHECK(rig.reads.size() == 1);

  rig.set("/api/stats", R"({"enqueued":2,"failed":0})");
  for (int i = 0; i < 100; ++i) rig.hub.touch("stats");
  rig.until([&] { return one->got.size() == 2 && two->got.size() == 2; });
  CHECK(has(two->last(), R"(data: {"v":2,"patch":{"enqueued":2}})"));
  CHECK(rig.reads.size() <= 3);  // the next one is due already when we are held up
}

TEST_CASE("what did not change is not told, and what nobody listens to is not read") {
  Rig rig;
  rig.set("/api/stats", "{}");
  const auto browser = rig.listen({"stats"});
  rig.until([&] { return browser->got.size() == 1; });
  rig.hub.touch("stats");
  rig.until([&] { return rig.reads.size() == 2; });
  browser->gone();
  CHECK(rig.hub.streams() == 0);
  rig.hub.touch("stats");
  rig.hub.touch("job:");
  CHECK(rig.reads.size() == 2);
  CHECK(browser->got.size() == 1);
}

TEST_CASE("who comes back goes on from the last event that it saw") {
  Rig rig;
  rig.set("/api/stats", R"({"n":1})");
  const auto first = rig.listen({"stats"});
  rig.until([&] { return first->got.size() == 1; });
  const std::string seen = first->last_id();
  rig.set("/api/stats", R"({"n":2})");
  rig.hub.touch("stats");
  rig.until([&] { return first->got.size() == 2; });

  const auto again = rig.listen({"stats"}, seen);
  REQUIRE(again->got.size() == 1);
  CHECK(has(again->last(), R"("patch":{"n":2})"));
  const auto stranger = rig.listen({"stats"}, "another-1");  // of an earlier process
  REQUIRE(stranger->got.size() == 1);
  CHECK(has(stranger->last(), R"("full":{"n":2})"));
  CHECK(has(stranger->last(), R"("v":2)"));
}

TEST_CASE("a slow client gets the latest value, not all that was in between") {
  Rig rig;
  rig.set("/api/stats", R"({"n":1})");
  const auto slow = rig.listen({"stats"});
  slow->slow = true;
  const auto quick = rig.listen({"stats"});
  for (int n = 1; n <= 3; ++n) {
    rig.set("/api/stats", R"({"n":)" + std::to_string(n) + "}");
    rig.hub.touch("stats");
    rig.until([&] { return quick->got.size() == static_cast<std::size_t>(n); });
  }
  REQUIRE(slow->got.size() == 1);
  slow->slow = false;
  slow->waiting.front()(true);
  REQUIRE(slow->got.size() == 2);
  CHECK(has(slow->last(), R"("v":3,"full":{"n":3})"));
}

TEST_CASE("of a log only the new lines are read and told") {
  Rig rig;
  rig.set("/v1/jobs/a/logs?attempt=1", R"({"lines":[{"text":"x"}],"next":1})");
  rig.set("/v1/jobs/a/logs?attempt=1&after=1", R"({"lines":[],"next":1})");
  const auto browser = rig.listen({"logs:a:1"});
  rig.until([&] { return browser->got.size() == 1; });
  rig.until([&] { return rig.reads.size() == 2; });  // looks by itself
  CHECK(browser->got.size() == 1);
  rig.set("/v1/jobs/a/logs?attempt=1&after=1", R"({"lines":[{"text":"y"}],"next":2})");
  rig.hub.touch("logs:a:");
  rig.until([&] { return browser->got.size() == 2; });
  CHECK(has(browser->last(), R"("full":{"lines":[{"text":"y"}],"next":2})"));
}

TEST_CASE("a resource that goes is told, and a plain stream ends with it") {
  Rig rig;
  rig.set("/v1/jobs/a?history=1", R"({"state":"FAILED"})");
  rig.set("/api/jobs/a", R"({"id":"a"})");
  const auto page = rig.listen({"job:a"});
  const auto plain = rig.listen({"compatible-job:a"}, {}, {.plain = true});
  rig.until([&] { return page->got.size() == 1 && plain->got.size() == 1; });
  CHECK(plain->last() == "data: {\"id\":\"a\"}\n\n");
  rig.resources.clear();
  rig.hub.touch("job:");
  rig.hub.touch("compatible-job:");
  rig.until([&] { return page->got.size() == 2 && plain->ended; });
  CHECK(has(page->last(), R"("gone":true)"));
  CHECK_FALSE(page->ended);
  CHECK(plain->last() == "event: close\ndata: \n\n");
}

TEST_CASE("a hidden page is told less often") {
  Rig rig;
  rig.set("/api/stats", R"({"n":1})");
  const auto begun = std::chrono::steady_clock::now();
  const auto hidden = rig.listen({"stats"}, {}, {.interval = 1s});
  const auto shown = rig.listen({"stats"});
  rig.until([&] { return hidden->got.size() == 1; });
  for (std::size_t n = 2; n <= 4; ++n) {
    rig.set("/api/stats", R"({"n":)" + std::to_string(n) + "}");
    rig.hub.touch("stats");
    rig.until([&] { return shown->got.size() == n; });
  }
  rig.until([&] { return hidden->got.size() >= 2; });
  const auto seconds = (std::chrono::steady_clock::now() - begun) / 1s;
  CHECK(hidden->got.size() <= 1 + static_cast<std::size_t>(seconds));
  rig.until([&] { return has(hidden->last(), R"("full":{"n":4})"); });
}

TEST_CASE("a session that ends takes its streams along, and so does the server") {
  Rig rig;
  rig.set("/api/stats", "{}");
  const auto of_alice = rig.listen({"stats"}, {}, {.session = "a"});
  const auto of_bob = rig.listen({"stats"}, {}, {.session = "b"});
  rig.hub.end_session("a");
  CHECK(of_alice->ended);
  CHECK_FALSE(of_bob->ended);
  rig.hub.stop();
  CHECK(of_bob->ended);
  CHECK(rig.listen({"stats"})->ended);
}
