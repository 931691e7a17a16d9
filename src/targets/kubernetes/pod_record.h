// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/document.h"
#include "manifest/object.h"
#include "targets/kubernetes/pod_group.h"

namespace jobmill::targets {

// What is kept of a pod: a cluster may have very many of them.
struct PodRecord {
  std::string ns{};
  manifest::Texts labels{};
  PodView view{};
  std::string owner_kind{};  // of its controller: "ReplicaSet"
  std::string ready{};       // "1/2"
  std::string status{};      // kubectl's words: Running, Terminating, CrashLoopBackOff, …
  std::string detail{};
};

PodRecord read_pod_record(const Node& document);

// The annotations that set these marks, as a merge patch of the pod.
Node marks_patch(const PodMarks& marks);

}  // namespace jobmill::targets
