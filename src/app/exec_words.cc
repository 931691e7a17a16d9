// SPDX-License-Identifier: Apache-2.0
#include "app/exec_words.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "api/json.h"

namespace jobmill::app {
namespace {

using api::FieldError;
using api::ObjectReader;

struct Message {
  std::optional<jobs::Progress> progress;
  std::optional<std::pair<jobs::LineLevel, std::string>> log;
  std::optional<jobs::Failure> error;
  std::optional<double> snooze;
  const Node* result = nullptr;  // also null
};

void read_progress(ObjectReader in, Message& message) {
  jobs::Progress& progress = message.progress.emplace();
  in.integer("done", progress.done);
  in.integer("total", progress.total);
  in.integer("failed", progress.failed);
  in.close();
}

void read_log(ObjectReader in, Message& message) {
  std::string level = "INFO";
  std::string text;
  in.text("level", level);
  in.text("text", text);  // an empty line is one
  in.close();
  if (!in.has("text")) in.wrong("text", "is required");
  const auto known = jobs::line_level(level);
  if (!known) in.wrong("level", "expected INFO, WARN or ERROR");
  message.log = {known.value_or(jobs::LineLevel::Info), std::move(text)};
}

void read_error(ObjectReader in, Message& message) {
  jobs::Failure& error = message.error.emplace();
  std::string retry = "default";
  error.type = "jobmill.ProgramError";
  in.text("type", error.type);
  in.text("message", error.message);
  in.text("stack", error.stack);
  in.text("retry", retry);
  in.close();
  if (retry == "never") error.retry = jobs::RetryRule::Never;
  if (retry != "never" && retry != "default") in.wrong("retry", R"(expected "default" or "never")");
}

Message read(const Node& node, std::vector<FieldError>& errors) {
  Message message;
  ObjectReader in(node, "", errors);
  if (const Node* progress = in.object("progress"))
    read_progress({*progress, "progress", errors}, message);
  if (const Node* log = in.object("log")) read_log({*log, "log", errors}, message);
  if (const Node* error = in.object("error")) read_error({*error, "error", errors}, message);
  in.number("snooze_s", message.snooze);
  in.any("result");
  message.result = node.find("result");
  in.any("n");
  if (in.any("step") != nullptr)
    in.wrong("step", "steps of a job are not kept by this version; leave it out");
  in.close();
  return message;
}

}  // namespace

void ExecWords::hear(std::string_view line) {
  if (line.find_first_not_of(" \t") == std::string_view::npos) return;
  const auto node = parse_json(line);
  if (!node) return complain(node.error().message);
  if (!node->is_object()) return complain("expected an object such as {\"result\":…}");
  hear(*node);
}

void ExecWords::hear(const Node& node) {
  std::vector<FieldError> errors;
  Message message = read(node, errors);
  for (const FieldError& error : errors) complain(fmt::format("{}: {}", error.field, error.reason));
  if (message.progress) run_.progress(*message.progress);
  if (message.log) run_.log(message.log->first, message.log->second);
  if (message.error) error_ = std::move(message.error);
  if (message.snooze)
    snooze_ =
        std::chrono::round<Duration>(std::chrono::duration<double>(std::min(*message.snooze, 1e9)));
  if (message.result == nullptr) return;
  has_result_ = true;
  run_.result(to_json(*message.result));
}

void ExecWords::complain(std::string_view what) {
  run_.log(jobs::LineLevel::Warn, fmt::format("{}: {}", where_, what));
}

}  // namespace jobmill::app
