// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "http/message.h"
#include "http/server.h"
#include "jobs/job_store.h"
#include "net/event_loop.h"

namespace jobmill::api {

// What a stream of server-sent events can be about: a topic is a resource of this API, and whoever
// listens gets what GET would answer, when it has changed.
//
//   stats  servers  problems  job:<id>  logs:<id>:<attempt>  queue:<name>  target:<name>
//   execution:<id>  operation:<id>
//
// The path of a topic; none: there is no such topic.
std::optional<std::string> path_of_topic(std::string_view topic);

// Tells browsers of changes. Each topic is read once for all who listen to it, at most four times a
// second, and only while somebody does; a change that nobody listens to costs nothing.
//
// The events of a topic are one sequence: the whole value first, then JSON merge patches (RFC 7396)
// with a growing version. A client that comes back with the id of the last event it saw goes on
// from there, for five minutes; a slow one skips to the latest value.
//
// Belongs to the loop thread; touch() may be called from any.
class EventHub {
 public:
  using Answered = std::function<void(http::Response)>;
  using Fetch = std::function<void(const std::string& target, Answered answered)>;

  static constexpr std::size_t kMostStreams = 1000;
  static constexpr std::size_t kMostTopics = 50;  // of one stream
  static constexpr Duration kFastest = std::chrono::milliseconds(250);
  static constexpr Duration kSlowest = std::chrono::seconds(10);
  static constexpr Duration kHeartbeat = std::chrono::seconds(15);
  static constexpr Duration kKept = std::chrono::minutes(5);
  // How often a topic is read that can change without a word: what a handler tells of its job.
  static constexpr Duration kLook = std::chrono::seconds(1);

  EventHub(net::EventLoop& loop, Fetch fetch);
  ~EventHub();
  EventHub(const EventHub&) = delete;
  EventHub& operator=(const EventHub&) = delete;

  // Something may have changed about this topic, or about all that begin with it when it ends in
  // a colon: "job:". From any thread; many calls in a row are one look.
  void touch(std::string_view topic);

  // The store of jobs has changed. On the loop thread.
  void changed(const jobs::Change& change);

  struct Listener {
    std::vector<std::string> topics{};  // each has a path
    std::string last_event_id{};        // of the stream that this one continues; empty: none
    std::string session{};              // of the browser; the stream ends with it
    Duration interval = kFastest;       // a hidden page wants fewer events
    // One topic as other dashboards expect it: whole values without names and versions, and an
    // event `close` at the end.
    bool plain = false;
  };
  bool full() const { return streams_.size() >= kMostStreams; }
  void listen(Listener listener, std::shared_ptr<http::Body> body);

  void end_session(std::string_view session);  // its streams end
  void stop();                                 // all of them, also those that come later

  std::size_t streams() const { return streams_.size(); }

 private:
  using Steady = std::chrono::steady_clock::time_point;
  using StreamId = std::uint64_t;

  struct Event {
    std::uint64_t id = 0;
    Steady at{};
    std::string frame;
  };
  struct Topic {
    std::string name;
    Node value{};
    bool known = false;  // there is a value
    bool gone = false;   // and it is no more
    std::uint64_t version = 0;
    std::uint64_t from = 0;  // events after this id are all in `ring`, or were never
    std::deque<Event> ring{};
    std::size_t ring_bytes = 0;
    std::set<StreamId> streams{};
    bool dirty = true;
    bool reading = false;
    Steady read_at{};
    Steady left_at{};  // when the last stream left it
    net::EventLoop::TimerId timer = 0;
  };
  struct Stream {
    Listener about;
    std::shared_ptr<http::Body> body;
    std::set<std::string> owed{};  // topics of which it wants the latest value
    bool busy = false;             // what was written has not been taken yet
    Steady wrote_at{};
    net::EventLoop::TimerId timer = 0;
  };

  void touch_now(const std::string& topic);
  void look(Topic& topic);
  void read(Topic& topic);
  void took(const std::string& name, const http::Response& response);
  void publish(Topic& topic, Node value);
  void publish_end(Topic& topic);
  void add(Topic& topic, std::string data);
  void send(Topic& topic, const std::string& frame);
  void catch_up(Stream& stream, StreamId id, Topic& topic);
  void owe(StreamId id, Stream& stream, const std::string& topic);
  void pay(StreamId id);
  void write(StreamId id, Stream& stream, std::string frames);
  std::string latest(const Topic& topic, bool plain);
  void remove(StreamId id);
  void heartbeat();
  void forget_old();

  net::EventLoop& loop_;
  const Fetch fetch_;
  const std::string epoch_;  // of this process: its ids say nothing to another one
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::map<std::string, Topic, std::less<>> topics_;
  std::map<StreamId, Stream> streams_;
  StreamId last_stream_ = 0;
  std::uint64_t last_event_ = 0;
  net::EventLoop::TimerId heartbeat_ = 0;
  bool stopping_ = false;
};

// The RFC 7396 patch that makes `to` of `from`; none: there is none, since null would mean two
// things, or they are not both objects.
std::optional<Node> merge_patch(const Node& from, const Node& to);
bool same(const Node& a, const Node& b);

}  // namespace jobmill::api
