// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/debian_packages.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

// What may stand in a list -> the file that was asked for.
std::map<std::string, std::string> names_of(const std::vector<std::string>& files) {
  std::map<std::string, std::string> names;
  for (const std::string& file : files) {
    std::error_code error;  // what is not there is nobody's
    const std::string real = fs::canonical(file, error).string();
    for (const std::string& path : {file, real}) {
      if (path.empty()) continue;
      names[path] = file;
      if (path.starts_with("/usr/")) names[path.substr(4)] = file;
    }
  }
  return names;
}

// "libpq5:amd64.list": package and architecture; "tzdata.list" alone: its name.
std::set<std::string> files_of(const fs::path& list,
                               const std::map<std::string, std::string>& wanted) {
  std::set<std::string> files;
  std::ifstream lines(list);
  std::string line;
  while (std::getline(lines, line))
    if (const auto it = wanted.find(line); it != wanted.end()) files.insert(it->second);
  return files;
}

using Owners = std::map<std::string, std::set<std::string>>;  // by the list's name

Owners find_owners(const std::vector<std::string>& files, const std::string& dpkg) {
  const auto wanted = names_of(files);
  Owners owners;
  std::error_code error;  // no such folder: another distribution
  for (const auto& entry : fs::directory_iterator(fs::path(dpkg) / "info", error)) {
    if (entry.path().extension() != ".list") continue;
    auto theirs = files_of(entry.path(), wanted);
    if (!theirs.empty()) owners.emplace(entry.path().stem().string(), std::move(theirs));
  }
  return owners;
}

// The next paragraph's fields; those that go on in a second line are not of interest.
bool read_paragraph(std::istream& status, std::map<std::string, std::string>& fields) {
  fields.clear();
  std::string line;
  while (std::getline(status, line)) {
    if (line.empty()) return true;
    const auto colon = line.find(": ");
    if (line.front() != ' ' && colon != std::string::npos)
      fields[line.substr(0, colon)] = line.substr(colon + 2);
  }
  return !fields.empty();
}

}  // namespace

std::vector<DebianPackage> find_packages(const std::vector<std::string>& files,
                                         const std::string& dpkg) {
  Owners owners = find_owners(files, dpkg);
  std::map<std::string, DebianPackage> packages;
  std::ifstream status(fs::path(dpkg) / "status");
  std::map<std::string, std::string> fields;
  while (read_paragraph(status, fields)) {
    const std::string& name = fields["Package"];
    // What can be installed for several architectures at once has the architecture in its name.
    auto owner = owners.find(name + ":" + fields["Architecture"]);
    if (owner == owners.end()) owner = owners.find(name);
    if (owner == owners.end()) continue;
    packages.emplace(owner->first, DebianPackage{.name = name,
                                                 .version = fields["Version"],
                                                 .architecture = fields["Architecture"],
                                                 .source = fields["Source"],
                                                 .files = std::move(owner->second)});
    owners.erase(owner);
  }
  std::vector<DebianPackage> found;
  for (auto& [key, package] : packages) found.push_back(std::move(package));
  return found;
}

}  // namespace jobmill::targets
