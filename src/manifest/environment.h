// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "manifest/catalog.h"
#include "manifest/core_kinds.h"

namespace jobmill::manifest {

// The variables that a Deployment declares for one of its containers ("" = the first), with the
// Secrets and ConfigMaps of its namespace looked up: envFrom first, then env in order, a later
// name replacing an earlier one.
//
// `fields` are the values of fieldRef ("metadata.name"); variables whose field is not there are
// left out. `provided` is what the container has without declaring it, such as the variables of
// Services: $(NAME) finds it, a declaration of the same name comes first, and it is no part of the
// answer. NotFound names every object or key that is missing and not optional, and a container that
// does not exist.
Result<Texts> resolve_environment(const Catalog& catalog, const Deployment& deployment,
                                  std::string_view container = "", const Texts& fields = {},
                                  const Texts& provided = {});

// The same for a container of any other object: `whose` names that in messages.
Result<Texts> resolve_environment(const Catalog& catalog, std::string_view ns,
                                  const Container& container, const std::string& whose,
                                  const Texts& fields = {}, const Texts& provided = {});

// Replaces $(NAME) by a variable's value and $$ by $, as Kubernetes does in values, commands and
// arguments; $(NAME) of an unknown variable stays. What is declared comes before what is provided.
std::string expand_variables(std::string_view text, const Texts& declared,
                             const Texts& provided = {});

// The values of a Secret or ConfigMap; NotFound if it is not in the catalog.
Result<Texts> values_of(const Catalog& catalog, std::string_view kind, std::string_view ns,
                        std::string_view name);

}  // namespace jobmill::manifest
