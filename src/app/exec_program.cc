// SPDX-License-Identifier: Apache-2.0
#include "app/exec_program.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace jobmill::app {
namespace {

using targets::Process;

constexpr std::size_t kLongestLine = 64u << 10;      // of a job's log
constexpr std::size_t kLongestMessage = 512u << 10;  // a result of the largest size, as JSON

constexpr int kRestReads = 64;  // 1 MiB, the largest pipe

// In milliseconds, rounded up; -1: for ever.
int time_until(std::optional<ExecProgram::Instant> until) {
  if (!until) return -1;
  const auto left =
      std::chrono::ceil<std::chrono::milliseconds>(*until - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 3'600'000));
}

}  // namespace

Result<std::unique_ptr<ExecProgram>> ExecProgram::start(const std::vector<std::string>& command,
                                                        const targets::Texts& environment,
                                                        Listener listener) {
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail(Code::Exhausted, "there are no more file descriptors");
  TRY(Process process, Process::start({.command = command,
                                       .environment = environment,
                                       .with_stdin = true,
                                       .with_channel = listener.channel != nullptr}));
  return std::unique_ptr<ExecProgram>(
      new ExecProgram(std::move(process), std::move(wake), std::move(listener)));
}

ExecProgram::ExecProgram(Process process, Fd wake, Listener listener)
    : process_(std::move(process)), wake_(std::move(wake)), in_(process_.take_stdin()) {
  streams_.emplace_back(process_.take_stdout(), std::move(listener.out),
                        listener.out_is_messages ? kLongestMessage : kLongestLine);
  streams_.emplace_back(process_.take_stderr(), std::move(listener.err), kLongestLine);
  streams_.back().tail = &errors_;
  if (listener.channel)
    streams_.emplace_back(process_.take_channel(), std::move(listener.channel), kLongestMessage);
}

void ExecProgram::write(std::string_view text) { pending_ += text; }

void ExecProgram::close_input() { closing_ = true; }

void ExecProgram::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);  // full: it is awake
}

void ExecProgram::wait(std::optional<Instant> until) {
  send();
  std::vector<pollfd> polled{{process_.pidfd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  for (const Stream& stream : streams_) polled.push_back({stream.fd.get(), POLLIN, 0});
  if (in_ && !pending_.empty()) polled.push_back({in_.get(), POLLOUT, 0});
  if (::poll(polled.data(), polled.size(), time_until(until)) <= 0) return;
  if (polled[0].revents != 0) ended_ = true;
  if (polled[1].revents != 0) {
    std::uint64_t count = 0;
    (void)!::read(wake_.get(), &count, sizeof count);
  }
  for (std::size_t i = 0; i < streams_.size(); ++i)
    if (polled[i + 2].revents != 0) read_some(streams_[i]);
  send();
}

// What its end has closed takes no more: it may ignore its input.
void ExecProgram::send() {
  while (in_ && !pending_.empty()) {
    const ssize_t sent = ::write(in_.get(), pending_.data(), pending_.size());
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return in_.close();
    pending_.erase(0, static_cast<std::size_t>(sent));
  }
  if (closing_) in_.close();
}

// False: there is nothing now.
bool ExecProgram::read_some(Stream& stream) {
  std::array<char, 16u << 10> buffer;
  if (!stream.fd) return false;
  const ssize_t got = ::read(stream.fd.get(), buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return true;
  if (got < 0 && errno == EAGAIN) return false;
  if (got <= 0) {
    stream.fd.close();
    return false;
  }
  const std::string_view text(buffer.data(), static_cast<std::size_t>(got));
  if (stream.tail != nullptr) stream.tail->append(text);
  stream.cutter.feed(text, stream.use);
  return true;
}

targets::ProcessExit ExecProgram::finish() {
  targets::ProcessExit exit = process_.reap();
  ended_ = true;
  for (Stream& stream : streams_) {
    // As much as a pipe holds: somebody who left its group may write on for ever.
    for (int reads = 0; reads < kRestReads && read_some(stream); ++reads) {
    }
    stream.cutter.finish(stream.use);
  }
  exit.detail = errors_.text();
  return exit;
}

}  // namespace jobmill::app
