// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/image.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "targets/oci/image_fixture.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Files {
  testing::TemporaryFolder folder;
  std::string path(const std::string& name) const { return folder.path() + "/" + name; }
  // A layer with these files, "name" or "name=text".
  std::string layer(const std::string& name, const std::vector<std::string>& files) const {
    fs::create_directories(path(name));
    for (const std::string& file : files) {
      const auto equals = file.find('=');
      testing::write(path(name) + "/" + file.substr(0, equals),
                     equals == std::string::npos ? "" : file.substr(equals + 1));
    }
    return testing::make_layer(path(name), path(name + ".tar.gz"));
  }
};

}  // namespace

TEST_CASE("image: layers lie one over the other, and may take things away") {
  const Files files;
  const std::string low = files.layer("low", {"etc/a=1", "etc/b=1", "app/x=1", "app/y=1", "c=1"});
  const std::string high =
      files.layer("high", {"etc/a=2", "etc/.wh.b", "app/.wh..wh..opq", "app/z=2", "c/d=2"});
  testing::make_layout(files.path("layout"), {low, high}, R"({"Cmd":["/x"],"User":"1000:7"})");

  UnpackedImages images(files.path("images"));
  const auto image = images.get(files.path("layout"), "any/name:1");
  REQUIRE(image);
  const fs::path rootfs = image->rootfs;
  CHECK(contents(rootfs / "etc/a") == "2");
  CHECK_FALSE(fs::exists(rootfs / "etc/b"));
  CHECK_FALSE(fs::exists(rootfs / "app/x"));
  CHECK(contents(rootfs / "app/z") == "2");
  CHECK(contents(rootfs / "c/d") == "2");  // a folder where a file was
  CHECK(image->config.command == std::vector<std::string>{"/x"});
  CHECK(image->config.user == "1000:7");
}

TEST_CASE("image: a layer cannot write through a link of another one") {
  const Files files;
  fs::create_directories(files.path("low"));
  fs::create_directories(files.path("outside"));
  fs::create_symlink(files.path("outside"), files.path("low") + "/lib");
  const std::string low = files.layer("low", {});
  const std::string high = files.layer("high", {"lib/evil=1"});
  testing::make_layout(files.path("layout"), {low, high}, "{}");

  const auto image = UnpackedImages(files.path("images")).get(files.path("layout"), "a");
  REQUIRE(image);
  CHECK(fs::is_empty(files.path("outside")));
  CHECK(contents(fs::path(image->rootfs) / "lib/evil") == "1");
}

TEST_CASE("image: it is unpacked once, and again when its file has changed") {
  const Files files;
  testing::make_layout(files.path("one"), {files.layer("a", {"version=1"})}, "{}");
  testing::make_layout(files.path("two"), {files.layer("b", {"version=2"})}, "{}");
  const auto pack = [&](const std::string& layout) {
    testing::shell("tar -cf '" + files.path("image.new") + "' -C '" + files.path(layout) + "' .");
    fs::rename(files.path("image.new"), files.path("image.tar"));
  };
  const auto version = [&](UnpackedImages& images) {
    const auto image = images.get(files.path("image.tar"), "a");
    REQUIRE(image);
    return contents(fs::path(image->rootfs) / "version");
  };
  const auto kept = [&] {
    return std::distance(fs::directory_iterator(files.path("images")), fs::directory_iterator());
  };
  pack("one");
  UnpackedImages images(files.path("images"));
  CHECK(version(images) == "1");
  CHECK(version(images) == "1");
  CHECK(kept() == 1);
  pack("two");
  CHECK(version(images) == "2");
  CHECK(kept() == 2);  // the first one may be in use
  UnpackedImages later(files.path("images"));
  CHECK(kept() == 1);
  CHECK(version(later) == "2");
}

