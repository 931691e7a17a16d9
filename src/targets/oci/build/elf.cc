// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/elf.h"

#include <elf.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

constexpr std::size_t kLibraries = 1000;  // of one file; the most that are known have dozens
constexpr std::size_t kText = 4096;       // as long as a path may be

Fault broken(std::string_view why) {
  return fail(Code::InvalidArgument, fmt::format("no program or library of 64-bit Linux: {}", why));
}

bool inside(std::string_view file, std::uint64_t offset, std::uint64_t size) {
  return offset <= file.size() && size <= file.size() - offset;
}

// Copied, as nothing says that it is aligned.
template <class T>
Result<T> read_at(std::string_view file, std::uint64_t offset) {
  if (!inside(file, offset, sizeof(T))) return broken("it ends too early");
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

Result<std::string> text_at(std::string_view file, std::uint64_t offset) {
  if (offset >= file.size()) return broken("a text lies outside of it");
  const std::string_view rest = file.substr(offset, kText);
  const auto end = rest.find('\0');
  if (end == std::string_view::npos) return broken("a text has no end");
  return std::string(rest.substr(0, end));
}

Result<Elf64_Ehdr> read_header(std::string_view file) {
  if (!file.starts_with(std::string_view(ELFMAG, SELFMAG))) return broken("it is none at all");
  TRY(const Elf64_Ehdr header, read_at<Elf64_Ehdr>(file, 0));
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    return broken("it is for another kind of machine");
  if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
    return broken("it can be neither run nor loaded");
  if (header.e_phentsize != sizeof(Elf64_Phdr) ||
      !inside(file, header.e_phoff, std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr)))
    return broken("its segments cannot be read");
  return header;
}

Result<std::vector<Elf64_Phdr>> read_segments(std::string_view file, const Elf64_Ehdr& header) {
  std::vector<Elf64_Phdr> segments;
  for (std::uint64_t i = 0; i < header.e_phnum; ++i) {
    TRY(const Elf64_Phdr segment,
        read_at<Elf64_Phdr>(file, header.e_phoff + i * sizeof(Elf64_Phdr)));
    // Only what is loaded lies in the file for certain; a stack, say, has no bytes.
    if (segment.p_filesz > 0 && !inside(file, segment.p_offset, segment.p_filesz))
      return broken("a segment lies outside of it");
    segments.push_back(segment);
  }
  return segments;
}

// Where in the file an address of memory comes from.
std::optional<std::uint64_t> offset_of(const std::vector<Elf64_Phdr>& segments,
                                       std::uint64_t address) {
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz)
      return segment.p_offset + (address - segment.p_vaddr);
  }
  return std::nullopt;
}

struct DynamicSection {
  std::vector<std::uint64_t> needed;
  std::optional<std::uint64_t> rpath;
  std::optional<std::uint64_t> runpath;
  std::optional<std::uint64_t> texts;  // an address
};

Result<DynamicSection> read_dynamic(std::string_view file, const Elf64_Phdr& segment) {
  DynamicSection section;
  const std::uint64_t count = segment.p_filesz / sizeof(Elf64_Dyn);
  for (std::uint64_t i = 0; i < count; ++i) {
    TRY(const Elf64_Dyn entry, read_at<Elf64_Dyn>(file, segment.p_offset + i * sizeof(Elf64_Dyn)));
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag == DT_NEEDED) section.needed.push_back(entry.d_un.d_val);
    if (entry.d_tag == DT_RPATH) section.rpath = entry.d_un.d_val;
    if (entry.d_tag == DT_RUNPATH) section.runpath = entry.d_un.d_val;
    if (entry.d_tag == DT_STRTAB) section.texts = entry.d_un.d_ptr;
    if (section.needed.size() > kLibraries) return broken("it needs too many libraries");
  }
  return section;
}

std::vector<std::string> split_folders(std::string_view list) {
  std::vector<std::string> folders;
  while (!list.empty()) {
    const std::string_view one = list.substr(0, list.find(':'));
    if (!one.empty()) folders.emplace_back(one);
    list.remove_prefix(std::min(list.size(), one.size() + 1));
  }
  return folders;
}

Status read_needs(std::string_view file, const std::vector<Elf64_Phdr>& segments,
                  const Elf64_Phdr& dynamic, ElfNeeds& needs) {
  TRY(const DynamicSection section, read_dynamic(file, dynamic));
  const auto paths = section.runpath ? section.runpath : section.rpath;
  if (section.needed.empty() && !paths) return {};
  const auto texts = section.texts ? offset_of(segments, *section.texts) : std::nullopt;
  if (!texts) return broken("its texts lie outside of it");
  const auto text = [&](std::uint64_t index) -> Result<std::string> {
    if (index >= file.size()) return broken("a text lies outside of it");
    return text_at(file, *texts + index);
  };
  for (const std::uint64_t index : section.needed) {
    TRY(std::string name, text(index));
    needs.libraries.push_back(std::move(name));
  }
  if (paths) {
    TRY(const std::string list, text(*paths));
    needs.folders = split_folders(list);
  }
  return {};
}

}  // namespace

Result<ElfNeeds> read_elf(std::string_view file) {
  TRY(const Elf64_Ehdr header, read_header(file));
  TRY(const auto segments, read_segments(file, header));
  ElfNeeds needs{.machine = header.e_machine};
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type == PT_INTERP) {
      TRY(needs.interpreter, text_at(file, segment.p_offset));
    }
    if (segment.p_type == PT_DYNAMIC) TRY_VOID(read_needs(file, segments, segment, needs));
  }
  return needs;
}

Result<std::string> strip_elf(std::string_view file) {
  TRY(Elf64_Ehdr header, read_header(file));
  TRY(const auto segments, read_segments(file, header));
  std::uint64_t end = std::max<std::uint64_t>(
      sizeof(header), header.e_phoff + std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr));
  for (const Elf64_Phdr& segment : segments)
    if (segment.p_filesz > 0) end = std::max(end, segment.p_offset + segment.p_filesz);
  header.e_shoff = 0;
  header.e_shnum = 0;
  header.e_shstrndx = SHN_UNDEF;
  std::string stripped(file.substr(0, end));
  std::memcpy(stripped.data(), &header, sizeof(header));
  return stripped;
}

}  // namespace jobmill::targets
