// SPDX-License-Identifier: Apache-2.0
#include "app/commands/containerapp_common.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "app/containerapp_values.h"
#include "base/duration.h"
#include "http/message.h"

namespace jobmill::app {
namespace {

constexpr char kNamespaces[] = "Microsoft.ServiceBus/namespaces/";
constexpr std::string_view kFqdn = ".servicebus.windows.net";

// The namespace that a rule counts in: named, or of its connection string as far as this request
// has it.
std::string namespace_of_rule(const Node& job, const Node& rule) {
  if (std::string name = text_at(rule, {"metadata", "namespace"}); !name.empty()) return name;
  const Node* auth = rule.find("auth");
  const Node* all = find_at(job, {"properties", "configuration", "secrets"});
  if (auth == nullptr || auth->items.empty() || all == nullptr) return "";
  const std::string wanted = text_at(auth->items.front(), {"secretRef"});
  for (const Node& secret : all->items) {
    const std::string value = text_at(secret, {"value"});
    const auto start = value.find("sb://");
    const auto end = value.find(kFqdn);
    if (text_at(secret, {"name"}) == wanted && start != std::string::npos &&
        end != std::string::npos && start + 5 < end)
      return value.substr(start + 5, end - start - 5);
  }
  return "";
}

// Of a queue on this server: for how long it locks a message.
std::optional<Duration> lock_duration(AzClient& client, const std::string& name_space,
                                      const std::string& queue) {
  if (name_space.empty() || queue.empty()) return std::nullopt;
  const Reply reply = client.api().get(client.path(kNamespaces + http::url_encode(name_space) +
                                                   "/queues/" + http::url_encode(queue)));
  if (!reply) return std::nullopt;
  const auto lock = parse_duration(text_at(reply.document, {"properties", "lockDuration"}));
  return lock ? std::optional(*lock) : std::nullopt;
}

// A replica may work for longer than its message is locked.
void warn_of_lock(AzClient& client, const Node& job) {
  const Node* rules =
      find_at(job, {"properties", "configuration", "eventTriggerConfig", "scale", "rules"});
  const Node* timeout = find_at(job, {"properties", "configuration", "replicaTimeout"});
  if (rules == nullptr || timeout == nullptr) return;
  const std::chrono::seconds runs(timeout->as_int().value_or(0));
  const bool renewed = text_at(job, {"properties", "jobmill", "supervisorLocks"}) != "false";
  for (const Node& rule : rules->items) {
    const std::string queue = text_at(rule, {"metadata", "queueName"});
    if (!same_text(text_at(rule, {"type"}), "azure-servicebus")) continue;
    const auto lock = lock_duration(client, namespace_of_rule(job, rule), queue);
    if (!lock || runs <= *lock) continue;
    client.warn(fmt::format(
        "the replica time-out ({} s) is longer than the lock duration of {} ({}); {}", runs.count(),
        queue, format_iso(*lock),
        renewed ? "the supervisor renews the lock for as long as the replica runs"
                : "a message may be delivered a second time while the first replica works"));
  }
}

// Of variables that name a namespace of this server; clients of it have no setting for a port.
void warn_of_port(AzClient& client, const Node& job) {
  const Node* containers = find_at(job, {"properties", "template", "containers"});
  if (containers == nullptr) return;
  for (const Node& container : containers->items) {
    const Node* env = container.find("env");
    for (std::size_t i = 0; env != nullptr && i < env->items.size(); ++i) {
      const std::string value = text_at(env->items[i], {"value"});
      if (!value.ends_with(kFqdn)) continue;
      const Reply reply = client.api().get(
          fmt::format("/v1/servicebus/{}/connection-string?tls=true",
                      http::url_encode(value.substr(0, value.size() - kFqdn.size()))));
      const std::string text = reply ? text_at(reply.document, {"connectionString"}) : "";
      if (const auto port = text.find(value + ":");
          port != std::string::npos && !text.substr(port).starts_with(value + ":5671"))
        client.warn(
            fmt::format("{} is a name of this server, but --amqps is not at port 5671, "
                        "where its clients look for it",
                        value));
    }
  }
}

Code code_of(const Reply& reply) {
  if (AzClient::is_missing(reply)) return Code::NotFound;
  switch (reply.refusal->exit) {
    case kUnreachable:
      return Code::Unavailable;
    case kPermission:
      return Code::PermissionDenied;
    case kTemporary:
      return Code::Timeout;
    default:
      return Code::Internal;
  }
}

}  // namespace

std::string job_path(AzClient& client, const std::string& name) {
  return client.path("Microsoft.App/jobs/" + http::url_encode(name));
}

std::string execution_api_path(AzClient& client, const std::string& name, std::string_view what) {
  return fmt::format("/v1/executions/{}/{}/{}", http::url_encode(client.group()),
                     http::url_encode(name), what);
}

Place place_of(AzClient& client) {
  return {.subscription = client.subscription(), .group = client.group()};
}

int refused_job(const AzClient& client, const Reply& reply, const std::string& name) {
  if (AzClient::is_missing(reply))
    return client.not_found(fmt::format("The containerapp job '{}' does not exist", name));
  return client.refused(reply);
}

int refused(const AzClient& client, const Fault& fault) {
  return client.complain(exit_of(fault), fault.message);
}

void warn_all(const AzClient& client, const std::vector<std::string>& notes) {
  for (const std::string& note : notes) client.warn(note);
}

FindEnvironment environments_of(AzClient& client) {
  return [&client](const std::string& id) -> Result<Node> {
    Reply reply = client.api().get(encoded_path(id));
    if (reply) return std::move(reply.document);
    return fail(code_of(reply), text_at(reply.refusal->problem, {"detail"}));
  };
}

int store_job(const Arguments& arguments, AzClient& client, const std::string& name,
              const Node& job) {
  const Reply reply = client.api().put(job_path(client, name), job);
  if (!reply) return client.refused(reply);
  warn_of_lock(client, job);
  warn_of_port(client, job);
  return arguments.has("no-wait") ? kOk : client.print(az_plain_resource(reply.document));
}

int change_job(const Arguments& arguments, AzClient& client, const std::string& name,
               const ChangeJob& change, const std::function<Node(const Node& job)>& shown) {
  Reply job = client.api().get(job_path(client, name));
  if (!job) return refused_job(client, job, name);
  std::vector<std::string> notes;
  if (const Status changed = change(job.document, notes); !changed)
    return refused(client, changed.error());
  warn_all(client, notes);
  const Reply reply = client.api().put(job_path(client, name), job.document);
  if (!reply) return refused_job(client, reply, name);
  return arguments.has("no-wait") ? kOk : client.print(shown(reply.document));
}

}  // namespace jobmill::app
