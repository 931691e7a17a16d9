// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/execution_explain.h"
#include "base/clock.h"
#include "base/document.h"
#include "manifest/object.h"
#include "scale/ledger.h"
#include "scale/status.h"

namespace jobmill::app {

// What is known now of something that is scaled.
struct TargetPicture {
  struct Trigger {
    std::string name;
    std::string type;
    std::optional<double> value{};  // none: not known
    std::optional<double> per_replica{};
    std::optional<double> target{};
    bool each = false;  // the target is for each replica
    bool active = false;
    std::optional<TimePoint> read_at{};
    std::string error{};
  };
  struct Paused {
    std::optional<int> replicas{};
  };
  // What the page calls work: of a target whose triggers do not look at queues of this server.
  struct Work {
    std::optional<double> backlog{};
    std::optional<double> consumable{};
    std::optional<double> in_flight{};
  };

  manifest::ObjectKey key;  // a job of Container Apps has the kind ContainerJob
  bool known = true;        // the numbers; not while its target is missing
  int desired = 0;
  int ready = 0;
  int starting = 0;
  int draining = 0;
  int busy = 0;
  int min = 0;
  int max = 0;
  std::optional<Paused> paused{};
  std::vector<Trigger> triggers{};
  Node conditions = Node::array();
  std::vector<std::string> warnings{};
  std::optional<scale::LedgerRecord> decision{};  // the latest, without its document
  std::vector<std::string> queues{};              // series of the queues that its triggers look at
  Work work{};
};

// "ScaledObject/shop/mail": the name in the ledger.
std::string ledger_name(const manifest::ObjectKey& key);
std::string series_name(const manifest::ObjectKey& key);
// "mail", "shop/mail"; with `kind` when another target has the name.
std::string target_name(const manifest::ObjectKey& key, bool with_kind = false);

Node conditions_document(const scale::ScaleStatus& status);

TargetPicture picture_of(const JobPicture& job, bool scaled_job);

// An entry of GET /api/autoscaling.
Node to_document(const TargetPicture& picture, const std::string& name, TimePoint now);

}  // namespace jobmill::app
