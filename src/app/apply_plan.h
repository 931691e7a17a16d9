// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/control_plane.h"
#include "app/local_images.h"
#include "manifest/catalog.h"
#include "manifest/core_kinds.h"
#include "manifest/object.h"

namespace jobmill::app {

// What applying some manifests would do. With errors, nothing may be applied.
struct ApplyPlan {
  std::vector<manifest::Object> objects;
  std::vector<manifest::Remark> notes;
  std::vector<manifest::Remark> errors;
};

// Reads and checks manifests, each by itself and against what is applied already: schema, bounds,
// triggers, images, rivals for one target. Pure.
ApplyPlan plan_apply(std::span<const api::ManifestFile> files, std::string_view ns,
                     const manifest::Catalog& catalog, const LocalImages& images);

// The keys that manifests name, for delete: they need not be right, only readable.
ApplyPlan plan_delete(std::span<const api::ManifestFile> files, std::string_view ns);

// Whether the Deployment's image is mapped to `off`: not used on this machine.
bool is_off(const manifest::Deployment& deployment, const LocalImages& images);

}  // namespace jobmill::app
