// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>

#include "base/duration.h"
#include "jobmill/jobs.h"
#include "worker/runner.h"
#include "worker/store.h"

namespace jobmill {
namespace {

constexpr unsigned kSlotsPerProcessor = 8;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

Error invalid(const std::string& message) {
  Error error(message);
  error.code = "invalid_argument";
  return error;
}

// "25s", "PT25S", or a bare number of seconds.
Duration grace_of_environment() {
  const std::string text = environment("JOBMILL_GRACE");
  if (text.empty()) return worker::RunnerOptions{}.grace;
  const bool bare = text.find_first_not_of("0123456789") == std::string::npos;
  auto grace = parse_duration(bare ? text + "s" : text);
  if (!grace) throw invalid("JOBMILL_GRACE: " + grace.error().message);
  return *grace;
}

}  // namespace

Worker& Worker::concurrency(int slots) {
  concurrency_ = slots;
  return *this;
}

Worker& Worker::tags(std::initializer_list<std::string_view> tags) {
  tags_.assign(tags.begin(), tags.end());
  return *this;
}

Worker& Worker::queues(std::initializer_list<std::string_view> queues) {
  queues_.assign(queues.begin(), queues.end());
  return *this;
}

void Worker::run(std::stop_token stop) {
  // To the server, no kinds would mean all of them.
  if (table.empty()) throw invalid("a worker without handlers cannot run anything");
  worker::Registry registry{table, versions_};
  worker::RunnerOptions options;
  options.grace = grace_of_environment();
  options.spec.host = host_name();
  options.spec.pid = ::getpid();
  options.spec.replica = environment("JOBMILL_REPLICA");
  options.spec.name = options.spec.replica.empty()
                          ? fmt::format("{}:{}", options.spec.host, options.spec.pid)
                          : options.spec.replica;
  options.spec.tags = tags_;
  options.spec.queues = queues_;
  options.spec.kinds = registry.kinds();
  options.spec.runtime = "c++";
  options.spec.concurrency =
      concurrency_ > 0 ? concurrency_
                       : static_cast<int>(kSlotsPerProcessor *
                                          std::max(1u, std::thread::hardware_concurrency()));
  worker::Runner(*store_, std::move(registry), std::move(options)).run(std::move(stop));
}

}  // namespace jobmill
