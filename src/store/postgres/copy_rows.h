// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace jobmill::postgres {

// Rows for Connection::copy, in the server's binary format: of many rows the server makes less work
// than of arrays. Each begins with row(); then come its values, in the order and of the very types
// of the columns.
class CopyRows {
 public:
  explicit CopyRows(std::int16_t columns, std::size_t expected_bytes = 0);

  void row();
  void null();
  void int2(std::int16_t value);
  void int4(std::int32_t value);
  void int8(std::int64_t value);
  void text(std::string_view value);
  void uuid(std::string_view text);  // 36 characters
  void timestamp(TimePoint at);
  void texts(std::span<const std::string> values);  // text[]; none: NULL

  std::string take() &&;

 private:
  const std::int16_t columns_;
  std::string bytes_;
};

}  // namespace jobmill::postgres
