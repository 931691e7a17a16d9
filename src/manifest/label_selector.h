// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "base/result.h"
#include "manifest/object.h"

namespace jobmill::manifest {

// Which objects a workload means, by their labels: requirements that must all hold. Without any it
// means all objects.
class LabelSelector {
 public:
  // As the API writes it in one line: "app=web,tier in (front,back),!canary,track!=beta".
  // InvalidArgument says where it goes wrong.
  static Result<LabelSelector> parse(std::string_view text);
  // As manifests have it: matchLabels and matchExpressions.
  static Result<LabelSelector> decode(const Node& selector);

  bool matches(const Texts& labels) const;

 private:
  enum class Operator { In, NotIn, Exists, DoesNotExist, Greater, Less };

  struct Requirement {
    std::string key;
    Operator op = Operator::Exists;
    std::vector<std::string> values{};
    bool holds(const Texts& labels) const;
  };

  class Reader;

  std::vector<Requirement> requirements_;
};

}  // namespace jobmill::manifest
