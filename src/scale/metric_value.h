// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace jobmill::scale {

// The number that scaling reckons with: a Kubernetes quantity with three decimals, as KEDA hands
// it to the HPA. NaN, both infinities and negative numbers are 0. The test of activity is made
// before this, with the raw number: 0.0004 is active with a metric of 0.

// Thousandths, rounded as printf's %.3f does; stops at the largest int64.
std::int64_t to_milli(double value);

// As Kubernetes prints it: "0", "250m", "2.430", "1500", "300k".
std::string to_quantity(double value);

}  // namespace jobmill::scale
