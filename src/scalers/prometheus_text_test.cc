// SPDX-License-Identifier: Apache-2.0
#include "scalers/prometheus_text.h"

#include <doctest/doctest.h>

namespace jobmill::scalers {
namespace {

constexpr std::string_view kText = R"(# HELP jobs Jobs by queue.
# TYPE jobs gauge
jobs{queue="mail",host="a1"} 3
jobs{queue="mail",host="b1"} 4 1700000000000
jobs{queue="odd \"name\"\\\n",} 5
jobs 6
# a remark
up 0x10
# TYPE lag summary
lag{quantile="0.5"} 1
lag_sum 2
lag_count 3
lag_bucket 4
)";

Result<double> at(std::string_view selector) { return prometheus_number(kText, selector); }

Code refusal(std::string_view selector) {
  const auto value = at(selector);
  REQUIRE_FALSE(value);
  return value.error().code;
}

}  // namespace

TEST_CASE("prometheus text: the first sample that all matchers accept") {
  CHECK(*at("jobs") == 3);
  CHECK(*at(R"(jobs{host="b1"})") == 4);
  CHECK(*at(R"(jobs{queue="mail",host!="a1"})") == 4);
  CHECK(*at(R"(jobs{host=~"b.*|c"})") == 4);
  CHECK(*at(R"(jobs{host!~"[ab].*"})") == 5);
  CHECK(*at(R"(jobs{queue=""})") == 6);
  CHECK(*at(R"( jobs { queue = 'odd "name"\\\n' , } )") == 5);
  CHECK(*at(R"({__name__="jobs", host=`b1`})") == 4);
  CHECK(*at("up") == 16);
}

TEST_CASE("prometheus text: patterns match as a whole") {
  CHECK(refusal(R"(jobs{host=~"b"})") == Code::NotFound);
  CHECK(*at(R"(jobs{queue=~"odd.*"})") == 5);  // the dot takes the line end too
}

TEST_CASE("prometheus text: the series of distributions cannot be read") {
  for (const char* selector : {"lag", "lag_sum", "lag_count", R"(lag{quantile="0.5"})"}) {
    CAPTURE(selector);
    CHECK(refusal(selector) == Code::NotFound);
  }
  CHECK(*at("lag_bucket") == 4);  // a summary has none, so this is a metric of its own
}

TEST_CASE("prometheus text: other expressions are no selectors") {
  for (const char* selector :
       {"", "{}", R"({queue="mail"})", R"(jobs{queue=mail})", "jobs{", "jobs{}x", "jobs[5m]",
        "sum(jobs)", R"(jobs{__name__="jobs"})", R"({__name__=~"jobs"})", R"(jobs{host=~"("})",
        R"(jobs{host="\q"})", R"(jobs{a="b" c="d"})", R"(jobs{a:b="c"})", "1jobs"}) {
    CAPTURE(selector);
    CHECK(refusal(selector) == Code::InvalidArgument);
  }
}

TEST_CASE("prometheus text: one bad line spoils the answer") {
  for (const char* text : {"a 1\nbad line here x\n", "a 1\nb\n", "a 1\nb{c=\"d\" 2\n", "a one\n",
                           "a 1 soon\n", "a 1 2 3\n", "a{b=\"1\",b=\"2\"} 1\n", "<html>"}) {
    CAPTURE(text);
    const auto value = prometheus_number(text, "a");
    REQUIRE_FALSE(value);
    CHECK(value.error().code == Code::Unavailable);
  }
}

}  // namespace jobmill::scalers
