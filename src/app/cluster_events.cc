// SPDX-License-Identifier: Apache-2.0
#include "app/cluster_events.h"

#include <fmt/format.h>

#include "base/duration.h"
#include "base/id.h"

namespace jobmill::app {
namespace {

constexpr Duration kAgain = std::chrono::minutes(10);
constexpr std::size_t kLongestMessage = 1024;  // the API's limit

std::string metadata(const Node& object, std::string_view key) {
  const Node* all = object.find("metadata");
  const Node* found = all != nullptr ? all->find(key) : nullptr;
  return found == nullptr ? std::string() : found->text;
}

Node reference(const Node& object) {
  Node out = Node::object();
  for (const char* key : {"apiVersion", "kind"})
    if (const Node* found = object.find(key)) out.set(key, *found);
  for (const char* key : {"name", "namespace", "uid", "resourceVersion"})
    if (const std::string text = metadata(object, key); !text.empty())
      out.set(key, Node::string(text));
  return out;
}

}  // namespace

void ClusterEvents::tell(const Node& object, Type type, std::string_view reason,
                         const std::string& message) {
  const TimePoint now = clock_.now();
  while (!when_.empty() && when_.front().first + kAgain <= now) {
    told_.erase(when_.front().second);
    when_.pop_front();
  }
  std::string words = fmt::format("{}\n{}\n{}", metadata(object, "uid"), reason, message);
  if (!told_.insert(words).second) return;
  when_.emplace_back(now, std::move(words));

  const std::string at =
      format_instant(std::chrono::floor<std::chrono::seconds>(now));  // as metav1.Time has it
  const std::string ns = metadata(object, "namespace");
  Node event = Node::object();
  event.set("apiVersion", Node::string("v1"));
  event.set("kind", Node::string("Event"));
  Node& head = event.set("metadata", Node::object());
  head.set("name", Node::string(fmt::format("{}.{}", metadata(object, "name"), random_suffix(10))));
  head.set("namespace", Node::string(ns.empty() ? manifest::kDefaultNamespace : ns));
  event.set("involvedObject", reference(object));
  event.set("reason", Node::string(reason));
  event.set("message", Node::string(message.substr(0, kLongestMessage)));
  event.set("type", Node::string(type == Type::Normal ? "Normal" : "Warning"));
  event.set("source", Node::object()).set("component", Node::string("jobmill"));
  event.set("firstTimestamp", Node::string(at));
  event.set("lastTimestamp", Node::string(at));
  event.set("count", Node::integer(1));
  client_.create(k8s::resources::kEvents, ns.empty() ? manifest::kDefaultNamespace : ns,
                 std::move(event), [this](const Result<Node>& answer) {
                   if (!answer)
                     log_.warn("an event was not written", {{"error", answer.error().message}});
                 });
}

}  // namespace jobmill::app
