// SPDX-License-Identifier: Apache-2.0
#include "scalers/yaml_path.h"

#include <cmath>

#include <doctest/doctest.h>

namespace jobmill::scalers {
namespace {

constexpr std::string_view kYaml = R"(
hex: 0x1F
oct: 0o17
bin: 0b101
grouped: 1_000
beyond: 18446744073709551615
far_beyond: 123456789012345678901234567890
least: -9223372036854775808
float: 1.5e3
size: 10Mi
quoted: "64"
infinite: .inf
less: -.inf
truth: true
nothing: ~
by_number: {1: 7}
list: [4, 5]
)";

}  // namespace

TEST_CASE("yaml path: numbers in all the ways that YAML writes them") {
  CHECK(*yaml_number(kYaml, "hex") == 31);
  CHECK(*yaml_number(kYaml, "oct") == 15);
  CHECK(*yaml_number(kYaml, "bin") == 5);
  CHECK(*yaml_number(kYaml, "grouped") == 1000);
  CHECK(*yaml_number(kYaml, "least") == -9223372036854775808.0);
  CHECK(*yaml_number(kYaml, "float") == 1500);
  CHECK(*yaml_number(kYaml, "size") == 10485760);
  CHECK(*yaml_number(kYaml, "quoted") == 64);
  CHECK(std::isinf(*yaml_number(kYaml, "infinite")));
  CHECK(*yaml_number(kYaml, "less") < 0);
  CHECK(*yaml_number(kYaml, "by_number.1") == 7);
  CHECK(*yaml_number(kYaml, "list.1") == 5);
}

TEST_CASE("yaml path: what is no number is an error") {
  for (const char* path : {"beyond", "truth", "nothing", "list", "by_number", "list.2", "list.x",
                           "hex.more", "nope", ""}) {
    CAPTURE(path);
    CHECK_FALSE(yaml_number(kYaml, path));
  }
  CHECK_FALSE(yaml_number("- 1\n- 2\n", "0"));
  CHECK_FALSE(yaml_number("a: [", "a"));
  CHECK_FALSE(yaml_number("", "a"));
}

}  // namespace jobmill::scalers
