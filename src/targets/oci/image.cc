// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/image.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "targets/oci/tool_run.h"
#include "targets/process/child_environment.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

constexpr Duration kUnpackLimit = std::chrono::minutes(10);
constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kKept = "-kept";  // of complete ones
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr DocumentLimits kDocument{.bytes = 16u << 20};

#if defined(__aarch64__)
constexpr std::string_view kArchitecture = "arm64";
#else
constexpr std::string_view kArchitecture = "amd64";
#endif

Fault io_error(std::string_view what, const fs::path& path, const std::error_code& error) {
  return fail(Code::Unavailable,
              fmt::format("cannot {} {} ({})", what, path.string(), error.message()));
}

Fault io_error(std::string_view what, const fs::path& path) {
  return io_error(what, path, std::error_code(errno, std::generic_category()));
}

bool is_folder(const fs::path& path) {
  std::error_code error;  // what is not there is none
  return fs::is_directory(fs::symlink_status(path, error));
}

bool there(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

Result<Node> read_document(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::InvalidArgument, fmt::format("there is no {}", path.string()));
  return parse_json(std::string(std::istreambuf_iterator<char>(file), {}), kDocument);
}

std::string text_of(const Node* node) {
  const auto text = node != nullptr ? node->as_string() : std::nullopt;
  return std::string(text.value_or(""));
}

std::vector<std::string> texts_of(const Node* node) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; node != nullptr && i < node->items.size(); ++i)
    texts.push_back(text_of(&node->items[i]));
  return texts;
}

// --- which image of the file -------------------------------------------------------------------

// Configuration and layers of one image, as paths of files.
struct Manifest {
  fs::path config;
  std::vector<fs::path> layers;
};

std::string_view tag_of(std::string_view name) {
  const auto colon = name.rfind(':');
  const auto slash = name.rfind('/');
  const bool tagged =
      colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
  return tagged ? name.substr(colon + 1) : std::string_view();
}

// How well a name in the file fits the one that is asked for. In image layouts many are tags alone.
int fit(std::string_view named, std::string_view wanted) {
  if (named == wanted || full_image_name(named) == full_image_name(wanted)) return 3;
  if (!named.empty() && wanted.ends_with(named) && wanted[wanted.size() - named.size() - 1] == '/')
    return 2;
  return !named.empty() && named == tag_of(wanted) ? 1 : 0;
}

// The one of the entries whose name fits best; the only one, whatever its name.
const Node* choose(const std::vector<Node>& entries, std::string_view wanted,
                   const std::function<std::vector<std::string>(const Node&)>& names) {
  if (entries.size() == 1) return &entries.front();
  const Node* best = nullptr;
  int best_fit = 0;
  for (const Node& entry : entries) {
    for (const std::string& name : names(entry)) {
      if (const int how = fit(name, wanted); how > best_fit) {
        best = &entry;
        best_fit = how;
      }
    }
  }
  return best;
}

Fault not_in_file(std::string_view name) {
  return fail(Code::InvalidArgument, fmt::format("it has no image '{}'", name));
}

// "sha256:0123…" -> its file. Digests come from outside, so they must not lead anywhere else.
Result<fs::path> blob(const fs::path& layout, const Node& descriptor) {
  const std::string digest = text_of(descriptor.find("digest"));
  const auto colon = digest.find(':');
  const std::string hex = colon == std::string::npos ? "" : digest.substr(colon + 1);
  const bool plain = hex.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (hex.empty() || !plain || digest.find_first_of("/.") < colon)
    return fail(Code::InvalidArgument, fmt::format("'{}' is no digest", digest));
  return layout / "blobs" / digest.substr(0, colon) / hex;
}

bool for_this_machine(const Node& descriptor) {
  const Node* platform = descriptor.find("platform");
  return platform == nullptr || (text_of(platform->find("architecture")) == kArchitecture &&
                                 text_of(platform->find("os")) == "linux");
}

std::vector<Node> manifests_of(const Node& index) {
  const Node* list = index.find("manifests");
  std::vector<Node> manifests = list == nullptr ? std::vector<Node>() : list->items;
  std::erase_if(manifests, [](const Node& one) { return !for_this_machine(one); });
  return manifests;
}

