// SPDX-License-Identifier: Apache-2.0
#include "scale/metric_name.h"

#include <fmt/core.h>

namespace jobmill::scale {
namespace {

std::string index_prefix(int trigger_index) { return fmt::format("s{}-", trigger_index); }

}  // namespace

std::string normalize_metric_name(std::string_view text) {
  std::string name(text);
  for (char& c : name)
    if (std::string_view("/.:%()").find(c) != std::string_view::npos) c = '-';
  return name;
}

std::string metric_name(std::string_view text, int trigger_index) {
  return index_prefix(trigger_index) + normalize_metric_name(text);
}

Result<std::string> strip_trigger_index(std::string_view metric_name, int trigger_index) {
  const std::string prefix = index_prefix(trigger_index);
  if (!metric_name.starts_with(prefix))
    return fail(Code::InvalidArgument,
                fmt::format("metric name {} does not begin with {}", metric_name, prefix));
  return std::string(metric_name.substr(prefix.size()));
}

}  // namespace jobmill::scale
