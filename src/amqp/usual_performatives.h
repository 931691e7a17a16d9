// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "amqp/performatives.h"

namespace jobmill::amqp {

// A message is one transfer and one disposition, so these two are read once more, in the encodings
// that peers usually choose and without a step in between: about ten times faster than
// decode_performative(). False for everything else, malformed or only unusual: that is for
// decode_performative() to judge. Where it is true, the answer is the same.
//
// Both are to be given with their defaults, and are left in between when the answer is false.
bool decode_usual(std::string_view body, Transfer& transfer);
bool decode_usual(std::string_view body, Disposition& disposition);

}  // namespace jobmill::amqp
