// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/shared_libraries.h"

#include <glob.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "targets/oci/build/elf.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kFileLimit = 1u << 30;
constexpr std::size_t kLibraryLimit = 2000;
constexpr int kIncludeDepth = 8;
// Those of glibc, behind the ones of its configuration.
constexpr std::array kOwnFolders{"/lib64", "/usr/lib64", "/lib", "/usr/lib"};

std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (::glob(pattern.c_str(), 0, nullptr, &found) == 0)
    for (std::size_t i = 0; i < found.gl_pathc; ++i) paths.emplace_back(found.gl_pathv[i]);
  ::globfree(&found);
  return paths;
}

void read_configuration(const fs::path& file, std::vector<std::string>& folders, int depth) {
  std::ifstream lines(file);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line.substr(0, line.find('#')));
    std::string word;
    if (!(words >> word)) continue;
    if (word != "include") {
      folders.push_back(word);
      continue;
    }
    while (depth < kIncludeDepth && words >> word)
      for (const std::string& path : matches_of(file.parent_path() / word))
        read_configuration(path, folders, depth + 1);
  }
}

std::string with_origin(std::string folder, const std::string& file) {
  const std::string origin = fs::path(file).parent_path().string();
  for (const std::string_view word : {"${ORIGIN}", "$ORIGIN"})
    for (auto at = folder.find(word); at != std::string::npos; at = folder.find(word, at + 1))
      folder.replace(at, word.size(), origin);
  return folder;
}

struct Found {
  LoadedFile file;
  ElfNeeds needs;
};

// The breadth of the loader: programs first, then what they need, each name once.
class Search {
 public:
  Search(const std::vector<std::string>& folders) : folders_(folders) {}

  Status add_program(const std::string& path) {
    TRY(const std::string bytes, read_whole_file(path));
    auto needs = read_elf(bytes);
    if (!needs) return fail(needs.error().code, fmt::format("{}: {}", path, needs.error().message));
    if (result_.machine == 0) result_.machine = needs->machine;
    if (needs->machine != result_.machine)
      return fail(Code::InvalidArgument,
                  fmt::format("{} is for another kind of machine than the first program", path));
    if (!needs->interpreter.empty()) result_.interpreter = needs->interpreter;
    open_.push_back(
        {{fs::path(path).filename().string(), fs::absolute(path).string()}, *std::move(needs)});
    return {};
  }

  Result<SharedLibraries> run() && {
    for (; !open_.empty(); open_.pop_front())
      for (const std::string& name : open_.front().needs.libraries)
        TRY_VOID(add_library(name, open_.front()));
    for (auto& [name, path] : paths_) result_.libraries.push_back({name, std::move(path)});
    return std::move(result_);
  }

 private:
  Status add_library(const std::string& name, const Found& wanted_by) {
    if (paths_.contains(name) || name == fs::path(result_.interpreter).filename()) return {};
    std::vector<std::string> places = wanted_by.needs.folders;
    for (std::string& place : places) place = with_origin(place, wanted_by.file.path);
    places.insert(places.end(), folders_.begin(), folders_.end());
    for (const std::string& folder : places) {
      const std::string path = fs::path(folder) / name;
      auto needs = needs_at(path);
      if (!needs) continue;
      if (paths_.size() == kLibraryLimit)
        return fail(Code::InvalidArgument, "these programs need too many libraries");
      paths_.emplace(name, path);
      open_.push_back({{name, path}, *std::move(needs)});
      return {};
    }
    return fail(Code::InvalidArgument, fmt::format("{} needs {}, which is in none of the folders "
                                                   "of libraries",
                                                   wanted_by.file.path, name));
  }

  // As the loader does it, what is for another machine is passed over.
  Result<ElfNeeds> needs_at(const std::string& path) const {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) return fail(Code::NotFound, path);
    TRY(const std::string bytes, read_whole_file(path));
    TRY(ElfNeeds needs, read_elf(bytes));
    if (needs.machine != result_.machine) return fail(Code::NotFound, path);
    return needs;
  }

  const std::vector<std::string>& folders_;
  SharedLibraries result_;
  std::map<std::string, std::string> paths_;
  std::deque<Found> open_;  // a reference to its front survives what is pushed behind
};

}  // namespace

Result<std::string> read_whole_file(const std::string& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (!error && size > kFileLimit)
    return fail(Code::InvalidArgument, fmt::format("{} is too large", path));
  std::ifstream file(path, std::ios::binary);
  if (error || !file)
    return fail(Code::InvalidArgument, fmt::format("cannot read {} ({})", path,
                                                   error ? error.message() : std::strerror(errno)));
  std::string bytes(size, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(size));
  if (!file) return fail(Code::Unavailable, fmt::format("{} changed while it was read", path));
  return bytes;
}

std::vector<std::string> loader_folders(const std::string& configuration) {
  std::vector<std::string> folders;
  read_configuration(configuration, folders, 0);
  folders.insert(folders.end(), kOwnFolders.begin(), kOwnFolders.end());
  return folders;
}

Result<SharedLibraries> find_shared_libraries(const std::vector<std::string>& programs,
                                              const std::vector<std::string>& folders) {
  Search search(folders);
  for (const std::string& program : programs) TRY_VOID(search.add_program(program));
  return std::move(search).run();
}

}  // namespace jobmill::targets
