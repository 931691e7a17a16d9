// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/tar_writer.h"

#include <doctest/doctest.h>

#include <fstream>

#include "targets/oci/tool_run.h"
#include "targets/process/child_environment.h"
#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

// What the system's tar makes of it.
std::string listed(const std::string& bytes, const std::string& how = "-tvf") {
  const testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/x.tar";
  std::ofstream(path, std::ios::binary) << bytes;
  auto environment = inherited_environment();
  environment["TZ"] = "UTC";
  const auto out =
      tool_output({.command = {"tar", "--numeric-owner", how, path}, .environment = environment},
                  std::chrono::minutes(1));
  REQUIRE_MESSAGE(out, out.error().message);
  return *out;
}

std::string tar_of(const std::vector<TarEntry>& entries, std::int64_t made_at = 0) {
  TarWriter tar(made_at);
  for (const TarEntry& entry : entries) REQUIRE(tar.add(entry));
  return std::move(tar).finish();
}

}  // namespace

TEST_CASE("tar: what is written is what tar reads") {
  const std::string bytes =
      tar_of({{.path = "a", .kind = TarEntry::Kind::Folder, .mode = 01777},
              {.path = "a/b", .mode = 0755, .owner = 65532, .content = "hi"},
              {.path = "a/c", .kind = TarEntry::Kind::Link, .mode = 0777, .content = "b"}},
             1'700'000'000);
  CHECK(bytes.size() % 10240 == 0);
  CHECK(listed(bytes) ==
        "drwxrwxrwt 0/0               0 2023-11-14 22:13 a/\n"
        "-rwxr-xr-x 65532/65532       2 2023-11-14 22:13 a/b\n"
        "lrwxrwxrwx 0/0               0 2023-11-14 22:13 a/c -> b\n");
}

TEST_CASE("tar: a long path is split, and refused where it cannot be") {
  const std::string folder(120, 'd');
  const std::string file(90, 'f');
  CHECK(listed(tar_of({{.path = folder + "/" + file}}), "-tf") == folder + "/" + file + "\n");
  const std::string exact(100, 'e');
  CHECK(listed(tar_of({{.path = exact}}), "-tf") == exact + "\n");
  TarWriter tar(0);
  CHECK_FALSE(tar.add({.path = std::string(101, 'x')}));
  CHECK_FALSE(tar.add({.path = std::string(156, 'd') + "/" + file}));
  CHECK_FALSE(
      tar.add({.path = "l", .kind = TarEntry::Kind::Link, .content = std::string(101, 'x')}));
}

TEST_CASE("tar: gzip writes the same bytes each time, and tar reads them") {
  const std::string tar = tar_of({{.path = "a", .content = std::string(100'000, 'x')}});
  const auto packed = gzip(tar);
  REQUIRE(packed);
  CHECK(*packed == *gzip(tar));
  CHECK(packed->size() < tar.size() / 100);
  CHECK(packed->substr(4, 4) == std::string(4, '\0'));  // the time
  CHECK(listed(*packed, "-tzf") == "a\n");
}

}  // namespace jobmill::targets
