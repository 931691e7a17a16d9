// SPDX-License-Identifier: Apache-2.0
#include "api/job_filter.h"

#include <doctest/doctest.h>

namespace jobmill::api {
namespace {

using Op = jobs::ArgumentFilter::Op;

http::Request asking(std::string target) {
  http::Request request{.method = "GET", .target = std::move(target)};
  REQUIRE(http::parse_target(request));
  return request;
}

jobs::JobFilter of_json(std::string_view text) {
  const auto node = parse_json(text);
  REQUIRE(node);
  jobs::JobFilter filter;
  std::vector<FieldError> errors;
  read_filter({*node, "filter", errors}, filter, errors);
  CAPTURE(text);
  CHECK(errors.empty());
  return filter;
}

std::string fault_of(std::string_view text) {
  const auto node = parse_json(text);
  REQUIRE(node);
  jobs::JobFilter filter;
  std::vector<FieldError> errors;
  read_filter({*node, "filter", errors}, filter, errors);
  return errors.empty() ? "" : errors.front().field + ": " + errors.front().reason;
}

jobs::ArgumentFilter arg_of(const std::string& parameter) {
  const auto request = asking("/?arg=" + http::url_encode(parameter));
  jobs::JobFilter filter;
  QueryReader in(request);
  read_filter(in, filter);
  CAPTURE(parameter);
  CHECK_FALSE(in.close());
  REQUIRE(filter.arg);
  return *filter.arg;
}

}  // namespace

TEST_CASE("job filter: what is written as JSON is read as it was") {
  for (const std::string_view text :
       {R"({})",
        R"({"state":["FAILED","DELETED"],"label":["tenant:a","x"],"name":"n","kind":"k",)"
        R"("queue":"q","errorType":"t","errorText":"e","failureFingerprint":"0123456789abcdef",)"
        R"("recurringId":"r","createdAfter":"2024-01-01T00:00:00Z",)"
        R"("createdBefore":"2024-01-02T00:00:00Z","updatedAfter":"2024-01-01T00:00:00.500Z",)"
        R"("updatedBefore":"2024-01-03T00:00:00Z","scheduledAfter":"2024-01-04T00:00:00Z",)"
        R"("scheduledBefore":"2024-01-05T00:00:00Z","minDurationMs":1500,"minAttempt":2,)"
        R"("arg":{"path":"0.customer","op":">=","value":42},"text":"bob"})",
        R"({"arg":{"path":"0","op":"contains","value":"part"}})",
        R"({"arg":{"path":"0","op":"exists"}})", R"({"arg":{"path":"0","op":"=","value":"eu"}})"}) {
    CAPTURE(text);
    CHECK(to_json(of_json(text)) == text);
  }
}

TEST_CASE("job filter: parameters of a query say the same") {
  const auto request = asking(
      "/api/jobs?state=failed&state=DELETED&label=a&label=b&minDurationMs=1500&minAttempt=2"
      "&updatedBefore=2024-01-03T00:00:00Z&arg=0.customer%3D42&text=bob");
  jobs::JobFilter filter;
  QueryReader in(request);
  read_filter(in, filter);
  CHECK_FALSE(in.close());
  CHECK(
      to_json(filter) ==
      to_json(of_json(
          R"({"state":["FAILED","DELETED"],"label":["a","b"],"minDurationMs":1500,"minAttempt":2,)"
          R"("updatedBefore":"2024-01-03T00:00:00Z","arg":{"path":"0.customer","value":42},)"
          R"("text":"bob"})")));
}

TEST_CASE("job filter: an argument in a query is a path, an operator and a value") {
  CHECK(arg_of("0.customer=42") == jobs::ArgumentFilter{"0.customer", Op::Equal, "42"});
  CHECK(arg_of("to!=bob") == jobs::ArgumentFilter{"to", Op::NotEqual, "\"bob\""});
  CHECK(arg_of("0<=1.5") == jobs::ArgumentFilter{"0", Op::AtMost, "1.5"});
  CHECK(arg_of("0>1") == jobs::ArgumentFilter{"0", Op::Greater, "1"});
  CHECK(arg_of("0~a=b") == jobs::ArgumentFilter{"0", Op::Contains, "a=b"});
  CHECK(arg_of("0=\"42\"") == jobs::ArgumentFilter{"0", Op::Equal, "\"42\""});
  CHECK(arg_of("0=null") == jobs::ArgumentFilter{"0", Op::Equal, "null"});
  CHECK(arg_of("0=[1]") == jobs::ArgumentFilter{"0", Op::Equal, "\"[1]\""});
  CHECK(arg_of("named.to") == jobs::ArgumentFilter{"named.to", Op::Exists, ""});
}

TEST_CASE("job filter: what cannot be meant is named") {
  CHECK(fault_of(R"({"state":["LOST"]})") == "filter.state: no such state");
  CHECK(fault_of(R"({"sate":["FAILED"]})") == "filter.sate: unknown field; did you mean 'state'?");
  CHECK(fault_of(R"({"arg":{"op":"="}})") == "filter.arg.path: is required");
  CHECK(
      fault_of(R"({"arg":{"path":"0","op":"like"}})").starts_with("filter.arg.op: expected =, !="));
  CHECK(fault_of(R"({"arg":{"path":"0","op":"contains","value":3}})") ==
        "filter.arg.value: expected a text with contains");
  CHECK(fault_of(R"({"arg":{"path":"0","value":[1]}})") ==
        "filter.arg.value: expected a text, a number, true or false");
  CHECK(fault_of(R"({"minAttempt":-1})").starts_with("filter.minAttempt: expected an integer"));
}

}  // namespace jobmill::api
