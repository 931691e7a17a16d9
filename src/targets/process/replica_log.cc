// SPDX-License-Identifier: Apache-2.0
#include "targets/process/replica_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"

namespace jobmill::targets {
namespace {

constexpr std::size_t kLineBytes = 64u << 10;  // of text, without time and stream
constexpr std::size_t kNameBytes = 63;         // of a container; a valid one has no more

// All of the same length, so that columns stay columns.
std::string time_stamp(TimePoint at) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  std::string text = format_instant(seconds);
  text.pop_back();  // the Z
  return fmt::format("{}.{:03}Z", text,
                     std::chrono::floor<std::chrono::milliseconds>(at - seconds).count());
}

// The largest length up to `limit` that does not cut a character in two.
std::size_t character_end(std::string_view text, std::size_t limit) {
  std::size_t end = limit;
  while (end > 0 && limit - end < 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return end > 0 ? end : limit;
}

}  // namespace

// --- writing -----------------------------------------------------------------------------------

class ReplicaLog::Sink final : public OutputSink {
 public:
  Sink(std::shared_ptr<ReplicaLog> log, std::string_view container) : log_(std::move(log)) {
    const std::string suffix =
        container.empty() ? "" : fmt::format(":{}", container.substr(0, kNameBytes));
    lines_[0].stream = "stdout" + suffix;
    lines_[1].stream = "stderr" + suffix;
  }

  ~Sink() override {
    std::string out;
    const std::string time = time_stamp(log_->options_.now());
    for (Line& line : lines_) {
      if (!line.begun.empty()) end_line(line, time, out);
    }
    if (!out.empty()) log_->write(out);
  }

  void write(OutputStream stream, std::string_view text) override {
    Line& line = lines_[static_cast<std::size_t>(stream)];
    std::string out;
    const std::string time = time_stamp(log_->options_.now());
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      line.begun.append(text.substr(0, end));
      if (end == std::string_view::npos) break;
      end_line(line, time, out);
      text.remove_prefix(end + 1);
    }
    if (line.begun.size() > kLineBytes + log_->masks_.longest()) {
      split(line, log_->masks_.longest(), time, out);
    }
    if (!out.empty()) log_->write(out);
  }

 private:
  struct Line {
    std::string stream;
    std::string begun;  // its end has not come yet
  };

  static void put(const Line& line, const std::string& time, std::string_view text,
                  std::string& out) {
    fmt::format_to(std::back_inserter(out), "{} {} {}\n", time, line.stream, text);
  }

  void end_line(Line& line, const std::string& time, std::string& out) {
    split(line, 0, time, out);
    put(line, time, line.begun, out);
    line.begun.clear();
  }

  // Puts out what is too long for one line, but not the last bytes, in which a secret may have
  // begun.
  void split(Line& line, std::size_t held_back, const std::string& time, std::string& out) {
    log_->masks_.apply(line.begun);
    std::string_view rest = line.begun;
    while (rest.size() > kLineBytes + held_back) {
      const std::size_t end = character_end(rest, kLineBytes);
      put(line, time, rest.substr(0, end), out);
      rest.remove_prefix(end);
    }
    line.begun.erase(0, line.begun.size() - rest.size());
  }

  const std::shared_ptr<ReplicaLog> log_;
  std::array<Line, 2> lines_;  // by OutputStream
};

ReplicaLog::ReplicaLog(LogSegments file, Options options)
    : file_(std::move(file)), options_(std::move(options)), masks_(options_.masked) {}

Result<std::shared_ptr<ReplicaLog>> ReplicaLog::open(const std::string& path, Options options) {
  TRY(auto file, LogSegments::open(path, options.limits));
  return std::shared_ptr<ReplicaLog>(new ReplicaLog(std::move(file), std::move(options)));
}

std::unique_ptr<OutputSink> ReplicaLog::sink(std::shared_ptr<ReplicaLog> log,
                                             std::string_view container) {
  return std::make_unique<Sink>(std::move(log), container);
}

// A log that cannot be written (a full disk) must not stop the process that writes it.
void ReplicaLog::write(const std::string& lines) {
  (void)file_.write(lines);
  if (options_.on_written) options_.on_written();
}

