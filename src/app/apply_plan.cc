// SPDX-License-Identifier: Apache-2.0
#include "app/apply_plan.h"

#include <algorithm>

#include <fmt/core.h>

#include "manifest/core_kinds.h"
#include "manifest/reader.h"
#include "scale/auth.h"
#include "scale/scaled_job.h"
#include "scale/spec.h"
#include "scalers/table.h"

namespace jobmill::app {
namespace {

using manifest::Deployment;
using manifest::Object;
using manifest::Problems;

// The line of the whole manifest, for what belongs to no single field.
const Node& whole(const Object& object) { return object.document; }

const Node& image_node(const Object& object) {
  const Node* node = &object.document;
  for (const char* key : {"spec", "template", "spec", "containers"})
    if (node != nullptr) node = node->find(key);
  if (node == nullptr || node->items.empty()) return whole(object);
  const Node* image = node->items.front().find("image");
  return image != nullptr ? *image : whole(object);
}

const Node& trigger_node(const Object& object, std::size_t index, std::string_view member) {
  const Node* triggers = object.document.find("spec");
  if (triggers != nullptr) triggers = triggers->find("triggers");
  if (triggers == nullptr || index >= triggers->items.size()) return whole(object);
  const Node* found = triggers->items[index].find(member);
  return found != nullptr ? *found : triggers->items[index];
}

bool takes_environment(const scale::Trigger& trigger) {
  return std::ranges::any_of(trigger.metadata,
                             [](const auto& entry) { return entry.first.ends_with("FromEnv"); });
}

void check_image(const Object& object, const Deployment& deployment, const LocalImages& images,
                 Problems& problems) {
  const manifest::Container& container = deployment.main();
  const auto image = images.find(container.image);
  if (image && image->off) {
    problems.note(whole(object),
                  fmt::format("deployment/{}: not used on this machine (--image {}=off)",
                              deployment.key.name, image->pattern));
  } else if (!image && container.command.empty()) {
    problems.error(image_node(object),
                   fmt::format("nothing says what image '{}' means on this machine; add --image "
                               "{}=COMMAND, or a command to the container",
                               container.image, container.image));
  }
}

void check_types(const Object& object, std::span<const scale::Trigger> triggers,
                 Problems& problems) {
  for (std::size_t i = 0; i < triggers.size(); ++i) {
    if (const Status known =
            scale::check_trigger_types(triggers.subspan(i, 1), scalers::scaler_types());
        !known)
      problems.error(trigger_node(object, i, "type"), known.error().message);
    if (const Status here = scalers::check_without_cluster(triggers[i].type); !here)
      problems.error(trigger_node(object, i, "type"), here.error().message);
  }
}

void check_target(const Object& object, const scale::ScaleTargetRef& target, Problems& problems) {
  if (target.api_version == "apps/v1" && target.kind == "Deployment") return;
  const Node* spec = object.document.find("spec");
  const Node* ref = spec != nullptr ? spec->find("scaleTargetRef") : nullptr;
  problems.error(ref != nullptr ? *ref : whole(object),
                 fmt::format("{} {}: on this machine Deployments of apps/v1 scale; others in a "
                             "cluster (--target kubernetes)",
                             target.api_version, target.kind));
}

void check_scaled_job(const Object& object, Problems& problems) {
  const auto spec = scale::decode_scaled_job(object, problems);
  if (problems.ok()) check_types(object, spec.triggers, problems);
}

struct Checker {
  const manifest::Catalog& catalog;
  const LocalImages& images;
  const std::vector<Object>& batch;
  std::vector<scale::ScaledObjectSpec> scaled;  // of the batch, as far as checked

  // Other ScaledObjects that would be there: those of the batch before this one, and those that
  // are applied and not replaced by the batch.
  std::vector<scale::ScaledObjectSpec> others(const manifest::ObjectKey& key) const {
    std::vector<scale::ScaledObjectSpec> list = scaled;
    for (const Object* applied : catalog.list("ScaledObject")) {
      const bool replaced =
          std::ranges::any_of(batch, [&](const Object& o) { return o.key == applied->key; });
      Problems ignored(applied->source);
      if (!replaced && applied->key != key)
        list.push_back(scale::decode_scaled_object(*applied, ignored));
    }
    return list;
  }

