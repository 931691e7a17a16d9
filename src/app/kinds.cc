// SPDX-License-Identifier: Apache-2.0
#include "app/kinds.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "base/text.h"

namespace jobmill::app {
namespace {

struct Kind {
  std::string_view name;
  std::array<std::string_view, 2> short_names;
};

constexpr std::array kKinds{
    Kind{"ScaledObject", {"so"}},
    Kind{"ScaledJob", {"sj"}},
    Kind{"TriggerAuthentication", {"ta", "triggerauth"}},
    Kind{"ClusterTriggerAuthentication", {"cta", "clustertriggerauth"}},
    Kind{"Deployment", {"deploy"}},
    Kind{"Service", {"svc"}},
    Kind{"Secret", {}},
    Kind{"ConfigMap", {"cm"}},
    Kind{"Pod", {"po"}},
};

}  // namespace

std::optional<std::string_view> kind_of(std::string_view word) {
  const std::string wanted = lower(word);
  for (const Kind& kind : kKinds) {
    const std::string name = lower(kind.name);
    if (wanted == name || wanted == name + "s") return kind.name;
    if (!wanted.empty() && std::ranges::find(kind.short_names, wanted) != kind.short_names.end())
      return kind.name;
  }
  return std::nullopt;
}

std::string_view known_kinds() {
  return "scaledobjects (so), scaledjobs (sj), triggerauthentications (ta), "
         "clustertriggerauthentications (cta), "
         "deployments (deploy), services (svc), secrets, configmaps (cm), pods (po)";
}

}  // namespace jobmill::app
