// SPDX-License-Identifier: Apache-2.0
#include "app/az_output.h"

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

std::string printed(std::string_view json, AzOutput output, bool picked = false) {
  return az_text(*parse_json(json), output, picked);
}

TEST_CASE("az output: JSON and YAML with keys in order; a null prints nothing") {
  CHECK(printed(R"({"b": 1, "a": {"d": [], "c": "x"}})", AzOutput::Json) ==
        "{\n  \"a\": {\n    \"c\": \"x\",\n    \"d\": []\n  },\n  \"b\": 1\n}\n");
  CHECK(printed(R"({"b": 1, "a": true})", AzOutput::Yaml) == "a: true\nb: 1\n");
  for (const auto output : {AzOutput::Json, AzOutput::Table, AzOutput::Tsv, AzOutput::Yaml})
    CHECK(printed("null", output).empty());
  CHECK(printed(R"({"a": 1})", AzOutput::None).empty());
}

TEST_CASE(
    "az output: tsv has a line for each element, tabs between members, counts of what is in") {
  CHECK(printed(R"("text with blanks")", AzOutput::Tsv) == "text with blanks\n");
  CHECK(printed("true", AzOutput::Tsv) == "true\n");
  CHECK(printed(R"(["a", "b"])", AzOutput::Tsv) == "a\nb\n");
  CHECK(printed(R"([["a", 1], [null, false]])", AzOutput::Tsv) == "a\t1\n\tfalse\n");
  CHECK(printed(R"({"z": "last", "a": "first", "m": [1, 2], "o": {"x": 1}})", AzOutput::Tsv) ==
        "first\t2\t1\tlast\n");
  CHECK(printed(R"([{"z": 1, "a": 2}])", AzOutput::Tsv, true) == "1\t2\n");
}

TEST_CASE("az output: a table has columns for plain members only, and none for ids") {
  CHECK(printed(R"([{"name": "orders", "id": "/x", "type": "t", "counts": {"n": 1}, "big": true},
                    {"name": "q", "extra": 5}])",
                AzOutput::Table) ==
        "Big   Name    Extra\n"
        "----  ------  -----\n"
        "True  orders\n"
        "      q       5\n");
  CHECK(printed(R"([{"z": "1", "id": "/x"}])", AzOutput::Table, true) == "Z  Id\n-  --\n1  /x\n");
  CHECK(printed(R"([["a", 1]])", AzOutput::Table, true) ==
        "Column1  Column2\n-------  -------\n"
        "a        1\n");
  CHECK(printed(R"("x")", AzOutput::Table, true) == "Result\n------\nx\n");
  CHECK(printed("[]", AzOutput::Table).empty());
}

TEST_CASE("az output: the formats have az's names") {
  CHECK(az_output_named("") == AzOutput::Json);
  CHECK(az_output_named("jsonc") == AzOutput::Json);
  CHECK(az_output_named("none") == AzOutput::None);
  CHECK_FALSE(az_output_named("name"));
}

TEST_CASE("az output: properties stand beside the name, with the group of the id") {
  const auto resource = parse_json(
      R"({"id": "/subscriptions/s/resourceGroups/rg/providers/p/namespaces/n", "name": "n",
          "properties": {"status": "Active"}})");
  CHECK(to_json(az_resource(*resource)) ==
        R"({"id":"/subscriptions/s/resourceGroups/rg/providers/p/namespaces/n","name":"n",)"
        R"("status":"Active","resourceGroup":"rg"})");
  CHECK(to_json(az_resources(*parse_json(R"({"value": [{"name": "a"}, {"name": "b"}]})"))) ==
        R"([{"name":"a"},{"name":"b"}])");
}

TEST_CASE("az output: some resources are shown as they are, with the group of the id") {
  CHECK(to_json(az_plain_resource(
            *parse_json(R"({"id": "/subscriptions/s/resourceGroups/rg/x", "properties": {}})"))) ==
        R"({"id":"/subscriptions/s/resourceGroups/rg/x","properties":{},"resourceGroup":"rg"})");
  CHECK(to_json(az_plain_resources(*parse_json(R"({"value": [{"properties": {"a": 1}}]})"))) ==
        R"([{"properties":{"a":1}}])");
}

}  // namespace
}  // namespace jobmill::app
