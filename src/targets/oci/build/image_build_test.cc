// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/image_build.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/document.h"
#include "targets/oci/build/elf.h"
#include "targets/oci/build/image_load.h"
#include "targets/oci/build/shared_libraries.h"
#include "targets/oci/image.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

void write(const std::string& path, std::string_view text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A machine with little on it, but for libraries.
struct Machine {
  testing::TemporaryFolder folder;
  std::string path(const std::string& name) const { return folder.path() + "/" + name; }
  ImageSources sources() const {
    return {.certificates = path("ca.crt"),
            .zones = path("zones"),
            .documents = path("doc"),
            .dpkg = path("dpkg"),
            .release = path("os-release")};
  }
  Machine() {
    write(path("ca.crt"), "certificates");
    write(path("zones/UTC"), "TZif");
    write(path("zones/Europe/Brussels"), "TZif");
    write(path("zones/right/UTC"), "TZif");
    write(path("zones/zone.tab"), "text");
    fs::create_symlink("Europe/Brussels", path("zones/Here"));
    write(path("os-release"), "NAME=x\nID=debian\nVERSION_ID=\"12\"\n");
  }
  // Makes packages of two of our libraries.
  void install() const {
    const auto shared = find_shared_libraries({"/proc/self/exe"}, loader_folders());
    REQUIRE(shared);
    for (const LoadedFile& library : shared->libraries) {
      if (library.name == "libc.so.6")
        write(path("dpkg/info/libc6:amd64.list"), fs::canonical(library.path).string() + "\n");
      if (library.name == "libm.so.6")  // as it was before /lib became a link
        write(path("dpkg/info/libm.list"),
              fs::canonical(library.path).string().substr(4) + "\n/other\n");
    }
    write(path("dpkg/status"),
          "Package: other\nVersion: 1\n\nPackage: libc6\nArchitecture: amd64\nSource: glibc\n"
          "Version: 1:2.36+deb\nDescription: text\n more: text\n\n"
          "Package: libm\nArchitecture: all\nVersion: 7\n");
    write(path("doc/libc6/copyright"), "free");
  }
};

ImageWish wish_for(const std::string& name = "shop/worker:1") {
  return {.programs = {"/proc/self/exe"},
          .names = {{.name = name, .entrypoint = "exe", .labels = {{"who", "shop"}}}},
          .tool = "jobmill-test"};
}

std::string contents(const fs::path& path) {
  const auto bytes = read_whole_file(path.string());
  return bytes ? *bytes : "(nothing)";
}

}  // namespace

TEST_CASE("image build: the same wish gives the same bytes, another one other digests") {
  const Machine machine;
  const auto first = build_image(wish_for(), machine.sources());
  REQUIRE_MESSAGE(first, first.error().message);
  const auto second = build_image(wish_for(), machine.sources());
  CHECK(first->bytes == second->bytes);
  CHECK(first->images.front().digest == second->images.front().digest);

  ImageWish later = wish_for();
  later.made_at = TimePoint(std::chrono::seconds(1));
  CHECK(build_image(later, machine.sources())->images.front().digest !=
        first->images.front().digest);
}

