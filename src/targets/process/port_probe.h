// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/fd.h"
#include "targets/process/process_watcher.h"

namespace jobmill::targets {

// Asks a port of this machine once, without blocking: whether it takes a connection and, with a
// path, answers a GET with a status from 200 to 399. `done` is called once, on the thread that the
// watcher posts to; not after the probe is destroyed. The timeout is the caller's: destroy it.
class PortProbe {
 public:
  PortProbe(ProcessWatcher& watcher, int port, std::string path, std::function<void(bool)> done);
  ~PortProbe();
  PortProbe(const PortProbe&) = delete;
  PortProbe& operator=(const PortProbe&) = delete;

 private:
  void wait_for(std::uint32_t events, void (PortProbe::*step)());
  void connected();
  void answered();
  void finish(bool ok);

  ProcessWatcher& watcher_;
  std::string path_;
  std::function<void(bool)> done_;
  Fd socket_;
  std::string answer_;
  ProcessWatcher::WaitId wait_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace jobmill::targets
