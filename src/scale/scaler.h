// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "scale/spec.h"

namespace jobmill::scale {

enum class MetricType {
  AverageValue,  // the target is per replica
  Value,         // the target is for the whole workload
};

// What a scaler wants the autoscaler to hold its value against.
struct MetricSpec {
  std::string name;  // "s0-metric-api-usage"
  MetricType type = MetricType::AverageValue;
  std::int64_t target_milli = 0;  // thousandths, as a Kubernetes quantity
};

// What a scaler saw. The autoscaler turns it into replicas; scalers know nothing of replicas.
struct Sample {
  double value = 0;
  bool active = false;
  // The source holds the next read until its value changes, so that read may be sent at once.
  // False: read again at the interval.
  bool waits = false;
};

// One entry of `triggers:` with its secrets already resolved.
struct TriggerSpec {
  using Texts = std::map<std::string, std::string, std::less<>>;
  std::string type;
  std::string name;
  std::string metric_type;  // as written: "", "AverageValue", "Value", …
  Texts metadata;
  Texts auth;  // from the TriggerAuthentication
  Texts env;   // of the scale target's container, for …FromEnv
  // Who asks, instead of a secret: "azure-workload", or empty.
  std::string pod_identity{};
  std::string identity{};   // of azure-workload: its resource id or client id; empty: any
  std::string principal{};  // of that identity, when its roles on this server are to be looked at
  std::string ns{};         // of the object that it belongs to
  std::optional<ScaleTargetRef> target{};  // what that object scales; a ScaledJob has none
  int index = 0;
  Duration polling_interval = std::chrono::seconds(30);
  bool feeds_formula = false;  // only a source for scalingModifiers: no target needed
};

// The code behind a trigger. Built from its spec, rebuilt after any error (secrets may have
// changed). Reads never overlap. Destroying a scaler ends its read without an answer.
class Scaler {
 public:
  using Done = std::function<void(Result<Sample>)>;

  virtual ~Scaler() = default;
  virtual const MetricSpec& metric() const = 0;

  // Starts one read and returns; `done` is called once, from any thread, perhaps before read()
  // returns. Has its own timeout.
  virtual void read(Done done) = 0;
};

}  // namespace jobmill::scale