// An index may lead to another one, which has a manifest for each kind of machine.
Result<Manifest> find_in_layout(const fs::path& layout, Node index, std::string_view name) {
  constexpr int kDepth = 3;
  for (int depth = 0; depth < kDepth && index.find("layers") == nullptr; ++depth) {
    const auto manifests = manifests_of(index);
    const Node* chosen = choose(manifests, name, [](const Node& entry) {
      const Node* notes = entry.find("annotations");
      return notes == nullptr
                 ? std::vector<std::string>()
                 : std::vector{text_of(notes->find("org.opencontainers.image.ref.name")),
                               text_of(notes->find("io.containerd.image.name"))};
    });
    if (chosen == nullptr && depth > 0 && !manifests.empty()) chosen = &manifests.front();
    if (chosen == nullptr) return not_in_file(name);
    TRY(const fs::path path, blob(layout, *chosen));
    TRY(index, read_document(path));
  }
  const Node* config = index.find("config");
  const Node* layers = index.find("layers");
  if (config == nullptr || layers == nullptr)
    return fail(Code::InvalidArgument, "its manifest has no configuration or no layers");
  Manifest manifest;
  TRY(manifest.config, blob(layout, *config));
  for (const Node& layer : layers->items) {
    TRY(fs::path path, blob(layout, layer));
    manifest.layers.push_back(std::move(path));
  }
  return manifest;
}

Result<fs::path> below(const fs::path& folder, const std::string& name) {
  const fs::path path = fs::path(name).lexically_normal();
  if (name.empty() || path.is_absolute() || *path.begin() == "..")
    return fail(Code::InvalidArgument, fmt::format("'{}' is no file of it", name));
  return folder / path;
}

// What `docker save` writes: manifest.json names the files.
Result<Manifest> find_in_docker_archive(const fs::path& folder, const Node& list,
                                        std::string_view name) {
  const Node* chosen =
      choose(list.items, name, [](const Node& entry) { return texts_of(entry.find("RepoTags")); });
  if (chosen == nullptr) return not_in_file(name);
  Manifest manifest;
  TRY(manifest.config, below(folder, text_of(chosen->find("Config"))));
  for (const std::string& layer : texts_of(chosen->find("Layers"))) {
    TRY(fs::path path, below(folder, layer));
    manifest.layers.push_back(std::move(path));
  }
  return manifest;
}

Result<Manifest> find_manifest(const fs::path& folder, std::string_view name) {
  if (there(folder / "index.json")) {
    TRY(Node index, read_document(folder / "index.json"));
    return find_in_layout(folder, std::move(index), name);
  }
  if (there(folder / "manifest.json")) {
    TRY(const Node list, read_document(folder / "manifest.json"));
    return find_in_docker_archive(folder, list, name);
  }
  return fail(Code::InvalidArgument,
              "it is neither an OCI image layout nor an archive of `docker save`");
}

// --- unpacking ---------------------------------------------------------------------------------

Status make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return io_error("make", path, error);
  return {};
}

Status untar(const fs::path& file, const fs::path& folder, bool as_it_is) {
  TRY_VOID(make_folder(folder));
  std::vector<std::string> command{"tar", "-x", "-f", file.string(), "-C", folder.string()};
  if (as_it_is && ::geteuid() == 0) {
    for (const char* word : {"-p", "--same-owner", "--numeric-owner", "--xattrs",
                             "--xattrs-include=security.capability"})
      command.emplace_back(word);
  } else {
    command.emplace_back("--no-same-owner");
  }
  // Devices cannot be made by everybody, and a container gets its own /dev.
  if (as_it_is)
    for (const char* word : {"--anchored", "--exclude=dev/*", "--exclude=./dev/*"})
      command.emplace_back(word);
  const auto done = tool_output(
      {.command = std::move(command), .environment = inherited_environment()}, kUnpackLimit);
  if (!done) return done.error();
  return {};
}

Status remove_tree(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return io_error("remove", path, error);
  return {};
}

Status change_rights(const fs::path& path, mode_t rights) {
  if (::chmod(path.c_str(), rights) != 0) return io_error("change", path);
  return {};
}

