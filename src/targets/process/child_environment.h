// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "targets/process/process.h"

namespace jobmill::targets {

// The variables that a child takes over from us: PATH, HOME, LANG, TZ and TMPDIR, where we have
// them. Read once, at the start of the server.
Texts inherited_environment();

// All variables of a child: inherited ones, then what the server provides (JOBMILL_URL, Services),
// then what its manifest declares; a later one replaces an earlier one of the same name.
Texts child_environment(const Texts& inherited, const Texts& provided, const Texts& declared);

}  // namespace jobmill::targets
