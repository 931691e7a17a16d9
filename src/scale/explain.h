// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/clock.h"
#include "scale/decision.h"

namespace jobmill::scale {

// What limited the number, in one sentence: "stays at 4: scale-down window 300 s, highest proposal
// in it 4 at 10:02:15". Instants are UTC.
std::string sentence(const Decision& decision);

// Answers "why are there nine?" in one page for a terminal: the last change, what each trigger
// says with the formula filled in, every rule that had its say. `change` is the decision that set
// the present number; null if it was found like this.
std::string explain(const Decision& latest, const Decision* change, TimePoint now);

}  // namespace jobmill::scale
