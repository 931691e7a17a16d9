// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/document.h"
#include "executions/container_job.h"
#include "executions/execution.h"
#include "manifest/fields.h"

// Parts of a job that stand in its resource and in stored executions alike. Readers take what has
// the right type; whether it makes sense together is for decode_job() to say.
namespace jobmill::executions {

using manifest::Fields;

inline constexpr std::array<std::string_view, 3> kTriggerTypes{"Manual", "Schedule", "Event"};
inline constexpr std::array<std::string_view, 2> kSemantics{"bound", "cloud"};
inline constexpr std::array<std::string_view, 4> kRunners{"auto", "process", "oci", "kubernetes"};

std::optional<ReplicaState> replica_state_named(std::string_view text);

// A number or a boolean is as good as a text: `messageCount: 1`.
std::string scalar_text(Fields& fields, std::string_view key);
Texts scalar_texts(Fields& fields, std::string_view key);
// One of the words, in any case.
std::optional<std::size_t> any_case_word(Fields& fields, std::string_view key,
                                         std::span<const std::string_view> words);

// Seconds, also fractions of one.
std::optional<Duration> read_seconds(Fields& fields, std::string_view key);

// A schedule: cron in five fields.
std::string read_cron(Fields& fields, std::string_view key);

// tidy_resource() that leaves what is read-only.
Node shaped(Node resource);

// `check` may say more of each container, init containers included.
using CheckContainer = std::function<void(Fields& fields, const Container& container)>;
Template read_template(Fields& fields, const CheckContainer& check = {});
ScaleRule read_rule(Fields& fields);
AssignedIdentities read_identity(Fields& fields);
JobOptions read_options(Fields& fields);

Node rule_document(const ScaleRule& rule);
Node identity_document(const AssignedIdentities& identity);
Node options_document(const JobOptions& options);

// For writers: texts that are empty and values that are not there are left out.
void set_text(Node& object, std::string key, std::string_view text);
void set_instant(Node& object, std::string key, const std::optional<TimePoint>& at);
template <class Items, class Write>
Node list_document(const Items& items, Write write) {
  Node list = Node::array();
  for (const auto& item : items) list.push(write(item));
  return list;
}
Node text_list(const std::vector<std::string>& texts);

}  // namespace jobmill::executions