TEST_CASE("image: an archive of docker save, and the image of that name in it") {
  const Files files;
  fs::create_directories(files.path("saved"));
  for (const char* name : {"one", "two"}) {
    const std::string layer = files.layer(name, {std::string("is=") + name});
    fs::copy_file(layer, files.path("saved") + "/" + name + ".tar");
    testing::write(files.path("saved") + "/" + name + ".json",
                   R"({"config":{"Entrypoint":["/run"],"Env":["A=1","B=x=y"]}})");
  }
  testing::write(files.path("saved") + "/manifest.json",
                 R"([{"Config":"one.json","RepoTags":["r.io/job:1"],"Layers":["one.tar"]},)"
                 R"({"Config":"two.json","RepoTags":["r.io/job:2"],"Layers":["two.tar"]}])");
  UnpackedImages images(files.path("images"));
  const auto image = images.get(files.path("saved"), "r.io/job:2");
  REQUIRE_FALSE(image);  // a folder is an image layout, or nothing
  testing::shell("tar -cf '" + files.path("saved.tar") + "' -C '" + files.path("saved") + "' .");
  const auto second = images.get(files.path("saved.tar"), "r.io/job:2");
  REQUIRE(second);
  CHECK(contents(fs::path(second->rootfs) / "is") == "two");
  CHECK(second->config.entrypoint == std::vector<std::string>{"/run"});
  CHECK(second->config.environment == Texts{{"A", "1"}, {"B", "x=y"}});

  const auto none = images.get(files.path("saved.tar"), "r.io/job:3");
  REQUIRE_FALSE(none);
  CHECK(none.error().message.find("it has no image 'r.io/job:3'") != std::string::npos);
}

TEST_CASE("image: of an image for several machines it is the one for this") {
  const Files files;
  const std::string layer = files.layer("a", {"is=ours"});
  testing::make_layout(files.path("layout"), {layer}, "{}");
#if defined(__aarch64__)
  const std::string ours = "arm64";
#else
  const std::string ours = "amd64";
#endif
  const auto entry = [](const std::string& digest, const std::string& machine) {
    return R"({"digest":"sha256:)" + digest + R"(","platform":{"os":"linux","architecture":")" +
           machine + R"("}})";
  };
  testing::write(files.path("layout") + "/blobs/sha256/" + std::string(64, 'b'),
                 R"({"manifests":[)" + entry(std::string(64, 'e'), "s390x") + "," +
                     entry(std::string(64, 'a'), ours) + "]}");
  testing::write(files.path("layout") + "/index.json",
                 R"({"manifests":[{"digest":"sha256:)" + std::string(64, 'b') + R"("}]})");
  const auto image = UnpackedImages(files.path("images")).get(files.path("layout"), "a");
  REQUIRE(image);
  CHECK(contents(fs::path(image->rootfs) / "is") == "ours");
}

TEST_CASE("image: a file that is none, or leads elsewhere, is refused and leaves nothing") {
  const Files files;
  UnpackedImages images(files.path("images"));
  const auto refused = [&](const std::string& archive) {
    const auto image = images.get(archive, "a");
    REQUIRE_FALSE(image);
    CHECK((!fs::exists(files.path("images")) || fs::is_empty(files.path("images"))));
    return image.error().message;
  };
  CHECK(refused(files.path("none.tar")).find("none.tar") != std::string::npos);
  testing::write(files.path("text.tar"), "no archive");
  CHECK(refused(files.path("text.tar")).find("text.tar") != std::string::npos);
  testing::write(files.path("layout") + "/index.json",
                 R"({"manifests":[{"digest":"sha256:../../../../etc/passwd"}]})");
  CHECK(refused(files.path("layout")).find("is no digest") != std::string::npos);
  testing::write(files.path("saved") + "/manifest.json",
                 R"([{"Config":"../../etc/passwd","Layers":[]}])");
  testing::shell("tar -cf '" + files.path("saved.tar") + "' -C '" + files.path("saved") + "' .");
  CHECK(refused(files.path("saved.tar")).find("'../../etc/passwd' is no file of it") !=
        std::string::npos);
}

TEST_CASE("image: its user is a number, or a name that it knows") {
  const Files files;
  testing::write(files.path("etc/passwd"), "root:x:0:0::/:/bin/sh\nclerk:x:1234:5678::/:/bin/sh\n");
  testing::write(files.path("etc/group"), "staff:x:50:\n");
  const auto user = [&](std::string_view name) {
    const auto found = find_user(name, files.folder.path());
    REQUIRE(found);
    return std::pair(found->uid, found->gid);
  };
  CHECK(user("") == std::pair(0u, 0u));
  CHECK(user("clerk") == std::pair(1234u, 5678u));
  CHECK(user("1234") == std::pair(1234u, 5678u));
  CHECK(user("77") == std::pair(77u, 0u));
  CHECK(user("77:8") == std::pair(77u, 8u));
  CHECK(user("clerk:staff") == std::pair(1234u, 50u));
  CHECK_FALSE(find_user("nobody", files.folder.path()));
  CHECK_FALSE(find_user("clerk:nobody", files.folder.path()));
}

}  // namespace jobmill::targets
