// SPDX-License-Identifier: Apache-2.0
#include "k8s/watch_state.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>

using namespace std::chrono_literals;

namespace jobmill::k8s {
namespace {

const Asked kAsked{.verb = "watch", .resource = resources::kPods};

Node object(const std::string& name, int version) {
  return *parse_json(
      fmt::format(R"({{"metadata":{{"name":"{}","resourceVersion":"{}"}}}})", name, version));
}

std::string name_of(const Node& node) { return node.find("metadata")->find("name")->text; }

Node line(const std::string& type, Node about) {
  Node node = Node::object();
  node.set("type", Node::string(type));
  node.set("object", std::move(about));
  return node;
}

Node error_line(int code) {
  return line("ERROR",
              *parse_json(fmt::format(R"({{"kind":"Status","code":{},"message":"why"}})", code)));
}

Node list(std::vector<Node> items, int version) {
  Node node = Node::object();
  node.set("metadata", Node::object())
      .set("resourceVersion", Node::string(std::to_string(version)));
  node.set("items", Node::array()).items = std::move(items);
  return node;
}

std::string word(const Step& step) {
  struct Word {
    std::string operator()(const BeginList&) const { return "list"; }
    std::string operator()(const BeginWatch& s) const { return "watch " + s.resource_version; }
    std::string operator()(const EndWatch&) const { return "end"; }
    std::string operator()(const Listed& s) const {
      std::string text = "listed";
      for (const Node& item : s.items) text += " " + name_of(item);
      return text;
    }
    std::string operator()(const Put& s) const { return "put " + name_of(s.object); }
    std::string operator()(const Removed& s) const { return "removed " + name_of(s.object); }
    std::string operator()(const Ill& s) const { return "ill: " + s.why.message; }
    std::string operator()(const Well&) const { return "well"; }
  };
  return std::visit(Word{}, step);
}

std::string words(const Steps& steps) {
  std::string text;
  for (const Step& step : steps) text += (text.empty() ? "" : ", ") + word(step);
  return text;
}

// A state with a watch from 5, accepted a minute ago.
struct Watching {
  Watching() {
    (void)state.start();
    (void)state.list_came(list({}, 5), clock.now());
    (void)state.watch_begun(clock.now());
    clock.advance(1min);
  }
  ManualClock clock;
  WatchState state{kAsked, 5min};
};

Fault fault(Code code) { return fail(code, "why"); }

}  // namespace

TEST_CASE("watch state: a list, then its changes") {
  ManualClock clock;
  WatchState state(kAsked, 5min);
  CHECK(words(state.start()) == "list");
  CHECK_FALSE(state.listed());
  CHECK(words(state.list_came(list({object("a", 3), object("b", 4)}, 5), clock.now())) ==
        "listed a b, watch 5");
  CHECK(state.listed());
  CHECK(words(state.watch_begun(clock.now())) == "");
  CHECK(words(state.line_came(line("ADDED", object("c", 6)), clock.now())) == "put c");
  CHECK(words(state.line_came(line("MODIFIED", object("a", 7)), clock.now())) == "put a");
  CHECK(words(state.line_came(line("DELETED", object("b", 8)), clock.now())) == "removed b");
  CHECK(words(state.line_came(line("BOOKMARK", object("", 20)), clock.now())) == "");
  clock.advance(1min);
  CHECK(words(state.watch_ended({}, clock.now())) == "watch 20");
}

TEST_CASE("watch state: what follows the end of a watch") {
  const struct {
    Status how;
    std::string steps;
    Duration wait;         // none: WatchState::kAccept
    std::string and_then;  // after the wait
  } cases[] = {
      {{}, "watch 5", {}, ""},
      {fault(Code::Unavailable), "watch 5", {}, ""},        // broke off
      {fault(Code::Conflict), "list", {}, ""},              // 410
      {fault(Code::Exhausted), "ill: why", 1s, "watch 5"},  // 429
      {fault(Code::Timeout), "ill: why", 1s, "watch 5"},
      {fault(Code::PermissionDenied), "ill: why", 1s, "list"},
      {fault(Code::NotFound), "ill: why", 1s, "list"},  // the kind is gone
      {fault(Code::InvalidArgument), "ill: why", 1s, "list"},
  };
  for (const auto& [how, steps, wait, and_then] : cases) {
    CAPTURE(steps);
    Watching w;
    CHECK(words(w.state.watch_ended(how, w.clock.now())) == steps);
    if (and_then.empty()) continue;
    CHECK(w.state.next_change() == w.clock.now() + wait);
    CHECK(words(w.state.tick(w.clock.now())) == "");
    w.clock.advance(wait);
    CHECK(words(w.state.tick(w.clock.now())) == and_then);
  }
}

TEST_CASE("watch state: an ERROR object ends the watch") {
  const struct {
    int code;
    std::string steps;
  } cases[] = {{410, "end, list"},
               {500, "end, ill: cannot watch pods in all namespaces: why (500)"},
               {403, "end, ill: cannot watch pods in all namespaces: why (403)"}};
  for (const auto& [code, steps] : cases) {
    Watching w;
    CHECK(words(w.state.line_came(error_line(code), w.clock.now())) == steps);
  }
  Watching w;
  CHECK(words(w.state.line_came(Node::object(), w.clock.now())) ==
        "end, ill: cannot watch pods in all namespaces: no event was sent");
}

TEST_CASE("watch state: illness is told once, and so is health") {
  ManualClock clock;
  WatchState state(kAsked, 5min);
  (void)state.start();
  CHECK(words(state.list_came(fault(Code::Unavailable), clock.now())) == "ill: why");
  clock.advance(1s);
  CHECK(words(state.tick(clock.now())) == "list");
  CHECK(words(state.list_came(fault(Code::PermissionDenied), clock.now())) == "");
  clock.advance(2s);
  CHECK(words(state.tick(clock.now())) == "list");
  CHECK(words(state.list_came(list({}, 5), clock.now())) == "listed, watch 5");
  CHECK(words(state.watch_begun(clock.now())) == "well");
  CHECK(words(state.watch_begun(clock.now())) == "");
}

TEST_CASE("watch state: failures are waited for, longer and longer") {
  ManualClock clock;
  WatchState state(kAsked, 5min);
  (void)state.start();
  for (const auto pause : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    (void)state.list_came(fault(Code::Unavailable), clock.now());
    CHECK(state.next_change() == clock.now() + pause);
    clock.advance(pause);
    CHECK(words(state.tick(clock.now())) == "list");
  }
}

TEST_CASE("watch state: a server that ends each watch at once does not make us spin") {
  for (const bool as_error : {false, true}) {
    Watching w;
    (void)w.state.watch_ended({}, w.clock.now());
    for (const auto pause : {1s, 2s, 4s}) {
      (void)w.state.watch_begun(w.clock.now());
      const Status how = as_error ? Status(fault(Code::Unavailable)) : Status();
      CHECK(words(w.state.watch_ended(how, w.clock.now())) == "");
      CHECK(w.state.next_change() == w.clock.now() + pause);
      w.clock.advance(pause);
      CHECK(words(w.state.tick(w.clock.now())) == "watch 5");
    }
    (void)w.state.watch_begun(w.clock.now());
    w.clock.advance(1s);
    CHECK(words(w.state.watch_ended({}, w.clock.now())) == "watch 5");
  }
}

TEST_CASE("watch state: a list that is always too old does not make us spin either") {
  Watching w;
  CHECK(words(w.state.line_came(error_line(410), w.clock.now())) == "end, list");
  CHECK(words(w.state.list_came(list({}, 6), w.clock.now())) == "listed, watch 6");
  (void)w.state.watch_begun(w.clock.now());
  CHECK(words(w.state.line_came(error_line(410), w.clock.now())) == "end");
  w.clock.advance(1s);
  CHECK(words(w.state.tick(w.clock.now())) == "list");
}

TEST_CASE("watch state: a server that comes back without its past is listed at once") {
  Watching w;
  for (int i = 0; i < 4; ++i) {
    (void)w.state.watch_ended(fault(Code::Exhausted), w.clock.now());
    w.clock.advance(30s);
    CHECK(words(w.state.tick(w.clock.now())) == "watch 5");
  }
  (void)w.state.watch_begun(w.clock.now());
  CHECK(words(w.state.line_came(error_line(410), w.clock.now())) == "end, list");
}

TEST_CASE("watch state: a watch that is silent beyond its time is ended and begun anew") {
  Watching w;
  CHECK(w.state.next_change() == w.clock.now() + 4min + 10s);
  w.clock.advance(4min + 10s);
  CHECK(words(w.state.tick(w.clock.now())) == "end, watch 5");
}

TEST_CASE("watch state: a watch that is not answered is ill") {
  Watching w;
  (void)w.state.watch_ended({}, w.clock.now());
  w.clock.advance(30s);
  CHECK(words(w.state.tick(w.clock.now())) ==
        "end, ill: cannot watch pods in all namespaces: no answer");
  w.clock.advance(1s);
  CHECK(words(w.state.tick(w.clock.now())) == "watch 5");
}

TEST_CASE("watch state: a watch that fails again and again is left for a list") {
  Watching w;
  (void)w.state.watch_ended(fault(Code::Timeout), w.clock.now());
  std::string next;
  int watches = 0;
  while (true) {
    w.clock.advance(30s);
    next = words(w.state.tick(w.clock.now()));
    if (next == "list") break;
    CHECK(next == "watch 5");
    REQUIRE(++watches < 10);
    (void)w.state.watch_ended(fault(Code::Timeout), w.clock.now());
  }
  CHECK(watches == 5);
}

TEST_CASE("watch state: a list without a resourceVersion is an error") {
  ManualClock clock;
  WatchState state(kAsked, 5min);
  (void)state.start();
  CHECK(words(state.list_came(Node::object(), clock.now())) ==
        "ill: the API server's list has no resourceVersion");
}

namespace {

// A server with a history, the way to it, and a reflector's picture of it.
class Simulation {
 public:
  explicit Simulation(unsigned seed) : random_(seed) { carry_out(state_.start()); }

