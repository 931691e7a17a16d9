// SPDX-License-Identifier: Apache-2.0
//
// The example application: sample jobs that can be scheduled by URL, and workers that run them.
//
//   jobmill-example web      the page that schedules sample jobs, on port 8080; and a control
//   server
//                            inside it, unless JOBMILL_URL names one
//   jobmill-example worker   runs the jobs on 4 slots
#include <array>
#include <charconv>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>

#include <fmt/core.h>

#include "api/problem.h"
#include "app/api_client.h"
#include "app/command_line.h"
#include "app/config.h"
#include "app/serve.h"
#include "app/signals.h"
#include "base/document.h"
#include "base/duration.h"
#include "base/thread_pool.h"
#include "http/server.h"
#include "jobmill/jobs.h"
#include "jobmill/server.h"
#include "net/event_loop.h"
#include "sample_request.h"

namespace {

using jobmill::app::Arguments;
using jobmill::app::Command;
using jobmill::app::complain;
using jobmill::app::environment;
using jobmill::app::Flag;

// --- the job ------------------------------------------------------------------------------------

// In how many parts its work is told.
constexpr int kParts = 10;

// Whether the time has passed without the token firing.
bool rest(std::chrono::milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any over;
  std::unique_lock lock(mutex);
  over.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

// Takes its time, and gives up at once when it is cancelled or its worker must go.
void run_sample(jobmill::Context& context, std::string name, std::int64_t execution_time_ms) {
  context.log(fmt::format("{} begins and takes {} ms", name, execution_time_ms));
  std::int64_t passed = 0;
  for (int part = 1; part <= kParts; ++part) {
    const std::int64_t until =
        execution_time_ms / kParts * part + execution_time_ms % kParts * part / kParts;
    if (!rest(std::chrono::milliseconds(until - passed), context.stop))
      throw std::runtime_error("cancelled before it was done");
    passed = until;
    context.progress(part, kParts);
  }
  context.log(fmt::format("{} is done", name));
}

inline constexpr jobmill::Job<"example.sample", run_sample> Sample{
    {.labels = "n:{i}", .name = "{0}"}};

bool in_pod() { return !environment("KUBERNETES_SERVICE_HOST").empty(); }

// A control server, or none but what this process is itself.
std::string server_url() { return environment("JOBMILL_URL"); }
// PostgreSQL, where control servers and workers meet.
std::string database_url() { return environment("DATABASE_URL"); }

// --- web ----------------------------------------------------------------------------------------

jobmill::http::Response refusal(int status, std::string_view code, std::string detail,
                                std::string parameter = {}) {
  return jobmill::api::to_response(jobmill::api::Problem{.status = status,
                                                         .code = code,
                                                         .detail = std::move(detail),
                                                         .parameter = std::move(parameter),
                                                         .errors = {},
                                                         .job_id = {}});
}

// All jobs by one request and in one transaction: all of them, or none.
jobmill::http::Response schedule(jobmill::Client& client, const jobmill::http::Request& request) {
  const auto wish = example::parse_sample_request(request);
  if (!wish.ok()) return refusal(400, "invalid_argument", wish.reason, wish.parameter);

  const bool later = wish.run_in.count() > 0;
  const auto at = std::chrono::system_clock::now() + wish.run_in;
  jobmill::Node ids = jobmill::Node::array();
  try {
    if (wish.count > 0) {
      jobmill::Put put{.count = static_cast<int>(wish.count)};
      if (later) put.at = at;
      for (const jobmill::JobId& id :
           client.bulk().add(put, Sample, wish.name, wish.execution_time_ms).commit())
        ids.push(jobmill::Node::string(id.uuid));
    }
  } catch (const jobmill::Error& error) {
    return refusal(503, "storage_unavailable",
                   fmt::format("the jobs were not stored ({}); try again", error.what()));
  }
  using jobmill::Node;
  Node answer = Node::object();
  answer.set("enqueued", Node::integer(later ? 0 : wish.count));
  answer.set("scheduled", Node::integer(later ? wish.count : 0));
  if (later)
    answer.set("runAt",
               Node::string(jobmill::format_instant(std::chrono::floor<jobmill::Duration>(at))));
  answer.set("name", Node::string(wish.name));
  answer.set("executionTimeMs", Node::integer(wish.execution_time_ms));
  answer.set("jobIds", std::move(ids));
  return jobmill::api::json_response(200, to_json(answer));
}

// Storing jobs blocks, so it happens on the pool.
void serve_request(jobmill::Client& client, jobmill::ThreadPool& pool,
                   jobmill::http::Request request, jobmill::http::Responder responder) {
  if (request.path != "/schedule-example-jobs")
    return responder.send(refusal(404, "not_found", "there is only /schedule-example-jobs"));
  if (request.method != "GET" && request.method != "POST") {
    auto response = refusal(405, "method_not_allowed", "use GET or POST");
    response.headers.set("Allow", "GET, POST");
    return responder.send(std::move(response));
  }
  pool.post([&client, request = std::move(request), responder = std::move(responder)] {
    responder.send(schedule(client, request));
  });
}

// The page that schedules jobs, until the token fires.
int serve_page(const std::string& address, std::shared_ptr<jobmill::Store> store,
               std::stop_token stop) {
  jobmill::Client client(std::move(store));
  jobmill::ThreadPool pool(4);
  jobmill::net::EventLoop loop;
  jobmill::http::Server server(
      loop, [&](jobmill::http::Request request, jobmill::http::Responder responder) {
        serve_request(client, pool, std::move(request), std::move(responder));
      });
  const auto bound = server.listen(address);
  if (!bound)
    return complain(jobmill::app::kFailed,
                    bound.error().message + "; choose another one with --enqueue");
  fmt::print("jobmill-example ready enqueue={}\n", *bound);
  std::fflush(stdout);
  loop.run(stop);
  return jobmill::app::kOk;
}

int web_with_server(const Arguments& arguments, const std::string& enqueue) {
  Arguments with_defaults = arguments;
  if (in_pod() && !arguments.has("http")) with_defaults.flags["http"] = {"0.0.0.0:8000"};
  if (!database_url().empty() && !arguments.has("store"))
    with_defaults.flags["store"] = {database_url()};
  const auto options = jobmill::app::server_options(
      with_defaults, [](const char* name) { return environment(name); });
  if (!options) return complain(jobmill::app::kConfiguration, options.error().message);
  try {
    jobmill::Server server(*options);
    jobmill::app::Signals signals;
    std::stop_source failed;  // the page's address is in use: the server must not stay behind
    int code = jobmill::app::kOk;
    std::jthread page([&](const std::stop_token& stop) {
      code = serve_page(enqueue, server.store(), stop);
      if (code != jobmill::app::kOk) failed.request_stop();
    });
    std::stop_source stop_server;
    const std::stop_callback on_failure(failed.get_token(), [&] { stop_server.request_stop(); });
    const std::stop_callback on_signal(signals.token(), [&] { stop_server.request_stop(); });
    fmt::print("jobmill ready http={}\n", server.http_address());
    std::fflush(stdout);
    server.run(stop_server.get_token());
    page.request_stop();
    page.join();
    return code;
  } catch (const jobmill::Error& error) {
    return complain(jobmill::app::exit_of(error.code), error.what());
  }
}

int web(const Arguments& arguments) {
  const std::string enqueue =
      arguments.get("enqueue", in_pod() ? "0.0.0.0:8080" : "127.0.0.1:8080");
  if (server_url().empty()) return web_with_server(arguments, enqueue);
  jobmill::app::Signals signals;
  return serve_page(enqueue, jobmill::connect(), signals.token());
}

// --- worker -------------------------------------------------------------------------------------

// In a pod the kubelet asks whether we live; elsewhere nobody does, and many workers would fight
// for the port.
struct Health {
  jobmill::net::EventLoop loop;
  jobmill::http::Server server{
      loop, [](const jobmill::http::Request& request, const jobmill::http::Responder& responder) {
        const bool known = request.path == "/health/live" || request.path == "/health/ready";
        responder.send(known
                           ? jobmill::api::json_response(200, "{\"status\":\"UP\"}")
                           : refusal(404, "not_found", "there are /health/live and /health/ready"));
      }};
  std::jthread thread;

  jobmill::Status listen(const std::string& address) {
    TRY([[maybe_unused]] const std::string bound, server.listen(address));
    thread = std::jthread([this](const std::stop_token& stop) { loop.run(stop); });
    return {};
  }
};

int worker(const Arguments& arguments) {
  if (server_url().empty() && database_url().empty())
    return complain(jobmill::app::kConfiguration,
                    "a worker needs a control server or its database; set JOBMILL_URL, for example "
                    "http://127.0.0.1:8000, or DATABASE_URL");
  const std::string text = arguments.get("workers", "4");
  int slots = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), slots);
  if (error != std::errc() || end != text.data() + text.size() || slots < 1 || slots > 10'000)
    return complain(jobmill::app::kUsage,
                    "--workers takes a number of slots from 1 to 10000, not '" + text + "'");

  jobmill::app::Signals signals;
  Health health;
  const std::string address = arguments.get("health", in_pod() ? "0.0.0.0:8081" : "");
  if (!address.empty())
    if (const auto listening = health.listen(address); !listening)
      return complain(jobmill::app::kFailed, listening.error().message);
  try {
    jobmill::Worker(jobmill::connect()).handle(Sample).concurrency(slots).run(signals.token());
    return jobmill::app::kOk;
  } catch (const jobmill::Error& failure) {
    return complain(jobmill::app::exit_of(failure.code), failure.what());
  }
}

const std::vector<Flag>& web_flags() {
  static const std::vector<Flag> all = [] {
    std::vector<Flag> flags = jobmill::app::serve_flags();
    flags.push_back({"--enqueue", "ADDR", "where jobs are scheduled (127.0.0.1:8080)"});
    return flags;
  }();
  return all;
}

constexpr std::array kWorkerFlags{
    Flag{"--workers", "N", "slots (4)"},
    Flag{"--health", "ADDR", "where it says that it lives (in a pod 0.0.0.0:8081)"},
};

}  // namespace

int main(int argc, char** argv) {
  jobmill::app::Signals::block();
  const std::array commands{
      Command{"web", "", "Serve the page that schedules sample jobs.", web_flags(), false, web},
      Command{"worker", "", "Run sample jobs.", kWorkerFlags, false, worker},
  };
  return jobmill::app::run_command_line(
      {"jobmill-example", "jobmill-example: sample jobs, and workers to run them", commands}, argc,
      argv);
}
