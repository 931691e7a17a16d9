// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/image_build.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/document.h"
#include "base/duration.h"
#include "base/json_writer.h"
#include "base/sha256.h"
#include "targets/oci/build/elf.h"
#include "targets/oci/build/sbom.h"
#include "targets/oci/build/shared_libraries.h"
#include "targets/oci/build/tar_writer.h"
#include "targets/oci/image.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexType = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kConfigType = "application/vnd.oci.image.config.v1+json";
constexpr std::string_view kLayerType = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr std::string_view kCertificates = "etc/ssl/certs/ca-certificates.crt";
constexpr std::string_view kPrograms = "usr/bin";
constexpr std::string_view kZones = "usr/share/zoneinfo";

// --- the tree ----------------------------------------------------------------------------------

// What a layer will have, by path: a folder comes before what is in it.
class Tree {
 public:
  void folder(const std::string& path, std::uint32_t mode = 0755, std::uint32_t owner = 0) {
    parents_of(path);
    entries_[path] = {.path = path, .kind = TarEntry::Kind::Folder, .mode = mode, .owner = owner};
  }
  void file(const std::string& path, std::string content, std::uint32_t mode = 0644) {
    parents_of(path);
    entries_[path] = {.path = path, .mode = mode, .content = std::move(content)};
  }
  void link(const std::string& path, std::string target) {
    parents_of(path);
    entries_[path] = {
        .path = path, .kind = TarEntry::Kind::Link, .mode = 0777, .content = std::move(target)};
  }

  std::size_t files() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        entries_, [](const auto& entry) { return entry.second.kind != TarEntry::Kind::Folder; }));
  }

  Result<std::string> to_tar(std::int64_t made_at) const {
    TarWriter tar(made_at);
    for (const auto& [path, entry] : entries_) TRY_VOID(tar.add(entry));
    return std::move(tar).finish();
  }

 private:
  void parents_of(const std::string& path) {
    for (auto at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1)) {
      const std::string parent = path.substr(0, at);
      if (!entries_.contains(parent))
        entries_[parent] = {.path = parent, .kind = TarEntry::Kind::Folder, .mode = 0755};
    }
  }

  std::map<std::string, TarEntry> entries_;
};

// "/lib/x" -> "lib/x"
std::string in_image(const std::string& path) { return path.substr(path.find_first_not_of('/')); }

// --- what is in it -----------------------------------------------------------------------------

// Files of this machine that are in the image, for its bill of materials.
struct Contents {
  std::vector<LooseFile> programs = {};
  std::map<std::string, LooseFile> libraries = {};  // by their paths here
  std::vector<std::string> data = {};               // other paths here that a package owns
};

Status add_programs(const ImageWish& wish, Tree& tree, Contents& contents) {
  for (const std::string& program : wish.programs) {
    TRY(const std::string bytes, read_whole_file(program));
    TRY(std::string stripped, strip_elf(bytes));
    const std::string path = fmt::format("{}/{}", kPrograms, fs::path(program).filename().string());
    contents.programs.push_back({"/" + path, sha256_hex(stripped)});
    tree.file(path, std::move(stripped), 0755);
  }
  return {};
}

// All beside the C library, whose folder the loader searches in any case: libraries that a RUNPATH
// or a configuration led to need neither then. Links are followed, so each has the name that it is
// asked for by.
Status add_libraries(const SharedLibraries& shared, Tree& tree, Contents& contents) {
  const auto libc = std::ranges::find(shared.libraries, "libc.so.6", &LoadedFile::name);
  std::vector<std::pair<std::string, std::string>> files;  // in the image, here
  if (!shared.interpreter.empty()) files.emplace_back(shared.interpreter, shared.interpreter);
  for (const LoadedFile& library : shared.libraries) {
    const fs::path beside = libc == shared.libraries.end() ? library.path : libc->path;
    files.emplace_back((beside.parent_path() / library.name).string(), library.path);
  }
  for (const auto& [path, here] : files) {
    TRY(std::string bytes, read_whole_file(here));
    contents.libraries[here] = {path, sha256_hex(bytes)};
    tree.file(in_image(path), std::move(bytes), 0755);
  }
  return {};
}

