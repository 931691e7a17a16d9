// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "targets/oci/container_init.h"

// Small images, made here: what tests run must not come from anywhere else.
namespace jobmill::testing {

inline void shell(const std::string& command) {
  CAPTURE(command);
  REQUIRE(std::system(command.c_str()) == 0);
}

inline void write(const std::filesystem::path& path, std::string_view text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A folder as a layer of an image.
inline std::string make_layer(const std::string& folder, const std::string& tar) {
  shell(fmt::format("tar -czf '{}' -C '{}' .", tar, folder));
  return tar;
}

// An image layout. `config`: the member `config` of the image's configuration, as JSON. Digests are
// names here, as long as they look like some.
inline void make_layout(const std::string& folder, const std::vector<std::string>& layers,
                        std::string_view config, std::string_view name = "shop/shell:1") {
  const std::filesystem::path blobs = std::filesystem::path(folder) / "blobs/sha256";
  std::string list;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string digest = fmt::format("{:064x}", i + 16);
    std::filesystem::create_directories(blobs);
    std::filesystem::copy_file(layers[i], blobs / digest);
    list += fmt::format(R"({}{{"digest":"sha256:{}"}})", i == 0 ? "" : ",", digest);
  }
  write(blobs / std::string(64, 'c'), fmt::format(R"({{"config":{}}})", config));
  write(blobs / std::string(64, 'a'),
        fmt::format(R"({{"config":{{"digest":"sha256:{}"}},"layers":[{}]}})", std::string(64, 'c'),
                    list));
  write(std::filesystem::path(folder) / "oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  write(std::filesystem::path(folder) / "index.json",
        fmt::format(R"({{"manifests":[{{"digest":"sha256:{}","annotations":)"
                    R"({{"org.opencontainers.image.ref.name":"{}"}}}}]}})",
                    std::string(64, 'a'), name));
}

// A file with an image that has a shell, the usual small programs and an empty folder /shop, where
// its containers run.
inline std::string make_shell_image(const std::string& file) {
  const std::string folder = file + ".parts";
  const std::string rootfs = folder + "/rootfs";
  for (const char* name : {"bin", "etc", "tmp", "usr", "shop"})
    std::filesystem::create_directories(rootfs + "/" + name);
  std::filesystem::copy_file("/bin/busybox", rootfs + "/bin/busybox");
  for (const char* name : {"sh", "sleep", "env", "ls", "pwd", "cat", "id", "dd", "grep", "wc"})
    std::filesystem::create_symlink("busybox", rootfs + "/bin/" + name);
  write(rootfs + "/etc/passwd", "root:x:0:0::/:/bin/sh\nclerk:x:1234:5678::/:/bin/sh\n");
  make_layout(folder + "/layout", {make_layer(rootfs, folder + "/layer.tar.gz")},
              R"({"Cmd":["/bin/sh","-c","echo the command of the image"],"WorkingDir":"/shop",)"
              R"("Env":["PATH=/bin","FROM=image"]})");
  shell(fmt::format("tar -cf '{}' -C '{}/layout' .", file, folder));
  std::filesystem::remove_all(folder);
  return file;
}

inline std::string write_init(const std::string& folder) {
  const std::string path = folder + "/init";
  write(path, targets::container_init());
  std::filesystem::permissions(path, std::filesystem::perms(0755));
  return path;
}

}  // namespace jobmill::testing
