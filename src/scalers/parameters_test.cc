// SPDX-License-Identifier: Apache-2.0
#include "scalers/parameters.h"

#include <array>
#include <chrono>

#include <doctest/doctest.h>

namespace jobmill::scalers {
namespace {

using namespace std::chrono_literals;

constexpr std::array kTable{
    Parameter{.names = "host|hosts", .sources = "ma", .required = true},
    Parameter{.names = "password", .sources = "ae"},
    Parameter{.names = "count", .type = ParameterType::Integer, .fallback = "5"},
    Parameter{.names = "ratio", .type = ParameterType::Number},
    Parameter{.names = "mode", .sources = "ma", .type = ParameterType::Word, .words = "a|b"},
    Parameter{.names = "modes", .type = ParameterType::WordList, .words = "a|b"},
    Parameter{.names = "timeout", .type = ParameterType::Duration},
    Parameter{.names = "window", .type = ParameterType::IsoDuration},
    Parameter{.names = "extra", .type = ParameterType::QueryString},
    Parameter{.names = "names", .type = ParameterType::TextList},
};

scale::TriggerSpec spec(scale::TriggerSpec::Texts metadata, scale::TriggerSpec::Texts auth = {}) {
  scale::TriggerSpec result;
  result.type = "demo";
  result.index = 2;
  result.metadata = std::move(metadata);
  result.auth = std::move(auth);
  return result;
}

Flaw only_flaw(const Parameters& parameters) {
  REQUIRE(parameters.flaws().size() == 1);
  return *parameters.flaws().begin();
}

}  // namespace

TEST_CASE("parameters: sources are tried in their order, and in each all names") {
  const auto both = spec({{"hosts", "from metadata"}}, {{"host", "from auth"}});
  CHECK(Parameters(both, kTable).text("host") == "from metadata");
  const auto blank = spec({{"host", "  "}}, {{"hosts", " from auth\n"}});
  CHECK(Parameters(blank, kTable).text("host") == "from auth");
}

TEST_CASE("parameters: FromEnv names a variable of the workload") {
  auto trigger = spec({{"passwordFromEnv", "DB_PASSWORD"}, {"password", "not looked at"}});
  trigger.env = {{"DB_PASSWORD", "secret"}};
  CHECK(Parameters(trigger, kTable).text("password") == "secret");
  trigger.env.clear();
  CHECK(Parameters(trigger, kTable).text("password").empty());
}

TEST_CASE("parameters: one error tells everything that is wrong") {
  const auto trigger = spec({{"count", "1.5"}, {"mode", "c"}});
  Parameters parameters(trigger, kTable);
  CHECK(parameters.text("host").empty());
  CHECK_FALSE(parameters.integer("count"));
  (void)parameters.text("mode");
  const Status status = parameters.status();
  REQUIRE_FALSE(status);
  CHECK(status.error().code == Code::InvalidArgument);
  CHECK(status.error().message ==
        "trigger 2 (demo): host|hosts is missing; count must be a whole number such as 5, not "
        "\"1.5\"; mode must be one of a, b, not \"c\"");
}

TEST_CASE("parameters: what comes from authentication is not repeated in messages") {
  const auto trigger = spec({}, {{"mode", "s3cret"}});
  Parameters parameters(trigger, kTable);
  (void)parameters.text("mode");
  CHECK(parameters.status().error().message.find("s3cret") == std::string::npos);
}

TEST_CASE("parameters: numbers have JSON's syntax and whole numbers 64 bits") {
  const auto number = [](const char* text) {
    const auto trigger = spec({{"ratio", text}, {"count", text}});
    Parameters parameters(trigger, kTable);
    return std::pair(parameters.number("ratio"), parameters.integer("count"));
  };
  CHECK(number("-3") == std::pair(std::optional(-3.0), std::optional<std::int64_t>(-3)));
  CHECK(number("1e3") == std::pair(std::optional(1000.0), std::optional<std::int64_t>()));
  CHECK(number("9223372036854775807").second == 9223372036854775807);
  CHECK_FALSE(number("9223372036854775808").second);
  for (const char* text : {"+5", ".5", "5.", "007", "0x10", "1_000", "NaN", "1k", "\"5\"", "null",
                           "true", "-", "1 2"}) {
    CAPTURE(text);
    CHECK(number(text) == std::pair(std::optional<double>(), std::optional<std::int64_t>()));
  }
}

TEST_CASE("parameters: a duration without a unit is milliseconds") {
  const auto duration = [](const char* text) {
    const auto trigger = spec({{"timeout", text}});
    Parameters parameters(trigger, kTable);
    const Duration value = parameters.duration("timeout");
    if (parameters.flaws().empty()) return std::optional(value);
    CHECK(only_flaw(parameters) == Flaw::Duration);
    return std::optional<Duration>();
  };
  CHECK(duration("500") == Duration(500ms));
  CHECK(duration("1m30s") == Duration(90s));
  CHECK(duration("0") == Duration::zero());
  for (const char* text : {"-1", "-1s", "1.5", "1d", "99999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(duration(text));
  }
}

TEST_CASE("parameters: an ISO duration is never negative") {
  const auto good = spec({{"window", "PT2M"}}), bad = spec({{"window", "-PT2M"}});
  CHECK(Parameters(good, kTable).duration("window") == Duration(2min));
  Parameters parameters(bad, kTable);
  (void)parameters.duration("window");
  CHECK(only_flaw(parameters) == Flaw::Duration);
}

TEST_CASE("parameters: lists are split at commas, and words must be known") {
  using Texts = std::vector<std::string>;
  const auto good = spec({{"modes", "b , a"}, {"names", "x,, y"}});
  CHECK(Parameters(good, kTable).list("modes") == Texts{"b", "a"});
  CHECK(Parameters(good, kTable).list("names") == Texts{"x", "", "y"});
  const auto bad = spec({{"modes", "a,"}});
  Parameters parameters(bad, kTable);
  CHECK(parameters.list("modes").empty());
  CHECK(only_flaw(parameters) == Flaw::Enum);
}

TEST_CASE("parameters: query strings are decoded, and refused when they cannot be") {
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  const auto good = spec({{"extra", "a=1+2&b=%26&c"}});
  CHECK(Parameters(good, kTable).query("extra") == Pairs{{"a", "1 2"}, {"b", "&"}, {"c", ""}});
  const auto bad = spec({{"extra", "a=%zz"}});
  Parameters parameters(bad, kTable);
  CHECK(parameters.query("extra").empty());
  CHECK(only_flaw(parameters) == Flaw::Syntax);
}

TEST_CASE("parameters: metricType is AverageValue, Value or the trigger's own default") {
  auto trigger = spec({});
  const auto type = [&](std::string_view text) {
    trigger.metric_type = text;
    Parameters parameters(trigger, kTable);
    const auto metric = parameters.metric("a.b", 0.8, scale::MetricType::Value);
    CHECK(metric.name == "s2-a-b");
    CHECK(metric.target_milli == 800);
    return parameters.status() ? std::optional(metric.type) : std::nullopt;
  };
  CHECK(type("") == scale::MetricType::Value);
  CHECK(type("AverageValue") == scale::MetricType::AverageValue);
  CHECK_FALSE(type("Utilization"));
}

}  // namespace jobmill::scalers
