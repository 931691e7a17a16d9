// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace jobmill::targets {

struct TarEntry {
  enum class Kind { File, Folder, Link };
  std::string path;  // relative, without a slash at its end
  Kind kind = Kind::File;
  std::uint32_t mode = 0644;
  std::uint32_t owner = 0;   // user and group have the same number
  std::string content = {};  // of a link: where it leads
};

// Writes a tar file as POSIX.1-1988 has it (ustar), which everything reads. The same entries give
// the same bytes: no names of users, and all is dated alike.
class TarWriter {
 public:
  explicit TarWriter(std::int64_t made_at) : made_at_(made_at) {}  // seconds since 1970

  // InvalidArgument: the format has no room for a path or a size like this.
  Status add(const TarEntry& entry);

  // The file. Once.
  std::string finish() &&;

 private:
  std::int64_t made_at_;
  std::string bytes_;
};

// As `gzip -n` has it: without name and time.
Result<std::string> gzip(std::string_view bytes);

}  // namespace jobmill::targets
