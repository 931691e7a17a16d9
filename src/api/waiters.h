// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "jobs/job_store.h"
#include "net/event_loop.h"

namespace jobmill::api {

// Requests that wait for work or for another number. They hold no thread: a request leaves a
// function here, which is called once when it should look again.
//
// All of it belongs to the loop thread. The app posts every Change of the store:
//
//   store.on_change([&](const jobs::Change& change) {
//     loop.post([&waiters, change] { waiters.changed(change); });
//   });
class Waiters {
 public:
  using Id = std::uint64_t;
  enum class Wake { Look, Superseded, Stopping };
  using Function = std::function<void(Wake)>;

  // Who claims, and what it can take.
  struct Claimer {
    std::string worker_id;
    std::vector<std::string> queues;  // empty: all
    // Equal for claimers that can take the same jobs. A new job wakes one claimer of each group;
    // when that one found something, it wakes the next, so an empty system wakes nobody twice.
    std::string group;
    bool quiet = false;  // takes nothing; waits to be told to run again
  };

  explicit Waiters(net::EventLoop& loop) : loop_(loop) {}
  ~Waiters();

  void changed(const jobs::Change& change);

  // The number of changes so far, and whether jobs for these queues came after the n-th. Who reads
  // the store and then parks compares, since a change in between would not wake it.
  std::uint64_t changes() const { return changes_; }
  bool ready_since(std::uint64_t n, const std::vector<std::string>& queues) const;

  // A worker has one claim at a time: the one that it sent before ends as Superseded.
  Id park(Claimer claimer, Function wake);
  void wake_next(const std::string& group);
  void end_claim(std::string_view worker_id);  // the worker has left

  // Called soon after any change; many changes in a row wake once.
  Id watch(Function wake);

  // Wakes readers and quiet claimers, soon.
  void gather();

  void remove(Id id);  // its client is gone, or its time is up; nothing is called

  // Ends all with Stopping, also what comes later.
  void stop();

 private:
  struct Entry {
    Claimer claimer;
    bool reader = false;
    Function wake;
  };

  Id add(Entry entry);
  void fire(Id id, Wake wake);
  template <class Which>
  void fire_all(Which which, Wake wake);
  void wake_claimers(const std::vector<std::string>& queues);

  net::EventLoop& loop_;
  std::uint64_t changes_ = 0;
  std::uint64_t any_ready_ = 0;  // the last change with jobs for any queue
  std::uint64_t all_ready_ = 0;  // the last one that did not say for which
  std::map<std::string, std::uint64_t, std::less<>> ready_;  // the last one per queue
  Id last_ = 0;
  bool stopping_ = false;
  bool gathering_ = false;
  net::EventLoop::TimerId gather_timer_ = 0;
  std::map<Id, Entry> entries_;  // in the order of arrival
};

}  // namespace jobmill::api
