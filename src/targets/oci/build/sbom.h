// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "targets/oci/build/debian_packages.h"

namespace jobmill::targets {

// A file of an image that belongs to no package.
struct LooseFile {
  std::string path;    // in the image
  std::string sha256;  // of its bytes, in hexadecimal digits
};

// What is in an image.
struct BillOfMaterials {
  std::string name;  // of the image
  std::string tool;  // what made it: "jobmill-0.1.0"
  TimePoint made_at{};
  std::string distribution = {};  // of the packages: "debian-12"
  std::vector<LooseFile> programs = {};
  std::vector<LooseFile> libraries = {};
  std::vector<DebianPackage> packages = {};
};

// As an SPDX 2.3 document in JSON. The same content gives the same text.
std::string to_spdx(const BillOfMaterials& bill);

}  // namespace jobmill::targets
