// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace jobmill::api {

// A file of the built dashboard, with what a browser may take instead of it.
struct DashboardFile {
  std::string path;  // "assets/index-4f2a.js"
  std::string type;
  std::string hash;  // of its content
  std::string_view plain{};
  std::string_view gzip{};
  std::string_view br{};
};

// The files of a pack, which tools/pack_dashboard.mjs writes; by path. The views are into `pack`.
// None: the pack is empty, or no pack.
std::vector<DashboardFile> unpack_dashboard(std::string_view pack);

// The pack that is a part of the program. One without a dashboard has an empty one.
std::string_view embedded_dashboard();

}  // namespace jobmill::api