// A folder of the layer where there may be one: its owner and rights are the layer's.
Status join_folder(const fs::path& from, const fs::path& to) {
  if (!is_folder(to)) {
    TRY_VOID(remove_tree(to));
    if (::mkdir(to.c_str(), S_IRWXU) != 0) return io_error("make", to);
  }
  struct stat info {};
  if (::lstat(from.c_str(), &info) != 0) return io_error("read", from);
  if (::geteuid() == 0 && ::lchown(to.c_str(), info.st_uid, info.st_gid) != 0)
    return io_error("give away", to);
  const mode_t rights = info.st_mode & 07777;
  if (::geteuid() == 0) return change_rights(to, rights);
  // We ourselves must be able to go on reading and writing there.
  TRY_VOID(change_rights(from, rights | S_IRWXU));
  return change_rights(to, rights | S_IRWXU);
}

Result<std::vector<fs::path>> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error))
    entries.push_back(it->path());
  if (error) return io_error("read", folder, error);
  return entries;
}

// What the layers below had in a folder is not there any more.
Status empty_folder(const fs::path& folder) {
  TRY(const auto entries, entries_of(folder));
  for (const fs::path& entry : entries) TRY_VOID(remove_tree(entry));
  return {};
}

Status merge_entry(const fs::path& entry, const fs::path& rootfs) {
  const std::string name = entry.filename().string();
  if (name.starts_with(kWhiteout)) {
    const std::string gone = name.substr(kWhiteout.size());
    // ".wh..wh." is the beginning of notes to the program that unpacks.
    if (gone.empty() || gone == "." || gone == ".." || gone.starts_with(kWhiteout)) return {};
    return remove_tree(rootfs / gone);
  }
  const fs::path target = rootfs / name;
  if (is_folder(entry)) {
    TRY_VOID(join_folder(entry, target));
    return merge_layer(entry, target);
  }
  TRY_VOID(remove_tree(target));
  if (::rename(entry.c_str(), target.c_str()) != 0) return io_error("move", entry);
  return {};
}

// --- kept images -------------------------------------------------------------------------------

// The file as it is now: its path as a number, and what changes when it does.
struct FileMark {
  std::string path;
  std::string state;
  std::string name() const { return path + "-" + state; }
};

Result<FileMark> mark_of(const std::string& archive, std::string_view name) {
  fs::path file = archive;
  if (is_folder(file)) file /= "index.json";
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) return io_error("read", file);
  const std::hash<std::string> hash;
  return FileMark{.path = fmt::format("{:016x}", hash(fmt::format("{}\n{}", archive, name))),
                  .state = fmt::format("{:x}-{:x}-{:x}-{:x}", info.st_ino, info.st_size,
                                       info.st_mtim.tv_sec, info.st_mtim.tv_nsec)};
}

Result<UnpackedImage> load(const fs::path& folder) {
  TRY(const Node document, read_document(folder / "image.json"));
  const Node* config = document.find("config");
  return UnpackedImage{.rootfs = (folder / "rootfs").string(),
                       .config = config == nullptr ? ImageConfig() : decode_image_config(*config)};
}

Status unpack(const std::string& archive, const std::string& name, const fs::path& folder) {
  fs::path layout = archive;
  if (!is_folder(layout)) {
    layout = folder / "archive";
    TRY_VOID(untar(archive, layout, false));
  }
  TRY(const Manifest manifest, find_manifest(layout, name));
  TRY_VOID(make_folder(folder / "rootfs"));
  for (const fs::path& layer : manifest.layers) {
    TRY_VOID(untar(layer, folder / "layer", true));
    TRY_VOID(merge_layer((folder / "layer").string(), (folder / "rootfs").string()));
    TRY_VOID(remove_tree(folder / "layer"));
  }
  std::error_code error;
  fs::copy_file(manifest.config, folder / "image.json", error);
  if (error) return io_error("read", manifest.config, error);
  return remove_tree(folder / "archive");
}

// A line of passwd or group: its third field, and of passwd the fourth.
struct NameLine {
  std::uint32_t id = 0;
  std::uint32_t group = 0;
};

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error != std::errc() || end != text.end()) return {};
  return value;
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (;;) {
    const auto colon = line.find(':');
    fields.push_back(line.substr(0, colon));
    if (colon == std::string_view::npos) return fields;
    line.remove_prefix(colon + 1);
  }
}

