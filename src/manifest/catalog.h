// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/object.h"

namespace jobmill::manifest {

// All applied objects, with look-up and change notices. Fed by `apply` (and on Kubernetes by
// watches); what lies behind it does not know which. Owned by the control thread.
class Catalog {
 public:
  using Listener = std::function<void(const ObjectKey& key)>;  // put or removed: look it up

  const Object* find(const ObjectKey& key) const;
  const Object* find(std::string_view kind, std::string_view ns, std::string_view name) const;
  std::vector<const Object*> list(std::string_view kind) const;  // in the order of their keys
  std::vector<const Object*> all() const;

  // A new object gets generation 1 and `created` = now; one whose spec (or data) differs gets the
  // next generation; an equal one is left as it is (no notice). Returns whether anything changed.
  bool put(Object object, TimePoint now);
  // Puts back an object that the store kept, with its generation and its time.
  void restore(Object object);
  bool remove(const ObjectKey& key);
  void on_change(Listener listener);

 private:
  void notify(const ObjectKey& key) const;

  std::map<ObjectKey, Object> objects_;
  std::vector<Listener> listeners_;
};

}  // namespace jobmill::manifest
