// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "app/api_client.h"
#include "app/commands/commands.h"
#include "app/table.h"
#include "http/message.h"

// The values of secrets that jobs have in a key vault.
namespace jobmill::app {
namespace {

// Standard input, without the end of its last line.
std::string value_given() {
  std::string value{std::istreambuf_iterator<char>(std::cin), {}};
  if (value.ends_with('\n')) value.pop_back();
  return value;
}

int set_secret(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  if (!arguments.has("keyvault-url")) return client->complain(kUsage, "--keyvault-url is required");
  Node body = Node::object();
  body.set("url", Node::string(arguments.get("keyvault-url")));
  body.set("value", Node::string(arguments.has("value") ? arguments.get("value") : value_given()));
  const Reply reply = client->put("/v1/vault-secrets", body);
  return reply ? kOk : client->refused(reply);
}

int list_secrets(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  const Reply reply = client->get("/v1/vault-secrets");
  if (!reply) return client->refused(reply);
  Table table({"URL"});
  std::vector<std::string> names;
  const Node* secrets = reply.document.find("secrets");
  for (std::size_t i = 0; secrets != nullptr && i < secrets->items.size(); ++i) {
    table.row({cell(secrets->items[i], "url")});
    names.push_back("secret/" + cell(secrets->items[i], "url"));
  }
  return print(client->output(), reply.document, table, names);
}

int remove_secret(const Arguments& arguments) {
  auto client = ApiClient::from(arguments);
  if (!client) return kUsage;
  if (!arguments.has("keyvault-url")) return client->complain(kUsage, "--keyvault-url is required");
  const Reply reply =
      client->remove("/v1/vault-secrets?url=" + http::url_encode(arguments.get("keyvault-url")));
  return reply ? kOk : client->refused(reply);
}

constexpr Flag kUrl{"--keyvault-url", "URL", "as jobs refer to it: https://…/secrets/NAME"};
constexpr std::array kSetFlags{kUrl,
                               Flag{"--value", "TEXT", "its value (default: what stdin has)"}};
constexpr std::array kRemoveFlags{kUrl};

}  // namespace

const std::array<Command, 3> kSecretCommands{
    Command{"secret set", "", "Give a secret of a key vault its value on this machine.", kSetFlags,
            true, set_secret},
    Command{"secret list",
            "",
            "List the secrets of key vaults that have a value.",
            {},
            true,
            list_secrets},
    Command{"secret remove", "", "Forget a secret of a key vault.", kRemoveFlags, true,
            remove_secret},
};

}  // namespace jobmill::app
