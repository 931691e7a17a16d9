// SPDX-License-Identifier: Apache-2.0
#include "scalers/metrics_api.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <optional>
#include <utility>

#include <fmt/core.h>

#include "base/document.h"
#include "http/message.h"
#include "scalers/dot_path.h"
#include "scalers/json_path.h"
#include "scalers/pending_read.h"
#include "scalers/prometheus_text.h"
#include "scalers/query_string.h"
#include "scalers/table.h"
#include "scalers/xml_path.h"
#include "scalers/yaml_path.h"

namespace jobmill::scalers {
namespace {

constexpr std::array kOwnParameters{
    Parameter{.names = "url", .required = true},
    Parameter{.names = "valueLocation", .required = true},
    Parameter{.names = "targetValue", .type = ParameterType::Number},
    Parameter{.names = "activationTargetValue", .type = ParameterType::Number, .fallback = "0"},
    Parameter{.names = "format",
              .type = ParameterType::Word,
              .fallback = "json",
              .words = "json|xml|yaml|prometheus"},
    Parameter{.names = "unsafeSsl", .type = ParameterType::Boolean, .fallback = "false"},
    Parameter{.names = "timeout", .type = ParameterType::Duration},
    Parameter{.names = "aggregateFromKubeServiceEndpoints",
              .type = ParameterType::Boolean,
              .fallback = "false"},
    Parameter{.names = "aggregationType",
              .type = ParameterType::Word,
              .fallback = "average",
              .words = "average|sum|max|min"},
};

constexpr auto kParameters = [] {
  std::array<Parameter, kOwnParameters.size() + kAuthParameters.size()> all{};
  const auto end = std::ranges::copy(kOwnParameters, all.begin()).out;
  std::ranges::copy(kAuthParameters, end);
  return all;
}();

ValueFormat format_of(std::string_view word) {
  if (word == "xml") return ValueFormat::Xml;
  if (word == "yaml") return ValueFormat::Yaml;
  return word == "prometheus" ? ValueFormat::Prometheus : ValueFormat::Json;
}

// The number in a JSON number or string; nothing for all other values, and for text that only
// begins like a number: what cannot be read must not become a zero.
std::optional<double> json_number(const JsonValue& value) {
  if (value.kind == JsonValue::Kind::String) return quantity_number(value.text);
  if (value.kind != JsonValue::Kind::Number) return std::nullopt;
  char* end = nullptr;
  const double number = std::strtod(value.text.c_str(), &end);
  if (end != value.text.c_str() + value.text.size()) return std::nullopt;
  return number;
}

Result<double> extract_json(std::string_view location, std::string_view body) {
  if (const auto number = json_number(json_path(body, location))) return *number;
  if (!parse_json(body)) return fail(Code::Unavailable, "the answer is not JSON");
  return fail(Code::Unavailable, fmt::format("no number at {}", location));
}

Result<double> extract(ValueFormat format, std::string_view location, std::string_view body) {
  switch (format) {
    case ValueFormat::Json:
      return extract_json(location, body);
    case ValueFormat::Xml:
      return xml_number(body, location);
    case ValueFormat::Yaml:
      return yaml_number(body, location);
    case ValueFormat::Prometheus:
      return prometheus_number(body, location);
  }
  return fail(Code::Internal, "unknown format");
}

bool has_word(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const auto begin = std::min(item.find_first_not_of(" \t"), item.size());
    item = item.substr(begin, item.find_last_not_of(" \t") + 1 - begin);
    if (http::iequals(item, word)) return true;
  }
  return false;
}

// The reads of one trigger. It outlives the scaler while an answer is on its way; the reads and
// their answers never overlap, so that only `pending_` needs a lock.
class Reader : public std::enable_shared_from_this<Reader> {
 public:
  Reader(MetricsApiTrigger trigger, const ScalerContext& context)
      : trigger_(std::move(trigger)),
        fetch_(context.fetch),
        clock_(context.clock),
        default_timeout_(context.http_timeout) {}

