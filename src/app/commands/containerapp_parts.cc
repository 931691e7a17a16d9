// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "app/commands/commands.h"
#include "app/commands/containerapp_common.h"

// Secrets, identities and registries of a job.
namespace jobmill::app {
namespace {

Node list_in(const Node& job, const char* member) {
  const Node* found = find_at(job, {"properties", "configuration", member});
  return found == nullptr ? Node::array() : *found;
}

// Reads a job and prints what `pick` finds in it.
int show_part(AzClient& client, const std::string& name,
              const std::function<Result<Node>(const Node& job)>& pick) {
  const Reply job = client.api().get(job_path(client, name));
  if (!job) return refused_job(client, job, name);
  const auto part = pick(job.document);
  return part ? client.print(*part) : refused(client, part.error());
}

// --- secrets -----------------------------------------------------------------------------------

Node secret_names(const Node& job) {
  Node names = Node::array();
  for (const Node& secret : list_in(job, "secrets").items) {
    Node one = Node::object();
    one.set("name", Node::string(text_at(secret, {"name"})));
    names.push(std::move(one));
  }
  return names;
}

int list_secrets(const Arguments& arguments, AzClient& client, const std::string& name) {
  if (!arguments.has("show-values"))
    return show_part(client, name,
                     [](const Node& job) -> Result<Node> { return secret_names(job); });
  const Reply reply = client.api().post(job_path(client, name) + "/listSecrets", Node::object());
  if (!reply) return refused_job(client, reply, name);
  const Node* secrets = reply.document.find("value");
  return client.print(secrets == nullptr ? Node::array() : *secrets);
}

int show_secret(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto wanted = required(client, arguments, "secret-name");
  if (!wanted) return kUsage;
  Reply reply = client.api().post(job_path(client, name) + "/listSecrets", Node::object());
  if (!reply) return refused_job(client, reply, name);
  if (const Node* secret = named_in(reply.document.find("value"), "name", *wanted))
    return client.print(*secret);
  Node job = Node::object();
  job.set("name", Node::string(name));
  return refused(client, no_such_secret(job, *wanted));
}

int set_secret(const Arguments& arguments, AzClient& client, const std::string& name) {
  const Values given = values_of(arguments, "secrets");
  if (given.empty()) return client.usage_error("--secrets is required");
  const int exit = change_job(
      arguments, client, name,
      [&](Node& job, std::vector<std::string>&) -> Status {
        TRY(const Node read, secrets(given));
        set_secrets(job, read);
        return {};
      },
      secret_names);
  if (exit == kOk)
    client.warn(fmt::format(
        "Containerapp job '{}' executions triggered now will have the added/updated secret.",
        name));
  return exit;
}

int remove_secret(const Arguments& arguments, AzClient& client, const std::string& name) {
  const Values names = values_of(arguments, "secret-names");
  if (names.empty()) return client.usage_error("--secret-names is required");
  if (const auto exit = client.confirm(arguments, "Remove these secrets?")) return *exit;
  const int exit = change_job(
      arguments, client, name,
      [&](Node& job, std::vector<std::string>&) { return remove_secrets(job, names); },
      secret_names);
  if (exit == kOk) client.warn("Secret(s) successfully removed.");
  return exit;
}

// --- identities --------------------------------------------------------------------------------

std::vector<std::string> identity_ids(const Arguments& arguments, AzClient& client) {
  std::vector<std::string> ids;
  for (const std::string& one : values_of(arguments, "user-assigned"))
    ids.push_back(identity_id(place_of(client), one));
  return ids;
}

int nothing_named(const AzClient& client) {
  return client.usage_error("--system-assigned or --user-assigned is required");
}

int assign(const Arguments& arguments, AzClient& client, const std::string& name) {
  const bool system = arguments.has("system-assigned");
  const std::vector<std::string> ids = identity_ids(arguments, client);
  if (!system && ids.empty()) return nothing_named(client);
  return change_job(
      arguments, client, name,
      [&](Node& job, std::vector<std::string>& notes) -> Status {
        assign_identities(job, system, ids, notes);
        return {};
      },
      identity_in);
}

int unassign(const Arguments& arguments, AzClient& client, const std::string& name) {
  const bool system = arguments.has("system-assigned");
  if (!system && !arguments.has("user-assigned")) return nothing_named(client);
  if (const auto exit = client.confirm(arguments, "Remove these identities?")) return *exit;
  std::optional<std::vector<std::string>> ids;
  if (arguments.has("user-assigned")) ids = identity_ids(arguments, client);
  return change_job(
      arguments, client, name,
      [&](Node& job, std::vector<std::string>&) { return remove_identities(job, system, ids); },
      identity_in);
}

int show_identity(const Arguments&, AzClient& client, const std::string& name) {
  return show_part(client, name, [](const Node& job) -> Result<Node> { return identity_in(job); });
}

// --- registries --------------------------------------------------------------------------------

Node registries_in(const Node& job) { return list_in(job, "registries"); }

// az has its own words here for a job that is not there.
int of_registry(AzClient& client, const std::string& name,
                const std::function<int(const Node& job)>& run) {
  const Reply job = client.api().get(job_path(client, name));
  if (AzClient::is_missing(job))
    return client.not_found(fmt::format("The containerapps job '{}' does not exist", name));
  return job ? run(job.document) : client.refused(job);
}

Result<RegistryLogin> login_of(const Arguments& arguments, AzClient& client,
                               const std::string& server) {
  RegistryLogin login{.server = server,
                      .username = arguments.get("username"),
                      .password = arguments.get("password"),
                      .identity = arguments.get("identity")};
  const bool user = !login.username.empty() || !login.password.empty();
  if (user && !login.identity.empty())
    return fail(Code::InvalidArgument, "Use either identity or --username/--password.");
  const bool whole = !login.username.empty() && !login.password.empty();
  if (login.identity.empty() && !whole && (user || !is_azure_registry(server)))
    return fail(Code::InvalidArgument,
                "Registry username and password are required if you are not using Azure Container "
                "Registry.");
  if (!login.identity.empty() && !same_text(login.identity, "system"))
    login.identity = identity_id(place_of(client), login.identity);
  return login;
}

int set_login(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto server = required(client, arguments, "registry-server");
  if (!server) return kUsage;
  const auto login = login_of(arguments, client, *server);
  if (!login) return refused(client, login.error());
  return of_registry(client, name, [&](const Node&) {
    return change_job(
        arguments, client, name,
        [&](Node& job, std::vector<std::string>& notes) {
          return set_registry(job, *login, notes);
        },
        registries_in);
  });
}

int show_login(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto server = required(client, arguments, "registry-server");
  if (!server) return kUsage;
  return of_registry(client, name, [&](const Node& job) {
    const auto registry = registry_in(job, *server);
    return registry ? client.print(*registry) : refused(client, registry.error());
  });
}

int list_logins(const Arguments&, AzClient& client, const std::string& name) {
  return of_registry(client, name,
                     [&](const Node& job) { return client.print(registries_in(job)); });
}

int remove_login(const Arguments& arguments, AzClient& client, const std::string& name) {
  const auto server = required(client, arguments, "registry-server");
  if (!server) return kUsage;
  return of_registry(client, name, [&](const Node&) {
    const int exit = change_job(
        arguments, client, name,
        [&](Node& job, std::vector<std::string>&) { return remove_registry(job, *server); },
        registries_in);
    if (exit == kOk) client.warn("Registry successfully removed.");
    return exit;
  });
}

// --- the table ---------------------------------------------------------------------------------

constexpr std::array kNameFlags{kJobName};
constexpr std::array kSecretListFlags{kJobName, Flag{"--show-values", "", "with their values"}};
constexpr std::array kSecretShowFlags{kJobName, Flag{"--secret-name", "NAME", "the secret"}};
constexpr std::array kSecretSetFlags{
    kJobName, Flag{"-s,--secrets", "[K=V …]", "V may be keyvaultref:URL,identityref:ID"}};
constexpr std::array kSecretRemoveFlags{kJobName, Flag{"--secret-names", "[NAME …]", "the secrets"},
                                        kYes};
constexpr Flag kSystem{"--system-assigned", "", "the one of its own"};
constexpr std::array kAssignFlags{
    kJobName, kSystem, Flag{"--user-assigned", "[ID …]", "identities, by name or id"}, kNoWait};
constexpr std::array kUnassignFlags{
    kJobName, kSystem,
    Flag{"--user-assigned", "[ID …]", "identities, by name or id; without any: all of them"}, kYes,
    kNoWait};
// az calls it --server, which is the control server elsewhere (JOBMILL_URL).
constexpr Flag kServer{"--registry-server,--server", "SERVER", "the registry, name.azurecr.io"};
constexpr std::array kRegistrySetFlags{
    kJobName,
    kServer,
    Flag{"--username", "NAME", "kept and shown"},
    Flag{"--password", "TEXT", "kept as a secret"},
    Flag{"--identity", "ID", "identity for the registry, or system; assigned to the job"},
    kNoWait,
};
constexpr std::array kRegistryFlags{kJobName, kServer};
constexpr std::array kRegistryRemoveFlags{kJobName, kServer, kNoWait};

}  // namespace

const std::array<Command, 11> kContainerJobPartCommands{
    az("containerapp job secret list", "List the secrets of a job.", kSecretListFlags,
       named<list_secrets>),
    az("containerapp job secret show", "Show a secret with its value.", kSecretShowFlags,
       named<show_secret>),
    az("containerapp job secret set", "Add or change secrets.", kSecretSetFlags, named<set_secret>),
    az("containerapp job secret remove", "Remove secrets.", kSecretRemoveFlags,
       named<remove_secret>),
    az("containerapp job identity assign", "Give a job identities.", kAssignFlags, named<assign>),
    az("containerapp job identity remove", "Take identities away.", kUnassignFlags,
       named<unassign>),
    az("containerapp job identity show", "Show the identities of a job.", kNameFlags,
       named<show_identity>),
    az("containerapp job registry set", "Add or change the login of a registry.", kRegistrySetFlags,
       named<set_login>),
    az("containerapp job registry show", "Show a registry of a job.", kRegistryFlags,
       named<show_login>),
    az("containerapp job registry list", "List the registries of a job.", kNameFlags,
       named<list_logins>),
    az("containerapp job registry remove", "Remove a registry from a job.", kRegistryRemoveFlags,
       named<remove_login>),
};

}  // namespace jobmill::app
