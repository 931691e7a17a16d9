// SPDX-License-Identifier: Apache-2.0
#include "jobs/metadata.h"

namespace jobmill::jobs {

Result<std::string> kept_value(Metadata& metadata, std::string_view name, std::string_view owner,
                               std::string_view proposed, TimePoint now) {
  TRY(auto kept, metadata.get(name, owner));
  if (kept) return std::move(kept->value);
  TRY_VOID(metadata.put(name, owner, proposed, now));
  return std::string(proposed);
}

}  // namespace jobmill::jobs
