// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/thread_pool.h"
#include "jobs/job_store.h"
#include "net/event_loop.h"
#include "targets/process/replica_set.h"

namespace jobmill::app {

// Tells those who scale workers what the store knows of them. Lives on the control thread.
class LeaseReader {
 public:
  struct Parts {
    net::EventLoop& loop;  // the control thread's
    jobs::JobStoreOwner& store;
    ThreadPool& pool;
    const Clock& clock;
    Log& log;
  };
  // `seen`: the workers whose lease lives, read just now: nothing was confirmed on this thread
  // since the read began.
  LeaseReader(Parts parts, std::function<void(const std::vector<jobs::Worker>&)> seen)
      : parts_(parts), seen_(std::move(seen)) {}

  // The store said that workers changed: reads them soon.
  void refresh();
  // Now. Called from within `seen`, it leads to another read after that.
  void read();

  // The mark that every claim checks. `done` is called on the control thread.
  void set_quiet(const std::string& worker_id, bool quiet, std::function<void(Status)> done);

 private:
  void read_soon(Duration pause);
  void read_once();

  Parts parts_;
  std::function<void(const std::vector<jobs::Worker>&)> seen_;
  bool reading_soon_ = false;
  bool reading_ = false;
  bool read_again_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// As those see a worker who scale. `replica`: which one it is.
targets::LeaseView lease_view(const jobs::Worker& worker, const std::string& replica);

}  // namespace jobmill::app
