// SPDX-License-Identifier: Apache-2.0
#include "scalers/table.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <doctest/doctest.h>
#include <fmt/core.h>

namespace jobmill::scalers {
namespace {

std::string page(std::string_view type) {
  const auto root = std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
  std::ifstream file(root / "docs" / "triggers" / fmt::format("{}.md", type));
  REQUIRE_MESSAGE(file.good(), "no page for trigger type " << std::string(type));
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

// The rows of the page that begin with a parameter's name, up to the column of explanations.
std::string documented(std::string_view type) {
  std::string rows;
  std::istringstream lines(page(type));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("| `")) continue;
    std::size_t end = 0;  // of the fourth column
    for (int column = 0; column < 4; ++column) end = line.find(" |", end + 1);
    REQUIRE_MESSAGE(end != std::string::npos, line);
    rows += line.substr(0, end + 2) + '\n';
  }
  return rows;
}

std::string in_code(std::string_view names) {
  std::string text = "`";
  for (const char c : names) text += c == '|' ? "` `" : std::string(1, c);
  return text + "`";
}

std::string source_words(std::string_view sources) {
  std::string words;
  for (const char source : sources) {
    if (!words.empty()) words += ", ";
    words += source == 'm' ? "metadata" : source == 'a' ? "auth" : "env";
  }
  return words;
}

std::string type_words(const Parameter& parameter) {
  constexpr std::array<std::string_view, 10> kNames{
      "text",     "number", "whole number", "true or false", "duration",
      "ISO 8601", "one of", "list of",      "list",          "query string"};
  std::string words(kNames[static_cast<std::size_t>(parameter.type)]);
  return parameter.words.empty() ? words : words + " " + in_code(parameter.words);
}

std::string expected(std::string_view type) {
  std::string rows;
  for (const Parameter& parameter : scaler_parameters(type)) {
    const std::string fallback = parameter.required           ? "required"
                                 : parameter.fallback.empty() ? "–"
                                                              : in_code(parameter.fallback);
    rows += fmt::format("| {} | {} | {} | {} |\n", in_code(parameter.names),
                        source_words(parameter.sources), type_words(parameter), fallback);
  }
  return rows;
}

}  // namespace

TEST_CASE("table: types are sorted, and each has the page that its parameters describe") {
  CHECK(std::ranges::is_sorted(scaler_types()));
  for (const std::string_view type : scaler_types()) {
    CAPTURE(type);
    CHECK(documented(type) == expected(type));
  }
}

TEST_CASE("table: an unknown type is refused by name") {
  ManualClock clock;
  scale::TriggerSpec spec;
  spec.type = "kafkaa";
  const auto scaler = make_scaler(spec, {.fetch = {}, .jobs = {}, .run_after = {}, .clock = clock});
  REQUIRE_FALSE(scaler);
  CHECK(scaler.error().code == Code::Unsupported);
  CHECK(scaler.error().message.find("kafkaa") != std::string::npos);
  CHECK(scaler_parameters("kafkaa").empty());
}

TEST_CASE("table: what needs a cluster is refused by name") {
  ManualClock clock;
  scale::TriggerSpec spec;
  spec.type = "metrics-api";
  spec.metadata = {{"url", "http://svc.ns/api"},
                   {"valueLocation", "count"},
                   {"targetValue", "1"},
                   {"aggregateFromKubeServiceEndpoints", "true"}};
  const auto scaler = make_scaler(spec, {.fetch = {}, .jobs = {}, .run_after = {}, .clock = clock});
  REQUIRE_FALSE(scaler);
  CHECK(scaler.error().code == Code::Unsupported);
  CHECK(scaler.error().message.find("aggregateFromKubeServiceEndpoints") != std::string::npos);
}

TEST_CASE("table: triggers that look at pods are refused where there is no cluster") {
  ManualClock clock;
  const ScalerContext context{.fetch = {}, .jobs = {}, .run_after = {}, .clock = clock};
  for (const char* type : {"cpu", "memory", "kubernetes-workload"}) {
    CAPTURE(type);
    scale::TriggerSpec spec;
    spec.type = type;
    spec.metric_type = "AverageValue";
    spec.metadata = {{"value", "5"}, {"podSelector", "app=web"}};
    CHECK(check_scaler(spec));
    const Status local = check_without_cluster(type);
    const auto scaler = make_scaler(spec, context);
    REQUIRE_FALSE(local);
    REQUIRE_FALSE(scaler);
    CHECK(local.error().code == Code::Unsupported);
    CHECK(local.error().message.find("--target kubernetes") != std::string::npos);
    CHECK(scaler.error().message == local.error().message);
  }
  CHECK(check_without_cluster("cron"));
}

}  // namespace jobmill::scalers
