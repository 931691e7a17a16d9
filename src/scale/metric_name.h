// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace jobmill::scale {

// Metric names as KEDA makes them: "s<trigger index>-<what the trigger measures>", with each of
// / . : % ( ) replaced by a dash.

std::string normalize_metric_name(std::string_view text);
std::string metric_name(std::string_view text, int trigger_index);

// The name without its "s<trigger index>-". InvalidArgument when it has another prefix, or none.
Result<std::string> strip_trigger_index(std::string_view metric_name, int trigger_index);

}  // namespace jobmill::scale
