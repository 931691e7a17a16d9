// SPDX-License-Identifier: Apache-2.0
#include "app/manifest_files.h"

#include "app/api_client.h"
#include "manifest/reader.h"

namespace jobmill::app {

Result<std::vector<api::ManifestFile>> read_manifest_files(const std::vector<std::string>& paths) {
  std::vector<api::ManifestFile> files;
  for (const std::string& path : paths) {
    TRY(const auto names, manifest::manifest_files(path));
    for (const std::string& name : names) {
      TRY(std::string text, read_text_file(name));
      files.push_back({name == "-" ? "stdin" : name, std::move(text)});
    }
  }
  return files;
}

}  // namespace jobmill::app
