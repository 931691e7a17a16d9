// SPDX-License-Identifier: Apache-2.0
#include "targets/process/log_segments.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <optional>
#include <system_error>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPartsKept = 2;

Fault io_error(std::string_view what, const std::string& path) {
  const int error = errno;
  const Code code = error == ENOSPC || error == EDQUOT ? Code::Exhausted
                    : error == ENOENT                  ? Code::NotFound
                                                       : Code::Internal;
  return fail(code,
              fmt::format("cannot {} {} ({})", what, path, std::generic_category().message(error)));
}

std::string name_of(const std::string& path, std::uint64_t start) {
  return start == 0 ? path : fmt::format("{}.{}", path, start);
}

std::optional<std::uint64_t> start_in(std::string_view file, std::string_view head) {
  if (!file.starts_with(head) || file.size() < head.size() + 2 || file[head.size()] != '.')
    return {};
  const std::string_view digits = file.substr(head.size() + 1);
  std::uint64_t start = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), start);
  if (error != std::errc() || end != digits.end() || start == 0) return {};
  return start;
}

// Ascending.
std::vector<std::uint64_t> starts_of_parts(const std::string& path) {
  const fs::path head(path);
  std::vector<std::uint64_t> starts;
  std::error_code error;  // a folder that cannot be listed has none for us
  for (const auto& entry : fs::directory_iterator(head.parent_path(), error)) {
    const auto start = start_in(entry.path().filename().string(), head.filename().string());
    if (start) starts.push_back(*start);
  }
  std::ranges::sort(starts);
  return starts;
}

Result<std::uint64_t> size_of(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return io_error("read", path);
  return static_cast<std::uint64_t>(info.st_size);
}

// The head is full when the longest line might not fit. Before that nobody need look for more.
bool full(std::uint64_t head, const LogLimits& limits) {
  return head + kLogLineBytes > limits.head;
}

}  // namespace

Result<LogSegments> LogSegments::open(std::string path, LogLimits limits) {
  LogSegments log(std::move(path), limits);
  log.parts_ = starts_of_parts(log.path_);
  TRY_VOID(log.use(log.parts_.empty() ? 0 : log.parts_.back()));
  return log;
}

Status LogSegments::use(std::uint64_t start) {
  const std::string name = name_of(path_, start);
  Fd fd(::open(name.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) return io_error("open", name);
  fd_ = std::move(fd);
  start_ = start;
  size_ = static_cast<std::size_t>(info.st_size);
  return {};
}

std::size_t LogSegments::room() const {
  const std::size_t limit = start_ == 0 ? limits_.head : limits_.part;
  return limit - std::min(limit, size_);
}

Status LogSegments::write(std::string_view lines) {
  while (!lines.empty()) {
    std::size_t fits = lines.size();
    if (fits > room()) {
      const std::size_t last = room() == 0 ? std::string_view::npos : lines.rfind('\n', room() - 1);
      fits = last == std::string_view::npos ? 0 : last + 1;
    }
    if (fits == 0 && size_ > 0) {
      TRY_VOID(next());
      continue;
    }
    if (fits == 0) fits = lines.find('\n') + 1;  // larger than a file: kept whole all the same
    TRY_VOID(append(lines.substr(0, fits)));
    lines.remove_prefix(fits);
  }
  return {};
}

Status LogSegments::next() {
  TRY_VOID(use(start_ + size_));
  parts_.push_back(start_);
  while (parts_.size() > kPartsKept) {
    ::unlink(name_of(path_, parts_.front()).c_str());
    parts_.erase(parts_.begin());
  }
  return {};
}

// Half a line would be taken for the beginning of the next one, so it is all or nothing.
Status LogSegments::append(std::string_view lines) {
  std::size_t written = 0;
  while (written < lines.size()) {
    const ssize_t count = ::write(fd_.get(), lines.data() + written, lines.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      const Fault fault = io_error("write to", name_of(path_, start_));
      (void)!::ftruncate(fd_.get(), static_cast<off_t>(size_));
      return fault;
    }
    written += static_cast<std::size_t>(count);
  }
  size_ += lines.size();
  return {};
}

Result<std::vector<LogSegment>> log_segments(const std::string& path, const LogLimits& limits) {
  TRY(const std::uint64_t head, size_of(path));
  std::vector<LogSegment> segments{{.path = path, .start = 0, .size = head}};
  if (!full(head, limits)) return segments;
  for (const std::uint64_t start : starts_of_parts(path)) {
    const std::string name = name_of(path, start);
    // One that was deleted meanwhile is part of what is missing.
    if (const auto size = size_of(name)) segments.push_back({name, start, *size});
  }
  return segments;
}

void remove_log(const std::string& path) {
  for (const std::uint64_t start : starts_of_parts(path)) {
    ::unlink(name_of(path, start).c_str());
  }
  ::unlink(path.c_str());
}

}  // namespace jobmill::targets
