// SPDX-License-Identifier: Apache-2.0
#include "api/operations.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>

#include "base/duration.h"
#include "base/id.h"

namespace jobmill::api {

std::string_view to_string(OperationState state) {
  switch (state) {
    case OperationState::Running:
      return "running";
    case OperationState::Done:
      return "done";
    case OperationState::Cancelled:
      return "cancelled";
    case OperationState::Failed:
      break;
  }
  return "failed";
}

void write_operation(JsonWriter& json, const Operation& operation) {
  json.object()
      .member("id", operation.id)
      .member("action", operation.action)
      .member("what", operation.what)
      .member("state", to_string(operation.state));
  if (operation.matching) json.member("matching", *operation.matching);
  json.member("done", operation.done)
      .member("failed", operation.failed)
      .member("startedAt", format_instant(operation.started_at));
  if (operation.ended_at) json.member("endedAt", format_instant(*operation.ended_at));
  json.member("by", operation.by);
  if (!operation.error.empty()) json.member("error", operation.error);
  json.end();
}

// Shared with the steps that were posted: the last of them may come after its owner is gone.
class Operations::Table : public std::enable_shared_from_this<Table> {
 public:
  Table(ThreadPool& pool, net::EventLoop& loop, const Clock& clock)
      : pool_(pool), loop_(loop), clock_(clock) {}

  void on_change(std::function<void(const Operation&)> listener) {
    listener_ = std::move(listener);
  }

  Result<std::string> start(Order order) {
    const TimePoint now = clock_.now();
    const std::string id = new_id(now);
    {
      std::lock_guard lock(mutex_);
      forget_old(now);
      if (running() >= kMostRunning)
        return fail(Code::Exhausted, "100 operations are running; wait for one of them to end");
      Entry& entry = entries_[id];
      entry.operation = {.id = id,
                         .action = std::move(order.action),
                         .what = std::move(order.what),
                         .by = std::move(order.by),
                         .matching = order.matching,
                         .started_at = now};
      entry.step = std::move(order.step);
    }
    post(id);
    return id;
  }

  // Ids grow with time.
  std::vector<Operation> list() {
    std::lock_guard lock(mutex_);
    forget_old(clock_.now());
    std::vector<Operation> all;
    for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry)
      all.push_back(entry->second.operation);
    return all;
  }

  std::optional<Operation> find(std::string_view id) {
    std::lock_guard lock(mutex_);
    forget_old(clock_.now());
    const auto found = entries_.find(id);
    return found == entries_.end() ? std::nullopt : std::optional(found->second.operation);
  }

  Status cancel(std::string_view id) {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(id);
    if (found == entries_.end()) return fail(Code::NotFound, "no operation " + std::string(id));
    if (found->second.operation.state != OperationState::Running)
      return fail(Code::Conflict, "the operation has ended");
    found->second.cancelled = true;
    return {};
  }

  void stop() {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }

 private:
  struct Entry {
    Operation operation{};
    Step step{};  // of the pool alone, once the operation runs
    bool cancelled = false;
  };

  std::size_t running() const {
    return static_cast<std::size_t>(std::ranges::count_if(entries_, [](const auto& entry) {
      return entry.second.operation.state == OperationState::Running;
    }));
  }

  void forget_old(TimePoint now) {
    std::erase_if(entries_, [&](const auto& entry) {
      const auto& ended = entry.second.operation.ended_at;
      return ended && now - *ended >= kKept;
    });
  }

  void post(const std::string& id) {
    pool_.post([self = shared_from_this(), id] { self->run(id); });
  }

  void run(const std::string& id) {
    Entry* entry = next_of(id);
    if (entry == nullptr) return;
    finish_step(*entry, entry->step());
  }

  // The entry whose step is to run now; an entry stays where it is while its operation runs.
  Entry* next_of(const std::string& id) {
    std::unique_lock lock(mutex_);
    Entry& entry = entries_.at(id);
    if (stopped_) return nullptr;
    if (!entry.cancelled) return &entry;
    end(entry, OperationState::Cancelled, std::move(lock));
    return nullptr;
  }

  void finish_step(Entry& entry, const Result<StepDone>& result) {
    std::unique_lock lock(mutex_);
    if (!result) {
      entry.operation.error = result.error().message;
      return end(entry, OperationState::Failed, std::move(lock));
    }
    entry.operation.done += result->done;
    entry.operation.failed += result->failed;
    if (result->finished) return end(entry, OperationState::Done, std::move(lock));
    if (entry.cancelled) return end(entry, OperationState::Cancelled, std::move(lock));
    if (!stopped_) go_on(entry.operation.id, result->rest);
    tell(entry.operation, std::move(lock));
  }

  void go_on(const std::string& id, Duration rest) {
    if (rest <= Duration::zero()) return post(id);
    loop_.run_after(rest, [self = shared_from_this(), id] {
      std::lock_guard lock(self->mutex_);
      if (!self->stopped_) self->post(id);
    });
  }

  void end(Entry& entry, OperationState state, std::unique_lock<std::mutex> lock) {
    entry.operation.state = state;
    entry.operation.ended_at = clock_.now();
    entry.step = {};  // what it holds is of no more use
    tell(entry.operation, std::move(lock));
  }

  void tell(Operation operation, std::unique_lock<std::mutex> lock) {
    lock.unlock();
    if (listener_) listener_(operation);
  }

  ThreadPool& pool_;
  net::EventLoop& loop_;
  const Clock& clock_;
  std::function<void(const Operation&)> listener_;
  std::mutex mutex_;  // guards the two below
  std::map<std::string, Entry, std::less<>> entries_;
  bool stopped_ = false;
};

Operations::Operations(ThreadPool& pool, net::EventLoop& loop, const Clock& clock)
    : table_(std::make_shared<Table>(pool, loop, clock)) {}

Operations::~Operations() { stop(); }

void Operations::on_change(std::function<void(const Operation&)> listener) {
  table_->on_change(std::move(listener));
}

Result<std::string> Operations::start(Order order) { return table_->start(std::move(order)); }
std::vector<Operation> Operations::list() const { return table_->list(); }
std::optional<Operation> Operations::find(std::string_view id) const { return table_->find(id); }
Status Operations::cancel(std::string_view id) { return table_->cancel(id); }
void Operations::stop() { table_->stop(); }

}  // namespace jobmill::api
