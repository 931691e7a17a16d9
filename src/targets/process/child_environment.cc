// SPDX-License-Identifier: Apache-2.0
#include "targets/process/child_environment.h"

#include <cstdlib>

namespace jobmill::targets {

Texts inherited_environment() {
  Texts inherited;
  for (const char* name : {"PATH", "HOME", "LANG", "TZ", "TMPDIR"}) {
    if (const char* value = std::getenv(name)) inherited.emplace(name, value);
  }
  return inherited;
}

Texts child_environment(const Texts& inherited, const Texts& provided, const Texts& declared) {
  Texts all = declared;
  all.insert(provided.begin(), provided.end());  // insert leaves what is there
  all.insert(inherited.begin(), inherited.end());
  return all;
}

}  // namespace jobmill::targets
