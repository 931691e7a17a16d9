// SPDX-License-Identifier: Apache-2.0
#include "jobs/job_explorer.h"

#include <algorithm>

#include <fmt/core.h>

namespace jobmill::jobs {
namespace {

constexpr std::uint64_t kBasis = 14695981039346656037u;  // FNV-1a
constexpr std::uint64_t kPrime = 1099511628211u;

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The text with each number, and each address as in 0x7f3a, told as '#'.
std::string without_numbers(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_digit(text[i])) {
      plain.push_back(text[i++]);
      continue;
    }
    const bool address = text[i] == '0' && i + 1 < text.size() && (text[i + 1] | 0x20) == 'x';
    if (address) i += 2;
    while (i < text.size() && (address ? is_hex(text[i]) : is_digit(text[i]))) ++i;
    plain.push_back('#');
  }
  return plain;
}

std::uint64_t hash(std::uint64_t so_far, std::string_view text) {
  for (const char c : text) so_far = (so_far ^ static_cast<unsigned char>(c)) * kPrime;
  return so_far * kPrime;  // ends the text: "ab", "c" is not "a", "bc"
}

}  // namespace

std::string_view top_frame(std::string_view stack) {
  while (!stack.empty()) {
    const std::string_view line = stack.substr(0, stack.find('\n'));
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin != line.npos) return line.substr(begin, line.find_last_not_of(" \t\r") + 1 - begin);
    stack.remove_prefix(std::min(line.size() + 1, stack.size()));
  }
  return {};
}

std::string fingerprint_of(std::string_view error_type, std::string_view stack,
                           std::string_view message) {
  const std::string_view frame = top_frame(stack);
  const std::string alike = without_numbers(frame.empty() ? message : frame);
  return fmt::format("{:016x}", hash(hash(kBasis, error_type), alike));
}

}  // namespace jobmill::jobs
