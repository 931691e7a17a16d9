// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/document.h"

// Results as az prints them, so that scripts which read them run unchanged.
namespace jobmill::app {

enum class AzOutput { Json, Table, Tsv, Yaml, None };

// json, jsonc (the same: colours are left to the terminal's tools), table, tsv, yaml, none.
std::optional<AzOutput> az_output_named(std::string_view text);

// JSON and YAML have their keys in order. A table has a column for each plain member, a line for
// each element; tsv a line for each element and a tab between members. A null prints nothing.
// `picked`: a query made the result, so that its members are in the order wanted.
std::string az_text(const Node& result, AzOutput output, bool picked);

// A resource of Azure Resource Manager as az shows it: its properties beside its name, and the
// resource group of its id.
Node az_resource(Node resource);
Node az_resources(const Node& list);  // {"value": […]} as an array of them

// Those that az shows as they are, with the resource group of their id.
Node az_plain_resource(Node resource);
Node az_plain_resources(const Node& list);

}  // namespace jobmill::app
