// SPDX-License-Identifier: Apache-2.0
#include "api/image_api.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "api/arm_resources.h"
#include "api/json.h"

namespace jobmill::api {
namespace {

using executions::kImages;
using executions::Resource;

constexpr std::array<std::string_view, 4> kRunners{"auto", "process", "oci", "kubernetes"};

std::string id_of(std::string_view match) { return fmt::format("/images/{}", match); }

void check_texts(const Node* texts, JsonBody& body) {
  for (std::size_t i = 0; texts != nullptr && i < texts->members.size(); ++i)
    if (!texts->members[i].value.is_string())
      body.errors().push_back({"env." + texts->members[i].key, "expected a string"});
}

// The entry in the body, with everything that it can say.
Resource entry_in(JsonBody& body) {
  std::string match, runner = "process", workdir, archive;
  std::vector<std::string> command;
  auto in = body.reader();
  in.text("match", match, Field::Required);
  in.text("runner", runner);
  in.text("workdir", workdir);
  in.text("archive", archive);
  in.texts("command", command);
  const Node* env = in.object("env");
  check_texts(env, body);
  if (std::ranges::find(kRunners, runner) == kRunners.end())
    in.wrong("runner", "expected auto, process, oci or kubernetes");
  if (runner == "process" && command.empty()) in.wrong("command", "a process needs a command");
  if (!archive.empty() && runner != "oci" && runner != "auto")
    in.wrong("archive", "is for the runner oci");
  in.close();

  Resource entry{.id = id_of(match), .type = std::string(kImages), .name = match};
  entry.document.set("match", Node::string(match));
  entry.document.set("runner", Node::string(runner));
  entry.document.set("workdir", Node::string(workdir));
  if (!archive.empty()) entry.document.set("archive", Node::string(archive));
  Node& words = entry.document.set("command", Node::array());
  for (const std::string& word : command) words.push(Node::string(word));
  entry.document.set("env", env == nullptr ? Node::object() : *env);
  return entry;
}

void put(ApiContext& context, Call call) {
  JsonBody body(call.request);
  Resource entry = entry_in(body);
  if (const auto problem = body.problem()) return call.responder.send(to_response(*problem));
  answer(context, call.responder, [&context, entry = std::move(entry)] {
    const Status kept = context.executions->resources().put(entry);
    return kept ? json_response(200, to_json(entry.document)) : to_response(kept.error());
  });
}

void list(ApiContext& context, Call call) {
  Node entries = Node::array();
  for (Resource& entry : context.executions->resources().list(kImages))
    entries.push(std::move(entry.document));
  Node fixed = context.executions->fixed_images();
  for (Node& entry : fixed.items) entries.push(std::move(entry));
  Node answer = Node::object();
  answer.set("images", std::move(entries));
  call.responder.send(json_response(200, to_json(answer)));
}

void remove(ApiContext& context, Call call) {
  const std::string match(call.request.parameter("match").value_or(""));
  answer(context, call.responder, [&context, match] {
    executions::Resources& resources = context.executions->resources();
    if (!resources.find(id_of(match)))
      return to_response(fail(
          Code::NotFound, fmt::format("no entry of the image map has the pattern '{}'", match)));
    const Status removed = resources.remove(id_of(match));
    return removed ? no_content() : to_response(removed.error());
  });
}

constexpr std::array kRoutes{
    Route{"GET", "/v1/images", Scope::Read, with_executions<list>},
    Route{"PUT", "/v1/images", Scope::Admin, with_executions<put>},
    Route{"DELETE", "/v1/images", Scope::Admin, with_executions<remove>},
};

}  // namespace

std::span<const Route> image_routes() { return kRoutes; }

}  // namespace jobmill::api
