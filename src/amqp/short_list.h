// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace jobmill::amqp {

// Inside the engine: a described list that takes less than a hundred bytes, put together on the
// stack and appended at once. Its bytes are those that Writer writes. The owner sees to it that it
// fits.
class ShortList {
 public:
  ShortList(std::uint8_t descriptor, std::uint8_t fields) {
    constexpr std::uint8_t kSmallUlong = 0x53;
    constexpr std::uint8_t kList8 = 0xc0;
    for (const std::uint8_t byte :
         {std::uint8_t{0}, kSmallUlong, descriptor, kList8, std::uint8_t{0}, fields})
      put(byte);
  }

  void null() { put(0x40); }
  void boolean(bool value) { put(value ? 0x41 : 0x42); }
  void boolean(std::optional<bool> value) { value ? boolean(*value) : null(); }
  void ubyte(std::uint8_t value) {
    put(0x50);
    put(value);
  }
  void uint(std::uint32_t value) {
    if (value == 0) return put(0x43);
    if (value <= 0xFF) {
      put(0x52);
      return put(static_cast<std::uint8_t>(value));
    }
    put(0x70);
    for (int shift = 24; shift >= 0; shift -= 8) put(static_cast<std::uint8_t>(value >> shift));
  }
  void uint(std::optional<std::uint32_t> value) { value ? uint(*value) : null(); }
  static constexpr std::size_t kMaxBinary = 32;
  void binary(std::optional<std::string_view> bytes) {
    if (!bytes) return null();
    put(0xa0);
    put(static_cast<std::uint8_t>(bytes->size()));
    std::memcpy(bytes_.data() + size_, bytes->data(), bytes->size());
    size_ += bytes->size();
  }

  void append_to(std::string& out) {
    bytes_[kSizeAt] = static_cast<char>(size_ - kSizeAt - 1);
    out.append(bytes_.data(), size_);
  }

 private:
  static constexpr std::size_t kSizeAt = 4;

  void put(std::uint8_t byte) { bytes_[size_++] = static_cast<char>(byte); }

  std::array<char, 100> bytes_;
  std::size_t size_ = 0;
};

}  // namespace jobmill::amqp
