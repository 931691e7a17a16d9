// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

namespace jobmill::api {

// What pages are told of how this server was configured.
struct Settings {
  std::string cluster_name = "jobmill";
  std::string context_path{};    // "" or "/mill": what all paths begin with
  std::string anonymous_role{};  // of who shows no credentials; empty: none
  // All of it, as JSON, with where each value comes from; secrets are only told apart. Blocks.
  std::function<std::string()> document{};
};

}  // namespace jobmill::api