  void run(int rounds) {
    for (int i = 0; i < rounds; ++i) round();
  }

  // No more faults and changes; in the end the picture must be the truth.
  void settle() {
    calm_ = true;
    for (int i = 0; i < 4000 && (picture_ != truth_ || i < 1000); ++i) round();
    REQUIRE(picture_ == truth_);
    REQUIRE_FALSE(ill_);
  }

  int relists() const { return relists_; }
  int stalls() const { return stalls_; }

 private:
  struct Event {
    int version;
    std::string type;
    std::string name;
  };

  bool chance(int percent) { return std::uniform_int_distribution(1, 100)(random_) <= percent; }
  int below(int limit) { return std::uniform_int_distribution(0, limit - 1)(random_); }

  void round() {
    if (!calm_) change();
    if (listing_ && chance(50)) answer_list();
    if (watching_) watch_on();
    clock_.advance(chance(80) ? Duration(1ms * (1 + below(500))) : Duration(1s * (1 + below(20))));
    carry_out(state_.tick(clock_.now()));
    bound_requests();
  }

  void change() {
    if (chance(3)) oldest_ = version_;  // compaction
    if (!chance(40)) return;
    const std::string name(1, static_cast<char>('a' + below(8)));
    const bool there = truth_.contains(name);
    ++version_;
    if (there && chance(40)) {
      truth_.erase(name);
      history_.push_back({version_, "DELETED", name});
    } else {
      truth_[name] = version_;
      history_.push_back({version_, there ? "MODIFIED" : "ADDED", name});
    }
  }