Status add_certificates(const ImageSources& sources, Tree& tree, Contents& contents) {
  auto bytes = read_whole_file(sources.certificates);
  if (!bytes)
    return fail(Code::InvalidArgument,
                bytes.error().message + "; install the package ca-certificates");
  tree.file(std::string(kCertificates), *std::move(bytes));
  contents.data.emplace_back("/usr/share/ca-certificates");  // what the file was made of
  return {};
}

// The zones as they are compiled; not what they were compiled from, nor the copies that count
// otherwise.
bool is_zone(const std::string& name) {
  constexpr std::array kLeft{"posix", "right", "localtime", "tzdata.zi", "leapseconds"};
  return std::ranges::find(kLeft, name) == kLeft.end() && !name.ends_with(".tab") &&
         !name.ends_with(".list");
}

Status add_zone(const fs::path& file, const std::string& path, Tree& tree) {
  std::error_code error;
  if (fs::is_symlink(file)) {
    tree.link(path, fs::read_symlink(file, error).string());
    return {};
  }
  TRY(std::string bytes, read_whole_file(file.string()));
  tree.file(path, std::move(bytes));
  return {};
}

Status add_zones(const ImageSources& sources, Tree& tree, Contents& contents) {
  std::error_code error;
  std::size_t count = 0;
  for (auto it = fs::recursive_directory_iterator(sources.zones, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it.depth() == 0 && !is_zone(it->path().filename().string())) {
      it.disable_recursion_pending();
      continue;
    }
    if (it->is_directory() && !it->is_symlink()) continue;
    const auto relative = it->path().lexically_relative(sources.zones).string();
    TRY_VOID(add_zone(it->path(), fmt::format("{}/{}", kZones, relative), tree));
    ++count;
  }
  if (error || count == 0)
    return fail(
        Code::InvalidArgument,
        fmt::format("there are no time zones in {}; install the package tzdata", sources.zones));
  contents.data.push_back(sources.zones + "/UTC");
  return {};
}

void add_user(Tree& tree) {
  tree.file("etc/passwd", fmt::format("root:x:0:0:root:/:/sbin/nologin\n"
                                      "jobmill:x:{0}:{0}:jobmill:/data:/sbin/nologin\n",
                                      kImageUser));
  tree.file("etc/group", fmt::format("root:x:0:\njobmill:x:{}:\n", kImageUser));
  tree.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n");
  tree.folder("data", 0755, kImageUser);
  tree.folder("tmp", 01777);
}

// --- the bill of materials ---------------------------------------------------------------------

// "debian-12" of os-release.
std::string distribution_of(const std::string& release) {
  std::ifstream lines(release);
  std::string id = "debian";
  std::string version;
  std::string line;
  const auto value = [&](std::string_view name) {
    std::string text = line.substr(name.size());
    std::erase(text, '"');
    return text;
  };
  while (std::getline(lines, line)) {
    if (line.starts_with("ID=")) id = value("ID=");
    if (line.starts_with("VERSION_ID=")) version = value("VERSION_ID=");
  }
  return version.empty() ? id : id + "-" + version;
}

std::vector<std::string> paths_of(const Contents& contents) {
  std::vector<std::string> paths = contents.data;
  for (const auto& [here, file] : contents.libraries) paths.push_back(here);
  return paths;
}

// What the licences of the packages want: that their texts come along.
Status add_copyright(const DebianPackage& package, const ImageSources& sources, Tree& tree) {
  const fs::path file = fs::path(sources.documents) / package.name / "copyright";
  std::error_code error;
  if (!fs::exists(file, error)) return {};  // a system that was made without documents
  TRY(std::string text, read_whole_file(file.string()));
  tree.file(fmt::format("usr/share/doc/{}/copyright", package.name), std::move(text));
  return {};
}

Status add_bill(const ImageWish& wish, const ImageSources& sources, Contents contents, Tree& tree) {
  BillOfMaterials bill{.name = wish.names.front().name,
                       .tool = wish.tool,
                       .made_at = wish.made_at,
                       .distribution = distribution_of(sources.release)};
  bill.packages = find_packages(paths_of(contents), sources.dpkg);
  for (DebianPackage& package : bill.packages) {
    TRY_VOID(add_copyright(package, sources, tree));
    std::set<std::string> there;
    for (const std::string& here : package.files) {
      const auto library = contents.libraries.extract(here);
      there.insert(library.empty() ? here : library.mapped().path);
    }
    package.files = std::move(there);
  }
  bill.programs = std::move(contents.programs);
  for (auto& [here, file] : contents.libraries) bill.libraries.push_back(std::move(file));
  tree.file("usr/share/jobmill/sbom.spdx.json", to_spdx(bill));
  return {};
}

