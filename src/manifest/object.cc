// SPDX-License-Identifier: Apache-2.0
#include "manifest/object.h"

#include <algorithm>
#include <array>

#include "manifest/fields.h"

namespace jobmill::manifest {
namespace {

struct Kind {
  std::string_view api_version;
  std::string_view name;
};

constexpr std::string_view kKeda = "keda.sh/v1alpha1";
constexpr std::array kUsed{
    Kind{kKeda, "ClusterTriggerAuthentication"},
    Kind{"v1", "ConfigMap"},
    Kind{"apps/v1", "Deployment"},
    Kind{kKeda, "ScaledJob"},
    Kind{kKeda, "ScaledObject"},
    Kind{"v1", "Secret"},
    Kind{"v1", "Service"},
    Kind{kKeda, "TriggerAuthentication"},
};

std::string_view group_of(std::string_view api_version) {
  const std::size_t slash = api_version.find('/');
  return slash == api_version.npos ? std::string_view() : api_version.substr(0, slash);
}

bool is_kubernetes_own(std::string_view group) {
  return group.find('.') == group.npos || group.ends_with(".k8s.io");
}

// A name as RFC 1123 has it for DNS: a.b-c, at most 253 characters. Names become parts of URLs
// and of file names, so nothing else may pass.
bool is_dns_name(std::string_view name) {
  const auto is_inner = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  const auto is_edge = [&](char c) { return is_inner(c) && c != '-' && c != '.'; };
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), is_inner) &&
         is_edge(name.front()) && is_edge(name.back()) && name.find("..") == name.npos;
}

// A typing mistake in one of KEDA's objects is an error everywhere in it.
Unknown unknown_of(const Object& object) {
  const Meaning meaning = meaning_of(object.api_version, object.key.kind);
  if (meaning != Meaning::Used) return Unknown::Ignored;
  return object.api_version == kKeda ? Unknown::Refused : Unknown::Named;
}

void check_name(std::string_view what, const std::string& name, const Node& at,
                Problems& problems) {
  if (name.empty() || is_dns_name(name)) return;
  problems.error(at, std::string(what) + ": " + json_quote(name) +
                         " is no name: lower case letters, digits, '-' and '.' only");
}

void read_metadata(Object& object, Fields& metadata, Problems& problems) {
  object.key.name = metadata.required_text("name");
  if (const std::string ns = metadata.text("namespace"); !ns.empty()) object.key.ns = ns;
  object.labels = metadata.texts("labels");
  object.annotations = metadata.texts("annotations");
  // What a server adds to objects that it hands out.
  metadata.accept({"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp",
                   "finalizers", "generateName", "generation", "managedFields", "ownerReferences",
                   "resourceVersion", "selfLink", "uid"});
  check_name("metadata.name", object.key.name, metadata.node(), problems);
  check_name("metadata.namespace", object.key.ns, metadata.node(), problems);
}

}  // namespace

Meaning meaning_of(std::string_view api_version, std::string_view kind) {
  const auto same = [&](const Kind& used) {
    return used.api_version == api_version && used.name == kind;
  };
  if (std::any_of(kUsed.begin(), kUsed.end(), same)) return Meaning::Used;
  const std::string_view group = group_of(api_version);
  if (is_kubernetes_own(group) || group == "eventing.keda.sh") return Meaning::NotUsed;
  return Meaning::Unknown;
}

std::string_view used_kinds() {
  static const std::string names = [] {
    std::string all;
    for (const Kind& kind : kUsed) all += (all.empty() ? "" : ", ") + std::string(kind.name);
    return all;
  }();
  return names;
}

bool is_cluster_scoped(std::string_view kind) { return kind == "ClusterTriggerAuthentication"; }

std::string to_string(const ObjectKey& key) { return key.kind + "/" + key.name; }

Object read_object(Node document, std::string_view ns, Problems& problems) {
  Object object;
  object.source = problems.source();
  object.key.ns = ns;
  {
    Fields fields(document, "", Unknown::Ignored, problems);
    object.api_version = fields.required_text("apiVersion");
    object.key.kind = fields.required_text("kind");
    if (const Node* metadata = fields.any("metadata")) {
      Fields below(*metadata, "metadata", unknown_of(object), problems);
      if (metadata->is_object()) read_metadata(object, below, problems);
    } else {
      fields.error("metadata", "required, and missing");
    }
  }
  if (is_cluster_scoped(object.key.kind)) object.key.ns.clear();
  object.document = std::move(document);
  return object;
}

}  // namespace jobmill::manifest
