// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jobmill::manifest {

// A Kubernetes quantity: "8", "250m", "10Mi", "1.5", "1e3". Exact: it holds decimal digits, never
// a binary fraction. What is finer than a billionth is rounded up to one, as Kubernetes does.
//
//   TRY(Quantity limit, Quantity::parse("1.5"));
//   limit.milli();      // 1500
//   limit.canonical();  // "1500m"
class Quantity {
 public:
  static Result<Quantity> parse(std::string_view text);

  // As the autoscaler writes a number: three decimals; NaN, infinite and negative ones are 0.
  static Quantity of(double value);

  // The largest suffix that leaves a whole number. A text that is already so stays as it was
  // written, sign and zeros included.
  std::string canonical() const;

  // Rounded away from zero. Numbers beyond 64 bits give what Kubernetes computes for them, so that
  // both autoscalers agree: 0 up to 18 digits, else the lowest 64 bits.
  std::int64_t milli() const { return scaled(3); }
  std::int64_t whole() const { return scaled(0); }

  double to_double() const;

 private:
  enum class Format { Decimal, Exponent, Binary };
  friend struct QuantityText;

  std::int64_t scaled(int places) const;
  bool is_zero() const { return digits_ == "0"; }
  int magnitude() const { return static_cast<int>(digits_.size()) + exponent_; }
  std::string decimal(Format format) const;
  std::string binary() const;

  bool negative_ = false;
  std::string digits_ = "0";  // no leading zeros
  int exponent_ = 0;          // value = digits * 10^exponent
  Format format_ = Format::Decimal;
  bool short_ = true;    // Kubernetes keeps it in one machine word
  std::string written_;  // the text, if it is canonical
};

}  // namespace jobmill::manifest
