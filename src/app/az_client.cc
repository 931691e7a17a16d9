// SPDX-License-Identifier: Apache-2.0
#include "app/az_client.h"

#include <iostream>
#include <utility>

#include <unistd.h>

#include <fmt/core.h>

#include "http/message.h"

namespace jobmill::app {
namespace {

constexpr char kDefaultGroup[] = "default";

}  // namespace

std::optional<AzClient> AzClient::from(const Arguments& arguments) {
  const std::string format = arguments.get("output");
  auto api = ApiClient::connect(arguments, format == "json" ? Output::Json : Output::Table);
  if (!api) return std::nullopt;
  AzClient client(*std::move(api), arguments);
  const auto output = az_output_named(format);
  if (!output) {
    client.usage_error(
        fmt::format("unknown --output '{}'; use json, jsonc, table, tsv, yaml or none", format));
    return std::nullopt;
  }
  client.output_ = *output;
  client.output_given_ = !format.empty();
  if (!arguments.has("query")) return client;
  auto query = Query::parse(arguments.get("query"));
  if (!query) {
    client.usage_error("--query: " + query.error().message);
    return std::nullopt;
  }
  client.query_ = *std::move(query);
  return client;
}

const std::string& AzClient::group() {
  if (group_.empty()) {
    warn(fmt::format("no --resource-group; '{}' is used", kDefaultGroup));
    group_ = kDefaultGroup;
  }
  return group_;
}

std::string AzClient::path(std::string_view resource) {
  (void)group();
  return path_of_list(resource);
}

std::string AzClient::path_of_group(std::string_view name) const {
  return fmt::format("/subscriptions/{}/resourceGroups/{}", http::url_encode(subscription_),
                     http::url_encode(name));
}

std::string AzClient::path_of_list(std::string_view resource) const {
  std::string path = "/subscriptions/" + http::url_encode(subscription_);
  if (!group_.empty()) path += "/resourceGroups/" + http::url_encode(group_);
  return path + "/providers/" + std::string(resource);
}

int AzClient::print(const Node& result) const {
  const Node picked = query_ ? query_->apply(result) : result;
  fmt::print("{}", az_text(picked, output_, query_.has_value()));
  return kOk;
}

int AzClient::print(const Node& result, const Node& rows) const {
  if (output_ != AzOutput::Table || query_) return print(result);
  fmt::print("{}", az_text(rows, output_, true));
  return kOk;
}

int AzClient::print_text(const std::string& text) const {
  if (output_given_ || query_) return print(Node::string(text));
  fmt::print("{}\n", text);
  return kOk;
}

void AzClient::warn(std::string_view text) const {
  if (!quiet_) fmt::print(stderr, "WARNING: {}\n", text);
}

int AzClient::refused(const Reply& reply) const {
  const int exit = api_.refused(reply);
  if (exit == kUnreachable || exit == kPermission || exit == kTemporary) return exit;
  return is_missing(reply) ? kNotFound : kFailed;
}

bool AzClient::is_missing(const Reply& reply) {
  const Node* status = reply ? nullptr : reply.refusal->problem.find("status");
  return status != nullptr && status->as_int() == 404;
}

int AzClient::usage_error(std::string_view text) const { return api_.complain(kUsage, text); }
int AzClient::fail(std::string_view text) const { return api_.complain(kFailed, text); }
int AzClient::not_found(std::string_view text) const { return api_.complain(kNotFound, text); }

std::optional<int> AzClient::confirm(const Arguments& arguments, std::string_view question) const {
  if (arguments.has("yes")) return std::nullopt;
  if (::isatty(STDIN_FILENO) == 0)
    return usage_error("no terminal to ask at; say --yes to go on without a question");
  fmt::print(stderr, "{} (y/n): ", question);
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "y" || answer == "Y" || answer == "yes") return std::nullopt;
  return fail("not confirmed; nothing was changed");
}

}  // namespace jobmill::app
