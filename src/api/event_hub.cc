// SPDX-License-Identifier: Apache-2.0
#include "api/event_hub.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/core.h>

#include "base/id.h"
#include "http/message.h"

namespace jobmill::api {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kRingBytes = 256u << 10;  // of one topic

struct Kind {
  std::string_view prefix;  // of topics; with a colon it has a name after it
  std::string_view path;
  std::string_view suffix{};
};
constexpr Kind kKinds[] = {
    {"stats", "/api/stats"},
    {"servers", "/api/servers"},
    {"problems", "/api/problems"},
    {"job:", "/v1/jobs/", "?history=1"},
    {"queue:", "/api/queues/"},
    {"target:", "/api/autoscaling/"},
    {"execution:", "/api/executions/"},
    {"operation:", "/api/operations/"},
    {"compatible-job:", "/api/jobs/"},  // of /sse/jobs
};
constexpr std::string_view kLogs = "logs:";

bool has_null(const Node& node) {
  if (node.is_null()) return true;
  return std::ranges::any_of(node.members,
                             [](const Node::Member& member) { return has_null(member.value); });
}

Node null() { return {}; }

// What a handler tells of a job that runs comes without a word to us.
bool changes_silently(std::string_view name, const Node& value) {
  if (name.starts_with(kLogs)) return true;
  const Node* state = name.starts_with("job:") ? value.find("state") : nullptr;
  return state != nullptr && state->text == "PROCESSING";
}

}  // namespace

std::optional<std::string> path_of_topic(std::string_view topic) {
  if (topic.starts_with(kLogs)) {
    const auto colon = topic.rfind(':');
    const std::string_view job = topic.substr(kLogs.size(), colon - std::min(colon, kLogs.size()));
    const std::string_view attempt = topic.substr(colon + 1);
    const bool number = !attempt.empty() && attempt.size() < 6 &&
                        std::ranges::all_of(attempt, [](char c) { return c >= '0' && c <= '9'; });
    if (colon < kLogs.size() || job.empty() || !number) return std::nullopt;
    return fmt::format("/v1/jobs/{}/logs?attempt={}", http::url_encode(job), attempt);
  }
  for (const Kind& kind : kKinds) {
    const bool named = kind.prefix.ends_with(':');
    if (!named && topic == kind.prefix) return std::string(kind.path);
    if (named && topic.starts_with(kind.prefix) && topic.size() > kind.prefix.size())
      return fmt::format("{}{}{}", kind.path, http::url_encode(topic.substr(kind.prefix.size())),
                         kind.suffix);
  }
  return std::nullopt;
}

bool same(const Node& a, const Node& b) {
  if (a.kind != b.kind || a.text != b.text) return false;
  return std::ranges::equal(a.items, b.items, same) &&
         std::ranges::equal(a.members, b.members, [](const auto& x, const auto& y) {
           return x.key == y.key && same(x.value, y.value);
         });
}

std::optional<Node> merge_patch(const Node& from, const Node& to) {
  if (!from.is_object() || !to.is_object() || has_null(to)) return std::nullopt;
  Node patch = Node::object();
  for (const Node::Member& member : to.members) {
    const Node* old = from.find(member.key);
    if (old != nullptr && same(*old, member.value)) continue;
    const auto inner = old != nullptr ? merge_patch(*old, member.value) : std::nullopt;
    patch.set(member.key, inner ? *inner : member.value);
  }
  for (const Node::Member& member : from.members)
    if (to.find(member.key) == nullptr) patch.set(member.key, null());
  return patch;
}

EventHub::EventHub(net::EventLoop& loop, Fetch fetch)
    : loop_(loop), fetch_(std::move(fetch)), epoch_(random_token(6)) {}

EventHub::~EventHub() { *alive_ = false; }

// --- what changed -------------------------------------------------------------------------------

void EventHub::touch(std::string_view topic) {
  if (loop_.on_loop_thread()) return touch_now(std::string(topic));
  loop_.post([this, alive = alive_, name = std::string(topic)] {
    if (*alive) touch_now(name);
  });
}

void EventHub::touch_now(const std::string& topic) {
  const bool many = topic.ends_with(':');
  for (auto it = topics_.lower_bound(topic); it != topics_.end(); ++it) {
    if (many ? !it->first.starts_with(topic) : it->first != topic) break;
    it->second.dirty = true;
    look(it->second);
  }
}

void EventHub::changed(const jobs::Change& change) {
  if (streams_.empty()) return;
  for (const char* topic : {"stats", "problems", "job:", "compatible-job:", "logs:", "queue:"})
    touch_now(topic);
  if (change.workers) touch_now("servers");
}

// Reads it now, or as soon as it may be read again.
void EventHub::look(Topic& topic) {
  if (!topic.dirty || topic.reading || topic.timer != 0 || topic.streams.empty() || stopping_)
    return;
  const auto next = topic.read_at + kFastest;
  const auto now = steady_clock::now();
  if (topic.read_at == Steady{} || next <= now) return read(topic);
  topic.timer = loop_.run_after(std::chrono::ceil<Duration>(next - now),
                                [this, alive = alive_, name = topic.name] {
                                  const auto it = *alive ? topics_.find(name) : topics_.end();
                                  if (!*alive || it == topics_.end()) return;
                                  it->second.timer = 0;
                                  look(it->second);
                                });
}

