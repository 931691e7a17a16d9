// SPDX-License-Identifier: Apache-2.0
#include "base/key_file.h"

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace jobmill {
namespace {

constexpr std::size_t kLongest = 64 * 1024;

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_;
};

Fault system_error(const std::string& path) {
  return fail(Code::Internal, path + ": " + std::generic_category().message(errno));
}

Result<Secret> read_key(const std::string& path) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return system_error(path);
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return system_error(path);
  if ((info.st_mode & 077) != 0)
    return fail(Code::PermissionDenied, path + ": others may read this key; chmod 600 it");
  std::string text(kLongest + 1, '\0');
  const ssize_t size = ::read(file.fd(), text.data(), text.size());
  if (size < 0) return system_error(path);
  if (size > static_cast<ssize_t>(kLongest))
    return fail(Code::Internal, path + ": too long for a key");
  text.resize(static_cast<std::size_t>(size));
  return Secret(std::move(text));
}

Status write_new(const std::string& path, const Secret& key) {
  const File file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open()) return system_error(path);
  const std::string& text = key.reveal();
  const ssize_t written = ::write(file.fd(), text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size()) || ::fsync(file.fd()) != 0)
    return system_error(path);
  return {};
}

Status sync_folder(const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const File file(
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.is_open() || ::fsync(file.fd()) != 0) return system_error(path);
  return {};
}

// Written aside and linked into place, so that the name never shows half a key: not to a process
// that starts at the same time, not after a crash. Whoever links first wins.
Status create_key(const std::string& path, const Secret& key) {
  const std::string aside = path + ".new." + std::to_string(::getpid());
  ::unlink(aside.c_str());  // of a dead process that had our id
  auto done = write_new(aside, key);
  if (done && ::link(aside.c_str(), path.c_str()) != 0 && errno != EEXIST)
    done = system_error(path);
  ::unlink(aside.c_str());
  if (!done) return done;
  return sync_folder(path);
}

}  // namespace

Result<Secret> open_key_file(const std::string& path, const std::function<Secret()>& make) {
  if (::access(path.c_str(), F_OK) != 0) TRY_VOID(create_key(path, make()));
  return read_key(path);
}

}  // namespace jobmill
