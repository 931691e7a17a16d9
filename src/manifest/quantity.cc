// SPDX-License-Identifier: Apache-2.0
#include "manifest/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

namespace jobmill::manifest {
namespace {

constexpr std::size_t kLongestText = 400;
constexpr int kLargestExponent = 1000;
constexpr int kFinest = -9;  // "n"
constexpr std::string_view kLargestBinary = "9223372036854775807";

struct Suffix {
  std::string_view text;
  int exponent;
};

constexpr std::array kDecimalSuffixes{
    Suffix{"n", -9}, Suffix{"u", -6}, Suffix{"m", -3}, Suffix{"", 0},   Suffix{"k", 3},
    Suffix{"M", 6},  Suffix{"G", 9},  Suffix{"T", 12}, Suffix{"P", 15}, Suffix{"E", 18},
};
constexpr std::array kBinarySuffixes{
    Suffix{"Ki", 10}, Suffix{"Mi", 20}, Suffix{"Gi", 30},
    Suffix{"Ti", 40}, Suffix{"Pi", 50}, Suffix{"Ei", 60},
};

template <class Table>
std::optional<int> exponent_of(const Table& table, std::string_view text) {
  for (const Suffix& suffix : table)
    if (suffix.text == text) return suffix.exponent;
  return std::nullopt;
}

template <class Table>
std::optional<std::string_view> suffix_of(const Table& table, int exponent) {
  for (const Suffix& suffix : table)
    if (suffix.exponent == exponent) return suffix.text;
  return std::nullopt;
}

std::string_view take_digits(std::string_view& text) {
  const std::size_t count = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view digits = text.substr(0, count);
  text.remove_prefix(count);
  return digits;
}

void drop_leading_zeros(std::string& digits) {
  digits.erase(0, std::min(digits.find_first_not_of('0'), digits.size()));
  if (digits.empty()) digits = "0";
}

// "e3", "E-2"
std::optional<int> scientific_exponent(std::string_view suffix) {
  if (suffix.size() < 2 || (suffix.front() != 'e' && suffix.front() != 'E')) return std::nullopt;
  if (suffix.starts_with("e+-") || suffix.starts_with("E+-")) return std::nullopt;
  suffix.remove_prefix(suffix[1] == '+' ? 2 : 1);
  int value = 0;
  const char* end = suffix.data() + suffix.size();
  const auto [stop, error] = std::from_chars(suffix.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::string add_one(std::string digits) {
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit) {
    if (*digit != '9') {
      ++*digit;
      return digits;
    }
    *digit = '0';
  }
  return "1" + digits;
}

std::string doubled(const std::string& digits) {
  std::string result(digits.size() + 1, '0');
  int carry = 0;
  for (std::size_t i = digits.size(); i-- > 0;) {
    const int value = 2 * (digits[i] - '0') + carry;
    result[i + 1] = static_cast<char>('0' + value % 10);
    carry = value / 10;
  }
  result[0] = static_cast<char>('0' + carry);
  drop_leading_zeros(result);
  return result;
}

bool is_longer(const std::string& a, std::string_view b) {
  return a.size() != b.size() ? a.size() > b.size() : a > b;
}

// Leaves `places` more digits out at the end, away from zero.
std::string without_last(std::string digits, std::size_t places) {
  if (places >= digits.size()) return digits == "0" ? digits : "1";
  const std::string cut = digits.substr(digits.size() - places);
  digits.resize(digits.size() - places);
  const bool exact = cut.find_first_not_of('0') == cut.npos;
  return exact ? digits : add_one(std::move(digits));
}

std::optional<std::uint64_t> word_of(const std::string& digits) {
  std::uint64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec != std::errc()) return std::nullopt;
  return value;
}

std::uint64_t lowest_word_of(const std::string& digits) {
  std::uint64_t value = 0;
  for (const char digit : digits) value = value * 10 + static_cast<std::uint64_t>(digit - '0');
  return value;
}

}  // namespace

// The parts of a quantity's text.
struct QuantityText {
  bool negative = false;
  std::string whole;  // without leading zeros, "0" when there is none
  std::string fraction;
  std::string_view suffix;

  static Result<QuantityText> split(std::string_view text) {
    if (text.empty() || text.size() > kLongestText) return wrong(text);
    QuantityText parts;
    std::string_view rest = text;
    parts.negative = rest.front() == '-';
    if (rest.front() == '-' || rest.front() == '+') rest.remove_prefix(1);
    parts.whole = take_digits(rest);
    bool any = !parts.whole.empty();
    if (rest.starts_with('.')) {
      rest.remove_prefix(1);
      parts.fraction = take_digits(rest);
      any = any || !parts.fraction.empty();
    }
    if (!any) return wrong(text);
    drop_leading_zeros(parts.whole);
    parts.suffix = rest;
    return parts;
  }

  static Fault wrong(std::string_view text) {
    return fail(Code::InvalidArgument,
                "\"" + std::string(text.substr(0, 80)) +
                    "\" is no quantity: expected a number, perhaps with one of n u m k M G T P E "
                    "Ki Mi Gi Ti Pi Ei or an exponent (\"250m\", \"10Mi\", \"1e3\")");
  }

  std::string shifted() const { return whole + fraction; }
  int places() const { return static_cast<int>(fraction.size()); }
  int length() const { return static_cast<int>(whole.size() + fraction.size()); }

