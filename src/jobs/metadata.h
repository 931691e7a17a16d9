// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace jobmill::jobs {

// One small thing that a control server has to remember, by name and owner: ("id", "cluster"),
// ("muted-failure", "1f0c…").
struct Fact {
  std::string name;
  std::string owner;
  std::string value;
  TimePoint created_at{};
  TimePoint updated_at{};
};

// Facts that outlive the process. Few, so lists are read whole. Each call is one transaction; it
// blocks, and is safe from many threads.
class Metadata {
 public:
  virtual ~Metadata() = default;

  virtual Status put(std::string_view name, std::string_view owner, std::string_view value,
                     TimePoint now) = 0;
  virtual Status remove(std::string_view name, std::string_view owner) = 0;  // idempotent
  virtual Result<std::optional<Fact>> get(std::string_view name, std::string_view owner) = 0;
  virtual Result<std::vector<Fact>> list(std::string_view name) = 0;  // by owner
};

// Facts of a name and owner that is there once for all times: the first value given stays.
Result<std::string> kept_value(Metadata& metadata, std::string_view name, std::string_view owner,
                               std::string_view proposed, TimePoint now);

}  // namespace jobmill::jobs
