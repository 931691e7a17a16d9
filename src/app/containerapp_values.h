// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/command_line.h"
#include "base/document.h"
#include "base/node_path.h"
#include "base/result.h"

// Values of az's flags for jobs of Container Apps, with az's checks and its words. A Fault of
// InvalidArgument is what az's own checks find, one of Unsupported what its parser of the command
// line would refuse.
namespace jobmill::app {

// Of the process: 1, or 2 for what the parser refuses; as the server's refusals have it otherwise.
int exit_of(const Fault& fault);

using Values = std::vector<std::string>;

// What stands after a flag that takes several values; a flag with nothing after it has none.
Values values_of(const Arguments& arguments, std::string_view flag);

// "A=b" and "C=secretref:name" as [{name, value}] and [{name, secretRef}]. Of a reference in the
// middle of a value a note says that it is none.
Result<Node> env_vars(const Values& values, std::vector<std::string>& notes);
// "n=value" and "n=keyvaultref:url,identityref:id" as [{name, value}], [{name, keyVaultUrl,
// identity}]. The first = splits: connection strings pass unharmed.
Result<Node> secrets(const Values& values);
Result<Node> scale_metadata(const Values& values);  // {key: value}
Result<Node> scale_auth(const Values& values);      // [{triggerParameter, secretRef}]
Result<Node> tags(const Values& values);            // a key alone has an empty value

// None: the flag is not there.
Result<std::optional<std::int64_t>> whole_number(const Arguments& arguments, std::string_view flag,
                                                 std::int64_t least);
// As [{cpu, memory}] has them: a number; "0.5Gi", also for 0.5.
Result<Node> cpu(const std::string& text);
Result<Node> memory(std::string text);

// A list of words; one empty word is the empty list.
Node word_list(const Arguments& arguments, std::string_view flag);

bool same_text(std::string_view a, std::string_view b);  // without case

// The element of a list of objects whose `key` is `text`, without case; null: none.
Node* named_in(Node* list, std::string_view key, std::string_view text);
// The object or list at the end of the path, made if it is not there.
Node& object_at(Node& root, std::initializer_list<const char*> path);
Node& list_at(Node& root, std::initializer_list<const char*> path);

}  // namespace jobmill::app
