// SPDX-License-Identifier: Apache-2.0
#include "http/problem.h"

#include <doctest/doctest.h>

#include "base/document.h"

using namespace jobmill;
using namespace jobmill::http;

TEST_CASE("problem: says what is wrong, with what, and why") {
  const Response response = problem(400, "invalid_argument", "count must be \"positive\"",
                                    {.parameter = "count", .errors = {{"count", "is -1"}}});
  CHECK(response.status == 400);
  CHECK(response.headers.get("Content-Type") == "application/problem+json");
  CHECK(response.body ==
        R"({"type":"about:blank","title":"Bad Request","status":400,)"
        R"("detail":"count must be \"positive\"","code":"invalid_argument","parameter":"count",)"
        R"("errors":[{"field":"count","reason":"is -1"}]})");
}

TEST_CASE("problem: nothing that was not said") {
  const auto body = parse_json(problem(404, "not_found", "no such job").body);
  REQUIRE(body);
  CHECK(body->find("parameter") == nullptr);
  CHECK(body->find("errors") == nullptr);
}

TEST_CASE("problem: every code of ours has a status, and the temporary ones say when to retry") {
  const auto status = [](Code code) { return problem(fail(code, "x")).status; };
  CHECK(status(Code::InvalidArgument) == 400);
  CHECK(status(Code::PermissionDenied) == 403);
  CHECK(status(Code::NotFound) == 404);
  CHECK(status(Code::AlreadyExists) == 409);
  CHECK(status(Code::Conflict) == 409);
  CHECK(status(Code::Exhausted) == 429);
  CHECK(status(Code::Internal) == 500);
  CHECK(status(Code::Unsupported) == 501);
  CHECK(status(Code::Unavailable) == 503);
  CHECK(status(Code::Timeout) == 503);
  CHECK(problem(fail(Code::Unavailable, "x")).headers.get("Retry-After") == "1");
  CHECK(problem(fail(Code::Exhausted, "x")).headers.get("Retry-After") == "1");
  CHECK_FALSE(problem(fail(Code::NotFound, "x")).headers.get("Retry-After"));
}
