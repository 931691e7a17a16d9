// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json_writer.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "net/event_loop.h"

namespace jobmill::api {

// What one step of an operation came to.
struct StepDone {
  std::int64_t done = 0;
  std::int64_t failed = 0;  // things that could not be acted on; the operation goes on
  bool finished = false;    // there is nothing left
  Duration rest{};          // how long to wait before the next step
};

enum class OperationState { Running, Done, Cancelled, Failed };
std::string_view to_string(OperationState state);  // "running"

// An action on many things, as far as it has come.
struct Operation {
  std::string id;
  std::string action;  // "requeue"
  std::string what;    // of what, for people: "FAILED jobs of queue mail"
  std::string by;      // who asked for it
  OperationState state = OperationState::Running;
  std::optional<std::int64_t> matching;  // as counted at its start
  std::int64_t done = 0;
  std::int64_t failed = 0;
  TimePoint started_at{};
  std::optional<TimePoint> ended_at{};
  std::string error{};  // why it failed
};

void write_operation(JsonWriter& json, const Operation& operation);

// Actions on the server that take their time: on all jobs that match a filter, on all messages of a
// queue. Each runs as steps on the pool, one after the other, so that what others want is done in
// between; between two steps it can be cancelled, and what it has not come to stays as it was.
// They end with the process. Safe from any thread.
class Operations {
 public:
  // One step: a page of the work. Called on the pool, never twice at the same time; may block. An
  // error ends the operation as failed.
  using Step = std::function<Result<StepDone>()>;

  static constexpr std::size_t kMostRunning = 100;
  static constexpr Duration kKept = std::chrono::hours(1);  // after its end

  Operations(ThreadPool& pool, net::EventLoop& loop, const Clock& clock);
  ~Operations();  // as stop()

  // Told after each step, on the pool. Once, before the first start().
  void on_change(std::function<void(const Operation&)> listener);

  struct Order {
    std::string action;
    std::string what{};
    std::string by{};
    std::optional<std::int64_t> matching{};
    Step step;
  };
  // The new operation's id. Exhausted: 100 are running.
  Result<std::string> start(Order order);

  std::vector<Operation> list() const;  // the latest first
  std::optional<Operation> find(std::string_view id) const;
  Status cancel(std::string_view id);  // NotFound; Conflict: it has ended

  // No further steps. Those that run now end on the pool, which must outlive them.
  void stop();

 private:
  class Table;
  const std::shared_ptr<Table> table_;
};

}  // namespace jobmill::api
