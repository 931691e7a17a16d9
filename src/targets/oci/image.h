// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/document.h"
#include "base/result.h"
#include "targets/process/process.h"

namespace jobmill::targets {

// What an image says of the containers that are made of it.
struct ImageConfig {
  std::vector<std::string> entrypoint = {};
  std::vector<std::string> command = {};
  Texts environment = {};
  std::string workdir = {};
  std::string user = {};  // "app", "1000:1000"; empty: root
};

// Of the member `config` of an OCI or Docker image configuration.
ImageConfig decode_image_config(const Node& config);

// An image on disk, ready to run.
struct UnpackedImage {
  std::string rootfs;  // not to be written to
  ImageConfig config;
};

// "shop/worker:2" -> "docker.io/shop/worker:2", as engines and clusters complete names.
std::string full_image_name(std::string_view name);

// Who the processes of a container are.
struct ImageUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

// By number, or as passwd and group of the image have the name. InvalidArgument: they have not.
Result<ImageUser> find_user(std::string_view user, const std::string& rootfs);

// Images that were unpacked from files of this machine: an OCI image layout (a folder, or a tar
// file of one), or what `docker save` writes. Each is unpacked once, and again when its file has
// changed; what an earlier file left goes when this is made. Blocks; used by one thread.
class UnpackedImages {
 public:
  explicit UnpackedImages(std::string folder);

  // `name` chooses among several images of the file: "registry/job:1.0". Unavailable or
  // InvalidArgument, with the file's name: it cannot be read.
  Result<UnpackedImage> get(const std::string& archive, const std::string& name);

 private:
  std::string folder_;
};

// Puts the content of one layer, unpacked in a folder of its own, over the layers below it: files
// replace files, folders are joined, and ".wh.NAME" removes what NAME was. Empties the layer.
// Never goes through a symbolic link, which might lead out of the image.
Status merge_layer(const std::string& layer, const std::string& rootfs);

}  // namespace jobmill::targets
