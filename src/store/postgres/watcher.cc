// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/watcher.h"

#include <time.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "store/postgres/notice.h"

namespace jobmill::postgres {
namespace {

using std::chrono::steady_clock;

// Takeover is promised within five seconds.
constexpr std::chrono::seconds kTryToLead{4};
// Whoever looks at the clock at least every kLook and finds that much more gone has slept.
constexpr std::chrono::seconds kLook{10};
constexpr std::chrono::seconds kSlept{20};
constexpr std::chrono::milliseconds kFirstBackoff{100};
constexpr std::chrono::milliseconds kMostBackoff{4000};

constexpr std::string_view kResigned = "l";

constexpr Statement kSchema{"schema", "SELECT current_schema()::text"};
// One lock for each schema: the first number is ours.
constexpr Statement kLead{"lead",
                          "SELECT pg_try_advisory_lock(1785684332, hashtext(current_schema()))"};
constexpr Statement kResign{"resign",
                            "SELECT pg_advisory_unlock(1785684332, hashtext(current_schema())),"
                            " jobmill_notify($1)"};

// The steady clock stands still while the host sleeps; this one does not.
Duration since_boot() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) +
         std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

Watcher::~Watcher() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  wake_.signal();
  thread_.join();
  resign();
}

Status Watcher::open() {
  last_seen_ = since_boot();
  TRY_VOID(connect());
  TRY_VOID(try_to_lead());
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
  return {};
}

Status Watcher::connect() {
  TRY(Connection connection, Connection::open(options_.url, options_.connect));
  TRY(const Rows schema, connection.run(kSchema));
  channel_ = "jobmill_" + std::string(schema.text(0, 0));
  TRY_VOID(connection.listen(channel_));
  connection_.emplace(std::move(connection));
  const std::lock_guard lock(mutex_);
  outage_.reset();
  return {};
}

Status Watcher::try_to_lead() {
  if (!options_.leads || leads_) return {};
  TRY(const Rows answer, connection_->run(kLead));
  if (!answer.boolean(0, 0)) return {};
  leads_ = true;
  options_.leading();
  return {};
}

// So that another one need not find out by itself.
void Watcher::resign() {
  if (!leads_.exchange(false) || !connection_ || !connection_->is_open()) return;
  const auto told = connection_->run(kResign, Parameters().text(kResigned));
  if (!told) return;  // the connection falls anyway, and the lock with it
}

// --- the thread ----------------------------------------------------------------------------------

void Watcher::watch(const std::stop_token& stop) {
  std::chrono::milliseconds backoff = kFirstBackoff;
  while (!stop.stop_requested()) {
    const Status watched = watch_connected(stop);
    if (watched) return;
    note_outage(watched.error());
    leads_ = false;
    connection_.reset();
    while (!stop.stop_requested()) {
      const Status connected = connect();
      if (connected) break;
      note_outage(connected.error());
      pause(backoff, stop);
      backoff = std::min(backoff * 2, kMostBackoff);
    }
    backoff = kFirstBackoff;
    note_time();
    if (connection_) options_.returned();
  }
}

// Until it shall stop; a failure: the connection is lost.
Status Watcher::watch_connected(const std::stop_token& stop) {
  auto next_try = steady_clock::now();
  while (!stop.stop_requested()) {
    if (!leads_ && steady_clock::now() >= next_try) {
      TRY_VOID(try_to_lead());
      next_try = steady_clock::now() + kTryToLead;
    }
    const bool trying = options_.leads && !leads_;
    TRY(const auto notes, connection_->wait(trying ? kTryToLead : kLook, wake_));
    note_time();
    for (const Notification& note : notes) {
      if (note.payload == kResigned) {
        next_try = {};
      } else {
        options_.told(notice_of(note.payload), note.sender);
      }
    }
  }
  return {};
}

void Watcher::note_outage(const Fault& why) {
  const std::lock_guard lock(mutex_);
  outage_ = {outage_ ? outage_->since : steady_clock::now(), why.message};
}

std::optional<jobs::Outage> Watcher::outage() const {
  const std::lock_guard lock(mutex_);
  return outage_;
}

void Watcher::note_time() {
  const Duration now = since_boot();
  if (now - last_seen_.load() > kSlept) woke_at_ = now;
  last_seen_ = now;
}

bool Watcher::slept_within(Duration time) const {
  const Duration now = since_boot();
  if (now - last_seen_.load() > kSlept) return true;  // whoever asks woke before the thread
  const Duration woke = woke_at_;
  return woke != Duration::zero() && now - woke < time;
}

void Watcher::pause(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait_for(lock, stop, time, [] { return false; });
}

}  // namespace jobmill::postgres
