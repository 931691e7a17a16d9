// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/document.h"
#include "base/result.h"
#include "manifest/object.h"

namespace jobmill::api {

struct ManifestFile {
  std::string name;
  std::string text;
};

// What apply or delete did. With errors nothing was changed.
struct ManifestReport {
  struct Line {
    manifest::ObjectKey key;
    std::string change;  // created, configured, unchanged, deleted, not found
  };
  std::vector<Line> lines;
  std::vector<manifest::Remark> notes;
  std::vector<manifest::Remark> errors;
};

// What the HTTP requests about manifests, replicas and decisions need; the app implements it on
// the control thread. Every call returns at once and answers later, from any thread.
class ControlPlane {
 public:
  template <class T>
  using Done = std::function<void(Result<T>)>;

  virtual ~ControlPlane() = default;
  virtual void apply(std::vector<ManifestFile> files, std::string ns,
                     Done<ManifestReport> done) = 0;
  virtual void remove(std::vector<ManifestFile> files, std::string ns,
                      Done<ManifestReport> done) = 0;

  // {"items":[{kind, namespace, name, created, generation, manifest, status}]}; values of Secrets
  // are masked. Empty name: all of the kind; NotFound: no object of that name.
  virtual void list(std::string kind, std::string ns, std::string name, Done<Node> done) = 0;

  // The latest decision about a ScaledObject: {name, decision, text, replicas, conditions,
  // triggers}.
  virtual void explain(std::string ns, std::string name, Done<Node> done) = 0;

  // Calls `changed` once, after the next change of the object's decision or replicas, or when
  // `wait` is over.
  virtual void watch(std::string ns, std::string name, Duration wait,
                     std::function<void()> changed) = 0;
};

}  // namespace jobmill::api
