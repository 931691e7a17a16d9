// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "k8s/client.h"

namespace jobmill::k8s {

// One of several servers leads: the holder of a Lease (coordination.k8s.io/v1). The holder renews
// it; whoever finds it not renewed for its duration, by his own clock, takes it. A leader that
// cannot renew stops leading before others may take over. Whoever deletes the Lease by hand risks
// that a server that starts at that moment leads beside the one that did.
//
// Time is measured since the machine's start: that of day may be set meanwhile.
class Elector {
 public:
  struct Options {
    std::string ns{};
    std::string name = "jobmill";
    std::string identity{};                             // of this process: never used by another
    Duration duration = std::chrono::seconds(4);        // of the lease, in whole seconds
    Duration renew_deadline = std::chrono::seconds(3);  // stop leading when not renewed for this
    Duration retry = std::chrono::seconds(1);           // between renewals, and looks of the others
    const Clock* since_start = nullptr;                 // for tests; else that of the machine
  };
  // `ill`: the lease cannot be read or written; told once, until it can again.
  Elector(Client& client, World world, Options options, std::function<void(bool leads)> changed,
          std::function<void(const Fault&)> ill = {});
  ~Elector();

  bool leads() const;
  std::string leader() const;  // its identity, as last seen
  // Stops leading and gives the lease back, so that another need not wait for its end. Done when
  // that is written, or could not be for renew_deadline.
  void resign(std::function<void()> done);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace jobmill::k8s
