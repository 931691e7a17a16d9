// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/core.h>

#include "app/commands/az_command.h"
#include "app/commands/commands.h"
#include "app/containerapp_values.h"
#include "app/hosts_file.h"

// What scripts need of this machine: a program called az, names of namespaces; and what they ask az
// before anything else.
namespace jobmill::app {
namespace {

namespace fs = std::filesystem;

// --- az-shim -----------------------------------------------------------------------------------

int shim(const Arguments& arguments) {
  const fs::path folder = arguments.positional.front();
  const fs::path link = folder / "az";
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return complain(kFailed, "where this program is cannot be seen: " + error.message());
  fs::create_directories(folder, error);
  if (fs::is_symlink(link) && fs::read_symlink(link, error) == program) return kOk;
  if (fs::exists(fs::symlink_status(link)))
    return complain(kFailed, fmt::format("{} is there already; remove it first", link.string()));
  fs::create_symlink(program, link, error);
  if (error)
    return complain(kFailed, fmt::format("cannot write {}: {}", link.string(), error.message()));
  fmt::print(stderr, "put {} first on PATH: export PATH=\"{}:$PATH\"\n", folder.string(),
             fs::absolute(folder).lexically_normal().string());
  return kOk;
}

// --- hosts -------------------------------------------------------------------------------------

std::vector<std::string> names_of(const Node& namespaces) {
  std::vector<std::string> names;
  if (const Node* all = namespaces.find("value"))
    for (const Node& one : all->items)
      names.push_back(text_at(one, {"name"}) + ".servicebus.windows.net");
  return names;
}

int apply_hosts(const Arguments& arguments, AzClient& client) {
  const std::string path = arguments.get("file", "/etc/hosts");
  const Reply reply = client.api().get("/subscriptions/" + client.subscription() +
                                       "/providers/Microsoft.ServiceBus/namespaces");
  if (!reply) return client.refused(reply);
  const auto text = read_text_file(path);
  if (!text) return client.fail(text.error().message);
  const std::string lines = missing_hosts(*text, names_of(reply.document));
  if (lines.empty()) return kOk;
  // Appended, not replaced: in containers the file is a mount.
  std::ofstream file(path, std::ios::app);
  file << lines << std::flush;
  if (!file)
    return client.complain(kPermission, fmt::format("cannot write {}; run it with sudo", path));
  fmt::print("{}", lines);
  return kOk;
}

// --- what scripts ask az -----------------------------------------------------------------------

Node account_of(const AzClient& client) {
  Node account = Node::object();
  account.set("environmentName", Node::string("AzureCloud"));
  account.set("id", Node::string(client.subscription()));
  account.set("isDefault", Node::boolean(true));
  account.set("name", Node::string("jobmill"));
  account.set("state", Node::string("Enabled"));
  account.set("tenantId", Node::string("00000000-0000-0000-0000-000000000000"));
  Node& user = account.set("user", Node::object());
  user.set("name", Node::string("jobmill"));
  user.set("type", Node::string("user"));
  return account;
}

int show_account(const Arguments&, AzClient& client) { return client.print(account_of(client)); }

int login(const Arguments&, AzClient& client) {
  client.warn("nothing to log in to: this az is jobmill.");
  Node accounts = Node::array();
  accounts.push(account_of(client));
  return client.print(accounts);
}

// --- the table ---------------------------------------------------------------------------------

constexpr std::array kHostsFlags{Flag{"--file", "FILE", "(default: /etc/hosts)"}};
constexpr std::array kLoginFlags{
    Flag{"-i,--identity", "", "no effect"},
    Flag{"--service-principal", "", "no effect"},
    Flag{"-u,--username", "NAME", "no effect"},
    Flag{"-p,--password", "TEXT", "no effect"},
    Flag{"-t,--tenant", "ID", "no effect"},
    Flag{"--use-device-code", "", "no effect"},
    Flag{"--allow-no-subscriptions", "", "no effect"},
};

}  // namespace

const std::array<Command, 2> kMachineCommands{
    Command{"az-shim",
            "DIR",
            "Write a link named az, so that scripts which call az call jobmill.",
            {},
            false,
            shim},
    az("hosts apply", "Add the names of local namespaces to /etc/hosts; needs root.", kHostsFlags,
       with_client<apply_hosts>),
};

const std::array<Command, 2> kAzOnlyCommands{
    az("login", "Does nothing; there is nothing to log in to.", kLoginFlags, with_client<login>),
    az("account show", "Show the subscription, a label.", {}, with_client<show_account>),
};

}  // namespace jobmill::app
