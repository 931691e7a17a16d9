// SPDX-License-Identifier: Apache-2.0
#include "worker/run_job.h"

#include <cxxabi.h>

#include <cstdlib>
#include <exception>
#include <memory>
#include <typeinfo>

#include <fmt/format.h>

namespace jobmill::worker {
namespace {

// What a person wants to read of an error. More would only be carried around.
constexpr std::size_t kMostText = 8192;

std::string shortened(std::string_view text) {
  if (text.size() <= kMostText) return std::string(text);
  std::size_t end = kMostText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // UTF-8
  return std::string(text.substr(0, end)) + "…";
}

std::string readable(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  return status == 0 ? name.get() : mangled;
}

// The type as its author knows it: std::throw_with_nested puts one of its own around it.
std::string type_of(const std::exception& error) {
  constexpr std::string_view kNested = "std::_Nested_exception<";
  std::string name = readable(typeid(error).name());
  if (!name.starts_with(kNested)) return name;
  return name.substr(kNested.size(), name.size() - kNested.size() - 1);
}

// The exception that `error` was thrown with, as std::throw_with_nested keeps it.
void add_cause(jobs::Failure& failure, const std::exception& error) {
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& cause) {
    failure.cause_type = type_of(cause);
    failure.cause_message = shortened(cause.what());
  } catch (...) {
    failure.cause_type = readable(abi::__cxa_current_exception_type()->name());
  }
}

jobs::Failure failure_of(const std::exception& error) {
  jobs::Failure failure;
  failure.type = type_of(error);
  failure.message = shortened(error.what());
  if (dynamic_cast<const fatal*>(&error) != nullptr) failure.retry = jobs::RetryRule::Never;
  add_cause(failure, error);
  return failure;
}

jobs::Failure never(std::string type, std::string message) {
  jobs::Failure failure;
  failure.type = std::move(type);
  failure.message = std::move(message);
  failure.retry = jobs::RetryRule::Never;
  return failure;
}

// Why this worker cannot run the job at all; it would not help to try again.
std::optional<jobs::Failure> refusal(const Registry& registry, const jobs::Job& job) {
  if (!registry.handlers.contains(job.kind))
    return never("jobmill.UnknownKind", "this worker has no handler for " + job.kind);
  const auto version = registry.versions.find(job.kind);
  if (version != registry.versions.end() && version->second != job.v)
    return never("jobmill.UnknownVersion", fmt::format("{} has version {} here, the job has {}",
                                                       job.kind, version->second, job.v));
  if (job.args.starts_with('{'))
    return never("jobmill.NamedArguments", job.kind + " takes its arguments as a list");
  return std::nullopt;
}

void call(const Registry& registry, Run& run) {
  const jobs::Job& job = run.job();
  Context context{.id = job.id,
                  .attempt = job.attempt,
                  .max_attempts = job.max_attempts,
                  .crashes = job.crashes,
                  .stop = run.stop(),
                  .traceparent = job.extra.trace.parent,
                  .tracestate = job.extra.trace.state,
                  .sink = &run};
  registry.handlers.find(job.kind)->second(context, detail::get_items(job.args));
}

jobs::Settlement failed(jobs::Failure failure) {
  return {.kind = jobs::Settlement::Kind::Fail, .failure = std::move(failure)};
}

}  // namespace

std::vector<std::string> Registry::kinds() const {
  std::vector<std::string> names;
  for (const auto& [kind, handler] : handlers) names.push_back(kind);
  return names;
}

jobs::Settlement run_job(const Registry& registry, Run& run) {
  if (auto refused = refusal(registry, run.job())) return failed(*std::move(refused));
  try {
    call(registry, run);
    return {.kind = jobs::Settlement::Kind::Complete};
  } catch (const snooze& later) {
    return {.kind = jobs::Settlement::Kind::Snooze, .after = later.after};
  } catch (const std::exception& error) {
    return failed(failure_of(error));
  } catch (...) {
    jobs::Failure failure;
    failure.type = readable(abi::__cxa_current_exception_type()->name());
    return failed(std::move(failure));
  }
}

}  // namespace jobmill::worker
