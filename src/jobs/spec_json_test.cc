// SPDX-License-Identifier: Apache-2.0
#include "jobs/spec_json.h"

#include <doctest/doctest.h>

namespace jobmill::jobs {

TEST_CASE("spec JSON: arguments and metadata are JSON, not texts of it") {
  JobSpec spec;
  spec.kind = "mail";
  spec.args = R"({"to":"bob"})";
  spec.meta = R"({"a":1})";
  spec.retries = 2;
  JsonWriter json;
  json.object();
  write_members(json, spec);
  CHECK(std::move(json.end()).text() ==
        R"({"kind":"mail","v":1,"named":{"to":"bob"},"queue":"default","priority":0,"labels":[],)"
        R"("retries":2,"max_crashes":3,"meta":{"a":1}})");
}

}  // namespace jobmill::jobs
