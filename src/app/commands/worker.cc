// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/exec_worker.h"
#include "app/signals.h"
#include "app/version.h"
#include "base/clock.h"
#include "wire/remote_job_store.h"
#include "worker/store.h"
#include "worker/this_process.h"

extern char** environ;

namespace jobmill::app {
namespace {

constexpr int kMostSlots = 10'000;

// All of ours: a program is run as a shell would run it.
targets::Texts own_environment() {
  targets::Texts all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (const auto equals = text.find('='); equals != std::string_view::npos)
      all.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return all;
}

Result<int> slots_of(const Arguments& arguments) {
  if (!arguments.has("workers"))
    return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const std::string text = arguments.get("workers");
  int slots = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), slots);
  if (error != std::errc() || end != text.data() + text.size() || slots < 1 || slots > kMostSlots)
    return fail(
        Code::InvalidArgument,
        fmt::format("--workers takes a number of slots from 1 to {}, not '{}'", kMostSlots, text));
  return slots;
}

Result<ExecOptions> options_of(const Arguments& arguments, const ServerAccess& access) {
  ExecOptions options;
  const auto mode = exec_mode(arguments.get("mode", "exec"));
  if (!mode)
    return fail(Code::InvalidArgument,
                fmt::format("unknown --mode '{}'; use exec, stdin or json", arguments.get("mode")));
  options.mode = *mode;
  options.command = arguments.positional;
  options.environment = own_environment();
  options.environment.insert_or_assign("JOBMILL_URL", access.url);
  auto grace = arguments.has("grace") ? worker::parse_grace(arguments.get("grace"))
                                      : worker::grace_of_environment();
  if (!grace)
    return fail(Code::InvalidArgument,
                fmt::format("--grace is no duration ({}); give one such as 25s or PT25S",
                            grace.error().message));
  options.grace = *grace;
  return options;
}

Result<jobs::WorkerSpec> spec_of(const Arguments& arguments) {
  jobs::WorkerSpec spec = worker::spec_of_this_process(arguments.get("mode", "exec"));
  TRY(spec.concurrency, slots_of(arguments));
  spec.queues = arguments.all("queue");
  spec.kinds = arguments.all("kind");
  spec.version = kVersion;
  return spec;
}

std::shared_ptr<Store> store_of(const ServerAccess& access) {
  static const SystemClock clock;
  wire::RemoteOptions options;
  options.url = access.url;
  options.token = access.token;
  options.user = access.user;
  options.password = access.password;
  return worker::make_store(std::make_shared<wire::RemoteJobStore>(options, clock), clock);
}

int exit_of(const Error& error) {
  if (error.code == "unauthenticated" || error.code == "forbidden") return kPermission;
  return error.code == "invalid_argument" ? kBadInput : kFailed;
}

int work(const Arguments& arguments) {
  const auto access = server_access(arguments);
  if (!access) return complain(kUsage, access.error().message);
  auto options = options_of(arguments, *access);
  if (!options) return complain(kUsage, options.error().message);
  auto spec = spec_of(arguments);
  if (!spec) return complain(kUsage, spec.error().message);
  const Signals signals;
  try {
    const Status done =
        run_exec_worker(*store_of(*access), *std::move(spec), *std::move(options), signals.token());
    return done ? kOk : complain(kConfiguration, done.error().message);
  } catch (const Error& error) {
    return complain(exit_of(error), error.what());
  }
}

constexpr std::array kFlags{
    Flag{"--queue", "Q…", "take jobs of this queue, the first one first (default: all)"},
    Flag{"--kind", "K…", "take jobs of this kind only (default: all)"},
    Flag{"--workers", "N", "programs at one time (default: one for each processor)"},
    Flag{"--mode", "MODE", "exec (default), stdin or json: how the command gets its jobs"},
    Flag{"--grace", "DURATION", "between TERM and KILL, and of a drain (JOBMILL_GRACE, 25s)"},
};

}  // namespace

const std::array<Command, 1> kWorkerCommands{
    Command{"worker", "COMMAND…", "Run a command for each job.", kFlags, true, work},
};

}  // namespace jobmill::app
