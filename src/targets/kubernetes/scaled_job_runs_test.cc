// SPDX-License-Identifier: Apache-2.0
#include "targets/kubernetes/scaled_job_runs.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/document.h"

namespace jobmill::targets {
namespace {

using manifest::ObjectKey;
using Names = std::vector<std::string>;

const ObjectKey kMail{"ScaledJob", "shop", "mail"};

Node json(const std::string& text) {
  auto node = parse_json(text);
  REQUIRE(node);
  return *std::move(node);
}

// `end`: "", "Complete" or "Failed".
Node job(const std::string& name, const std::string& end = "", const std::string& at = "t",
         const std::string& more = "") {
  const std::string condition =
      end.empty()
          ? ""
          : R"({"type":")" + end + R"(","status":"True","lastTransitionTime":")" + at + R"("})";
  return json(R"({"metadata":{"namespace":"shop","name":")" + name + R"(",)" + more +
              R"("labels":{"scaledjob.keda.sh/name":"mail"}},"status":{"conditions":[)" +
              condition + "]}}");
}

Node generation(const std::string& name, const std::string& number) {
  return job(name, "", "t", R"("annotations":{"scaledjob.keda.sh/generation":")" + number + "\"},");
}

Node pod(const std::string& name, const std::string& job_name, const std::string& phase,
         const std::string& condition = "PodScheduled") {
  return json(R"({"metadata":{"namespace":"shop","name":")" + name +
              R"(","labels":{"batch.kubernetes.io/job-name":")" + job_name +
              R"("}},"status":{"phase":")" + phase + R"(","conditions":[{"type":")" + condition +
              R"(","status":"True"}]}})");
}

TEST_CASE("runs of a scaled job: unfinished ones count, and wait until a pod runs") {
  ScaledJobRuns runs;
  CHECK_FALSE(runs.listed());
  CHECK(runs.jobs_listed({job("a"), job("b"), job("c", "Complete")}) ==
        ScaledJobRuns::Changed{kMail});
  runs.pods_listed({});
  CHECK(runs.listed());
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{2, 2});

  CHECK(runs.pod_put(pod("a-1", "a", "Pending")) == ScaledJobRuns::Changed{kMail});
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{2, 2});
  runs.pod_put(pod("a-1", "a", "Running"));
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{2, 1});
  runs.pod_put(pod("a-1", "a", "Failed"));
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{2, 2});
  runs.pod_put(pod("a-2", "a", "Running"));
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{2, 1});
  runs.pod_removed(pod("a-2", "a", "Running"));
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{2, 2});

  runs.job_put(job("a", "Failed"));
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{1, 1});
  CHECK(runs.job_removed(job("b")) == ScaledJobRuns::Changed{kMail});
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{0, 0});
  CHECK(runs.counts({"ScaledJob", "other", "mail"}, {}) == ScaledJobRuns::Counts{0, 0});
}

TEST_CASE("runs of a scaled job: with conditions a pod must have them all") {
  ScaledJobRuns runs;
  runs.jobs_listed({job("a")});
  runs.pods_listed({pod("a-1", "a", "Running", "PodScheduled")});
  CHECK(runs.counts(kMail, {"Ready"}).pending == 1);
  CHECK(runs.counts(kMail, {"PodScheduled"}).pending == 0);
}

TEST_CASE("runs of a scaled job: a pod may be told of before its job") {
  ScaledJobRuns runs;
  runs.jobs_listed({});
  runs.pods_listed({});
  CHECK(runs.pod_put(pod("a-1", "a", "Running")).empty());
  runs.job_put(job("a"));
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{1, 0});
}

TEST_CASE("runs of a scaled job: a new list tells what is gone") {
  ScaledJobRuns runs;
  runs.jobs_listed({job("a"), job("b")});
  CHECK(runs.jobs_listed({}) == ScaledJobRuns::Changed{kMail});
  CHECK(runs.counts(kMail, {}) == ScaledJobRuns::Counts{0, 0});
}

TEST_CASE("runs of a scaled job: one that lost its label is no longer its own") {
  ScaledJobRuns runs;
  runs.jobs_listed({job("a")});
  CHECK(runs.job_put(json(R"({"metadata":{"namespace":"shop","name":"a"}})")) ==
        ScaledJobRuns::Changed{kMail});
  CHECK(runs.counts(kMail, {}).unfinished == 0);
}

TEST_CASE("runs of a scaled job: the oldest beyond each limit go") {
  ScaledJobRuns runs;
  runs.jobs_listed({job("new", "Complete", "2026-01-02T00:00:00Z"),
                    job("old", "Complete", "2026-01-01T00:00:00Z"),
                    job("gone", "Complete", "2025-01-01T00:00:00Z",
                        R"("deletionTimestamp":"2026-01-03T00:00:00Z",)"),
                    job("bad-2", "Failed", "2026-01-02T00:00:00Z"),
                    job("bad-1", "Failed", "2026-01-01T00:00:00Z"), job("runs")});
  CHECK(runs.surplus(kMail, {.succeeded = 1, .failed = 2}) == Names{"old"});
  CHECK(runs.surplus(kMail, {.succeeded = 2, .failed = 0}) == Names{"bad-1", "bad-2"});
  CHECK(runs.surplus(kMail, {}).empty());
}

TEST_CASE("runs of a scaled job: those of another generation, or of none") {
  ScaledJobRuns runs;
  runs.jobs_listed({generation("a", "3"), generation("b", "4"), job("c")});
  CHECK(runs.of_other_generations(kMail, 4) == Names{"a", "c"});
}

}  // namespace
}  // namespace jobmill::targets
