// SPDX-License-Identifier: Apache-2.0
#include "app/exec_resident.h"

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <utility>

#include <fmt/format.h>

#include "base/duration.h"
#include "base/json_writer.h"

namespace jobmill::app {
namespace {

using jobs::Settlement;
using std::chrono::steady_clock;

constexpr Duration kFirstPause = std::chrono::milliseconds(100);  // doubles
constexpr Duration kLongestPause = std::chrono::seconds(10);

void write_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).array();
  for (const std::string& text : texts) json.value(text);
  json.end();
}

void write_trace(JsonWriter& json, const jobs::Trace& trace) {
  if (trace.parent.empty()) return;
  json.key("trace").object().member("traceparent", trace.parent);
  if (!trace.state.empty()) json.member("tracestate", trace.state);
  json.end();
}

// As a claim over HTTP tells it.
void write_job(JsonWriter& json, const worker::Run& run) {
  const jobs::Job& job = run.job();
  json.object().member("id", job.id).member("kind", job.kind).member("v", job.v);
  json.raw_member(job.args.starts_with('{') ? "named" : "args", job.args);
  json.member("name", job.name).member("queue", job.queue);
  write_texts(json, "labels", job.labels);
  json.member("attempt", job.attempt)
      .member("max_attempts", job.max_attempts)
      .member("crashes", job.crashes)
      .member("lock_token", run.lock_token());
  if (job.deadline) json.member("deadline", format_instant(*job.deadline));
  write_trace(json, job.extra.trace);
  if (!job.meta.empty()) json.raw_member("meta", job.meta);
  if (!job.recurring_id.empty()) json.member("recurring_id", job.recurring_id);
  json.end();
}

std::string cancel_message(std::int64_t n, worker::Ending why) {
  JsonWriter json;
  json.object().member("n", n).member("op", "cancel").member("reason", to_string(why)).end();
  return std::move(json).text() + "\n";
}

void wait_for(Duration pause, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, pause, [] { return false; });
}

void wait_for_end(ExecProgram& program, steady_clock::time_point until) {
  while (!program.ended() && steady_clock::now() < until) program.wait(until);
}

}  // namespace

std::string run_message(std::int64_t n, const worker::Run& run) {
  JsonWriter json;
  json.object().member("n", n).member("op", "run").key("job");
  write_job(json, run);
  json.end();
  return std::move(json).text() + "\n";
}

Resident::~Resident() {
  if (!program_) return;
  program_->close_input();
  wait_for_end(*program_, steady_clock::now() + kLastWords);
  if (!program_->ended()) program_->signal(SIGTERM);
  wait_for_end(*program_, steady_clock::now() + kLastWords);
  program_->signal(SIGKILL);
  program_->finish();
}

Settlement Resident::run(worker::Run& run) {
  if (const Status started = start(run); !started) return cannot_start(started.error());
  if (run.stop().stop_requested()) return {.kind = Settlement::Kind::Release};
  ExecWords words(run, "stdout");
  run_ = &run;
  words_ = &words;
  answered_ = false;
  const bool cancelled = converse(run);
  Settlement settlement = conclude(cancelled);
  run_ = nullptr;
  words_ = nullptr;
  return settlement;
}

// One that died while it had nothing to do has harmed no job. One that dies again and again is
// given time, and so are the jobs that it would take along.
Status Resident::start(const worker::Run& run) {
  if (program_) program_->wait(steady_clock::now());
  if (program_ && program_->ended()) {
    program_->finish();
    program_.reset();
  }
  if (program_) return {};
  if (pause_ > Duration::zero()) wait_for(pause_, run.stop());
  ExecProgram::Listener listener{.out = [this](std::string_view line) { hear(line); },
                                 .err = [this](std::string_view line) { hear_errors(line); },
                                 .out_is_messages = true};
  TRY(program_, ExecProgram::start(options_.command, options_.environment, std::move(listener)));
  return {};
}

void Resident::hear(std::string_view line) {
  if (words_ == nullptr || line.empty()) return;
  const auto message = parse_json(line);
  if (!message || !message->is_object())
    return words_->complain(fmt::format("this is no message: {}", line.substr(0, 200)));
  const Node* n = message->find("n");
  if (n != nullptr && n->as_int() != n_) return;  // of a job that was taken from it
  words_->hear(*message);
  answered_ = words_->has_result() || words_->error() || words_->snooze();
}

void Resident::hear_errors(std::string_view line) const {
  if (run_ != nullptr)
    run_->log(jobs::LineLevel::Warn, line);
  else
    fmt::print(stderr, "{}\n", line);
}

// Until it has answered or died. Whether it was told that its answer is not wanted any more.
bool Resident::converse(const worker::Run& run) {
  const std::stop_callback wake(run.stop(), [&] { program_->wake(); });
  program_->write(run_message(++n_, run));
  std::optional<ExecProgram::Instant> kill_at;
  while (!answered_ && !program_->ended()) {
    if (!kill_at && run.stop().stop_requested()) {
      program_->write(cancel_message(n_, run.ending()));
      kill_at = force_at(run, options_.grace);
    }
    if (kill_at && steady_clock::now() >= *kill_at) {
      program_->signal(SIGKILL);
      break;
    }
    program_->wait(kill_at);
  }
  return kill_at.has_value();
}

// Its last words may be the answer.
Settlement Resident::conclude(bool cancelled) {
  std::optional<targets::ProcessExit> exit;
  if (!answered_) {
    exit = program_->finish();
    program_.reset();
  }
  if (!answered_ && cancelled) return {.kind = Settlement::Kind::Release};  // we ended it
  if (!answered_) {
    pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
    return crashed(*exit);
  }
  pause_ = {};
  if (words_->error()) return {.kind = Settlement::Kind::Fail, .failure = *words_->error()};
  if (words_->snooze()) return {.kind = Settlement::Kind::Snooze, .after = *words_->snooze()};
  return {.kind = Settlement::Kind::Complete};
}

}  // namespace jobmill::app
