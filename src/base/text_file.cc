// SPDX-License-Identifier: Apache-2.0
#include "base/text_file.h"

#include <array>
#include <fstream>
#include <istream>

namespace jobmill {

Result<std::string> read_text(std::istream& in, const std::string& name, std::size_t limit) {
  std::string text;
  std::array<char, 4096> piece{};
  while (in.read(piece.data(), piece.size()) || in.gcount() > 0) {
    text.append(piece.data(), static_cast<std::size_t>(in.gcount()));
    if (text.size() > limit)
      return fail(Code::Exhausted,
                  name + " is larger than " + std::to_string(limit >> 20) + " MiB");
  }
  if (in.bad()) return fail(Code::NotFound, "cannot read " + name);
  return text;
}

Result<std::string> read_text_file(const std::string& path, std::size_t limit) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::NotFound, "cannot read " + path);
  return read_text(file, path, limit);
}

}  // namespace jobmill