void EventHub::read(Topic& topic) {
  topic.dirty = false;
  topic.reading = true;
  topic.read_at = steady_clock::now();
  std::string target = *path_of_topic(topic.name);
  // Of a log only what is new; clients put it together by its numbers.
  if (topic.name.starts_with(kLogs) && topic.known)
    if (const Node* next = topic.value.find("next")) target += "&after=" + next->text;
  fetch_(target, [this, alive = alive_, name = topic.name](http::Response response) {
    loop_.post([this, alive, name, response = std::move(response)] {
      if (*alive) took(name, response);
    });
  });
}

void EventHub::took(const std::string& name, const http::Response& response) {
  const auto it = topics_.find(name);
  if (it == topics_.end()) return;
  Topic& topic = it->second;
  topic.reading = false;
  if (response.status == 404) {
    publish_end(topic);
  } else if (response.status == 200) {
    if (auto value = parse_json(response.body)) publish(topic, *std::move(value));
  }
  const bool failed = response.status != 200 && response.status != 404;
  if (!topic.dirty && !topic.streams.empty() &&
      (failed || (!topic.gone && changes_silently(name, topic.value)))) {
    topic.timer = loop_.run_after(kLook, [this, alive = alive_, name] {
      if (!*alive) return;
      const auto again = topics_.find(name);
      if (again == topics_.end()) return;
      again->second.timer = 0;
      again->second.dirty = true;
      look(again->second);
    });
    return;
  }
  look(topic);
}

// --- events of a topic --------------------------------------------------------------------------

void EventHub::publish(Topic& topic, Node value) {
  if (topic.known && !topic.gone && same(topic.value, value)) return;
  const bool log = topic.name.starts_with(kLogs);
  const Node* lines = value.find("lines");
  const bool nothing_new = log && topic.known && lines != nullptr && lines->items.empty();
  if (nothing_new) return;
  const auto patch =
      topic.known && !topic.gone && !log ? merge_patch(topic.value, value) : std::nullopt;
  topic.value = std::move(value);
  topic.known = true;
  topic.gone = false;
  ++topic.version;
  add(topic, patch ? fmt::format(R"({{"v":{},"patch":{}}})", topic.version, to_json(*patch))
                   : fmt::format(R"({{"v":{},"full":{}}})", topic.version, to_json(topic.value)));
}

void EventHub::publish_end(Topic& topic) {
  if (topic.gone) return;
  topic.gone = true;
  topic.known = true;
  ++topic.version;
  add(topic, fmt::format(R"({{"v":{},"gone":true}})", topic.version));
}

void EventHub::add(Topic& topic, std::string data) {
  Event event{.id = ++last_event_, .at = steady_clock::now(), .frame = {}};
  event.frame =
      fmt::format("event: {}\nid: {}-{}\ndata: {}\n\n", topic.name, epoch_, event.id, data);
  topic.ring_bytes += event.frame.size();
  topic.ring.push_back(std::move(event));
  while (topic.ring.size() > 1 &&
         (topic.ring_bytes > kRingBytes || topic.ring.front().at + kKept < steady_clock::now())) {
    topic.from = topic.ring.front().id;
    topic.ring_bytes -= topic.ring.front().frame.size();
    topic.ring.pop_front();
  }
  send(topic, std::string(topic.ring.back().frame));
}

// The whole value, as the event that was sent last.
std::string EventHub::latest(const Topic& topic, bool plain) {
  if (plain)
    return topic.gone ? "event: close\ndata: \n\n"
                      : fmt::format("data: {}\n\n", to_json(topic.value));
  const std::string data =
      topic.gone ? fmt::format(R"({{"v":{},"gone":true}})", topic.version)
                 : fmt::format(R"({{"v":{},"full":{}}})", topic.version, to_json(topic.value));
  return fmt::format("event: {}\nid: {}-{}\ndata: {}\n\n", topic.name, epoch_, last_event_, data);
}

void EventHub::send(Topic& topic, const std::string& frame) {
  const auto listeners = topic.streams;  // writing may end one
  for (const StreamId id : listeners) {
    const auto it = streams_.find(id);
    if (it == streams_.end()) continue;
    Stream& stream = it->second;
    const bool behind = stream.busy || stream.timer != 0 || stream.owed.contains(topic.name);
    if (behind || stream.about.plain || stream.about.interval > kFastest)
      owe(id, stream, topic.name);
    else
      write(id, stream, frame);
  }
}

// --- streams ------------------------------------------------------------------------------------

