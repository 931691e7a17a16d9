// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/elf.h"

#include <doctest/doctest.h>
#include <elf.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "targets/oci/build/shared_libraries.h"
#include "targets/oci/tool_run.h"
#include "targets/process/child_environment.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

// The program that runs these tests is one that every machine has.
std::string ourselves() {
  auto bytes = read_whole_file("/proc/self/exe");
  REQUIRE(bytes);
  return *std::move(bytes);
}

bool needs(const ElfNeeds& elf, std::string_view library) {
  return std::ranges::any_of(elf.libraries, [&](const std::string& name) {
    return std::string_view(name).starts_with(library);
  });
}

template <class T>
T part_of(const std::string& file, std::size_t offset) {
  T part;
  std::memcpy(&part, file.data() + offset, sizeof(T));
  return part;
}

}  // namespace

TEST_CASE("elf: a program names its loader and its libraries") {
  const auto elf = read_elf(ourselves());
  REQUIRE(elf);
  CHECK(elf->interpreter.find("ld-linux") != std::string::npos);
  CHECK(needs(*elf, "libc.so"));
  CHECK(needs(*elf, "libstdc++.so"));
}

TEST_CASE("elf: what is no program is refused") {
  CHECK_FALSE(read_elf(""));
  CHECK_FALSE(read_elf("#!/bin/sh\n"));
  CHECK_FALSE(
      read_elf("\x7f"
               "ELF"));
  std::string big_endian = ourselves().substr(0, 4096);
  big_endian[EI_DATA] = ELFDATA2MSB;
  CHECK_FALSE(read_elf(big_endian));
}

TEST_CASE("elf: a file that ends anywhere is refused, never read beyond its end") {
  const std::string whole = ourselves();
  for (std::size_t size = 0; size < 2048; size += 7) CHECK_FALSE(read_elf(whole.substr(0, size)));
  // What follows the last segment is of no interest, so it may be missing.
  const auto stripped = strip_elf(whole);
  REQUIRE(stripped);
  CHECK_FALSE(read_elf(stripped->substr(0, stripped->size() - 1)));
}

TEST_CASE("elf: numbers that lead outside of the file are refused") {
  const std::string whole = ourselves();
  const auto header = part_of<Elf64_Ehdr>(whole, 0);
  for (int i = 0; i < header.e_phnum; ++i) {
    std::string file = whole;
    const std::size_t at = header.e_phoff + static_cast<std::size_t>(i) * sizeof(Elf64_Phdr);
    auto segment = part_of<Elf64_Phdr>(file, at);
    segment.p_offset = ~std::uint64_t{0} - 8;
    segment.p_filesz = 64;
    std::memcpy(file.data() + at, &segment, sizeof(segment));
    CHECK_FALSE(read_elf(file));
    CHECK_FALSE(strip_elf(file));
  }
}

TEST_CASE("elf: a file that is nothing but a header keeps it") {
  std::string file = ourselves().substr(0, sizeof(Elf64_Ehdr));
  auto header = part_of<Elf64_Ehdr>(file, 0);
  header.e_phoff = 0;
  header.e_phnum = 0;
  std::memcpy(file.data(), &header, sizeof(header));
  const auto stripped = strip_elf(file);
  REQUIRE(stripped);
  CHECK(stripped->size() == file.size());
}

TEST_CASE("elf: a stripped program is smaller, needs the same and runs") {
  const std::string whole = ourselves();
  const auto stripped = strip_elf(whole);
  REQUIRE(stripped);
  CHECK(stripped->size() < whole.size());
  CHECK(read_elf(*stripped)->libraries == read_elf(whole)->libraries);

  const testing::TemporaryFolder folder;
  const std::string program = folder.path() + "/program";
  std::ofstream(program, std::ios::binary) << *stripped;
  REQUIRE(::chmod(program.c_str(), 0755) == 0);
  const auto ran =
      run_tool({.command = {program, "--version"}, .environment = inherited_environment()},
               std::chrono::minutes(1));
  REQUIRE(ran);
  CHECK(ran->ok());
}

TEST_CASE("libraries: all that a program needs is found, once and with its own needs") {
  const auto shared = find_shared_libraries({"/proc/self/exe"}, loader_folders());
  REQUIRE(shared);
  std::vector<std::string> names;
  for (const LoadedFile& library : shared->libraries) names.push_back(library.name);
  CHECK(std::ranges::is_sorted(names));
  CHECK(std::ranges::adjacent_find(names) == names.end());
  // What the sanitizers bring is not of the system, but libraries are looked for all the same.
  CHECK(std::ranges::find(names, "libc.so.6") != names.end());
  for (const LoadedFile& library : shared->libraries) {
    const auto bytes = read_whole_file(library.path);
    REQUIRE(bytes);
    const auto elf = read_elf(*bytes);
    REQUIRE(elf);
    for (const std::string& needed : elf->libraries) {
      CAPTURE(needed);
      CHECK((std::ranges::find(names, needed) != names.end() ||
             shared->interpreter.ends_with(needed)));
    }
  }
}

TEST_CASE("libraries: one that is nowhere is named, with who wants it") {
  const auto shared = find_shared_libraries({"/proc/self/exe"}, {"/nowhere"});
  REQUIRE_FALSE(shared);
  CHECK(shared.error().message.find("exe needs lib") != std::string::npos);
}

TEST_CASE("libraries: the loader's configuration may include others") {
  const testing::TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder.path() + "/" + name) << text;
  };
  std::filesystem::create_directory(folder.path() + "/more");
  write("ld.so.conf", "# first\n/first  \ninclude more/*.conf\n\n/last # the last\n");
  write("more/b.conf", "/b\n");
  write("more/a.conf", "/a\ninclude b.conf\n");
  write("more/loop.conf", "include loop.conf\n");
  const auto folders = loader_folders(folder.path() + "/ld.so.conf");
  const std::vector<std::string> wanted{"/first", "/a", "/b", "/b", "/last"};
  REQUIRE(folders.size() > wanted.size());
  CHECK(std::vector(folders.begin(), folders.begin() + 5) == wanted);
}

}  // namespace jobmill::targets
