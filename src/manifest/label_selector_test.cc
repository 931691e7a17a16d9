// SPDX-License-Identifier: Apache-2.0
#include "manifest/label_selector.h"

#include <doctest/doctest.h>

namespace jobmill::manifest {
namespace {

bool selects(std::string_view selector, const Texts& labels) {
  const auto parsed = LabelSelector::parse(selector);
  REQUIRE(parsed);
  return parsed->matches(labels);
}

bool decoded_selects(std::string_view json, const Texts& labels) {
  const auto node = parse_json(json);
  REQUIRE(node);
  const auto selector = LabelSelector::decode(*node);
  REQUIRE(selector);
  return selector->matches(labels);
}

}  // namespace

TEST_CASE("label selector: all requirements of a line must hold") {
  const Texts web{{"app", "web"}, {"tier", "front"}, {"shard", "4"}};
  CHECK(selects("", web));
  CHECK(selects("app=web", web));
  CHECK(selects("app==web", web));
  CHECK_FALSE(selects("app=mail", web));
  CHECK(selects(" app = web , tier in (front, back) , !canary ", web));
  CHECK_FALSE(selects("app=web,tier in (back)", web));
  CHECK_FALSE(selects("app=web,!tier", web));
  CHECK(selects("tier", web));
  CHECK_FALSE(selects("canary", web));
  CHECK(selects("shard>3,shard<5", web));
  CHECK_FALSE(selects("shard>4", web));
  CHECK_FALSE(selects("app>1", web));
}

TEST_CASE("label selector: what is not a value is met by an object without the label") {
  CHECK(selects("track!=beta", {}));
  CHECK(selects("track notin (beta,alpha)", {}));
  CHECK_FALSE(selects("track notin (beta,alpha)", {{"track", "alpha"}}));
  CHECK(selects("track=", {{"track", ""}}));
  CHECK_FALSE(selects("track=", {}));
}

TEST_CASE("label selector: a line that makes no sense is refused") {
  for (const char* text : {"=web", "app=web,", "app in web", "app in (web", "app like web",
                           "app=web tier=front", "shard>many", "!", "app)"}) {
    CAPTURE(text);
    const auto selector = LabelSelector::parse(text);
    REQUIRE_FALSE(selector);
    CHECK(selector.error().code == Code::InvalidArgument);
  }
}

TEST_CASE("label selector: as manifests have it") {
  constexpr auto kSelector = R"({"matchLabels": {"app": "web"}, "matchExpressions": [
      {"key": "tier", "operator": "In", "values": ["front", "back"]},
      {"key": "track", "operator": "NotIn", "values": ["beta"]},
      {"key": "zone", "operator": "Exists"},
      {"key": "canary", "operator": "DoesNotExist"}]})";
  Texts labels{{"app", "web"}, {"tier", "back"}, {"zone", ""}};
  CHECK(decoded_selects(kSelector, labels));
  for (const auto& [key, value] : Texts{{"app", "mail"}, {"tier", "x"}, {"track", "beta"}}) {
    Texts others = labels;
    others[key] = value;
    CHECK_FALSE(decoded_selects(kSelector, others));
  }
  labels["canary"] = "";
  CHECK_FALSE(decoded_selects(kSelector, labels));
  CHECK(decoded_selects("{}", labels));
  CHECK_FALSE(LabelSelector::decode(
      *parse_json(R"({"matchExpressions": [{"key": "a", "operator": "Like"}]})")));
}

}  // namespace jobmill::manifest
