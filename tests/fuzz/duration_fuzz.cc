// SPDX-License-Identifier: Apache-2.0
// Durations and instants under arbitrary text: what was read, written and read again is the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/duration.h"

using namespace jobmill;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void check_iso(std::string_view text) {
  const auto duration = parse_iso_duration(text);
  if (!duration) return;
  const auto again = parse_iso_duration(canonical(*duration));
  require(again && *again == *duration);
  (void)to_duration(*duration);
}

void check_instant(std::string_view text) {
  const auto at = parse_instant(text);
  // An offset can move an instant out of the four-digit years.
  if (!at || format_instant(*at).size() > 27 || format_instant(*at).front() == '-') return;
  const auto again = parse_instant(format_instant(*at));
  require(again && *again == *at);
}

void check_text(std::string_view text) {
  const auto duration = parse_duration(text);
  if (!duration) return;
  const auto iso = parse_duration(format_iso(*duration));
  const auto shown = parse_go_duration(to_text(*duration));
  require(iso && *iso == *duration);
  require(!shown || *shown == *duration);  // Go ends after 292 years
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_iso(text);
  check_instant(text);
  check_text(text);
  (void)parse_go_duration(text);
  return 0;
}