  void check_scaled_object(const Object& object, Problems& problems) {
    auto spec = scale::decode_scaled_object(object, problems);
    if (!problems.ok()) return;
    check_types(object, spec.triggers, problems);
    check_target(object, spec.target, problems);
    if (const Status alone = scale::check_no_rival(spec, others(object.key)); !alone)
      problems.error(whole(object), alone.error().message);
    scaled.push_back(std::move(spec));
  }

  void check(const Object& object, Problems& problems) {
    const std::string& kind = object.key.kind;
    if (kind == "ScaledObject") return check_scaled_object(object, problems);
    if (kind == "ScaledJob") return check_scaled_job(object, problems);
    if (kind == "TriggerAuthentication" || kind == "ClusterTriggerAuthentication") {
      (void)scale::decode_trigger_authentication(
          object, problems);  // only what is wrong with it matters here
      return;
    }
    if (kind != "Deployment") return;  // Kubernetes' own kinds were checked as they were read
    Problems known(object.source);
    const Deployment deployment = manifest::decode_deployment(object, known);
    if (known.ok()) check_image(object, deployment, images, problems);
  }
};

// With what a trigger refers to as it will be. What is not there yet may come later: then the
// object's status speaks of it, and the other triggers go on.
template <class Spec>
void check_scalers(const Object& object, const Spec& spec, bool has_target,
                   const manifest::Catalog& after, Problems& problems) {
  for (std::size_t i = 0; i < spec.triggers.size(); ++i) {
    const auto resolved = scale::resolve_trigger(after, spec, i);
    if (!resolved || !resolved->warnings.empty()) continue;
    if (!has_target && takes_environment(spec.triggers[i])) continue;
    if (const Status good = scalers::check_scaler(resolved->spec); !good)
      problems.error(trigger_node(object, i, "metadata"), good.error().message);
  }
}

void check_triggers(const Object& object, const manifest::Catalog& after, Problems& problems) {
  Problems told(object.source);  // when it was checked by itself
  if (object.key.kind == "ScaledJob")
    check_scalers(object, scale::decode_scaled_job(object, told), true, after, problems);
  if (object.key.kind != "ScaledObject") return;
  const auto spec = scale::decode_scaled_object(object, told);
  check_scalers(object, spec, after.find(spec.target_key()) != nullptr, after, problems);
}

void check_all_triggers(const manifest::Catalog& catalog, manifest::Manifests& read) {
  manifest::Catalog after = catalog;
  for (const Object& object : read.objects) after.put(object, {});
  for (const Object& object : read.objects) {
    Problems problems(object.source);
    check_triggers(object, after, problems);
    read.add(problems);
  }
}

manifest::Manifests read_all(std::span<const api::ManifestFile> files, std::string_view ns) {
  manifest::Manifests read;
  for (const api::ManifestFile& file : files)
    manifest::read_manifests(file.text, file.name, ns, read);
  return read;
}

}  // namespace

ApplyPlan plan_apply(std::span<const api::ManifestFile> files, std::string_view ns,
                     const manifest::Catalog& catalog, const LocalImages& images) {
  manifest::Manifests read = read_all(files, ns);
  Checker checker{catalog, images, read.objects, {}};
  for (const Object& object : read.objects) {
    Problems problems(object.source);
    checker.check(object, problems);
    read.add(problems);
  }
  // Triggers refer to other objects, which have to be right for that.
  if (read.errors.empty()) check_all_triggers(catalog, read);
  return {std::move(read.objects), std::move(read.notes), std::move(read.errors)};
}

ApplyPlan plan_delete(std::span<const api::ManifestFile> files, std::string_view ns) {
  manifest::Manifests read = read_all(files, ns);
  return {std::move(read.objects), {}, std::move(read.errors)};
}

bool is_off(const Deployment& deployment, const LocalImages& images) {
  const auto image = images.find(deployment.main().image);
  return image && image->off;
}

}  // namespace jobmill::app
