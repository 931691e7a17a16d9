// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "manifest/fields.h"
#include "manifest/object.h"
#include "scale/spec.h"

// What the decoders of KEDA's kinds have in common.
namespace jobmill::scale {

inline constexpr std::string_view kPaused = "autoscaling.keda.sh/paused";
inline constexpr std::string_view kSemantics = "jobmill/semantics";

inline constexpr manifest::IntegerRange kNotNegative{.least = 0};
inline constexpr manifest::IntegerRange kPositive{.least = 1};

const std::string* find_text(const manifest::Texts& texts, std::string_view key);

// Anything but a plain "no" counts as yes: a mistyped value must not set a paused workload free.
bool is_asked_for(const std::string* annotation);

Trigger decode_trigger(manifest::Fields& fields);

void report(const Status& status, const Node& at, manifest::Problems& problems);
const Node& member_or_self(const Node& object, std::string_view key);

template <class DecodeSpec>
void decode_document(const manifest::Object& object, manifest::Problems& problems,
                     DecodeSpec decode_spec_of) {
  manifest::Fields fields(object.document, "", manifest::Unknown::Refused, problems);
  fields.accept({"apiVersion", "kind", "metadata", "status"});
  fields.required_object("spec", decode_spec_of);
}

}  // namespace jobmill::scale