TEST_CASE("image build: what is built can be unpacked, and has all that its program needs") {
  const Machine machine;
  machine.install();
  const auto archive = build_image(wish_for(), machine.sources());
  REQUIRE(archive);
  write(machine.path("image.tar"), archive->bytes);
  UnpackedImages images(machine.path("images"));
  const auto image = images.get(machine.path("image.tar"), "docker.io/shop/worker:1");
  REQUIRE_MESSAGE(image, image.error().message);
  const fs::path rootfs = image->rootfs;

  CHECK(image->config.entrypoint == std::vector<std::string>{"/usr/bin/exe"});
  CHECK(image->config.user == "65532:65532");
  CHECK(image->config.workdir == "/data");
  CHECK(image->config.environment.at("JOBMILL_DATA") == "/data");
  CHECK(find_user("jobmill", rootfs.string())->uid == kImageUser);
  CHECK(contents(rootfs / "etc/ssl/certs/ca-certificates.crt") == "certificates");
  CHECK(contents(rootfs / "usr/share/zoneinfo/Europe/Brussels") == "TZif");
  CHECK(fs::read_symlink(rootfs / "usr/share/zoneinfo/Here") == "Europe/Brussels");
  CHECK_FALSE(fs::exists(rootfs / "usr/share/zoneinfo/right"));
  CHECK_FALSE(fs::exists(rootfs / "usr/share/zoneinfo/zone.tab"));
  CHECK(contents(rootfs / "usr/share/doc/libc6/copyright") == "free");

  const auto program = read_elf(contents(rootfs / "usr/bin/exe"));
  REQUIRE(program);
  CHECK(fs::exists(rootfs / program->interpreter.substr(1)));
  const auto shared = find_shared_libraries({"/proc/self/exe"}, loader_folders());
  const auto libc = std::ranges::find(shared->libraries, "libc.so.6", &LoadedFile::name);
  const fs::path libraries = rootfs / fs::path(libc->path).parent_path().relative_path();
  for (const LoadedFile& library : shared->libraries) {
    CAPTURE(library.name);
    CHECK(fs::is_regular_file(fs::symlink_status(libraries / library.name)));
  }
}

TEST_CASE("image build: the bill of materials names programs, packages and whose no library is") {
  const Machine machine;
  machine.install();
  const auto archive = build_image(wish_for(), machine.sources());
  write(machine.path("image.tar"), archive->bytes);
  UnpackedImages images(machine.path("images"));
  const auto image = images.get(machine.path("image.tar"), "shop/worker:1");
  REQUIRE(image);
  const auto bill =
      parse_json(contents(fs::path(image->rootfs) / "usr/share/jobmill/sbom.spdx.json"));
  REQUIRE(bill);
  CHECK(bill->find("spdxVersion")->text == "SPDX-2.3");
  CHECK(bill->find("creationInfo")->find("created")->text == "1970-01-01T00:00:00Z");
  std::map<std::string, const Node*> packages;
  for (const Node& package : bill->find("packages")->items)
    packages[package.find("name")->text] = &package;
  REQUIRE(packages.contains("libc6"));
  CHECK(packages["libc6"]->find("versionInfo")->text == "1:2.36+deb");
  CHECK(packages["libc6"]->find("externalRefs")->items[0].find("referenceLocator")->text ==
        "pkg:deb/debian/libc6@1%3A2.36%2Bdeb?arch=amd64&distro=debian-12");
  CHECK(packages["libc6"]->find("comment")->text.find("libc.so.6") != std::string::npos);
  REQUIRE(packages.contains("libm"));
  CHECK(packages["libm"]->find("versionInfo")->text == "7");
  CHECK_FALSE(packages.contains("libm.so.6"));
  CHECK_FALSE(packages.contains("other"));
  REQUIRE(packages.contains("exe"));
  CHECK(packages["exe"]->find("primaryPackagePurpose")->text == "APPLICATION");
  REQUIRE(packages.contains("libstdc++.so.6"));  // nobody's, so by its sum
  CHECK(
      packages["libstdc++.so.6"]->find("checksums")->items[0].find("checksumValue")->text.size() ==
      64);
  // Image and what it contains: each is mentioned once.
  CHECK(bill->find("relationships")->items.size() == packages.size());
}