  const scale::MetricSpec& metric() const { return trigger_.metric; }

  void read(scale::Scaler::Done done) {
    pending_.begin(std::move(done));
    if (trigger_.auth.oauth && !has_token())
      fetch_token(false);
    else
      fetch_value();
  }

  void close() { pending_.close(); }

 private:
  struct Seen {
    std::string etag;
    scale::Sample sample;
  };

  void send(http::ClientRequest request, std::function<void(Reader&, http::ClientResult)> then) {
    fetch_(std::move(request),
           [weak = weak_from_this(), then = std::move(then)](http::ClientResult result) {
             const auto self = weak.lock();
             if (self && self->pending_.open()) then(*self, std::move(result));
           });
  }

  // --- OAuth ---

  bool has_token() const {
    return !token_.value.empty() && (token_.lifetime == Duration::zero() || clock_.now() < renew_);
  }

  void fetch_token(bool password_in_form) {
    http::ClientRequest request = token_request(*trigger_.auth.oauth, password_in_form);
    request.timeout = timeout();
    request.verify_tls = !trigger_.unsafe_ssl;
    send(std::move(request), [password_in_form](Reader& self, http::ClientResult result) {
      self.on_token(std::move(result), password_in_form);
    });
  }

  void on_token(http::ClientResult result, bool password_in_form) {
    if (!result) return pending_.finish(std::move(result).error());
    const bool refused = result->status >= 400 && result->status < 500;
    if (refused && !password_in_form) return fetch_token(true);
    auto token = parse_token(*result);
    if (!token) return fail_with(trigger_.auth.oauth->token_url, token.error());
    token_ = *std::move(token);
    // A little earlier than it ends, for the time that the next request takes.
    renew_ = clock_.now() + token_.lifetime - std::chrono::seconds(10);
    fetch_value();
  }

  // --- The value ---

  Duration timeout() const {
    return trigger_.timeout > Duration::zero() ? trigger_.timeout : default_timeout_;
  }

  void fetch_value() {
    http::ClientRequest request = metrics_api_request(trigger_, default_timeout_);
    if (trigger_.auth.oauth) request.headers.set("Authorization", "Bearer " + token_.value);
    if (seen_) {
      const auto wait = std::chrono::floor<std::chrono::seconds>(trigger_.longest_wait);
      request.headers.set("If-None-Match", seen_->etag);
      request.headers.set("Prefer", fmt::format("wait={}", wait.count()));
      request.timeout += wait;
    }
    sent_ = clock_.now();
    send(std::move(request),
         [](Reader& self, http::ClientResult result) { self.on_value(std::move(result)); });
  }

  void on_value(http::ClientResult result) {
    if (!result) return pending_.finish(std::move(result).error());
    if (seen_ && result->status == 304) return on_unchanged();
    auto sample = sample_of(*result);
    if (!sample) return fail_with(trigger_.url, sample.error());
    remember(*result, *sample);
    pending_.finish(*std::move(sample));
  }

  // A server that says "unchanged" without having waited is read at the interval, or the reads
  // would follow each other without a pause.
  void on_unchanged() {
    scale::Sample sample = seen_->sample;
    sample.waits = clock_.now() - sent_ >= trigger_.longest_wait / 2;
    pending_.finish(sample);
  }

  Result<scale::Sample> sample_of(const http::Response& response) const {
    if (response.status != 200)
      return fail(Code::Unavailable, fmt::format("status {}", response.status));
    TRY(const double value, extract_value(trigger_.format, trigger_.value_location, response.body));
    return scale::Sample{.value = std::isfinite(value) ? value : 0,
                         .active = value > trigger_.activation,
                         .waits = can_wait(response)};
  }

  bool can_wait(const http::Response& response) const {
    const auto etag = response.headers.get("ETag");
    const auto vary = response.headers.get("Vary");
    return etag && !etag->empty() && vary && has_word(*vary, "Prefer") &&
           trigger_.longest_wait >= std::chrono::seconds(1);
  }

