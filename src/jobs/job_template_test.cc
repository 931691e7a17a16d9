// SPDX-License-Identifier: Apache-2.0
#include "jobs/job_template.h"

#include <doctest/doctest.h>

namespace jobmill::jobs {
namespace {

JobTemplate compile(const JobSpec& spec) {
  auto compiled = JobTemplate::compile(spec);
  REQUIRE_MESSAGE(compiled, (compiled ? "" : compiled.error().message));
  return *std::move(compiled);
}

JobSpec spec(std::string args, std::string name = {}) {
  JobSpec job;
  job.kind = "k";
  job.args = std::move(args);
  job.name = std::move(name);
  return job;
}

}  // namespace

TEST_CASE("job template: names show arguments and metadata") {
  struct Case {
    std::string name;
    std::string shown;
  };
  JobSpec job = spec(R"(["bob",3,{"a":1},null])");
  job.meta = R"({"tenant":"acme","n":7})";
  for (const Case& expected : {
           Case{"plain", "plain"},
           Case{"{0} and %0", "bob and bob"},
           Case{"%1{1}", "33"},
           Case{"{2} {3}", R"({"a":1} null)"},
           Case{"{meta.tenant}/%X{n}", "acme/7"},
           Case{"{4} %9 {meta.none} %X{none}", "{4} %9 {meta.none} %X{none}"},
           Case{"100% {} { {x}", "100% {} { {x}"},
           Case{"{0", "{0"},
           Case{"%X{tenant", "%X{tenant"},
       }) {
    CAPTURE(expected.name);
    job.name = expected.name;
    CHECK(compile(job).name(0) == expected.shown);
  }
}

TEST_CASE("job template: the index goes into string values of the arguments, not into their keys") {
  struct Case {
    std::string args;
    std::string second;
  };
  for (const Case& expected : {
           Case{R"(["{i}"])", R"(["1"])"},
           Case{R"(["a{i}b{i}c"])", R"(["a1b1c"])"},
           Case{R"({"{i}":"{i}"})", R"({"{i}":"1"})"},
           Case{R"({"{i}" : ["{i}", "\"{i}\\"]})", R"({"{i}" : ["1", "\"1\\"]})"},
           Case{R"([1,true,"x"])", R"([1,true,"x"])"},
           Case{R"([])", R"([])"},
       }) {
    CAPTURE(expected.args);
    JobSpec job = spec(expected.args);
    job.count = 2;
    CHECK(compile(job).args(1) == expected.second);
    job.count.reset();
    CHECK(compile(job).args(0) == expected.args);
  }
}

TEST_CASE("job template: an argument that holds the index shows it in the name") {
  JobSpec job = spec(R"(["order {i}"])", "{0} ({i})");
  job.labels = {"n:{i}", "{0}"};
  job.count = 5;
  const auto compiled = compile(job);
  CHECK(compiled.count() == 5);
  CHECK(compiled.name(4) == "order 4 (4)");
  CHECK(compiled.labels(4) == std::vector<std::string>{"n:4", "order 4"});
}

TEST_CASE("job template: a count of one has an index, too") {
  JobSpec job = spec("[]", "n {i}");
  job.count = 1;
  CHECK(compile(job).name(0) == "n 0");
}

TEST_CASE("job template: labels are measured in characters, as they are shown") {
  JobSpec job = spec(R"([")" + std::string(40, 'x') + R"("])");
  std::string wide;
  for (int i = 0; i < 45; ++i) wide += "é";
  job.labels = {wide};
  CHECK(JobTemplate::compile(job));
  job.labels = {"value:{0}"};  // 46 characters once it is filled
  CHECK_FALSE(JobTemplate::compile(job));
  job = spec("[]");
  job.labels = {std::string(44, 'x') + "{i}"};
  job.count = 10;
  CHECK(JobTemplate::compile(job));
  job.count = 11;  // the last one has two digits
  CHECK_FALSE(JobTemplate::compile(job));
}

TEST_CASE("job template: a long name is cut between characters") {
  const auto compiled = compile(spec(R"([")" + std::string(1023, 'x') + R"(é"])", "{0}"));
  CHECK(compiled.name(0) == std::string(1023, 'x'));
}

TEST_CASE("job template: what cannot work is refused, naming the field") {
  const auto message = [](const JobSpec& job) {
    const auto compiled = JobTemplate::compile(job);
    REQUIRE_FALSE(compiled);
    return compiled.error().message;
  };
  CHECK(message(spec("")).starts_with("args: "));
  CHECK(message(spec("7")).starts_with("args: "));
  CHECK(message(spec("[1,]")).starts_with("args: "));
  JobSpec job = spec("[]");
  job.meta = "[]";
  CHECK(message(job).starts_with("meta: "));
  job = spec("[]");
  job.delay = Duration(-1);
  CHECK(message(job).starts_with("delay: "));
  job = spec("[]");
  job.kind = std::string("a\0b", 3);
  CHECK(message(job) == "kind: must not hold the character U+0000");
  job = spec(R"(["\u0000"])");
  CHECK(JobTemplate::compile(job));  // an argument is JSON, where it is escaped
  job.name = "{0}";
  CHECK(message(job).starts_with("name: "));
  job.name.clear();
  job.labels = {"x:{0}"};
  CHECK(message(job).starts_with("labels: "));
  job.delay = Duration(1);
  job.run_at = TimePoint();
  CHECK(message(job).starts_with("delay: "));
  job = spec("[]");
  job.retries = -1;
  CHECK(message(job).starts_with("retries: "));
  job = spec("[]");
  job.count = 0;
  CHECK(message(job).starts_with("count: "));
}

}  // namespace jobmill::jobs
