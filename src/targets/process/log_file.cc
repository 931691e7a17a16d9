// SPDX-License-Identifier: Apache-2.0
#include "targets/process/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

Fault io_error(std::string_view what, const std::string& path) {
  const int error = errno;
  const Code code = error == ENOSPC || error == EDQUOT ? Code::Exhausted : Code::Internal;
  return fail(code,
              fmt::format("cannot {} {} ({})", what, path, std::generic_category().message(error)));
}

}  // namespace

void Tail::append(std::string_view text) {
  if (text.size() > bytes_) text.remove_prefix(text.size() - bytes_);
  text_.append(text);
  // Cut seldom, so that a byte is moved once and not with every line.
  if (text_.size() > 2 * bytes_) text_.erase(0, text_.size() - bytes_);
}

std::string Tail::text() const {
  return text_.size() <= bytes_ ? text_ : text_.substr(text_.size() - bytes_);
}

Result<LogFile> LogFile::open(std::string path, Limits limits) {
  LogFile file(std::move(path), limits);
  TRY_VOID(file.reopen());
  return file;
}

Status LogFile::reopen() {
  fd_ = Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  struct stat info {};
  if (!fd_ || ::fstat(fd_.get(), &info) != 0) return io_error("open", path_);
  size_ = static_cast<std::size_t>(info.st_size);
  return {};
}

Status LogFile::write(std::string_view text) {
  if (!fd_) TRY_VOID(reopen());
  if (size_ > 0 && size_ + text.size() > limits_.bytes) TRY_VOID(rotate());
  while (!text.empty()) {
    const ssize_t written = ::write(fd_.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return io_error("write to", path_);
    size_ += static_cast<std::size_t>(written);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Status LogFile::rotate() {
  fd_.close();
  const auto name = [&](int n) { return n == 0 ? path_ : fmt::format("{}.{}", path_, n); };
  if (limits_.keep == 0) ::unlink(path_.c_str());
  for (int n = limits_.keep; n > 0; --n) {
    // One that is missing is no error: there were fewer so far.
    if (std::rename(name(n - 1).c_str(), name(n).c_str()) != 0 && errno != ENOENT) {
      return io_error("rename", name(n - 1));
    }
  }
  return reopen();
}

}  // namespace jobmill::targets
