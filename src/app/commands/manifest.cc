// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/core.h>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/kinds.h"
#include "app/manifest_files.h"
#include "app/table.h"
#include "base/text.h"
#include "http/message.h"

namespace jobmill::app {
namespace {

// {"files":[{"name","text"}],"namespace"}: the server reads them, so that errors can name file and
// line and nothing is applied unless all of it can be.
std::optional<Node> body_of(const Arguments& arguments, const ApiClient& client) {
  Node files = Node::array();
  auto read = read_manifest_files(arguments.all("filename"));
  if (!read) {
    client.complain(kBadInput, read.error().message);
    return std::nullopt;
  }
  for (const api::ManifestFile& each : *read) {
    Node file = Node::object();
    file.set("name", Node::string(each.name));
    file.set("text", Node::string(each.text));
    files.push(std::move(file));
  }
  Node body = Node::object();
  body.set("files", std::move(files));
  body.set("namespace", Node::string(client.ns()));
  return body;
}

int send(const Arguments& arguments, const std::string& path) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  if (!arguments.has("filename"))
    return client->complain(kUsage,
                            "name the manifests with -f FILE (or a folder, or - for stdin)");
  const auto body = body_of(arguments, *client);
  if (!body) return kBadInput;
  const Reply reply = client->post(path, *body);
  if (!reply) return client->refused(reply);

  if (const Node* notes = reply.document.find("notes"); notes != nullptr)
    for (const Node& note : notes->items)
      fmt::print(stderr, "{}: {}\n", cell(note, "where"), cell(note, "text"));
  int exit = kOk;
  std::vector<std::string> names;
  const Node* results = reply.document.find("results");
  if (results != nullptr)
    for (const Node& result : results->items) {
      names.push_back(lower(cell(result, "kind")) + "/" + cell(result, "name"));
      if (cell(result, "change") == "not found") exit = kFailed;
      if (client->output() == Output::Table)
        fmt::print("{} {}\n", names.back(), cell(result, "change"));
    }
  if (client->output() != Output::Table)
    print(client->output(), reply.document, Table({""}), names);
  return exit;
}

int apply(const Arguments& arguments) { return send(arguments, "/v1/manifests/apply"); }
int remove(const Arguments& arguments) { return send(arguments, "/v1/manifests/delete"); }

const Node& member(const Node& node, std::string_view key) {
  static const Node none;
  const Node* found = node.find(key);
  return found != nullptr ? *found : none;
}

std::string condition(const Node& item, std::string_view type) {
  for (const Node& one : member(member(item, "status"), "conditions").items)
    if (cell(one, "type") == type) return cell(one, "status");
  return "Unknown";
}

struct Listing {
  std::string_view kind;
  std::vector<std::string> head;
  std::vector<std::string> (*row)(const Node& item);
};

std::vector<std::string> scaled_object_row(const Node& item) {
  const Node& spec = member(member(item, "manifest"), "spec");
  const Node& status = member(item, "status");
  return {cell(item, "name"),
          cell(status, "scaleTargetKind"),
          cell(member(spec, "scaleTargetRef"), "name"),
          cell(spec, "minReplicaCount"),
          cell(spec, "maxReplicaCount"),
          condition(item, "Ready"),
          condition(item, "Active"),
          condition(item, "Fallback"),
          condition(item, "Paused"),
          cell(status, "triggersTypes"),
          cell(status, "authenticationsTypes"),
          age_of(item, "created")};
}

std::vector<std::string> scaled_job_row(const Node& item) {
  const Node& spec = member(member(item, "manifest"), "spec");
  const Node& status = member(item, "status");
  return {cell(item, "name"),
          cell(spec, "minReplicaCount"),
          cell(spec, "maxReplicaCount"),
          condition(item, "Ready"),
          condition(item, "Active"),
          condition(item, "Paused"),
          cell(status, "triggersTypes"),
          cell(status, "authenticationsTypes"),
          age_of(item, "created")};
}

std::vector<std::string> deployment_row(const Node& item) {
  const Node& status = member(item, "status");
  if (status.find("replicas") == nullptr)  // its image is off on this machine
    return {cell(item, "name"), "off", "", "", age_of(item, "created")};
  return {cell(item, "name"), cell(status, "readyReplicas") + "/" + cell(status, "replicas"),
          cell(status, "starting"), cell(status, "draining"), age_of(item, "created")};
}

std::vector<std::string> pod_row(const Node& item) {
  return {cell(item, "name"), cell(item, "ready"), cell(item, "status"), cell(item, "restarts"),
          age_of(item, "started")};
}

std::vector<std::string> plain_row(const Node& item) {
  return {cell(item, "name"), age_of(item, "created")};
}

const std::vector<Listing>& listings() {
  static const std::vector<Listing> all{
      {"ScaledObject",
       {"NAME", "SCALETARGETKIND", "SCALETARGETNAME", "MIN", "MAX", "READY", "ACTIVE", "FALLBACK",
        "PAUSED", "TRIGGERS", "AUTHENTICATIONS", "AGE"},
       scaled_object_row},
      {"ScaledJob",
       {"NAME", "MIN", "MAX", "READY", "ACTIVE", "PAUSED", "TRIGGERS", "AUTHENTICATIONS", "AGE"},
       scaled_job_row},
      {"Deployment", {"NAME", "READY", "STARTING", "DRAINING", "AGE"}, deployment_row},
      {"Pod", {"NAME", "READY", "STATUS", "RESTARTS", "AGE"}, pod_row},
      {"", {"NAME", "AGE"}, plain_row},
  };
  return all;
}

std::vector<std::string> names_of(const std::string& kind, const Node& items) {
  std::vector<std::string> names;
  for (const Node& item : items.items) names.push_back(lower(kind) + "/" + cell(item, "name"));
  return names;
}

using Show = void (*)(const std::string& kind, const Node& items);

// The objects of a kind, or the one of that name: a document, or what `show` prints for people.
int show_objects(const Arguments& arguments, Show show) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const auto kind = kind_of(arguments.positional.at(0));
  if (!kind)
    return client->complain(kUsage, fmt::format("unknown kind '{}'; known: {}",
                                                arguments.positional[0], known_kinds()));
  std::string path =
      fmt::format("/v1/manifests/{}?namespace={}", *kind, http::url_encode(client->ns()));
  if (arguments.positional.size() > 1) path += "&name=" + http::url_encode(arguments.positional[1]);
  const Reply reply = client->get(path);
  if (!reply) return client->refused(reply);
  const std::string name(*kind);
  const Node& items = member(reply.document, "items");
  if (client->output() != Output::Table)
    return print(client->output(), reply.document, Table({""}), names_of(name, items));
  if (items.items.empty())
    fmt::print(stderr, "no {}s in namespace {}\n", lower(name), client->ns());
  else
    show(name, items);
  return kOk;
}

