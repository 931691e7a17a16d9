// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace jobmill {

// What a key file holds; when there is no file, what `make` gives is written into one of mode 0600.
// Two processes that start at once get the same key. PermissionDenied: others may read it. A file
// that is there is never replaced.
Result<Secret> open_key_file(const std::string& path, const std::function<Secret()>& make);

}  // namespace jobmill
