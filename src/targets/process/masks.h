// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/secret.h"

namespace jobmill::targets {

// Texts that must not be seen where output is kept. Those shorter than eight characters would be
// found in innocent words and are left alone; of a text of several lines, each line counts.
class Masks {
 public:
  explicit Masks(const std::vector<Secret>& secrets);

  void apply(std::string& text) const;  // puts "***" in their place
  std::size_t longest() const { return texts_.empty() ? 0 : texts_.front().reveal().size(); }

 private:
  std::vector<Secret> texts_;  // the longest first: one may be the beginning of another
};

}  // namespace jobmill::targets