// By name, or by number.
std::optional<NameLine> look_up(const std::string& file, std::string_view who) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    const auto fields = fields_of(line);
    if (fields.size() < 4 || (fields[0] != who && fields[2] != who)) continue;
    const auto id = number(fields[2]);
    if (id) return NameLine{*id, number(fields[3]).value_or(0)};
  }
  return {};
}

}  // namespace

ImageConfig decode_image_config(const Node& config) {
  ImageConfig image{.entrypoint = texts_of(config.find("Entrypoint")),
                    .command = texts_of(config.find("Cmd")),
                    .workdir = text_of(config.find("WorkingDir")),
                    .user = text_of(config.find("User"))};
  for (const std::string& variable : texts_of(config.find("Env"))) {
    const auto equals = variable.find('=');
    if (equals != std::string::npos)
      image.environment[variable.substr(0, equals)] = variable.substr(equals + 1);
  }
  return image;
}

std::string full_image_name(std::string_view name) {
  const auto slash = name.find('/');
  if (slash == std::string_view::npos) return fmt::format("docker.io/library/{}", name);
  const std::string_view first = name.substr(0, slash);
  const bool host = first == "localhost" || first.find_first_of(".:") != std::string_view::npos;
  return host ? std::string(name) : fmt::format("docker.io/{}", name);
}

Result<ImageUser> find_user(std::string_view user, const std::string& rootfs) {
  if (user.empty()) return ImageUser{};
  const std::string_view name = user.substr(0, user.find(':'));
  const std::string_view group = name.size() < user.size() ? user.substr(name.size() + 1) : "";
  const auto line = look_up(rootfs + "/etc/passwd", name);
  const auto uid = line ? std::optional(line->id) : number(name);
  if (!uid) return fail(Code::InvalidArgument, fmt::format("the image has no user '{}'", name));
  ImageUser found{.uid = *uid, .gid = line ? line->group : 0};
  if (group.empty()) return found;
  const auto group_line = look_up(rootfs + "/etc/group", group);
  const auto gid = group_line ? std::optional(group_line->id) : number(group);
  if (!gid) return fail(Code::InvalidArgument, fmt::format("the image has no group '{}'", group));
  found.gid = *gid;
  return found;
}

Status merge_layer(const std::string& layer, const std::string& rootfs) {
  if (there(fs::path(layer) / kOpaque)) TRY_VOID(empty_folder(rootfs));
  TRY(const auto entries, entries_of(layer));
  // Removals are of what lower layers had, so they come before what this one has.
  for (const bool whiteouts : {true, false}) {
    for (const fs::path& entry : entries) {
      if (entry.filename().string().starts_with(kWhiteout) == whiteouts)
        TRY_VOID(merge_entry(entry, rootfs));
    }
  }
  return {};
}

// What a killed server was about to unpack, and all but the newest of each file.
UnpackedImages::UnpackedImages(std::string folder) : folder_(std::move(folder)) {
  std::map<std::string, std::pair<fs::file_time_type, fs::path>> newest;
  std::vector<fs::path> old;
  std::error_code error;  // no folder: nothing is kept
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kKept)) {
      old.push_back(entry.path());
      continue;
    }
    std::pair one(entry.last_write_time(error), entry.path());
    auto& kept = newest[name.substr(0, name.find('-'))];
    if (kept.second.empty() || kept < one) std::swap(kept, one);
    if (!one.second.empty()) old.push_back(one.second);
  }
  for (const fs::path& path : old) fs::remove_all(path, error);
}

Result<UnpackedImage> UnpackedImages::get(const std::string& archive, const std::string& name) {
  const auto mark = mark_of(archive, name);
  if (!mark) return mark.error();
  const fs::path kept = fs::path(folder_) / (mark->name() + std::string(kKept));
  if (there(kept)) return load(kept);
  const fs::path fresh = fs::path(folder_) / mark->name();
  TRY_VOID(remove_tree(fresh));
  TRY_VOID(make_folder(fresh));
  if (const Status unpacked = unpack(archive, name, fresh); !unpacked) {
    (void)remove_tree(fresh);  // the next try does it again
    return fail(unpacked.error().code,
                fmt::format("the image file {}: {}", archive, unpacked.error().message));
  }
  if (::rename(fresh.c_str(), kept.c_str()) != 0) return io_error("keep", kept);
  return load(kept);
}

}  // namespace jobmill::targets
