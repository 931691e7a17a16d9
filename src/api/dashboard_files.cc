// SPDX-License-Identifier: Apache-2.0
#include "api/dashboard_files.h"

#include "base/document.h"

// JOBMILL_DASHBOARD_PACK is the path of the pack: a server that is one file has its dashboard too.
asm(".pushsection .rodata\n"
    ".global jobmill_dashboard\n"
    ".global jobmill_dashboard_end\n"
    "jobmill_dashboard:\n"
    ".incbin \"" JOBMILL_DASHBOARD_PACK
    "\"\n"
    "jobmill_dashboard_end:\n"
    ".byte 0\n"
    ".popsection\n");

extern "C" {
extern const char jobmill_dashboard[];
extern const char jobmill_dashboard_end[];
}

namespace jobmill::api {
namespace {

std::string text_of(const Node& file, std::string_view key) {
  const Node* member = file.find(key);
  return member == nullptr ? std::string() : member->text;
}

// [offset, length]; what is not within the bytes is empty.
std::string_view slice(const Node& file, std::string_view key, std::string_view bytes) {
  const Node* place = file.find(key);
  if (place == nullptr || place->items.size() != 2) return {};
  const auto from = static_cast<std::size_t>(place->items[0].as_int().value_or(0));
  const auto length = static_cast<std::size_t>(place->items[1].as_int().value_or(0));
  return from <= bytes.size() ? bytes.substr(from, length) : std::string_view();
}

}  // namespace

std::vector<DashboardFile> unpack_dashboard(std::string_view pack) {
  const auto end = pack.find('\n');
  if (end == std::string_view::npos) return {};
  const auto list = parse_json(pack.substr(0, end));
  if (!list) return {};
  const std::string_view bytes = pack.substr(end + 1);
  std::vector<DashboardFile> files;
  for (const Node& file : list->items)
    files.push_back({.path = text_of(file, "path"),
                     .type = text_of(file, "type"),
                     .hash = text_of(file, "hash"),
                     .plain = slice(file, "plain", bytes),
                     .gzip = slice(file, "gzip", bytes),
                     .br = slice(file, "br", bytes)});
  return files;
}

std::string_view embedded_dashboard() {
  return {jobmill_dashboard, static_cast<std::size_t>(jobmill_dashboard_end - jobmill_dashboard)};
}

}  // namespace jobmill::api
