// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"
#include "k8s/resource.h"

namespace jobmill::k8s {

// What was asked of the API server, in its words.
struct Asked {
  std::string verb;  // "patch"
  Resource resource{};
  std::string ns{};
  std::string name{};
  std::string subresource{};
  std::string path{};  // instead of a resource: "/version"
};

// `patch deployments/scale "web" in namespace "default"`
std::string to_string(const Asked& asked);

// An answer that is no success: its status and its body, a Status object as a rule. A 403 tells
// the rule that a role needs, and whose role, as far as the server says who we are to it.
Fault fault_of(const Asked& asked, int status, const std::string& body);

}  // namespace jobmill::k8s
