// SPDX-License-Identifier: Apache-2.0
#include "base/id.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <span>
#include <vector>

#include <openssl/evp.h>

#include "base/hex.h"
#include "base/random.h"

namespace jobmill {
namespace {

using Bytes16 = std::array<std::byte, 16>;

// The namespace of name_id. It must never change: stored ids were made with it.
constexpr std::array<unsigned char, 16> kNamespace{0x8c, 0x1d, 0x5e, 0x42, 0x6a, 0x07, 0x4b, 0x9f,
                                                   0xa3, 0x51, 0x2e, 0xd8, 0x0f, 0x74, 0xc6, 0x39};
constexpr std::string_view kSuffixLetters = "bcdfghjklmnpqrstvwxz2456789";
constexpr std::string_view kTokenLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::uint64_t kVariant = std::uint64_t{0b10} << 62;

std::string uuid_text(std::uint64_t high, std::uint64_t low) {
  Bytes16 bytes;
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<std::byte>(high >> (56 - 8 * i));
    bytes[8 + i] = static_cast<std::byte>(low >> (56 - 8 * i));
  }
  return jobmill::uuid_text(bytes);
}

struct Random {
  std::uint64_t a = 0;
  std::uint64_t b = 0;
};

// Random bytes in stock: asking the kernel for each id costs more than the id.
class RandomStock {
 public:
  Random take() {
    if (used_ == kPairs) {
      fill_random(std::as_writable_bytes(std::span(stock_)));
      used_ = 0;
    }
    return stock_[used_++];
  }

 private:
  static constexpr std::size_t kPairs = 64;
  std::array<Random, kPairs> stock_{};
  std::size_t used_ = kPairs;
};

// The 122 bits of a UUIDv7 that are not fixed: 60 of time and its fraction, 62 below.
struct Sequence {
  std::uint64_t time = 0;  // milliseconds << 12 | 12 bits
  std::uint64_t rest = 0;  // 62 bits

  void start(std::uint64_t milliseconds, const Random& random) {
    time = milliseconds << 12 | (random.a & 0x7ff);  // the top bit is room to carry into
    rest = random.b & ~(std::uint64_t{0b11} << 62);
  }
  // By a random distance, so that one id does not tell the next (RFC 9562, 6.2, method 2).
  void advance(const Random& random) {
    rest += 1 + (random.a & 0xffff'ffff);
    time += rest >> 62;
    rest &= ~(std::uint64_t{0b11} << 62);
  }
};

std::uint64_t big_endian(const unsigned char* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

bool hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

std::string new_id(TimePoint now) {
  // The whole process shares these: ids grow across threads.
  static std::mutex mutex;  // guards the two
  static Sequence last;
  static RandomStock stock;

  const auto since_epoch = std::chrono::floor<std::chrono::milliseconds>(now).time_since_epoch();
  const auto milliseconds = static_cast<std::uint64_t>(since_epoch.count()) & 0xffff'ffff'ffff;
  const std::lock_guard lock(mutex);
  const Random random = stock.take();
  if (milliseconds > last.time >> 12)
    last.start(milliseconds, random);
  else
    last.advance(random);
  const std::uint64_t high = last.time >> 12 << 16 | 0x7000 | (last.time & 0xfff);
  return uuid_text(high, kVariant | last.rest);
}

std::string name_id(std::string_view text) {
  std::string input(reinterpret_cast<const char*>(kNamespace.data()), kNamespace.size());
  input += text;
  std::array<unsigned char, 20> sha1{};
  EVP_Digest(input.data(), input.size(), sha1.data(), nullptr, EVP_sha1(), nullptr);
  const std::uint64_t high = (big_endian(sha1.data()) & ~std::uint64_t{0xf000}) | 0x5000;
  const std::uint64_t low = big_endian(sha1.data() + 8) & ~(std::uint64_t{0b11} << 62);
  return uuid_text(high, kVariant | low);
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !hex(text[i])) return false;
  }
  return true;
}

std::string canonical_id(std::string_view text) {
  if (!is_uuid(text)) return name_id(text);
  std::string id(text);
  for (char& c : id)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  return id;
}

std::string random_token(std::size_t bytes) {
  std::vector<std::byte> random(bytes);
  fill_random(random);
  std::string token;
  std::uint32_t bits = 0;
  int held = 0;
  for (const std::byte byte : random) {
    bits = bits << 8 | std::to_integer<std::uint32_t>(byte);
    for (held += 8; held >= 6; held -= 6) token += kTokenLetters[bits >> (held - 6) & 63];
  }
  if (held > 0) token += kTokenLetters[bits << (6 - held) & 63];
  return token;
}

std::string random_suffix(std::size_t length) {
  constexpr std::size_t kFair = 256 / kSuffixLetters.size() * kSuffixLetters.size();
  std::string suffix;
  while (suffix.size() < length) {
    Bytes16 bytes;
    fill_random(bytes);
    for (const std::byte byte : bytes) {
      const auto value = std::to_integer<std::size_t>(byte);
      // The rest of 256 would make some letters likelier than others.
      if (value < kFair && suffix.size() < length)
        suffix += kSuffixLetters[value % kSuffixLetters.size()];
    }
  }
  return suffix;
}

}  // namespace jobmill
