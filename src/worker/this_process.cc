// SPDX-License-Identifier: Apache-2.0
#include "worker/this_process.h"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string>

#include <fmt/format.h>

#include "base/duration.h"
#include "worker/runner.h"

namespace jobmill::worker {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

}  // namespace

jobs::WorkerSpec spec_of_this_process(std::string_view runtime) {
  jobs::WorkerSpec spec;
  spec.host = host_name();
  spec.pid = ::getpid();
  spec.replica = environment("JOBMILL_REPLICA");
  spec.name = spec.replica.empty() ? fmt::format("{}:{}", spec.host, spec.pid) : spec.replica;
  spec.runtime = runtime;
  spec.version = environment("JOBMILL_VERSION");
  return spec;
}

Result<Duration> parse_grace(std::string_view text) {
  const bool bare = text.find_first_not_of("0123456789") == std::string_view::npos;
  return parse_duration(bare ? std::string(text) + "s" : std::string(text));
}

Result<Duration> grace_of_environment() {
  const std::string text = environment("JOBMILL_GRACE");
  if (text.empty()) return RunnerOptions{}.grace;
  auto grace = parse_grace(text);
  if (!grace) return fail(Code::InvalidArgument, "JOBMILL_GRACE: " + grace.error().message);
  return grace;
}

}  // namespace jobmill::worker
