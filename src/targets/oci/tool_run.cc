// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/tool_run.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

#include <fmt/format.h>

namespace jobmill::targets {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t kKept = 1u << 20;
constexpr std::size_t kShown = 500;  // of its stderr in a message

// Returns whether there may be more later.
bool read_some(Fd& from, std::string& text) {
  std::array<char, 16u << 10> buffer;
  for (;;) {
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return true;
    if (got <= 0) return false;
    const auto room = kKept - std::min(kKept, text.size());
    text.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
  }
}

int milliseconds_until(Steady::time_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Steady::now());
  return static_cast<int>(std::max<std::chrono::milliseconds::rep>(0, left.count()));
}

std::string trimmed(std::string text) {
  if (text.size() > kShown) text.erase(0, text.size() - kShown);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

}  // namespace

Result<ToolRun> run_tool(const ProcessSpec& spec, Duration limit) {
  TRY(Process process, Process::start(spec));
  ToolRun run;
  Fd out = process.take_stdout();
  Fd err = process.take_stderr();
  const auto end = Steady::now() + limit;
  for (;;) {
    std::array<pollfd, 3> waits{
        {{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}, {process.pidfd(), POLLIN, 0}}};
    const int left = milliseconds_until(end);
    if (left == 0)
      return fail(Code::Unavailable,
                  fmt::format("'{}' did not end in time", fmt::join(spec.command, " ")));
    ::poll(waits.data(), waits.size(), left);
    if (out && !read_some(out, run.out)) out.close();
    if (err && !read_some(err, run.err)) err.close();
    // What it wrote before its end was in the pipes when the end was seen, and has been read now;
    // who else holds them open is of no interest.
    if (waits[2].revents != 0) break;
  }
  if (out) read_some(out, run.out);
  if (err) read_some(err, run.err);
  run.exit = process.reap();
  return run;
}

Result<std::string> tool_output(const ProcessSpec& spec, Duration limit) {
  TRY(ToolRun run, run_tool(spec, limit));
  if (run.ok()) return std::move(run.out);
  return fail(Code::Unavailable, fmt::format("{} failed ({}): {}", spec.command.front(),
                                             describe(run.exit), trimmed(std::move(run.err))));
}

}  // namespace jobmill::targets