void show_table(const std::string& kind, const Node& items) {
  const auto listing = std::ranges::find_if(
      listings(), [&](const Listing& l) { return l.kind == kind || l.kind.empty(); });
  Table table(listing->head);
  for (const Node& item : items.items) table.row(listing->row(item));
  fmt::print("{}", table.text());
}

void show_yaml(const std::string&, const Node& items) {
  for (const Node& item : items.items)
    fmt::print("{}{}", &item == &items.items.front() ? "" : "\n", to_yaml(item));
}

int get(const Arguments& arguments) { return show_objects(arguments, show_table); }
int describe(const Arguments& arguments) { return show_objects(arguments, show_yaml); }

constexpr std::array kFileFlags{
    Flag{"-f,--filename", "PATH…", "a file, a folder (its .yaml, .yml, .json), or -"}};

}  // namespace

const std::array<Command, 4> kManifestCommands{
    Command{"apply", "", "Create or change the objects of manifests; all of them or none.",
            kFileFlags, true, apply},
    Command{"delete", "", "Delete the objects of manifests.", kFileFlags, true, remove},
    Command{"get",
            "KIND [NAME]",
            "List objects: scaledobjects, scaledjobs, deployments, pods, …",
            {},
            true,
            get},
    Command{"describe", "KIND [NAME]", "Show objects with their status.", {}, true, describe},
};

}  // namespace jobmill::app
