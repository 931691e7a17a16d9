// SPDX-License-Identifier: Apache-2.0
#include "scale/spec_fields.h"

#include <algorithm>
#include <array>

namespace jobmill::scale {

using manifest::Fields;

namespace {

AuthenticationRef decode_authentication_ref(Fields& fields) {
  constexpr std::array<std::string_view, 2> kKinds{"TriggerAuthentication",
                                                   "ClusterTriggerAuthentication"};
  AuthenticationRef reference;
  reference.name = fields.required_text("name");
  reference.kind = kKinds[fields.word("kind", kKinds).value_or(0)];
  return reference;
}

}  // namespace

const std::string* find_text(const manifest::Texts& texts, std::string_view key) {
  const auto it = texts.find(key);
  return it == texts.end() ? nullptr : &it->second;
}

bool is_asked_for(const std::string* annotation) {
  constexpr std::array<std::string_view, 6> kNo{"0", "f", "F", "FALSE", "false", "False"};
  return annotation && std::find(kNo.begin(), kNo.end(), *annotation) == kNo.end();
}

Trigger decode_trigger(Fields& fields) {
  Trigger trigger;
  trigger.type = fields.required_text("type");
  trigger.name = fields.text("name");
  trigger.metric_type = fields.text("metricType");
  trigger.metadata = fields.texts("metadata");
  if (!fields.has("metadata")) fields.error("metadata", "required, and missing");
  trigger.use_cached_metrics = fields.boolean("useCachedMetrics").value_or(false);
  fields.object("authenticationRef",
                [&](Fields& f) { trigger.authentication = decode_authentication_ref(f); });
  return trigger;
}

void report(const Status& status, const Node& at, manifest::Problems& problems) {
  if (!status) problems.error(at, status.error().message);
}

const Node& member_or_self(const Node& object, std::string_view key) {
  const Node* member = object.find(key);
  return member ? *member : object;
}

}  // namespace jobmill::scale