// --- the archive -------------------------------------------------------------------------------

// Documents and layers, each under its digest.
class Layout {
 public:
  struct Blob {
    std::string digest;
    std::size_t size;
  };

  Blob blob(std::string bytes) {
    const std::string hex = sha256_hex(bytes);
    const Blob known{"sha256:" + hex, bytes.size()};
    files_["blobs/sha256/" + hex] = std::move(bytes);
    return known;
  }
  void file(const std::string& name, std::string text) { files_[name] = std::move(text); }

  Result<std::string> to_tar(std::int64_t made_at) && {
    TarWriter tar(made_at);
    for (const char* folder : {"blobs", "blobs/sha256"})
      TRY_VOID(tar.add({.path = folder, .kind = TarEntry::Kind::Folder, .mode = 0755}));
    for (auto& [path, bytes] : files_)
      TRY_VOID(tar.add({.path = path, .content = std::move(bytes)}));
    return std::move(tar).finish();
  }

 private:
  std::map<std::string, std::string> files_;
};

std::string file_of(const Layout::Blob& blob) {
  return "blobs/sha256/" + blob.digest.substr(blob.digest.find(':') + 1);
}

// Opens an object that may get more members.
JsonWriter& descriptor(JsonWriter& json, std::string_view type, const Layout::Blob& blob) {
  return json.object()
      .member("mediaType", type)
      .member("digest", blob.digest)
      .member("size", blob.size);
}

struct Layer {
  Layout::Blob blob;
  std::string diff_id;  // of what it is when unpacked
};

std::string_view architecture_of(std::uint16_t machine) {
  return machine == EM_AARCH64 ? "arm64" : "amd64";
}

std::string config_of(const ImageName& image, const Layer& layer, std::string_view architecture,
                      const std::string& created) {
  JsonWriter json;
  json.object().member("created", created).member("architecture", architecture);
  json.member("os", "linux").key("config").object();
  json.member("User", fmt::format("{0}:{0}", kImageUser));
  json.key("Env").array().value("PATH=/usr/bin").value("HOME=/data").value("JOBMILL_DATA=/data");
  json.value(fmt::format("SSL_CERT_FILE=/{}", kCertificates)).end();
  json.key("Entrypoint").array().value(fmt::format("/{}/{}", kPrograms, image.entrypoint)).end();
  json.member("WorkingDir", "/data").key("Labels").object();
  for (const auto& [name, value] : image.labels) json.key_text(name).value(value);
  json.end().end();
  json.key("rootfs").object().member("type", "layers").key("diff_ids").array();
  json.value(layer.diff_id).end().end();
  json.key("history").array().object().member("created", created);
  json.member("created_by", "jobmill image build").end().end();
  return std::move(json.end()).text();
}

std::string manifest_of(const Layout::Blob& config, const Layer& layer) {
  JsonWriter json;
  json.object().member("schemaVersion", 2).member("mediaType", kManifestType);
  descriptor(json.key("config"), kConfigType, config).end();
  descriptor(json.key("layers").array(), kLayerType, layer.blob).end().end();
  return std::move(json.end()).text();
}

std::string tag_of(const std::string& name) {
  const auto colon = name.rfind(':');
  return name.substr(colon + 1);
}

