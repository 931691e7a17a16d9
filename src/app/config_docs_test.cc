// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>
#include <fmt/core.h>

#include "app/config.h"

namespace jobmill::app {
namespace {

std::string page() {
  const auto root = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
  std::ifstream file(root / "docs" / "cli.md");
  REQUIRE_MESSAGE(file.good(), "docs/cli.md cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// The text between two marks; in a table cell a bar is written \| .
std::string flag_of(std::string_view row) {
  const auto end = row.find('`', row.find('`') + 1);
  REQUIRE_MESSAGE(end != std::string_view::npos, std::string(row));
  std::string flag(row.substr(0, end));
  flag.erase(0, flag.find('`') + 1);
  for (auto at = flag.find("\\|"); at != std::string::npos; at = flag.find("\\|"))
    flag.erase(at, 1);
  return flag;
}

// The flags of the table under the heading, up to the next heading.
std::string documented() {
  std::istringstream lines(page());
  std::string flags;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) inside = line == "## Settings of `jobmill serve`";
    if (inside && line.starts_with("| `-")) flags += flag_of(line) + '\n';
  }
  return flags;
}

std::string expected() {
  std::string flags;
  for (const Setting& setting : settings()) {
    const std::string_view letter = setting.short_name;
    if (!letter.empty()) flags += fmt::format("-{}, ", letter);
    flags += fmt::format("--{} {}\n", setting.name, setting.value);
  }
  return flags;
}

}  // namespace

TEST_CASE("config: every setting has its row in docs/cli.md, and every row its setting") {
  CHECK(documented() == expected());
}

}  // namespace jobmill::app