  Quantity decimal(int exponent, Quantity::Format format, std::string_view text) const {
    Quantity quantity = start(format);
    quantity.exponent_ = exponent - places();
    quantity.short_ = length() <= 18 && quantity.exponent_ >= kFinest;
    const std::string all = shifted();
    const bool is_canonical =
        quantity.exponent_ % 3 == 0 && !all.ends_with("000") && all.front() != '0';
    if (quantity.short_ && is_canonical) quantity.written_ = text;
    round_to_finest(quantity);
    return quantity;
  }

  // 2^exponent is multiplied out: Kubernetes counts in decimals.
  Quantity binary(int exponent, std::string_view text) const {
    Quantity quantity = start(Quantity::Format::Binary);
    quantity.exponent_ = -places();
    for (int i = 0; i < exponent; ++i) quantity.digits_ = doubled(quantity.digits_);
    const int spare = 14 - static_cast<int>(whole.size()) - exponent * 3 / 10;
    quantity.short_ = fraction.empty() && spare >= 0;
    const bool is_canonical = lowest_word_of(whole) % 8 != 0;
    if (quantity.short_ && is_canonical) quantity.written_ = text;
    round_to_finest(quantity);
    if (quantity.exponent_ == 0 && is_longer(quantity.digits_, kLargestBinary))
      quantity.digits_ = kLargestBinary;
    return quantity;
  }

 private:
  Quantity start(Quantity::Format format) const {
    Quantity quantity;
    quantity.negative_ = negative;
    quantity.digits_ = shifted();
    drop_leading_zeros(quantity.digits_);
    quantity.format_ = format;
    return quantity;
  }

  static void round_to_finest(Quantity& quantity) {
    if (quantity.exponent_ >= kFinest) return;
    const auto places = static_cast<std::size_t>(kFinest - quantity.exponent_);
    quantity.digits_ = without_last(std::move(quantity.digits_), places);
    quantity.exponent_ = kFinest;
  }
};

Result<Quantity> Quantity::parse(std::string_view text) {
  TRY(const QuantityText parts, QuantityText::split(text));
  if (const auto exponent = exponent_of(kDecimalSuffixes, parts.suffix))
    return parts.decimal(*exponent, Format::Decimal, text);
  if (const auto exponent = exponent_of(kBinarySuffixes, parts.suffix))
    return parts.binary(*exponent, text);
  const auto exponent = scientific_exponent(parts.suffix);
  if (!exponent || std::abs(*exponent) > kLargestExponent) return QuantityText::wrong(text);
  return parts.decimal(*exponent, Format::Exponent, text);
}

Quantity Quantity::of(double value) {
  if (!std::isfinite(value) || value < 0) value = 0;
  auto quantity = parse(fmt::format("{:.3f}", value));
  return quantity ? *std::move(quantity) : Quantity();
}

std::string Quantity::canonical() const {
  if (is_zero()) return "0";
  if (!written_.empty()) return written_;
  if (format_ != Format::Binary) return decimal(format_);
  // A fraction, or less than one Ki, is shown in decimals, so that nothing is lost.
  const bool is_small =
      exponent_ + static_cast<int>(digits_.size()) <= 4 && whole() > -1024 && whole() < 1024;
  const std::string whole_part = without_last(digits_, static_cast<std::size_t>(-exponent_));
  const bool is_whole =
      exponent_ == 0 ||
      digits_ == whole_part + std::string(static_cast<std::size_t>(-exponent_), '0');
  return is_small || !is_whole ? decimal(Format::Decimal) : binary();
}

std::string Quantity::decimal(Format format) const {
  std::string digits = digits_;
  int exponent = exponent_;
  for (; digits.back() == '0'; digits.pop_back()) ++exponent;
  const int most = format == Format::Decimal ? kDecimalSuffixes.back().exponent : exponent;
  for (; exponent % 3 != 0 || exponent > most; --exponent) digits += '0';
  const std::string number = (negative_ ? "-" : "") + digits;
  if (format == Format::Exponent && exponent != 0) return number + "e" + std::to_string(exponent);
  return number + std::string(suffix_of(kDecimalSuffixes, exponent).value_or(""));
}

std::string Quantity::binary() const {
  std::uint64_t number =
      word_of(without_last(digits_, static_cast<std::size_t>(-exponent_))).value_or(0);
  int exponent = 0;
  for (; number % 1024 == 0 && exponent < 60; number /= 1024) exponent += 10;
  const auto suffix = suffix_of(kBinarySuffixes, exponent).value_or("");
  return (negative_ ? "-" : "") + std::to_string(number) + std::string(suffix);
}

std::int64_t Quantity::scaled(int places) const {
  const int shift = exponent_ + places;
  std::string digits = digits_;
  if (shift >= 0) digits.append(static_cast<std::size_t>(shift), '0');
  if (shift < 0) digits = without_last(std::move(digits), static_cast<std::size_t>(-shift));
  drop_leading_zeros(digits);

  const auto word = word_of(digits);
  constexpr std::uint64_t kMost = 9'223'372'036'854'775'807u;
  if (short_ && (!word || *word > kMost)) return 0;
  const std::uint64_t bits = lowest_word_of(digits);
  return static_cast<std::int64_t>(negative_ ? 0 - bits : bits);
}

double Quantity::to_double() const {
  const std::string text = digits_ + "e" + std::to_string(exponent_);
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (result.ec != std::errc()) value = exponent_ > 0 ? HUGE_VAL : 0.0;
  return negative_ ? -value : value;
}

}  // namespace jobmill::manifest
