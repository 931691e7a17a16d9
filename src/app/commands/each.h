// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "app/api_client.h"
#include "app/command_line.h"
#include "base/document.h"

namespace jobmill::app {

// What a command did to some things: a line for each as it is done, or one document at the end.
class Outcome {
 public:
  // `kind` as in "job/0190…".
  Outcome(std::string_view kind, Output output) : kind_(kind), output_(output) {}

  void add(const std::string& id, std::string_view state, Node item);
  void print();

 private:
  const std::string kind_;
  const Output output_;
  std::vector<std::string> names_;
  Node items_ = Node::array();
};

// The same request for each thing that the command line names; the first refusal decides the exit
// code, the others still run.
struct EachRequest {
  std::string_view kind;    // of thing: "queue"
  std::string_view path;    // before the id: "/v1/queues/"
  std::string_view change;  // what it is then: "paused"
  std::function<Reply(ApiClient& client, const std::string& path)> send;
};
int for_each(const Arguments& arguments, const EachRequest& request);

// A request that has nothing more to say than its path's last word: "/pause".
std::function<Reply(ApiClient&, const std::string&)> posting(std::string_view verb);

}  // namespace jobmill::app
