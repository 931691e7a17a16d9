// SPDX-License-Identifier: Apache-2.0
#include "app/exec_worker.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "app/exec_resident.h"
#include "worker/runner.h"

namespace jobmill::app {
namespace {

namespace fs = std::filesystem;

struct ModeName {
  std::string_view name;
  ExecMode mode;
};
constexpr std::array kModes{ModeName{"exec", ExecMode::Exec}, ModeName{"stdin", ExecMode::Stdin},
                            ModeName{"json", ExecMode::Json}};

// Ours alone, and gone with us.
class OwnFolder {
 public:
  static Result<OwnFolder> make() {
    std::string name = (fs::temp_directory_path() / "jobmill-worker-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      return fail(Code::Exhausted, fmt::format("cannot make the folder {} ({})", name,
                                               std::generic_category().message(errno)));
    return OwnFolder(std::move(name));
  }
  OwnFolder(OwnFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~OwnFolder() {
    std::error_code ignored;  // what is left is in a temporary folder
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  explicit OwnFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

worker::Work make_work(const ExecOptions& options) {
  if (options.mode != ExecMode::Json)
    return [&options](worker::Run& run) { return run_program(options, run); };
  return [resident = std::make_shared<Resident>(options)](worker::Run& run) {
    return resident->run(run);
  };
}

}  // namespace

std::optional<ExecMode> exec_mode(std::string_view text) {
  const auto found = std::ranges::find(kModes, text, &ModeName::name);
  return found != kModes.end() ? std::optional(found->mode) : std::nullopt;
}

Status run_exec_worker(Store& store, jobs::WorkerSpec spec, ExecOptions options,
                       std::stop_token stop) {
  const std::string& program = options.command.front();
  const std::string file = targets::find_program(program, options.environment);
  if (file.empty() || ::access(file.c_str(), X_OK) != 0)
    return fail(Code::InvalidArgument, fmt::format("cannot run '{}' (no such program)", program));
  TRY(const OwnFolder folder, OwnFolder::make());
  options.folder = folder.path();
  worker::Runner(store, [&options] { return make_work(options); },
                 {.spec = std::move(spec), .grace = options.grace, .force = kForce})
      .run(std::move(stop));
  return {};
}

}  // namespace jobmill::app
