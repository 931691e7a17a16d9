// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <array>
#include <limits>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

#include "base/document.h"

namespace jobmill {
namespace {

// A pipe that tells what a log wrote into it.
class Pipe {
 public:
  Pipe() { REQUIRE(::pipe(ends_.data()) == 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    for (const int end : ends_) ::close(end);
  }
  int in() const { return ends_[1]; }
  std::string read() const {
    std::string text(65536, '\0');
    const ssize_t size = ::read(ends_[0], text.data(), text.size());
    REQUIRE(size >= 0);
    text.resize(static_cast<std::size_t>(size));
    return text;
  }

 private:
  std::array<int, 2> ends_{};
};

TEST_CASE("log: a line for people") {
  const ManualClock clock;
  const Pipe pipe;
  Log log(clock, {.fd = pipe.in()});
  const std::string name = "worker";
  log.info("replicas wanted",
           {{"target", name}, {"from", 0}, {"to", 5u}, {"usage", 0.8}, {"ok", true}});
  CHECK(pipe.read() ==
        "2024-01-01T00:00:00Z INFO  replicas wanted target=worker from=0 to=5 usage=0.8 ok=true\n");
}

TEST_CASE("log: a line for machines is one JSON object") {
  const ManualClock clock;
  const Pipe pipe;
  Log log(clock, {.format = LogFormat::Json, .fd = pipe.in()});
  log.error("no \"luck\"", {{"a", "x y"},
                            {"n", std::numeric_limits<std::int64_t>::min()},
                            {"nan", std::numeric_limits<double>::quiet_NaN()}});
  const auto line = parse_json(pipe.read());
  REQUIRE(line);
  CHECK(line->find("level")->as_string() == "error");
  CHECK(line->find("msg")->as_string() == "no \"luck\"");
  CHECK(line->find("a")->as_string() == "x y");
  CHECK(line->find("n")->as_int() == std::numeric_limits<std::int64_t>::min());
  CHECK(line->find("nan")->is_null());
}

TEST_CASE("log: text from outside cannot forge a line or a field") {
  const ManualClock clock;
  const Pipe pipe;
  Log log(clock, {.fd = pipe.in()});
  log.warn("first\nsecond", {{"a", "1 b=2"}, {"c", ""}, {"d", "x\ny"}});
  CHECK(pipe.read() ==
        "2024-01-01T00:00:00Z WARN  \"first\\nsecond\" a=\"1 b=2\" c=\"\" d=\"x\\ny\"\n");
}

TEST_CASE("log: what is below the level is not written") {
  const ManualClock clock;
  const Pipe pipe;
  Log log(clock, {.level = LogLevel::Warn, .fd = pipe.in()});
  log.info("quiet");
  log.warn("loud");
  CHECK(pipe.read() == "2024-01-01T00:00:00Z WARN  loud\n");
  CHECK_FALSE(Log(clock, {.level = LogLevel::Off}).enabled(LogLevel::Error));
}

TEST_CASE("log: lines of many threads stay whole") {
  const ManualClock clock;
  const Pipe pipe;
  Log log(clock, {.fd = pipe.in()});
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&log] {
        for (int n = 0; n < 50; ++n) log.info("tick", {{"text", "0123456789"}});
      });
  }
  std::string expected;
  for (int n = 0; n < 200; ++n) expected += "2024-01-01T00:00:00Z INFO  tick text=0123456789\n";
  CHECK(pipe.read() == expected);
}

TEST_CASE("log: levels and formats by name") {
  CHECK(log_level("debug") == LogLevel::Debug);
  CHECK(log_level("error") == LogLevel::Error);
  CHECK_FALSE(log_level("loud"));
  CHECK(log_format("json") == LogFormat::Json);
  CHECK_FALSE(log_format("xml"));
}

}  // namespace
}  // namespace jobmill
