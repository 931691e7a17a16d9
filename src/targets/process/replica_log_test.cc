// SPDX-License-Identifier: Apache-2.0
#include "targets/process/replica_log.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "temporary_folder.h"

namespace jobmill::targets {
namespace {

constexpr std::string_view kTime = "2024-01-01T00:00:00.000Z";

std::string contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string line(std::string_view text) { return fmt::format("{} stdout {}\n", kTime, text); }

struct World {
  testing::TemporaryFolder folder;
  std::string path = folder.path() + "/mail-1.log";
  ManualClock clock;
  int told = 0;

  std::unique_ptr<OutputSink> sink(std::vector<Secret> masked = {}, LogLimits limits = {}) {
    auto log = ReplicaLog::open(path, {.now = [this] { return clock.now(); },
                                       .masked = std::move(masked),
                                       .on_written = [this] { ++told; },
                                       .limits = limits});
    REQUIRE(log);
    return ReplicaLog::sink(*log);
  }
};

// Files of a few lines each.
constexpr LogLimits kSmall{.head = 160, .part = 80};

// `count` lines of 40 bytes: four in the head, two in each part.
void write_numbered(World& world, int count) {
  const auto sink = world.sink({}, kSmall);
  for (int i = 0; i < count; ++i) {
    sink->write(OutputStream::Out, fmt::format("{:07}\n", i));
  }
}

std::string numbered(int from, int to) {
  std::string text;
  for (int i = from; i < to; ++i) text += line(fmt::format("{:07}", i));
  return text;
}

// Everything, a few bytes at a time.
std::string read_all(const std::string& path, const LogLimits& limits) {
  std::string all;
  std::uint64_t next = 0;
  for (;;) {
    const auto read = read_log(path, next, 1, limits);
    REQUIRE(read);
    if (read->text.empty()) return all;
    CHECK(std::ranges::count(read->text, '\n') <= 2);  // a line, and what is missing before it
    all += read->text;
    next = read->next;
  }
}

}  // namespace

TEST_CASE("replica log: each line has its time and stream") {
  World world;
  auto sink = world.sink();
  world.clock.advance(std::chrono::microseconds(926'999));
  sink->write(OutputStream::Out, "one\ntwo\n\nth");
  world.clock.advance(std::chrono::seconds(1));
  sink->write(OutputStream::Err, "broken\n");
  sink->write(OutputStream::Out, "ree\n");
  CHECK(contents(world.path) ==
        "2024-01-01T00:00:00.926Z stdout one\n2024-01-01T00:00:00.926Z stdout two\n"
        "2024-01-01T00:00:00.926Z stdout \n2024-01-01T00:00:01.926Z stderr broken\n"
        "2024-01-01T00:00:01.926Z stdout three\n");
  CHECK(world.told == 3);
}

TEST_CASE("replica log: a line without an end is written when its process has ended") {
  World world;
  auto sink = world.sink();
  sink->write(OutputStream::Out, "half");
  sink->write(OutputStream::Err, "of it");
  CHECK(contents(world.path).empty());
  CHECK(world.told == 0);
  sink.reset();
  CHECK(contents(world.path) == fmt::format("{0} stdout half\n{0} stderr of it\n", kTime));
  CHECK(world.told == 1);
}

TEST_CASE("replica log: several containers write one log, each under its name") {
  World world;
  auto log = ReplicaLog::open(world.path, {.now = [&] { return world.clock.now(); }});
  REQUIRE(log);
  auto main = ReplicaLog::sink(*log);
  auto proxy = ReplicaLog::sink(*log, "proxy");
  log->reset();
  main->write(OutputStream::Out, "a");
  proxy->write(OutputStream::Err, "b\n");
  main->write(OutputStream::Out, "c\n");
  CHECK(contents(world.path) == fmt::format("{0} stderr:proxy b\n{0} stdout ac\n", kTime));
}

TEST_CASE("replica log: secrets are masked, however the reads cut them") {
  World world;
  auto sink = world.sink({Secret("swordfish")});
  for (const char* piece : {"key=sword", "fish;", "sword", "fish\nswordfish\nsword"}) {
    sink->write(OutputStream::Out, piece);
  }
  sink->write(OutputStream::Err, "swordfish");
  sink.reset();
  CHECK(contents(world.path) ==
        line("key=***;***") + line("***") + line("sword") + fmt::format("{} stderr ***\n", kTime));
}

TEST_CASE("replica log: a long line becomes several, of whole characters") {
  World world;
  auto sink = world.sink();
  std::string text = "x";
  while (text.size() < 150'000) text += "\xC3\xA4";
  sink->write(OutputStream::Out, text);
  sink->write(OutputStream::Out, "end\n");
  sink.reset();
  std::string joined;
  const auto segments = log_segments(world.path);
  REQUIRE(segments);
  for (const LogSegment& segment : *segments) {
    std::ifstream file(segment.path);
    for (std::string read; std::getline(file, read);) {
      CHECK(read.size() < kLogLineBytes);
      const std::string_view part = std::string_view(read).substr(kTime.size() + 8);
      CHECK((static_cast<unsigned char>(part.front()) & 0xC0) != 0x80);
      joined += part;
    }
  }
  const bool same = joined == text + "end";
  CHECK(same);
}

TEST_CASE("replica log: a secret is masked also where a long line is cut") {
  const std::string secret = "swordfish-and-more";
  for (const std::size_t before : {65'520u, 65'530u, 65'536u}) {
    World world;
    auto sink = world.sink({Secret(secret)});
    const std::string text = std::string(before, 'x') + secret + std::string(70'000, 'y') + "\n";
    for (std::size_t at = 0; at < text.size(); at += 10'007) {
      sink->write(OutputStream::Out, std::string_view(text).substr(at, 10'007));
    }
    std::string log = contents(world.path);
    std::erase_if(log, [](char c) { return c != 'x' && c != 'y' && c != '*'; });
    const bool masked = log == std::string(before, 'x') + "***" + std::string(70'000, 'y');
    CHECK(masked);
  }
}

TEST_CASE("replica log: head and tail are kept, and what is missing between them is said") {
  World world;
  SUBCASE("all of it while there is room") {
    write_numbered(world, 8);
    CHECK(read_all(world.path, kSmall) == numbered(0, 8));
    CHECK(tail_log(world.path, 3, kSmall)->text == numbered(5, 8));
    CHECK(tail_log(world.path, 100, kSmall)->text == numbered(0, 8));
  }
  SUBCASE("then the middle goes") {
    write_numbered(world, 101);
    const std::string missing =
        fmt::format("{} jobmill {} bytes are missing here\n", kTime, 94 * 40);
    CHECK(read_all(world.path, kSmall) == numbered(0, 4) + missing + numbered(98, 101));
    CHECK(tail_log(world.path, 2, kSmall)->text == numbered(99, 101));
    CHECK(tail_log(world.path, 5, kSmall)->text == numbered(3, 4) + missing + numbered(98, 101));
    std::size_t bytes = 0;
    for (const auto& file : std::filesystem::directory_iterator(world.folder.path())) {
      bytes += file.file_size();
    }
    CHECK(bytes <= kSmall.head + 2 * kSmall.part);
  }
  SUBCASE("also for one who read a part of what went") {
    write_numbered(world, 6);
    const auto read = read_log(world.path, 0, 1u << 20, kSmall);
    CHECK(read->text == numbered(0, 6));
    write_numbered(world, 101);
    const auto next = read_log(world.path, read->next, 1u << 20, kSmall);
    CHECK(next->text.find("bytes are missing here") != std::string::npos);
    CHECK(next->text.ends_with(numbered(100, 101)));
  }
}

TEST_CASE("replica log: at least the newest 64 KiB stay, whatever came before") {
  World world;
  auto sink = world.sink();
  const std::string block = std::string(999, 'x') + "\n";
  for (int i = 0; i < 20'000; ++i) sink->write(OutputStream::Out, block);
  sink->write(OutputStream::Out, "the end\n");
  std::size_t bytes = 0;
  const auto segments = log_segments(world.path);
  REQUIRE(segments);
  for (const LogSegment& segment : *segments) bytes += segment.size;
  CHECK(bytes <= 16u << 20);
  CHECK(bytes > 12u << 20);
  const auto tail = tail_log(world.path, 65);
  CHECK(tail->text.size() > 64u << 10);
  CHECK(tail->text.ends_with("stdout the end\n"));
  CHECK(tail->text.find("missing") == std::string::npos);
}

TEST_CASE("replica log: whoever follows reads on from where he was") {
  World world;
  auto sink = world.sink();
  sink->write(OutputStream::Out, "one\n");
  auto read = read_log(world.path, 0, 1u << 20);
  CHECK(read->text == line("one"));
  CHECK(read_log(world.path, read->next, 1u << 20)->text.empty());
  CHECK(read_log(world.path, read->next, 1u << 20)->next == read->next);
  sink->write(OutputStream::Out, "two\nthree");
  read = read_log(world.path, read->next, 1u << 20);
  CHECK(read->text == line("two"));
  CHECK(tail_log(world.path, 1)->next == read->next);
  CHECK(tail_log(world.path, 0)->text.empty());
}

TEST_CASE("replica log: it goes on where another one ended") {
  World world;
  write_numbered(world, 30);
  write_numbered(world, 1);
  CHECK(tail_log(world.path, 2, kSmall)->text == numbered(29, 30) + numbered(0, 1));
}

TEST_CASE("replica log: half a line is never left behind by a full disk") {
  World world;
  auto sink = world.sink();
  sink->write(OutputStream::Out, "before\n");
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit unlimited{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &unlimited) == 0);
  rlimit limited = unlimited;
  limited.rlim_cur = 60;
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &limited) == 0);
  sink->write(OutputStream::Out, "this does not fit any more\n");
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &unlimited) == 0);
  ::signal(SIGXFSZ, SIG_DFL);
  sink->write(OutputStream::Out, "after\n");
  CHECK(contents(world.path) == line("before") + line("after"));
}

TEST_CASE("replica log: none is an error that says so, and removing takes all of it") {
  World world;
  CHECK(read_log(world.path, 0, 100).error().code == Code::NotFound);
  CHECK(tail_log(world.path, 1).error().code == Code::NotFound);
  write_numbered(world, 20);
  std::ofstream(world.path + ".note") << "of somebody else";
  remove_log(world.path);
  remove_log(world.path);
  CHECK(read_log(world.path, 0, 100).error().code == Code::NotFound);
  const std::filesystem::directory_iterator left(world.folder.path());
  CHECK(std::distance(begin(left), end(left)) == 1);
  CHECK_FALSE(ReplicaLog::open("/nonexistent/a.log", {.now = {}}));
}

}  // namespace jobmill::targets
