// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/document.h"
#include "base/result.h"

namespace jobmill::manifest {

using Texts = std::map<std::string, std::string, std::less<>>;

inline constexpr std::string_view kDefaultNamespace = "default";

// Names one object. The order is that of listings.
struct ObjectKey {
  std::string kind;
  std::string ns{kDefaultNamespace};  // empty for cluster-scoped kinds
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
};

// The envelope that all manifests share, with the rest as it was written.
struct Object {
  std::string api_version;  // "keda.sh/v1alpha1"
  ObjectKey key;
  Texts labels;
  Texts annotations;
  Node document;                // the whole manifest
  std::string source;           // file name, for messages
  std::int64_t generation = 1;  // grows when the spec changes
  TimePoint created{};
};

// One thing wrong with, or worth saying of, a manifest.
struct Remark {
  std::string where;  // "k8s/3-scaling.yaml:14"
  std::string text;
};

// Where errors of one document go: all of them, not only the first.
class Problems {
 public:
  explicit Problems(std::string source) : source_(std::move(source)) {}
  void error(const Node& at, std::string text) { errors_.push_back({place(at), std::move(text)}); }
  void note(const Node& at, std::string text) { notes_.push_back({place(at), std::move(text)}); }
  const std::string& source() const { return source_; }
  bool ok() const { return errors_.empty(); }
  const std::vector<Remark>& errors() const { return errors_; }
  const std::vector<Remark>& notes() const { return notes_; }

 private:
  std::string place(const Node& at) const {
    return at.line > 0 ? source_ + ":" + std::to_string(at.line) : source_;
  }
  std::string source_;
  std::vector<Remark> errors_;
  std::vector<Remark> notes_;
};

// What a manifest's apiVersion and kind mean on this machine.
enum class Meaning {
  Used,     // one of used_kinds()
  NotUsed,  // Kubernetes' own, and nothing to a machine without a cluster
  Unknown,
};

Meaning meaning_of(std::string_view api_version, std::string_view kind);
std::string_view used_kinds();  // "ConfigMap, Deployment, …", for messages
bool is_cluster_scoped(std::string_view kind);

// "Deployment/web", as messages name an object.
std::string to_string(const ObjectKey& key);

// Reads the envelope of one manifest. Whatever is wrong goes to `problems`, and the object is to
// be used only when they are ok(). `ns` is for manifests that name no namespace.
Object read_object(Node document, std::string_view ns, Problems& problems);

}  // namespace jobmill::manifest