  void answer_list() {
    listing_ = false;
    if (!calm_ && chance(20)) return carry_out(state_.list_came(some_fault(), clock_.now()));
    std::vector<Node> items;
    for (const auto& [name, version] : truth_) items.push_back(object(name, version));
    carry_out(state_.list_came(list(std::move(items), version_), clock_.now()));
  }

  Fault some_fault() {
    constexpr Code kCodes[] = {Code::Unavailable, Code::Timeout, Code::Exhausted,
                               Code::PermissionDenied, Code::Internal};
    return fail(kCodes[below(5)], "simulated");
  }

  void watch_on() {
    if (stalled_) return;
    if (!calm_ && chance(3)) {
      ++stalls_;
      stalled_ = true;
      return;
    }
    if (!calm_ && chance(4)) return end_watch(chance(50) ? Status() : Status(some_fault()));
    if (!accepted_) return accept();
    if (clock_.now() - since_ >= 5min) return end_watch({});
    deliver();
  }

  void accept() {
    if (!chance(70)) return;
    if (at_ < oldest_ && chance(50)) return end_watch(fail(Code::Conflict, "410"));
    accepted_ = true;
    since_ = clock_.now();
    carry_out(state_.watch_begun(clock_.now()));
    if (watching_ && at_ < oldest_) tell(error_line(410));
  }

