// SPDX-License-Identifier: Apache-2.0
#include "app/hosts_file.h"

#include <algorithm>
#include <set>
#include <sstream>

#include <fmt/core.h>

#include "app/containerapp_values.h"
#include "base/text.h"

namespace jobmill::app {
namespace {

// Every name of the file; whoever gave one another address had a reason.
std::set<std::string> known_names(std::string_view file) {
  std::set<std::string> names;
  std::istringstream lines{std::string(file)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    words >> word;  // the address
    while (words >> word) names.insert(lower(word));
  }
  return names;
}

}  // namespace

std::string missing_hosts(std::string_view file, const std::vector<std::string>& names) {
  const std::set<std::string> known = known_names(file);
  std::string lines;
  for (const std::string& name : names)
    if (!known.contains(lower(name))) lines += fmt::format("127.0.0.1 {} # jobmill\n", lower(name));
  const bool unfinished = !file.empty() && !file.ends_with('\n');
  return unfinished && !lines.empty() ? "\n" + lines : lines;
}

}  // namespace jobmill::app
