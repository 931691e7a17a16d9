// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/result.h"

namespace jobmill::scalers {

// The number at a dot path of a YAML map, such as "queues.0.length": names, and numbers for the
// items of lists. Whole numbers (also 0x1F, 0o17, 0b1 and 1_000) and floating ones count as they
// are, strings as Kubernetes quantities. Everything else is an error: what is missing, lists and
// maps, a path that goes on below a scalar, true, null, whole numbers beyond 64 bits.
Result<double> yaml_number(std::string_view yaml, std::string_view path);

}  // namespace jobmill::scalers
