// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "manifest/object.h"
#include "scale/spec.h"

namespace jobmill::app {

// What the objects of a cluster mean to us: which of them can be used, what is wrong with the
// others, and which are somebody else's. The checks are those of KEDA's admission. Pure: it is
// given the objects as the API has them.
class ClusterObjects {
 public:
  using Key = manifest::ObjectKey;

  // What a ScaledObject or ScaledJob is to us.
  enum class Verdict {
    Good,
    Wrong,   // it cannot be used: `why`
    Others,  // an installed KEDA scales it: we leave it alone
    Ends,    // it is being deleted
  };
  struct Judged {
    Verdict verdict = Verdict::Good;
    std::string why{};
    std::vector<std::string> warnings{};
    bool operator==(const Judged&) const = default;
  };

  // What is to be told to those who use the objects.
  struct Change {
    std::vector<manifest::Object> put;
    std::vector<Key> gone;
    std::set<Key> judged;  // ScaledObjects and ScaledJobs that are new, gone, or judged anew
  };

  // All objects of a kind that there are, or one of them. The kinds: ScaledObject, ScaledJob,
  // TriggerAuthentication, ClusterTriggerAuthentication, Secret, ConfigMap,
  // HorizontalPodAutoscaler.
  Change listed(std::string_view kind, const std::vector<Node>& items);
  Change put(const Node& object);
  Change removed(const Node& object);

  // Null: there is none.
  const Judged* judged(const Key& key) const;
  const Node* document(const Key& key) const;  // of a ScaledObject or ScaledJob, as last seen
  const scale::ScaledObjectSpec* spec(const Key& scaled_object) const;  // as far as it is readable
  void set_status(const Key& key, Node status);                         // we wrote it
  std::vector<Key> scaled() const;  // all ScaledObjects and ScaledJobs
  // KEDA's own autoscaler of an object that we were told to adopt.
  std::optional<Key> adopted_autoscaler(const Key& scaled_object) const;

 private:
  // Of a ScaledObject or a ScaledJob.
  struct Scaled {
    manifest::Object object;
    Judged judged;
    std::string version;     // changes with whatever we look at: not with its status
    std::string unreadable;  // what is wrong with it by itself
    std::optional<scale::ScaledObjectSpec> spec;  // of a ScaledObject; as far as it is readable
    std::vector<std::string> notes;
    bool fed = false;      // those who use it have it
    bool changed = false;  // as another version
  };
  // A HorizontalPodAutoscaler; only what we need of it.
  struct Autoscaler {
    Key target;
    std::string owner;  // the ScaledObject that it was made for; empty: no KEDA's
    bool unchecked = false;
    bool operator==(const Autoscaler&) const = default;
  };

  bool take(const Node& object, Change& change);  // whether others may be judged anew for it
  void drop(const Key& key, Change& change);
  void judge(const std::string& ns, Change& change);
  Judged judge_one(const Scaled& scaled, const std::vector<scale::ScaledObjectSpec>& others) const;
  Judged judge_target(const manifest::Object& object, const scale::ScaledObjectSpec& spec) const;

  std::map<Key, Scaled> scaled_;
  std::map<Key, std::string> others_;  // fed objects of other kinds, with their resourceVersion
  std::map<Key, Autoscaler> autoscalers_;
};

}  // namespace jobmill::app
