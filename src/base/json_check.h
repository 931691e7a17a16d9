// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/document.h"
#include "base/result.h"

namespace jobmill {

// The judgement of parse_json without its tree, for texts that are kept as they came: the kind of
// the value, or the same error. Takes a quarter of the time.
Result<Node::Kind> check_json(std::string_view text, const DocumentLimits& limits = {});

}  // namespace jobmill
