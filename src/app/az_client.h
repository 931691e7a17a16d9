// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "app/api_client.h"
#include "app/az_output.h"
#include "app/query.h"

namespace jobmill::app {

// The control server as the commands that mirror az see it: paths of Azure Resource Manager, az's
// ways to print, az's exit codes (3: not found), and ours beyond them.
class AzClient {
 public:
  // By flags and environment. A usage error is printed; none then.
  static std::optional<AzClient> from(const Arguments& arguments);

  // "/subscriptions/…/resourceGroups/…/providers/" + `resource`. Says once that there is no group.
  std::string path(std::string_view resource);
  // Without the group, when none is given: what a list can do.
  std::string path_of_list(std::string_view resource) const;
  std::string path_of_group(std::string_view name) const;  // "/subscriptions/…/resourceGroups/…"

  const std::string& subscription() const { return subscription_; }
  const std::string& group();  // says once that there is none

  ApiClient& api() { return api_; }

  // On stdout, what --query wants of it in the form that --output names.
  int print(const Node& result) const;
  // With --output table and no --query `rows` instead: as az has columns of its own for some.
  int print(const Node& result, const Node& rows) const;
  // What is text to be read by programs, unless --output says otherwise.
  int print_text(const std::string& text) const;
  void warn(std::string_view text) const;  // on stderr

  int refused(const Reply& reply) const;         // prints why; az's exit code
  static bool is_missing(const Reply& reply);    // 404
  int usage_error(std::string_view text) const;  // prints; 2
  int fail(std::string_view text) const;         // prints; 1
  int not_found(std::string_view text) const;    // prints; 3
  int complain(int exit, std::string_view text) const { return api_.complain(exit, text); }

  // Whether to go on: --yes, or a yes at the terminal. Otherwise the exit code.
  std::optional<int> confirm(const Arguments& arguments, std::string_view question) const;

 private:
  AzClient(ApiClient api, const Arguments& arguments)
      : api_(std::move(api)),
        subscription_(arguments.get("subscription", "00000000-0000-0000-0000-000000000000")),
        group_(arguments.get("resource-group")),
        quiet_(arguments.has("only-show-errors")) {}

  ApiClient api_;
  AzOutput output_ = AzOutput::Json;
  bool output_given_ = false;
  std::optional<Query> query_;
  std::string subscription_;
  std::string group_;
  bool quiet_;
};

}  // namespace jobmill::app