// Index and manifest.json list the images, each in its own way.
Result<ImageArchive> to_archive(const ImageWish& wish, Layout layout, const Layer& layer,
                                std::string_view architecture) {
  ImageArchive archive;
  const auto made_at = std::chrono::floor<std::chrono::seconds>(wish.made_at);
  JsonWriter index;
  JsonWriter docker;
  index.object().member("schemaVersion", 2).member("mediaType", kIndexType);
  index.key("manifests").array();
  docker.array();
  for (const ImageName& image : wish.names) {
    const auto config = layout.blob(config_of(image, layer, architecture, format_instant(made_at)));
    const auto manifest = layout.blob(manifest_of(config, layer));
    archive.images.push_back({image.name, manifest.digest});
    descriptor(index, kManifestType, manifest);
    index.key("platform").object().member("architecture", architecture);
    index.member("os", "linux").end().key("annotations").object();
    index.member("io.containerd.image.name", full_image_name(image.name));
    index.member("org.opencontainers.image.ref.name", tag_of(image.name)).end().end();
    docker.object().member("Config", file_of(config)).key("RepoTags").array();
    docker.value(image.name).end().key("Layers").array().value(file_of(layer.blob)).end().end();
  }
  layout.file("index.json", std::move(index.end().end()).text());
  layout.file("manifest.json", std::move(docker.end()).text());
  layout.file("oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  TRY(archive.bytes, std::move(layout).to_tar(made_at.time_since_epoch().count()));
  return archive;
}

Result<Layer> add_layer(const Tree& tree, TimePoint made_at, Layout& layout) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(made_at).time_since_epoch();
  TRY(const std::string tar, tree.to_tar(seconds.count()));
  TRY(std::string packed, gzip(tar));
  return Layer{.blob = layout.blob(std::move(packed)), .diff_id = "sha256:" + sha256_hex(tar)};
}

// --- what is asked for -------------------------------------------------------------------------

// Lower case, with a tag: what every engine and registry takes.
bool is_image_name(const std::string& name) {
  const auto colon = name.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == name.size() ||
      name.find('/', colon) != std::string::npos)
    return false;
  const auto in = [](std::string_view text, std::string_view allowed) {
    return text.find_first_not_of(allowed) == std::string_view::npos;
  };
  constexpr std::string_view kSmall = "abcdefghijklmnopqrstuvwxyz0123456789._-/:";
  constexpr std::string_view kTag =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  const std::string_view whole = name;
  return in(whole.substr(0, colon), kSmall) && in(whole.substr(colon + 1), kTag) &&
         name.front() != '/' && name.find("//") == std::string::npos;
}

Status check(const ImageWish& wish) {
  std::set<std::string> programs;
  for (const std::string& path : wish.programs)
    if (!programs.insert(fs::path(path).filename().string()).second)
      return fail(Code::InvalidArgument,
                  fmt::format("two programs are named {}", fs::path(path).filename().string()));
  if (wish.programs.empty() || wish.names.empty())
    return fail(Code::InvalidArgument, "an image needs a program and a name");
  for (const ImageName& image : wish.names) {
    if (!is_image_name(image.name))
      return fail(Code::InvalidArgument,
                  fmt::format("'{}' is no name of an image; one is shop/worker:1.0", image.name));
    if (!programs.contains(image.entrypoint))
      return fail(Code::InvalidArgument,
                  fmt::format("the entrypoint '{}' is none of the programs", image.entrypoint));
  }
  return {};
}

Status check_machine(const SharedLibraries& shared) {
  if (shared.machine == EM_X86_64 || shared.machine == EM_AARCH64) return {};
  return fail(Code::Unsupported, "images are for x86-64 and for 64-bit ARM");
}

}  // namespace

Result<ImageArchive> build_image(const ImageWish& wish, const ImageSources& sources) {
  TRY_VOID(check(wish));
  TRY(const SharedLibraries shared,
      find_shared_libraries(wish.programs, loader_folders(sources.loader)));
  TRY_VOID(check_machine(shared));
  Tree tree;
  Contents contents;
  TRY_VOID(add_programs(wish, tree, contents));
  TRY_VOID(add_libraries(shared, tree, contents));
  TRY_VOID(add_certificates(sources, tree, contents));
  TRY_VOID(add_zones(sources, tree, contents));
  add_user(tree);
  TRY_VOID(add_bill(wish, sources, std::move(contents), tree));

  Layout layout;
  TRY(const Layer layer, add_layer(tree, wish.made_at, layout));
  TRY(ImageArchive archive,
      to_archive(wish, std::move(layout), layer, architecture_of(shared.machine)));
  archive.programs = wish.programs.size();
  archive.libraries = shared.libraries.size() + (shared.interpreter.empty() ? 0 : 1);
  archive.files = tree.files();
  return archive;
}

}  // namespace jobmill::targets
