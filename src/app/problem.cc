// SPDX-License-Identifier: Apache-2.0
#include "app/problem.h"

#include <algorithm>
#include <array>

#include "app/command_line.h"

namespace jobmill::app {
namespace {

struct Kind {
  int exit;
  std::string_view title;
  std::string_view code;
};
constexpr std::array kKinds{
    Kind{kUsage, "Usage error", "usage"},
    Kind{kBadInput, "Bad input", "invalid_argument"},
    Kind{kUnreachable, "Server unreachable", "unreachable"},
    Kind{kTemporary, "Time is up", "timeout"},
};

}  // namespace

Node client_problem(int exit, std::string_view detail) {
  const auto kind = std::ranges::find(kKinds, exit, &Kind::exit);
  Node problem = Node::object();
  problem.set("type", Node::string("about:blank"));
  problem.set("title", Node::string(kind != kKinds.end() ? kind->title : "Failed"));
  problem.set("detail", Node::string(detail));
  problem.set("code", Node::string(kind != kKinds.end() ? kind->code : "failed"));
  return problem;
}

}  // namespace jobmill::app
