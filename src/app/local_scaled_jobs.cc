// SPDX-License-Identifier: Apache-2.0
#include "app/local_scaled_jobs.h"

#include <utility>

#include <fmt/format.h>

#include "app/scaled_job.h"

namespace jobmill::app {
namespace {

using manifest::Object;
using manifest::ObjectKey;

executions::JobKey job_key(const ObjectKey& key) { return {key.ns, key.name}; }

}  // namespace

void LocalScaledJobs::put(const Object& object) {
  auto spec = decoded(object);
  if (!spec) return;  // it was checked when it was applied
  ConvertedScaledJob converted = to_container_job(*spec, object, catalog());
  for (const std::string& missing : converted.missing)
    log().warn("nothing starts: " + missing, {{"scaledjob", object.key.name}});
  converted.rules.resolve = resolver(*std::move(spec));
  executions_().put_scaled_job(std::move(converted.job), std::move(converted.rules));
}

void LocalScaledJobs::remove(const Key& key) { executions_().remove_scaled_job(job_key(key)); }

std::string LocalScaledJobs::obstacle(const Object& object) const {
  const auto spec = decoded(object);
  if (!spec) return spec.error().message;
  return fmt::format("{}", fmt::join(to_container_job(*spec, object, catalog()).missing, ", "));
}

std::vector<manifest::Remark> LocalScaledJobs::rivals(std::span<const Object> objects) const {
  std::vector<manifest::Remark> remarks;
  for (const Object& object : objects) {
    const bool scaled_job = object.key.kind == "ScaledJob";
    if (!scaled_job || !executions_().has_stored_job(job_key(object.key))) continue;
    manifest::Problems problems(object.source);
    problems.error(object.document,
                   fmt::format("{}: there is a containerapp job of this name in the group {}; "
                               "delete it, or choose another name",
                               manifest::to_string(object.key), object.key.ns));
    remarks.push_back(problems.errors().front());
  }
  return remarks;
}

std::optional<JobPicture> LocalScaledJobs::picture(const Key& key) const {
  if (!executions_().is_scaled_job(job_key(key))) return std::nullopt;
  return executions_().picture(job_key(key));
}

void LocalScaledJobs::explain(const Key& key, Done<Node> done) const {
  if (!picture(key)) return done(fail(Code::NotFound, "there is no " + manifest::to_string(key)));
  executions_().explain(job_key(key), {}, [this, key, done](Result<Node> document) {
    const auto now = picture(key);
    if (!document || !now) return done(std::move(document));
    done(explained(key, *now, *std::move(document)));
  });
}

void LocalScaledJobs::watch(const Key& key, Duration wait, std::function<void()> changed) {
  executions_().watch(job_key(key), wait, std::move(changed));
}

}  // namespace jobmill::app
