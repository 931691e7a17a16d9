// SPDX-License-Identifier: Apache-2.0
//
//   scale_bench spawn --data DIR [--times N]   from a decision to a running process
//   scale_bench objects [--objects N]          the autoscaler when it has much to watch
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "base/clock.h"
#include "base/log.h"
#include "manifest/catalog.h"
#include "measure.h"
#include "net/event_loop.h"
#include "scale/autoscaler.h"
#include "targets/process/process_target.h"

namespace {

using namespace jobmill;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

double millis(Steady::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

// --- spawn --------------------------------------------------------------------------------------

// The replica: says when it began, by the clock that all processes share, and waits for its end.
int be_a_replica() {
  fmt::print("{}\n", Steady::now().time_since_epoch().count());
  std::fflush(stdout);
  for (;;) ::pause();
}

class Spawner {
 public:
  explicit Spawner(std::string folder) : folder_(std::move(folder)) {}

  struct Times {
    double started = 0;     // the process exists
    double first_line = 0;  // it runs, and has written a line
  };

  Times once() {
    const auto decided = Steady::now();
    target_.scale_to(1);
    run_until([this] { return target_.replicas().at(0).pid != 0; });
    const auto started = Steady::now();
    const std::string replica = target_.replicas().at(0).name;
    run_until([&] { return first_line(replica).has_value(); });
    const Times times{millis(started - decided), millis(*first_line(replica) - decided)};
    target_.scale_to(0);
    run_until([this] { return target_.empty(); });
    return times;
  }

 private:
  // The loop's thread is this one, as children end with the thread that started them.
  void run_until(const std::function<bool()>& come_true) {
    std::stop_source over;
    std::function<void()> look = [&] {
      if (come_true())
        over.request_stop();
      else
        loop_.run_after(200us, look);
    };
    look();
    if (!over.stop_requested()) loop_.run(over.get_token());
  }

  std::optional<Steady::time_point> first_line(const std::string& replica) const {
    std::ifstream log(fmt::format("{}/bench/{}.log", folder_, replica));
    std::string line;
    if (!std::getline(log, line) || log.eof()) return std::nullopt;  // eof: without its end
    return Steady::time_point(Steady::duration(std::stoll(line)));
  }

  targets::ProcessDefinition definition() const {
    targets::ProcessDefinition definition;
    definition.deployment.key = {"Deployment", "default", "bench"};
    definition.deployment.containers.emplace_back();
    definition.command = {std::filesystem::read_symlink("/proc/self/exe"), "replica"};
    return definition;
  }

  targets::ProcessTargetHooks hooks() {
    return {.now = [this] { return clock_.now(); },
            .run_after =
                [this](Duration delay, std::function<void()> work) {
                  loop_.run_after(delay, std::move(work));
                },
            .set_worker_state = [](const std::string&, bool,
                                   const std::function<void(Status)>& done) { done({}); },
            .read_workers = [this] { target_.workers_changed({}); },
            .worker_died = [](const std::string&, const targets::ProcessExit&, bool) {},
            .environment = [](const std::string&) { return targets::Texts(); },
            .replica_gone = [](const std::string&) {},
            .changed = [] {}};
  }

  const std::string folder_;
  SystemClock clock_;
  Log log_{clock_, {.level = LogLevel::Warn}};
  net::EventLoop loop_;
  manifest::Catalog catalog_;
  targets::Cgroups cgroups_;
  targets::ProcessWatcher watcher_{
      [this](std::function<void()> work) { loop_.post(std::move(work)); }};
  targets::ProcessTarget target_{definition(),
                                 {.hooks = hooks(),
                                  .catalog = catalog_,
                                  .watcher = watcher_,
                                  .cgroups = cgroups_,
                                  .log = log_,
                                  .log_folder = folder_,
                                  .drain_limit = {}}};
};

void measure_spawn(const std::string& folder, int times) {
  Spawner spawner(folder);
  std::vector<double> started, first_line;
  for (int i = 0; i < times; ++i) {
    const auto [start, line] = spawner.once();
    started.push_back(start);
    first_line.push_back(line);
  }
  bench::report("scale.spawn_p50_ms", bench::median(started));
  bench::report("scale.first_line_p50_ms", bench::median(first_line));
}

// --- objects ------------------------------------------------------------------------------------

// Idle ScaledObjects, each with one trigger that is polled every 30 s and answers 0 at once. The
// autoscaler is driven as the server drives it, one thought per event, in a minute of its own time:
// what it takes of our CPU is what it would take of one core. The polls themselves are not in it.
class IdleObjects {
 public:
  explicit IdleObjects(int count) {
    for (int i = 0; i < count; ++i) put(i, count);
    run_for(5s);
  }

  void run_for(Duration time) {
    for (const TimePoint end = clock_.now() + time;;) {
      if (!next_ || *next_ > end) return clock_.set(end);
      if (*next_ > clock_.now()) clock_.set(*next_);
      tick();
    }
  }

 private:
  using Autoscaler = scale::Autoscaler;

  // Spread over the interval, as objects that were applied one after the other are.
  void put(int number, int count) {
    scale::ScaledObjectSpec spec;
    spec.key = {"ScaledObject", "default", fmt::format("object-{}", number)};
    spec.target.name = fmt::format("deployment-{}", number);
    scale::MetricSpec metric;
    metric.name = "s0-metric-api-count";
    metric.target_milli = 1000;
    autoscaler_.put(spec, {.generation = 1, .created = clock_.now(), .last_active = {}},
                    {{.type = "metrics-api", .name = "", .metric = metric}}, clock_.now());
    autoscaler_.replicas(spec.key, Autoscaler::Replicas{}, clock_.now());
    tick();
    clock_.advance(Duration(30s) / count);
  }

  // Each answer comes by itself, and is thought about by itself.
  void tick() {
    auto pending = think();
    while (!pending.empty()) {
      const Autoscaler::Read read = std::move(pending.back());
      pending.pop_back();
      autoscaler_.sample(read, scale::Sample{}, clock_.now());
      for (auto& more : think()) pending.push_back(std::move(more));
    }
  }

  std::vector<Autoscaler::Read> think() {
    auto reads = autoscaler_.tick(clock_.now()).reads;
    next_ = autoscaler_.next();
    return reads;
  }

  ManualClock clock_;
  Autoscaler autoscaler_;
  std::optional<TimePoint> next_;  // as the server's timer
};

void measure_objects(int objects) {
  constexpr Duration kTime = 10s;
  IdleObjects idle(objects);
  const bench::CpuClock cpu;
  const bench::Stopwatch watch(cpu);
  idle.run_for(kTime);
  bench::report("scale.objects10k_cpu_pct",
                100 * watch.cpu_micros() / static_cast<double>(kTime.count()));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if (what == "replica") return be_a_replica();
  const bench::Flags flags(argc, argv, 2);
  if (what == "spawn")
    measure_spawn(flags.text("--data"), flags.number("--times", 20));
  else if (what == "objects")
    measure_objects(flags.number("--objects", 10'000));
  else
    bench::give_up("one of: spawn, objects");
}
