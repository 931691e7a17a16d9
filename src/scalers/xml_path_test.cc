// SPDX-License-Identifier: Apache-2.0
#include "scalers/xml_path.h"

#include <doctest/doctest.h>

namespace jobmill::scalers {
namespace {

constexpr std::string_view kXml = R"(<?xml version="1.0"?>
<m:status xmlns:m="urn:m" total="9">
  <queue><name>a</name><m:length>3</m:length></queue>
  <other>1</other>
  <queue><name>b</name><m:length>1k</m:length></queue>
  <cdata><![CDATA[25]]>0m</cdata>
  <empty/>
</m:status>)";

}  // namespace

TEST_CASE("xml path: elements by name, repeated ones by number") {
  CHECK(*xml_number(kXml, "status.other") == 1);
  CHECK(*xml_number(kXml, "status.queue.length") == 3);
  CHECK(*xml_number(kXml, "status.queue.0.length") == 3);
  CHECK(*xml_number(kXml, "status.queue.1.length") == 1000);
  CHECK(*xml_number(kXml, "status.0.other.0") == 1);
  CHECK(*xml_number(kXml, "status.cdata") == 0.25);
}

TEST_CASE("xml path: what is no number is an error") {
  for (const char* path : {"status", "status.total", "status.queue.2.length", "status.empty",
                           "status.queue.name", "other", "queue", "status.other.x", ""}) {
    CAPTURE(path);
    CHECK_FALSE(xml_number(kXml, path));
  }
  CHECK_FALSE(xml_number("<a><b></a>", "a.b"));
  CHECK_FALSE(xml_number("", "a"));
}

}  // namespace jobmill::scalers
