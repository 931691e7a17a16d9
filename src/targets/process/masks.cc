// SPDX-License-Identifier: Apache-2.0
#include "targets/process/masks.h"

#include <algorithm>
#include <string_view>

namespace jobmill::targets {
namespace {

constexpr std::size_t kShortest = 8;
constexpr std::string_view kMask = "***";

}  // namespace

Masks::Masks(const std::vector<Secret>& secrets) {
  for (const Secret& secret : secrets) {
    std::string_view rest = secret.reveal();
    while (!rest.empty()) {
      std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.size() >= kShortest) texts_.emplace_back(std::string(line));
    }
  }
  std::ranges::stable_sort(texts_, std::greater<>(),
                           [](const Secret& text) { return text.reveal().size(); });
}

void Masks::apply(std::string& text) const {
  for (const Secret& secret : texts_) {
    const std::string& hidden = secret.reveal();
    for (auto at = text.find(hidden); at != std::string::npos;
         at = text.find(hidden, at + kMask.size())) {
      text.replace(at, hidden.size(), kMask);
    }
  }
}

}  // namespace jobmill::targets
