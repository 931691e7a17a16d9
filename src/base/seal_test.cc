// SPDX-License-Identifier: Apache-2.0
#include "base/seal.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>
#include <sys/stat.h>

namespace jobmill {
namespace {

namespace fs = std::filesystem;

// A folder that goes with the test.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "jobmill-seal-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { fs::remove_all(path_); }
  std::string file(const char* name) const { return (path_ / name).string(); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

const Secret kKey(std::string(kSealKeyBytes, 'k'));

TEST_CASE("seal: what was sealed opens again, and looks different every time") {
  for (const std::string plain : {"", "x", "a password"}) {
    const auto sealed = seal(kKey, plain, "default/db");
    REQUIRE(sealed);
    CHECK((plain.size() < 2 || sealed->find(plain) == std::string::npos));
    CHECK(*sealed != *seal(kKey, plain, "default/db"));
    CHECK(*open_seal(kKey, *sealed, "default/db") == plain);
  }
}

TEST_CASE("seal: another key, another place or a changed byte do not open it") {
  const auto sealed = seal(kKey, "a password", "default/db");
  REQUIRE(sealed);
  const auto refused = [](const Result<std::string>& opened) {
    return !opened && opened.error().code == Code::PermissionDenied;
  };
  CHECK(refused(open_seal(Secret(std::string(kSealKeyBytes, 'j')), *sealed, "default/db")));
  CHECK(refused(open_seal(kKey, *sealed, "default/other")));
  CHECK(refused(open_seal(kKey, sealed->substr(1), "default/db")));
  CHECK(refused(open_seal(kKey, "", "default/db")));
  for (std::size_t i = 0; i < sealed->size(); ++i) {
    std::string changed = *sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    CHECK(refused(open_seal(kKey, changed, "default/db")));
  }
}

TEST_CASE("seal: a key file is made once, for its owner alone") {
  const Folder folder;
  const std::string path = folder.file("secrets.key");
  const auto made = load_or_create_key(path);
  REQUIRE(made);
  CHECK(made->reveal().size() == kSealKeyBytes);
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  CHECK(load_or_create_key(path)->equals(made->reveal()));
  CHECK(std::distance(fs::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("seal: a key file that is damaged or open to others is an error, not replaced") {
  const Folder folder;
  const std::string path = folder.file("secrets.key");
  std::ofstream(path) << "short";
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  CHECK(load_or_create_key(path).error().message.find(path) != std::string::npos);
  CHECK(fs::file_size(path) == 5);

  std::ofstream(path) << std::string(kSealKeyBytes, 'k');
  fs::permissions(path, fs::perms::owner_all | fs::perms::others_read);
  CHECK(load_or_create_key(path).error().code == Code::PermissionDenied);
}

TEST_CASE("seal: a folder that does not exist is an error with the path") {
  const auto key = load_or_create_key("/nonexistent/secrets.key");
  REQUIRE_FALSE(key);
  CHECK(key.error().message.find("/nonexistent/secrets.key") != std::string::npos);
}

}  // namespace
}  // namespace jobmill
