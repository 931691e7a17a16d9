// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
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
  Node document;            // the whole manifest
  std::string source;       // file name, for messages
  std::int64_t generation = 1;   // grows when the spec changes
  TimePoint created{};
};

// One thing wrong with, or worth saying of, a manifest.
struct Remark {
  std::string where;   // "k8s/3-scaling.yaml:14"
  std::string text;
};

// Where errors of one document go: all of them, not only the first.
class Problems {
 public:
  explicit Problems(std::string source) : source_(std::move(source)) {}
  void error(const Node& at, std::string text) { errors_.push_back({place(at), std::move(text)}); }
  void note(const Node& at, std::string text) { notes_.push_back({place(at), std::move(text)}); }
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

}  // namespace jobmill::manifest
