// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "manifest/object.h"
#include "scale/decision.h"
#include "scale/executions.h"

namespace jobmill::app {

// Hears what happens to all that is scaled, and keeps it. Called on the control thread, so it must
// not block, but for last().
class Recorder {
 public:
  virtual ~Recorder() = default;

  virtual void changed(const manifest::ObjectKey& key) = 0;  // replicas, triggers, or it is gone

  // ScaledObjects.
  virtual void decided(const manifest::ObjectKey& key, const scale::Decision& decision) = 0;
  virtual void repeated(const manifest::ObjectKey& key, const scale::Decision& decision) = 0;
  // What an earlier server decided of it last, and what changed its number last.
  struct Last {
    std::optional<scale::Decision> latest{};
    std::optional<scale::Decision> change{};
  };
  virtual Last last(const manifest::ObjectKey& key) = 0;

  // Of ScaledJobs, and of jobs of Container Apps, which have the kind ContainerJob.
  virtual void decided(const manifest::ObjectKey& job,
                       const scale::ExecutionsDecision& decision) = 0;
};

}  // namespace jobmill::app
