// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <algorithm>
#include <cstdint>

namespace jobmill {
namespace {

constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::uint32_t byte_at(std::string_view bytes, std::size_t at) {
  return at < bytes.size() ? static_cast<unsigned char>(bytes[at]) : 0u;
}

std::string without_line_breaks(std::string_view text) {
  std::string kept;
  for (const char c : text)
    if (c != '\n' && c != '\r') kept += c;
  return kept;
}

// Four characters, the last ones perhaps padding, as up to three bytes.
bool append_group(std::string& out, std::string_view group) {
  const std::size_t padding = group[3] != '=' ? 0 : group[2] != '=' ? 1 : 2;
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < 4 - padding; ++i) {
    const std::size_t value = kAlphabet.find(group[i]);
    if (value == kAlphabet.npos) return false;
    bits |= static_cast<std::uint32_t>(value) << (18 - 6 * i);
  }
  for (std::size_t i = 0; i < 3 - padding; ++i)
    out += static_cast<char>(bits >> (16 - 8 * i) & 0xFF);
  const std::uint32_t unused = padding == 0 ? 0u : padding == 1 ? 0xFFu : 0xFFFFu;
  return (bits & unused) == 0;
}

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::uint32_t bits =
        byte_at(bytes, at) << 16 | byte_at(bytes, at + 1) << 8 | byte_at(bytes, at + 2);
    for (std::size_t i = 0; i < 4; ++i)
      out += at + i <= bytes.size() ? kAlphabet[bits >> (18 - 6 * i) & 0x3F] : '=';
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  const std::string dense = without_line_breaks(text);
  if (dense.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(dense.size() / 4 * 3);
  for (std::size_t at = 0; at < dense.size(); at += 4) {
    const std::string_view group = std::string_view(dense).substr(at, 4);
    const bool last = at + 4 == dense.size();
    if (!last && group[3] == '=') return std::nullopt;
    if (!append_group(out, group)) return std::nullopt;
  }
  return out;
}

std::string base64url_encode(std::string_view bytes) {
  std::string out = base64_encode(bytes);
  out.resize(std::min(out.size(), out.find('=')));
  std::replace(out.begin(), out.end(), '+', '-');
  std::replace(out.begin(), out.end(), '/', '_');
  return out;
}

std::optional<std::string> base64url_decode(std::string_view text) {
  if (text.find_first_of("+/=\r\n") != text.npos) return std::nullopt;
  std::string padded(text);
  std::replace(padded.begin(), padded.end(), '-', '+');
  std::replace(padded.begin(), padded.end(), '_', '/');
  padded.append((4 - padded.size() % 4) % 4, '=');
  return base64_decode(padded);
}

}  // namespace jobmill
