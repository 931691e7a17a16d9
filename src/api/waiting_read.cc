// SPDX-License-Identifier: Apache-2.0
#include "api/waiting_read.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include <fmt/core.h>

#include "api/problem.h"
#include "api/waiters.h"

namespace jobmill::api {
namespace {

constexpr std::chrono::seconds kLongestWait{30};

// The number of the preference `wait` in "respond-async, wait=25".
std::optional<int> preferred_wait(std::string_view prefer) {
  const auto at = prefer.find("wait=");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view text = prefer.substr(at + 5);
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || seconds < 0) return std::nullopt;
  return seconds;
}

using namespace std::chrono_literals;

std::string plain(const std::string& quoted) { return quoted.substr(1, quoted.size() - 2); }

// One read. It belongs to the loop thread, save that the pool reads the store for it.
class HeldRead : public std::enable_shared_from_this<HeldRead> {
 public:
  using Look = std::function<Result<Reading>(TimePoint)>;

  HeldRead(ApiContext& context, http::Responder responder, Look look)
      : context_(context), responder_(std::move(responder)), look_(std::move(look)) {}

  void start(const http::Request& request) {
    const TimePoint now = context_.clock.now();
    etag_ = request.headers.get("If-None-Match").value_or("");
    by_etag_ = true;
    const auto waiting = waiting_read(request, now);
    start(waiting ? waiting->until - now : Duration::zero());
  }

  void start(Duration wait) {
    if (wait > Duration::zero()) {
      waits_ = true;
      deadline_ = context_.loop.run_after(wait, [weak = weak_from_this()] {
        if (auto self = weak.lock()) self->time_is_up();
      });
      responder_.on_gone([weak = weak_from_this()] {
        if (auto self = weak.lock()) self->finish();
      });
    }
    look();
  }

 private:
  void look() {
    seen_ = context_.waiters.changes();
    context_.pool.post([self = shared_from_this()] {
      const TimePoint now = self->context_.clock.now();
      auto reading = self->look_(now);
      if (!self->waits_) return self->answer(reading);
      self->context_.loop.post(
          [self, reading = std::move(reading), now] { self->found(reading, now); });
    });
  }

  void found(const Result<Reading>& reading, TimePoint at) {
    if (done_) return;
    if (!reading || over_ || !to_be_held(*reading)) {
      answer(reading);
      return finish();
    }
    watched_ = context_.waiters.watch([self = shared_from_this()](Waiters::Wake wake) {
      self->watched_ = 0;
      if (wake == Waiters::Wake::Stopping) self->over_ = true;
      self->look();
    });
    if (context_.waiters.changes() != seen_) context_.waiters.gather();
    if (reading->again) look_at(*reading->again - at);
  }

  void look_at(Duration from_now) {
    context_.loop.cancel(again_);
    again_ = context_.loop.run_after(std::max<Duration>(from_now, 1ms), [weak = weak_from_this()] {
      if (auto self = weak.lock()) self->look_now();
    });
  }

  void look_now() {
    if (watched_ == 0) return;  // it is looking already
    const auto self = shared_from_this();
    context_.waiters.remove(std::exchange(watched_, 0));
    look();
  }

  void time_is_up() {
    over_ = true;
    look_now();
  }

  bool to_be_held(const Reading& reading) const {
    return by_etag_ ? reading.same_state(etag_) : reading.unfinished;
  }

  void answer(const Result<Reading>& reading) const {
    if (!reading) return responder_.send(to_response(reading.error()));
    if (!by_etag_) return responder_.send(json_response(200, reading->json));
    const std::string etag = reading->etag();
    responder_.send(etag == etag_ ? not_modified(etag) : waiting_response(reading->json, etag));
  }

  void finish() {
    done_ = true;
    context_.loop.cancel(deadline_);
    context_.loop.cancel(again_);
    const auto self = shared_from_this();
    context_.waiters.remove(std::exchange(watched_, 0));
  }

  ApiContext& context_;
  http::Responder responder_;
  const Look look_;
  bool by_etag_ = false;
  std::string etag_;  // what the client knows
  bool waits_ = false;
  bool over_ = false;        // the time is up: the next look is the last
  bool done_ = false;        // answered, or the client is gone
  std::uint64_t seen_ = 0;   // changes before the last look
  Waiters::Id watched_ = 0;  // 0: it is looking
  net::EventLoop::TimerId deadline_ = 0;
  net::EventLoop::TimerId again_ = 0;
};

}  // namespace

std::optional<WaitingRead> waiting_read(const http::Request& request, TimePoint now) {
  const auto etag = request.headers.get("If-None-Match");
  const auto prefer = request.headers.get("Prefer");
  if (!etag || !prefer) return std::nullopt;
  const auto seconds = preferred_wait(*prefer);
  if (!seconds) return std::nullopt;
  return WaitingRead{std::string(*etag),
                     now + std::min(std::chrono::seconds(*seconds), kLongestWait)};
}

// FNV-1a: a tag tells values of one resource apart, it protects nothing.
std::string etag_of(std::string_view value) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : value) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return fmt::format("\"{:016x}\"", hash);
}

http::Response waiting_response(std::string json, const std::string& etag) {
  http::Response response{.status = 200, .headers = {}, .body = {}};
  response.headers.set("Content-Type", "application/json");
  response.headers.set("ETag", etag);
  response.headers.set("Vary", "Prefer");
  response.headers.set("Cache-Control", "no-store");
  response.body = std::move(json);
  return response;
}

http::Response not_modified(const std::string& etag) {
  http::Response response{.status = 304, .headers = {}, .body = {}};
  response.headers.set("ETag", etag);
  response.headers.set("Vary", "Prefer");
  return response;
}

std::string Reading::etag() const {
  return fmt::format("\"{}.{}\"", plain(etag_of(state)), plain(etag_of(json)));
}

bool Reading::same_state(std::string_view etag) const {
  return etag.find(plain(etag_of(state)) + ".") != std::string_view::npos;
}

void answer_or_hold(ApiContext& context, const Call& call,
                    std::function<Result<Reading>(TimePoint)> look) {
  std::make_shared<HeldRead>(context, call.responder, std::move(look))->start(call.request);
}

void answer_or_wait(ApiContext& context, const Call& call, Duration wait,
                    std::function<Result<Reading>(TimePoint)> look) {
  std::make_shared<HeldRead>(context, call.responder, std::move(look))
      ->start(std::min<Duration>(wait, kLongestWait));
}

}  // namespace jobmill::api
