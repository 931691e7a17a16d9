// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "executions/container_job.h"

namespace jobmill::executions {

// What executions reserve and took of the messages that rules are for. Sums only: who reserves how
// much is for the executions to know.
class Reservations {
 public:
  // By its name, so that a reservation outlives changes of the job.
  struct Rule {
    JobKey job;
    std::string name;
    auto operator<=>(const Rule&) const = default;
  };
  // Of one execution.
  struct Share {
    std::int64_t reserved = 0;
    std::int64_t taken = 0;
    bool operator==(const Share&) const = default;
  };
  struct Sum {
    Share share;
    std::optional<std::int64_t> ready;  // none: nobody told yet
  };

  void change(const Rule& rule, const Share& from, const Share& to);
  void set_ready(const Rule& rule, std::int64_t ready);
  void forget_ready(const Rule& rule);
  Sum of(const Rule& rule) const;

  // Whether a message is ready that nobody but the owner of `own` reserves. What is not known is no
  // zero: then there may be one.
  bool any_left(const Rule& rule, const Share& own) const;

 private:
  std::map<Rule, Sum> sums_;
};

}  // namespace jobmill::executions
