// SPDX-License-Identifier: Apache-2.0
#include "app/commands/each.h"

#include <fmt/core.h>

#include "app/table.h"
#include "http/message.h"

namespace jobmill::app {

void Outcome::add(const std::string& id, std::string_view state, Node item) {
  const std::string name = kind_ + "/" + id;
  if (output_ == Output::Table) fmt::print("{} {}\n", name, state);
  names_.push_back(name);
  items_.push(std::move(item));
}

void Outcome::print() {
  if (output_ == Output::Table) return;
  Node document = Node::object();
  document.set("items", std::move(items_));
  app::print(output_, document, Table({""}), names_);
}

int for_each(const Arguments& arguments, const EachRequest& request) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  Outcome outcome(request.kind, client->output());
  int exit = kOk;
  for (const std::string& id : arguments.positional) {
    const Reply reply = request.send(*client, std::string(request.path) + http::url_encode(id));
    if (!reply) {
      const int code = client->refused(reply);
      if (exit == kOk) exit = code;
      continue;
    }
    Node item = Node::object();
    item.set("id", Node::string(id));
    item.set("change", Node::string(request.change));
    outcome.add(id, request.change, std::move(item));
  }
  outcome.print();
  return exit;
}

std::function<Reply(ApiClient&, const std::string&)> posting(std::string_view verb) {
  return [verb](ApiClient& client, const std::string& path) {
    return client.post(path + std::string(verb), Node::object());
  };
}

}  // namespace jobmill::app
