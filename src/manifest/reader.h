// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "manifest/object.h"

namespace jobmill::manifest {

// The objects of some manifests, and what is to be said of the rest. Objects are to be used only
// when there are no errors: all documents are checked before any is applied.
struct Manifests {
  std::vector<Object> objects;  // of the kinds that mean something here, in the order read
  std::vector<Remark> notes;
  std::vector<Remark> errors;
  std::map<ObjectKey, std::string> places;  // where each object was read

  bool ok() const { return errors.empty(); }
  void add(const Problems& problems);
};

// Reads one text, YAML (many documents) or JSON, into `into`. Objects of kind List are opened.
// `source` is its name in messages; `ns` is for manifests that name no namespace.
void read_manifests(std::string_view text, const std::string& source, std::string_view ns,
                    Manifests& into);

// Reads a file, a folder, or standard input ("-").
Manifests read_manifests(const std::string& path, std::string_view ns = kDefaultNamespace);

// The files that a path stands for: itself, or of a folder its .yaml, .yml and .json by name.
Result<std::vector<std::string>> manifest_files(const std::string& path);

}  // namespace jobmill::manifest
