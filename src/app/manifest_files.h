// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "api/control_plane.h"
#include "base/result.h"

namespace jobmill::app {

// The texts behind the paths of -f, all of them or the first that cannot be read: files, folders
// (their .yaml, .yml and .json by name), "-" for standard input, which is called "stdin".
Result<std::vector<api::ManifestFile>> read_manifest_files(const std::vector<std::string>& paths);

}  // namespace jobmill::app