TEST_CASE("image build: images of several names share what they have in common") {
  const Machine machine;
  ImageWish wish = wish_for("shop/one:1");
  fs::copy_file("/proc/self/exe", machine.path("two"));
  wish.programs.push_back(machine.path("two"));
  wish.names.push_back({.name = "shop/two:1", .entrypoint = "two"});
  const auto archive = build_image(wish, machine.sources());
  REQUIRE(archive);
  CHECK(archive->bytes.size() < build_image(wish_for(), machine.sources())->bytes.size() * 2);
  write(machine.path("image.tar"), archive->bytes);
  UnpackedImages images(machine.path("images"));
  for (const std::string name : {"shop/one:1", "shop/two:1", "docker.io/shop/two:1"}) {
    const auto image = images.get(machine.path("image.tar"), name);
    REQUIRE_MESSAGE(image, image.error().message);
    CHECK(image->config.entrypoint.front() ==
          (name == "shop/one:1" ? "/usr/bin/exe" : "/usr/bin/two"));
  }
}

TEST_CASE("image build: what cannot be built says why") {
  const Machine machine;
  const auto why = [](const ImageWish& wish, const ImageSources& sources) {
    const auto archive = build_image(wish, sources);
    REQUIRE_FALSE(archive);
    return archive.error().message;
  };
  const auto has = [](const std::string& text, const char* part) {
    CAPTURE(text);
    CHECK(text.find(part) != std::string::npos);
  };
  for (const char* name : {"shop", "Shop/x:1", "x:", ":1", "x:1/y", "/x:1", "x:a b", ""})
    has(why(wish_for(name), machine.sources()), "no name of an image");

  ImageWish wish = wish_for();
  wish.names.front().entrypoint = "other";
  has(why(wish, machine.sources()), "'other' is none of the programs");
  wish = wish_for();
  wish.programs.push_back("/usr/bin/exe");
  has(why(wish, machine.sources()), "two programs are named exe");
  wish.programs = {machine.path("exe")};
  has(why(wish, machine.sources()), "cannot read");
  write(machine.path("exe"), "#!/bin/sh\n");
  has(why(wish, machine.sources()), "no program or library");

  ImageSources sources = machine.sources();
  sources.certificates = machine.path("none");
  has(why(wish_for(), sources), "ca-certificates");
  sources = machine.sources();
  sources.zones = machine.path("none");
  has(why(wish_for(), sources), "tzdata");
}

TEST_CASE("image build: names are completed as engines do it") {
  CHECK(full_image_name("jobmill:1") == "docker.io/library/jobmill:1");
  CHECK(full_image_name("shop/worker:1") == "docker.io/shop/worker:1");
  CHECK(full_image_name("localhost/worker:1") == "localhost/worker:1");
  CHECK(full_image_name("registry.example:5000/worker:1") == "registry.example:5000/worker:1");
}

TEST_CASE("image load: every engine on PATH is given the archive") {
  const testing::TemporaryFolder folder;
  const auto engine = [&](const std::string& name, const std::string& script) {
    const std::string path = folder.path() + "/bin/" + name;
    write(path, "#!/bin/sh\n" + script);
    REQUIRE(::chmod(path.c_str(), 0755) == 0);
  };
  const Texts environment{{"PATH", folder.path() + "/bin"}};
  CHECK(load_image("/x.tar", environment).empty());

  const std::string log = folder.path() + "/log";
  engine("ctr", "echo \"$0 $*\" >> " + log + "\n");
  engine("podman", "echo \"$0 $*\" >> " + log + "\n");
  engine("docker", "echo the daemon does not run >&2; exit 1\n");
  const auto answers = load_image("/x.tar", environment);
  REQUIRE(answers.size() == 3);
  CHECK(answers[0].engine == "containerd");
  CHECK(answers[0].loaded);
  CHECK(answers[1].loaded);
  REQUIRE_FALSE(answers[2].loaded);
  CHECK(answers[2].loaded.error().message.find("the daemon does not run") != std::string::npos);
  const std::string bin = folder.path() + "/bin/";
  CHECK(contents(log) ==
        bin + "ctr -n k8s.io images import /x.tar\n" + bin + "podman load -i /x.tar\n");
}

}  // namespace jobmill::targets
