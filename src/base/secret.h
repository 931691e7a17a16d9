// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace jobmill {

// Text that must not end up in a log, a page or a core file by accident: it cannot be printed, and
// its memory is overwritten when it goes.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept;
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret() { wipe(); }

  bool empty() const { return text_.empty(); }
  // The text itself. Do not keep copies of it.
  const std::string& reveal() const { return text_; }
  // Takes equally long wherever the texts differ. Their lengths are not hidden.
  bool equals(std::string_view other) const;

 private:
  void wipe() noexcept;
  std::string text_;
};

// The same comparison for two texts of which one came from outside.
bool equal_in_constant_time(std::string_view a, std::string_view b);

}  // namespace jobmill
