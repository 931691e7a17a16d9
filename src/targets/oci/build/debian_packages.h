// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

namespace jobmill::targets {

// An installed package of Debian or one of its relatives.
struct DebianPackage {
  std::string name;
  std::string version;
  std::string architecture;
  std::string source = {};  // what it was built from, with its version when that is another one
  std::set<std::string> files = {};  // those of the wanted ones that belong to it
};

// Whose these files are, by dpkg's own notes; by name. Links are followed, and a file that moved
// from /lib to /usr/lib is found under its old name. Without such notes there are no packages.
std::vector<DebianPackage> find_packages(const std::vector<std::string>& files,
                                         const std::string& dpkg = "/var/lib/dpkg");

}  // namespace jobmill::targets