void EventHub::listen(Listener listener, std::shared_ptr<http::Body> body) {
  if (stopping_) return body->end();
  const StreamId id = ++last_stream_;
  body->on_gone([this, alive = alive_, id] {
    if (*alive) remove(id);
  });
  Stream& stream = streams_[id];
  stream.about = std::move(listener);
  stream.body = std::move(body);
  if (!stream.about.plain) stream.body->write("retry: 2000\n\n");
  for (const std::string& name : stream.about.topics) {
    auto [it, fresh] = topics_.try_emplace(name);
    Topic& topic = it->second;
    if (fresh) {
      topic.name = name;
      topic.from = last_event_;
    }
    // Nobody looked while nobody listened.
    if (topic.streams.empty()) topic.dirty = true;
    topic.streams.insert(id);
    catch_up(stream, id, topic);
    look(topic);
  }
  if (heartbeat_ == 0) heartbeat();
}

// What a stream has not seen of a topic yet: the events since its last one, or the whole value.
void EventHub::catch_up(Stream& stream, StreamId id, Topic& topic) {
  if (!topic.known) return;
  const std::string_view last = stream.about.last_event_id;
  std::uint64_t seen = 0;
  const bool ours = last.starts_with(epoch_ + "-");
  const char* begin = last.data() + (ours ? epoch_.size() + 1 : last.size());
  const bool read =
      std::from_chars(begin, last.data() + last.size(), seen).ec == std::errc() && ours;
  if (!read || seen < topic.from || stream.about.plain) return owe(id, stream, topic.name);
  std::string frames;
  for (const Event& event : topic.ring)
    if (event.id > seen) frames += event.frame;
  if (!frames.empty()) write(id, stream, std::move(frames));
}

void EventHub::owe(StreamId id, Stream& stream, const std::string& topic) {
  stream.owed.insert(topic);
  pay(id);
}

// The latest values of what it waits for, once it has taken what it got and wants more.
void EventHub::pay(StreamId id) {
  const auto it = streams_.find(id);
  if (it == streams_.end()) return;
  Stream& stream = it->second;
  if (stream.busy || stream.timer != 0 || stream.owed.empty()) return;
  const auto next = stream.wrote_at + stream.about.interval;
  const auto now = steady_clock::now();
  if (stream.about.interval > kFastest && stream.wrote_at != Steady{} && next > now) {
    stream.timer =
        loop_.run_after(std::chrono::ceil<Duration>(next - now), [this, alive = alive_, id] {
          if (!*alive || !streams_.contains(id)) return;
          streams_[id].timer = 0;
          pay(id);
        });
    return;
  }
  std::string frames;
  bool ended = false;
  for (const std::string& name : std::exchange(stream.owed, {})) {
    const auto topic = topics_.find(name);
    if (topic == topics_.end() || !topic->second.known) continue;
    frames += latest(topic->second, stream.about.plain);
    ended = ended || (stream.about.plain && topic->second.gone);
  }
  if (!frames.empty()) write(id, stream, std::move(frames));
  if (!ended) return;
  stream.body->end();
  remove(id);
}

void EventHub::write(StreamId id, Stream& stream, std::string frames) {
  stream.busy = true;
  stream.wrote_at = steady_clock::now();
  stream.body->write(std::move(frames), [this, alive = alive_, id](bool taken) {
    if (!*alive || !taken) return;
    const auto it = streams_.find(id);
    if (it == streams_.end()) return;
    it->second.busy = false;
    pay(id);
  });
}

void EventHub::remove(StreamId id) {
  const auto it = streams_.find(id);
  if (it == streams_.end()) return;
  loop_.cancel(it->second.timer);
  for (const std::string& name : it->second.about.topics) {
    const auto topic = topics_.find(name);
    if (topic == topics_.end()) continue;
    topic->second.streams.erase(id);
    if (topic->second.streams.empty()) topic->second.left_at = steady_clock::now();
  }
  streams_.erase(it);
}

void EventHub::end_session(std::string_view session) {
  std::vector<StreamId> ended;
  for (const auto& [id, stream] : streams_)
    if (stream.about.session == session) ended.push_back(id);
  for (const StreamId id : ended) {
    streams_[id].body->end();
    remove(id);
  }
}

void EventHub::stop() {
  stopping_ = true;
  loop_.cancel(heartbeat_);
  while (!streams_.empty()) {
    streams_.begin()->second.body->end();
    remove(streams_.begin()->first);
  }
}

// Proxies close what is silent, and a client that is gone is found out by writing.
void EventHub::heartbeat() {
  heartbeat_ = 0;
  forget_old();
  if (streams_.empty() || stopping_) return;
  for (auto& [id, stream] : streams_)
    if (!stream.busy) stream.body->write(":\n\n");
  heartbeat_ = loop_.run_after(kHeartbeat, [this, alive = alive_] {
    if (*alive) heartbeat();
  });
}

void EventHub::forget_old() {
  const auto now = steady_clock::now();
  for (auto it = topics_.begin(); it != topics_.end();) {
    Topic& topic = it->second;
    if (topic.streams.empty() && !topic.reading && topic.left_at + kKept < now) {
      loop_.cancel(topic.timer);
      it = topics_.erase(it);
    } else {
      ++it;
    }
  }
}

}  // namespace jobmill::api
