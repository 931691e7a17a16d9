// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "base/result.h"

namespace jobmill::scalers {

// The value of the first sample that a selector such as `name{queue="mail",host=~"a.*"}` matches,
// in Prometheus' text format. The selector names the metric, before the braces or as
// {__name__="name"}; matchers are = != =~ !~ with anchored patterns, and an absent label is "".
// Counters, gauges and untyped metrics can be read, the series of histograms and summaries cannot.
// InvalidArgument: the selector is wrong; NotFound: nothing matches; Unavailable: the text is
// not in the format.
Result<double> prometheus_number(std::string_view text, std::string_view selector);

}  // namespace jobmill::scalers
