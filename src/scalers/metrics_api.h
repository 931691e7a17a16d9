// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"
#include "scale/scaler.h"
#include "scalers/auth_block.h"
#include "scalers/parameters.h"

namespace jobmill::scalers {

struct ScalerContext;

// The trigger `metrics-api`: one number out of the answer of any HTTP endpoint.
// docs/triggers/metrics-api.md is its page.
//
// An endpoint that answers with `ETag` and `Vary: Prefer` lets a read wait for a change: the next
// read sends `If-None-Match` and `Prefer: wait=<seconds>` (RFC 7240), 304 is a good read of the
// old number, and every sample says `waits`.

enum class ValueFormat { Json, Xml, Yaml, Prometheus };

struct MetricsApiTrigger {
  scale::MetricSpec metric;
  double activation = 0;
  std::string url;  // as written
  ValueFormat format = ValueFormat::Json;
  std::string value_location;
  bool unsafe_ssl = false;
  Duration timeout{0};          // zero: the default of all triggers
  bool from_endpoints = false;  // aggregateFromKubeServiceEndpoints
  AuthBlock auth;
  Duration longest_wait{};  // of a waiting read: pollingInterval, at most 25 s
};

std::span<const Parameter> metrics_api_parameters();
MetricsApiTrigger decode_metrics_api(Parameters& parameters);
Result<MetricsApiTrigger> parse_metrics_api(const scale::TriggerSpec& spec);

// The request of a plain read, without OAuth's token.
http::ClientRequest metrics_api_request(const MetricsApiTrigger& trigger, Duration default_timeout);

// The number at `location` of a body. NaN and -Inf are numbers here, +Inf is an error.
Result<double> extract_value(ValueFormat format, std::string_view location, std::string_view body);

Result<std::unique_ptr<scale::Scaler>> make_metrics_api(const scale::TriggerSpec& spec,
                                                        const ScalerContext& context);

}  // namespace jobmill::scalers
