// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

namespace jobmill::scalers {

// What the readers of YAML and XML answers share.

// "a.0.b" -> a, 0, b. An empty path has one empty part.
std::vector<std::string_view> path_parts(std::string_view path);

// "0", "12"; nothing for all other texts.
std::optional<std::size_t> path_index(std::string_view part);

// The number that a text in an answer stands for: a Kubernetes quantity ("64", "1k", "250m").
std::optional<double> quantity_number(std::string_view text);

}  // namespace jobmill::scalers
