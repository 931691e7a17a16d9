// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace jobmill::targets {

// Everything that the dynamic loader would load, found without running anything.
struct LoadedFile {
  std::string name;  // as it is asked for: "libpq.so.5"; of a program: its file's name
  std::string path;  // where it lies on this machine; may lead through links
};

struct SharedLibraries {
  std::uint16_t machine = 0;
  std::string interpreter = {};  // the dynamic loader; empty: all programs are linked statically
  std::vector<LoadedFile> libraries = {};  // by name, without the interpreter
};

// Where the loader looks: the folders of its configuration (with what that includes), then its
// own.
std::vector<std::string> loader_folders(const std::string& configuration = "/etc/ld.so.conf");

// Of these programs, and of their libraries. A RUNPATH counts for the file that has it.
// InvalidArgument: a file is none, they are for different machines, or a library is nowhere; the
// message names both.
Result<SharedLibraries> find_shared_libraries(const std::vector<std::string>& programs,
                                              const std::vector<std::string>& folders);

// A whole file. InvalidArgument: it cannot be read, or has more than a gigabyte.
Result<std::string> read_whole_file(const std::string& path);

}  // namespace jobmill::targets