  void remember(const http::Response& response, const scale::Sample& sample) {
    seen_.reset();
    if (sample.waits) seen_ = Seen{std::string(*response.headers.get("ETag")), sample};
  }

  void fail_with(std::string_view url, const Fault& error) {
    pending_.finish(fail(error.code, fmt::format("{}: {}", public_url(url), error.message)));
  }

  const MetricsApiTrigger trigger_;
  const decltype(ScalerContext::fetch) fetch_;
  const Clock& clock_;
  const Duration default_timeout_;
  PendingRead pending_;
  Token token_;
  TimePoint renew_{};
  TimePoint sent_{};
  std::optional<Seen> seen_;  // set: the next read may wait
};

class MetricsApiScaler final : public scale::Scaler {
 public:
  MetricsApiScaler(MetricsApiTrigger trigger, const ScalerContext& context)
      : reader_(std::make_shared<Reader>(std::move(trigger), context)) {}
  ~MetricsApiScaler() override { reader_->close(); }

  const scale::MetricSpec& metric() const override { return reader_->metric(); }
  void read(Done done) override { reader_->read(std::move(done)); }

 private:
  std::shared_ptr<Reader> reader_;
};

}  // namespace

std::span<const Parameter> metrics_api_parameters() { return kParameters; }

MetricsApiTrigger decode_metrics_api(Parameters& parameters) {
  const auto target = parameters.number("targetValue");
  if (target == 0 && !parameters.spec().feeds_formula)
    parameters.complain(Flaw::Missing, "targetValue is missing or 0");

  MetricsApiTrigger trigger;
  trigger.activation = parameters.number("activationTargetValue").value_or(0);
  trigger.url = parameters.text("url");
  trigger.format = format_of(parameters.text("format"));
  trigger.value_location = parameters.text("valueLocation");
  trigger.unsafe_ssl = parameters.boolean("unsafeSsl");
  trigger.timeout = parameters.duration("timeout");
  trigger.from_endpoints = parameters.boolean("aggregateFromKubeServiceEndpoints");
  (void)parameters.text("aggregationType");  // checked, although only endpoints need it
  trigger.auth = decode_auth(parameters);
  trigger.longest_wait =
      std::min<Duration>(parameters.spec().polling_interval, std::chrono::seconds(25));
  trigger.metric = parameters.metric("metric-api-" + trigger.value_location, target.value_or(0));
  return trigger;
}

Result<MetricsApiTrigger> parse_metrics_api(const scale::TriggerSpec& spec) {
  Parameters parameters(spec, kParameters);
  MetricsApiTrigger trigger = decode_metrics_api(parameters);
  TRY_VOID(parameters.status());
  return trigger;
}

http::ClientRequest metrics_api_request(const MetricsApiTrigger& trigger,
                                        Duration default_timeout) {
  http::ClientRequest request;
  request.url = escape_url(trigger.url);
  request.timeout = trigger.timeout > Duration::zero() ? trigger.timeout : default_timeout;
  request.verify_tls = !trigger.unsafe_ssl;
  request.follow_redirects = true;
  authorize(trigger.auth, request);
  return request;
}

Result<double> extract_value(ValueFormat format, std::string_view location, std::string_view body) {
  TRY(const double value, extract(format, location, body));
  if (std::isinf(value) && value > 0)
    return fail(Code::Unavailable, fmt::format("the number at {} is infinite", location));
  return value;
}

Result<std::unique_ptr<scale::Scaler>> make_metrics_api(const scale::TriggerSpec& spec,
                                                        const ScalerContext& context) {
  TRY(MetricsApiTrigger trigger, parse_metrics_api(spec));
  if (trigger.from_endpoints)
    return fail(Code::Unsupported,
                fmt::format("trigger {} (metrics-api): aggregateFromKubeServiceEndpoints is not "
                            "supported yet",
                            spec.index));
  return std::make_unique<MetricsApiScaler>(std::move(trigger), context);
}

}  // namespace jobmill::scalers
