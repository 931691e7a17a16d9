// SPDX-License-Identifier: Apache-2.0
#include "api/csv.h"

#include <doctest/doctest.h>

namespace jobmill::api {

TEST_CASE("csv: cells with commas, quotes and line breaks are quoted") {
  CHECK(csv_line({"a", "b,c", "say \"hi\"", "two\nlines", ""}) ==
        "a,\"b,c\",\"say \"\"hi\"\"\",\"two\nlines\",\r\n");
}

TEST_CASE("csv: no cell is a formula to a spreadsheet") {
  CHECK(csv_line({"=1+1", "+1", "-1", "@x", " =x", "a=b"}) == "'=1+1,'+1,'-1,'@x,' =x,a=b\r\n");
  CHECK(csv_line({"=HYPERLINK(\"a\",\"b\")"}) == "\"'=HYPERLINK(\"\"a\"\",\"\"b\"\")\"\r\n");
}

}  // namespace jobmill::api
