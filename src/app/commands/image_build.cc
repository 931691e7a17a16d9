// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/version.h"
#include "targets/oci/build/image_build.h"
#include "targets/oci/build/image_load.h"
#include "targets/process/child_environment.h"

// Images of jobmill itself and of programs made with it, for clusters.
namespace jobmill::app {
namespace {

namespace fs = std::filesystem;

using targets::ImageArchive;
using targets::ImageName;
using targets::ImageWish;

constexpr std::string_view kOwnName = "jobmill";

// This program, and the example's beside it where it was built.
std::vector<std::string> own_programs() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  std::vector<std::string> programs{(self.parent_path() / kOwnName).string()};
  const fs::path example = self.parent_path() / "jobmill-example";
  if (fs::exists(example, error)) programs.push_back(example.string());
  return programs;
}

std::string file_name(const std::string& path) { return fs::path(path).filename().string(); }

// Each program's own name; of ours also with the version.
std::vector<std::string> usual_tags(const std::vector<std::string>& programs) {
  std::vector<std::string> tags;
  for (const std::string& program : programs) {
    const std::string name = file_name(program);
    if (name == kOwnName) tags.push_back(fmt::format("{}:{}", name, kVersion));
    tags.push_back(name + ":latest");
  }
  return tags;
}

// "registry/shop/worker:2" -> "worker"
std::string title_of(const std::string& tag) {
  const std::string name = tag.substr(tag.rfind('/') + 1);  // all of it where there is no slash
  return name.substr(0, name.find(':'));
}

// The program of the image's name, else the first.
std::string entrypoint_of(const std::string& tag, const std::vector<std::string>& programs) {
  for (const std::string& program : programs)
    if (file_name(program) == title_of(tag)) return title_of(tag);
  return file_name(programs.front());
}

Result<targets::Texts> labels_of(const Arguments& arguments) {
  targets::Texts labels;
  if (!arguments.has("binary")) {  // of other programs we know neither
    labels["org.opencontainers.image.version"] = kVersion;
    labels["org.opencontainers.image.licenses"] = "Apache-2.0";
  }
  for (const std::string& label : arguments.all("label")) {
    const auto equals = label.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Code::InvalidArgument, fmt::format("--label takes NAME=VALUE, not '{}'", label));
    labels[label.substr(0, equals)] = label.substr(equals + 1);
  }
  return labels;
}

// As other tools that build have it: the second that everything is dated.
Result<TimePoint> source_date() {
  const std::string text = environment("SOURCE_DATE_EPOCH");
  if (text.empty()) return TimePoint();
  constexpr std::int64_t kYear9999 = 253402300799;
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 0 ||
      seconds > kYear9999)
    return fail(Code::InvalidArgument,
                fmt::format("SOURCE_DATE_EPOCH takes seconds since 1970, not '{}'", text));
  return TimePoint(std::chrono::seconds(seconds));
}

Result<ImageWish> wish_of(const Arguments& arguments) {
  ImageWish wish{.programs = arguments.all("binary"),
                 .names = {},
                 .tool = fmt::format("jobmill-{}", kVersion)};
  if (wish.programs.empty()) wish.programs = own_programs();
  TRY(wish.made_at, source_date());
  TRY(const targets::Texts labels, labels_of(arguments));
  auto tags = arguments.all("tag");
  if (tags.empty()) tags = usual_tags(wish.programs);
  for (const std::string& tag : tags) {
    ImageName image{.name = tag, .entrypoint = arguments.get("entrypoint"), .labels = labels};
    if (image.entrypoint.empty()) image.entrypoint = entrypoint_of(tag, wish.programs);
    image.labels.emplace("org.opencontainers.image.title", title_of(tag));
    wish.names.push_back(std::move(image));
  }
  return wish;
}

// Whole or not at all: who reads the file while it is written finds the former one.
Status write_archive(const std::string& path, const std::string& bytes) {
  const std::string part = path + ".part";
  std::ofstream file(part, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  std::error_code error;
  if (file) fs::rename(part, path, error);
  if (file && !error) return {};
  std::error_code ignored;
  fs::remove(part, ignored);
  return fail(Code::Unavailable,
              fmt::format("cannot write {}; choose another place with --output", path));
}

void describe(const std::string& path, const ImageArchive& archive) {
  constexpr double kMegabyte = 1e6;
  fmt::print("{}: {:.1f} MB, {} programs, {} libraries, {} files\n", path,
             static_cast<double>(archive.bytes.size()) / kMegabyte, archive.programs,
             archive.libraries, archive.files);
  for (const targets::BuiltImage& image : archive.images)
    fmt::print("{} {}\n", image.name, image.digest);
}

// One engine that took it is enough: a machine may have the program of another one that does not
// run.
int load(const std::string& path) {
  const auto answers =
      targets::load_image(fs::absolute(path).string(), targets::inherited_environment());
  if (answers.empty())
    return complain(kFailed, fmt::format("there is no ctr, podman or docker on PATH to load {} "
                                         "into; copy it to where one is",
                                         path));
  bool loaded = false;
  for (const targets::EngineAnswer& answer : answers) {
    if (answer.loaded) fmt::print("loaded into {}\n", answer.engine);
    loaded = loaded || static_cast<bool>(answer.loaded);
  }
  for (const targets::EngineAnswer& answer : answers)
    if (!answer.loaded) complain(kFailed, answer.engine + ": " + answer.loaded.error().message);
  return loaded ? kOk : kFailed;
}

int build(const Arguments& arguments) {
  const auto wish = wish_of(arguments);
  if (!wish) return complain(kUsage, wish.error().message);
  const auto archive = targets::build_image(*wish);
  if (!archive) return complain(kFailed, archive.error().message);
  const std::string path = arguments.get("output", "jobmill-image.tar");
  if (const Status written = write_archive(path, archive->bytes); !written)
    return complain(kFailed, written.error().message);
  describe(path, *archive);
  return arguments.has("load") ? load(path) : kOk;
}

constexpr std::array kFlags{
    Flag{"--output", "FILE", "the image archive (jobmill-image.tar)"},
    Flag{"--tag", "NAME:TAG…", "an image's name (of each program: NAME:latest)"},
    Flag{"--binary", "PATH…", "a program that is in it (jobmill and jobmill-example)"},
    Flag{"--entrypoint", "NAME", "the program that runs (the one with the image's name)"},
    Flag{"--label", "NAME=VALUE…", "a label of the images"},
    Flag{"--load", "", "into containerd, podman and docker, where they are"},
};

}  // namespace

const std::array<Command, 1> kImageBuildCommands{
    Command{"image build", "",
            "Write container images of programs of this machine, without a container engine.",
            kFlags, false, build},
};

}  // namespace jobmill::app