  void deliver() {
    for (const Event& event : history_) {
      if (!watching_ || event.version <= at_) continue;
      if (chance(30)) return;  // the rest comes later
      at_ = event.version;
      tell(line(event.type, object(event.name, event.version)));
    }
    if (watching_ && at_ == version_after() && chance(5)) tell(line("BOOKMARK", object("", at_)));
  }

  int version_after() const { return history_.empty() ? version_ : history_.back().version; }

  void tell(Node node) { carry_out(state_.line_came(std::move(node), clock_.now())); }

  void end_watch(const Status& how) {
    watching_ = false;
    carry_out(state_.watch_ended(how, clock_.now()));
  }

  void carry_out(const Steps& steps) {
    for (const Step& step : steps) std::visit([this](const auto& one) { carry_out(one); }, step);
  }

  void carry_out(const BeginList&) {
    REQUIRE_FALSE(listing_);
    REQUIRE_FALSE(watching_);
    listing_ = true;
    ++relists_;
    requests_.push_back(clock_.now());
  }
  void carry_out(const BeginWatch& begin) {
    REQUIRE_FALSE(listing_);
    REQUIRE_FALSE(watching_);
    watching_ = true;
    accepted_ = stalled_ = false;
    at_ = std::stoi(begin.resource_version);
    requests_.push_back(clock_.now());
  }
  void carry_out(const EndWatch&) {
    REQUIRE(watching_);
    watching_ = false;
  }
  void carry_out(const Listed& listed) {
    picture_.clear();
    for (const Node& item : listed.items) put(item);
  }
  void carry_out(const Put& one) { put(one.object); }
  void carry_out(const Removed& one) { REQUIRE(picture_.erase(name_of(one.object)) == 1); }
  void carry_out(const Ill&) {
    REQUIRE_FALSE(ill_);
    ill_ = true;
  }
  void carry_out(const Well&) {
    REQUIRE(ill_);
    ill_ = false;
  }

  void put(const Node& item) {
    picture_[name_of(item)] = std::stoi(item.find("metadata")->find("resourceVersion")->text);
  }

  // Whatever the server does, it is not flooded.
  void bound_requests() {
    std::erase_if(requests_, [&](TimePoint at) { return at <= clock_.now() - 1s; });
    if (requests_.size() > 4) FAIL("too many requests");
  }

  std::mt19937 random_;
  ManualClock clock_;
  WatchState state_{kAsked, 5min};
  bool calm_ = false;

  std::map<std::string, int> truth_;
  std::vector<Event> history_;
  int version_ = 1;
  int oldest_ = 0;  // a watch from before it is too old

  bool listing_ = false;
  bool watching_ = false;
  bool accepted_ = false;
  bool stalled_ = false;
  int at_ = 0;  // what the watch has told
  TimePoint since_{};

  std::map<std::string, int> picture_;
  bool ill_ = false;
  std::vector<TimePoint> requests_;
  int relists_ = 0;
  int stalls_ = 0;
};

}  // namespace

TEST_CASE("watch state: whatever happens on the way, the picture becomes the truth") {
  int relists = 0;
  int stalls = 0;
  for (unsigned seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);  // rerun with this seed to see the same history
    Simulation simulation(seed);
    for (int part = 0; part < 3; ++part) simulation.run(400);
    simulation.settle();
    relists += simulation.relists();
    stalls += simulation.stalls();
  }
  CHECK(relists > 500);
  CHECK(stalls > 50);
}

}  // namespace jobmill::k8s
