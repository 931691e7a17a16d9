// SPDX-License-Identifier: Apache-2.0
#include "app/api_client.h"

#include <cstdlib>
#include <iostream>
#include <sstream>

#include <fmt/core.h>

#include "app/problem.h"
#include "base/text_file.h"

namespace jobmill::app {
namespace {

constexpr std::string_view kDefaultUrl = "http://127.0.0.1:8000";

std::optional<Output> output_named(std::string_view text) {
  if (text.empty() || text == "table" || text == "wide") return Output::Table;
  if (text == "json") return Output::Json;
  if (text == "yaml") return Output::Yaml;
  if (text == "name") return Output::Name;
  return std::nullopt;
}

int exit_of(int status) {
  if (status == 401 || status == 403) return kPermission;
  if (status == 503 || status == 429) return kTemporary;
  if (status == 400 || status == 413 || status == 422) return kBadInput;
  return kFailed;
}

Node make_problem(int status, std::string_view title, std::string_view detail) {
  Node problem = Node::object();
  problem.set("type", Node::string("about:blank"));
  problem.set("title", Node::string(title));
  problem.set("status", Node::integer(status));
  problem.set("detail", Node::string(detail));
  return problem;
}

// Azure Resource Manager's {"error":{"code","message"}} as a problem.
Node problem_of(int status, Node document) {
  const Node* error = document.find("error");
  const Node* message = error == nullptr ? nullptr : error->find("message");
  if (message == nullptr) return document;
  return make_problem(status, "refused", message->text);
}

std::string detail_of(const Node& problem) {
  for (const char* key : {"detail", "title"})
    if (const Node* text = problem.find(key); text != nullptr && text->is_string())
      return text->text;
  return "the server gave no reason";
}

}  // namespace

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value != nullptr ? value : "";
}

Result<std::string> read_text_file(const std::string& path, std::size_t limit) {
  return path == "-" ? read_text(std::cin, path, limit) : jobmill::read_text_file(path, limit);
}

int complain(int exit, std::string_view text) {
  fmt::print(stderr, "jobmill: {}\n", text);
  return exit;
}

std::optional<Output> output_of(const Arguments& arguments) {
  const auto output = output_named(arguments.get("output"));
  if (!output)
    complain(kUsage,
             "unknown --output '" + arguments.get("output") + "'; use table, json, yaml or name");
  return output;
}

std::optional<ApiClient> ApiClient::from(const Arguments& arguments) {
  const auto output = output_of(arguments);
  return output ? connect(arguments, *output) : std::nullopt;
}

Result<ServerAccess> server_access(const Arguments& arguments) {
  ServerAccess access;
  access.url = arguments.get("server", environment("JOBMILL_URL"));
  if (access.url.empty()) access.url = kDefaultUrl;
  while (access.url.ends_with('/')) access.url.pop_back();
  access.token = Secret(arguments.get("token", environment("JOBMILL_TOKEN")));
  access.user = arguments.get("user", environment("JOBMILL_USER"));
  std::string password = environment("JOBMILL_PASSWORD");
  if (arguments.has("password-file")) {
    TRY(password, read_text_file(arguments.get("password-file"), 64u << 10));
    while (password.ends_with('\n') || password.ends_with('\r')) password.pop_back();
  }
  access.password = Secret(std::move(password));
  return access;
}

std::optional<ApiClient> ApiClient::connect(const Arguments& arguments, Output output) {
  ApiClient client;
  client.output_ = output;
  client.namespace_ = arguments.get("namespace", "default");
  const auto access = server_access(arguments);
  if (!access) {
    client.complain(kUsage, access.error().message);
    return std::nullopt;
  }
  client.url_ = access->url;
  if (!access->token.empty())
    client.authorization_ = "Bearer " + access->token.reveal();
  else if (!access->user.empty())
    client.authorization_ = http::basic_authorization(access->user, access->password.reveal());
  client.client_ = std::make_shared<http::Client>();
  return client;
}

Refusal ApiClient::unreachable(const Fault& error) const {
  const std::string detail = fmt::format(
      "no answer from {} ({}); start a server with `jobmill dev`, or name one with --server", url_,
      error.message);
  return {kUnreachable, client_problem(kUnreachable, detail)};
}

Reply ApiClient::request(const std::string& method, const std::string& path, std::string body) {
  http::ClientRequest request;
  request.method = method;
  request.url = url_ + path;
  if (!body.empty()) request.headers.set("Content-Type", "application/json");
  request.body = std::move(body);
  return send(std::move(request));
}

Reply ApiClient::get_changed(const std::string& path, std::string& etag,
                             std::chrono::seconds wait) {
  http::ClientRequest request;
  request.url = url_ + path;
  if (!etag.empty()) {
    request.headers.set("If-None-Match", etag);
    request.headers.set("Prefer", fmt::format("wait={}", wait.count()));
  }
  return send(std::move(request), &etag);
}

Reply ApiClient::send(http::ClientRequest request, std::string* etag) {
  request.timeout = timeout_;
  request.headers.set("Accept", "application/json");
  if (!authorization_.empty()) request.headers.set("Authorization", authorization_);

  const auto answer = client_->fetch(request);
  if (!answer) return {.refusal = unreachable(answer.error()), .document = {}};
  if (answer->status == 304) return {};
  constexpr DocumentLimits kLimits{.bytes = 64u << 20, .depth = 100, .nodes = 10'000'000};
  auto document =
      answer->body.empty() ? Result<Node>(Node::object()) : parse_json(answer->body, kLimits);
  if (answer->status >= 200 && answer->status < 300 && document) {
    if (etag != nullptr) *etag = answer->headers.get("ETag").value_or("");
    return {.refusal = {}, .document = *std::move(document)};
  }
  if (!document || !document->is_object())
    document = make_problem(answer->status, "unexpected answer",
                            fmt::format("{} answered with status {}", url_, answer->status));
  return {
      .refusal = Refusal{exit_of(answer->status), problem_of(answer->status, *std::move(document))},
      .document = {}};
}

int ApiClient::complain(int exit, std::string_view text) const {
  if (output_ != Output::Json) return app::complain(exit, text);
  fmt::print(stderr, "{}\n", to_json(client_problem(exit, text)));
  return exit;
}

int ApiClient::refused(const Reply& reply) const {
  const Refusal& refusal = *reply.refusal;
  if (output_ == Output::Json) {
    fmt::print(stderr, "{}\n", to_json(refusal.problem));
    return refusal.exit;
  }
  app::complain(refusal.exit, detail_of(refusal.problem));
  const Node* errors = refusal.problem.find("errors");
  if (errors != nullptr && errors->items.size() > 1)  // the detail tells the first one
    for (const Node& error : errors->items) {
      const Node* field = error.find("field");
      const Node* reason = error.find("reason");
      fmt::print(stderr, "  {}: {}\n", field != nullptr ? field->text : "",
                 reason != nullptr ? reason->text : "");
    }
  return refusal.exit;
}

}  // namespace jobmill::app
