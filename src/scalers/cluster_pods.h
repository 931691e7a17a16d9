// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scale/scaler.h"

namespace jobmill::scalers {

// A pod, as triggers of a cluster see it.
struct ClusterPod {
  enum class Phase { Pending, Running, Ended };  // Ended: Succeeded or Failed
  // "cpu" and "memory", in thousandths of a core and of a byte.
  using Amounts = std::map<std::string, std::int64_t, std::less<>>;
  // One that runs for as long as the pod does.
  struct Container {
    std::string name;
    Amounts requested{};
    Amounts used{};
  };
  // The window that ends at that instant is what the used amounts are an average of.
  struct Measured {
    TimePoint at{};
    Duration window{};
  };

  std::string name;
  std::string node{};  // empty: none yet
  Phase phase = Phase::Pending;
  bool deleting = false;
  bool ready = false;
  TimePoint started{};
  TimePoint ready_since{};  // or not ready since
  std::vector<Container> containers{};
  Amounts requested{};                 // for the pod as a whole, where its spec says so
  std::optional<Measured> measured{};  // none: nobody knows what it uses
};

// How triggers ask about a cluster; without functions there is none. `done` is called once, from
// any thread, perhaps before the function returns.
struct ClusterSource {
  using Done = std::function<void(Result<std::vector<ClusterPod>>)>;

  // Pods of a namespace that match a label selector. Nothing is said of what they use.
  std::function<void(std::string_view ns, std::string_view selector, Done done)> pods;
  // Pods of a scale target, with what they use.
  std::function<void(std::string_view ns, const scale::ScaleTargetRef& target, Done done)> usage;
};

// Unsupported: triggers of that type need a cluster.
Fault needs_cluster(std::string_view trigger_type);

// A scaler whose sample is a function of pods: each read asks for them anew.
std::unique_ptr<scale::Scaler> make_pods_scaler(
    scale::MetricSpec metric, std::function<void(ClusterSource::Done)> ask,
    std::function<Result<scale::Sample>(const std::vector<ClusterPod>&)> look);

}  // namespace jobmill::scalers