// --- reading -----------------------------------------------------------------------------------

namespace {

// Up to `bytes` of a file; fewer where it ends. Nothing of a file that was deleted.
std::string read_at(const std::string& path, std::uint64_t offset, std::size_t bytes) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(bytes, '\0');
  std::size_t got = 0;
  while (fd && got < bytes) {
    const ssize_t count =
        ::pread(fd.get(), text.data() + got, bytes - got, static_cast<off_t>(offset + got));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    got += static_cast<std::size_t>(count);
  }
  text.resize(got);
  return text;
}

// As many whole lines as `bytes` holds, but at least one. The last line of a file may be half
// written.
std::string lines_at(const LogSegment& segment, std::uint64_t offset, std::size_t bytes) {
  std::string text = read_at(segment.path, offset - segment.start, std::max(bytes, kLogLineBytes));
  std::size_t last = text.rfind('\n', bytes == 0 ? 0 : bytes - 1);
  if (last == std::string::npos) last = text.find('\n');
  text.resize(last == std::string::npos ? 0 : last + 1);
  return text;
}

// Its time is that of the line after it.
std::string missing_line(std::uint64_t bytes, std::string_view after) {
  return fmt::format("{} jobmill {} bytes are missing here\n", after.substr(0, after.find(' ')),
                     bytes);
}

std::uint64_t position_before(const std::vector<LogSegment>& segments, std::uint64_t offset,
                              bool& inside_line) {
  std::uint64_t position = 0;
  inside_line = false;
  for (const LogSegment& segment : segments) {
    if (segment.start > offset) break;
    position = std::min(offset, segment.end());
    inside_line = position != segment.start && position != segment.end();
  }
  return position;
}

// Begins at `from`, or with the next line when that is inside one.
Result<LogRead> read_to_end(const std::string& path, std::uint64_t from, bool inside_line,
                            const LogLimits& limits) {
  LogRead all{.text = {}, .next = from};
  for (;;) {
    TRY(const LogRead part, read_log(path, all.next, 1u << 20, limits));
    if (part.text.empty()) break;
    all.text += part.text;
    all.next = part.next;
  }
  if (inside_line) all.text.erase(0, all.text.find('\n') + 1);
  return all;
}

// The text's last lines begin here.
std::size_t last_lines(std::string_view text, std::size_t lines) {
  std::size_t at = text.size();
  for (; lines > 0 && at > 0; --lines) {
    const std::size_t before = at < 2 ? std::string_view::npos : text.rfind('\n', at - 2);
    at = before == std::string_view::npos ? 0 : before + 1;
  }
  return at;
}

}  // namespace

Result<LogRead> read_log(const std::string& path, std::uint64_t offset, std::size_t max_bytes,
                         const LogLimits& limits) {
  TRY(const auto segments, log_segments(path, limits));
  LogRead read{.text = {}, .next = offset};
  for (const LogSegment& segment : segments) {
    if (segment.end() <= read.next) continue;
    if (!read.text.empty() && read.text.size() >= max_bytes) break;
    const std::uint64_t from = std::max(read.next, segment.start);
    const std::string lines = lines_at(segment, from, max_bytes - read.text.size());
    if (lines.empty()) break;
    if (from > read.next) read.text += missing_line(from - read.next, lines);
    read.text += lines;
    read.next = from + lines.size();
    if (read.next < segment.end()) break;
  }
  return read;
}

Result<LogRead> tail_log(const std::string& path, std::size_t lines, const LogLimits& limits) {
  TRY(const auto segments, log_segments(path, limits));
  const std::uint64_t end = segments.back().end();
  for (std::uint64_t window = kLogLineBytes;; window *= 4) {
    bool inside_line = false;
    const std::uint64_t from = position_before(segments, end - std::min(end, window), inside_line);
    TRY(LogRead read, read_to_end(path, from, inside_line, limits));
    const std::size_t first = last_lines(read.text, lines);
    if (first == 0 && from > 0) continue;  // perhaps too few
    read.text.erase(0, first);
    return read;
  }
}

}  // namespace jobmill::targets
