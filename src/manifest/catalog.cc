// SPDX-License-Identifier: Apache-2.0
#include "manifest/catalog.h"

#include <algorithm>

namespace jobmill::manifest {
namespace {

bool same_value(const Node& a, const Node& b);

bool same_member(const Node::Member& a, const Node::Member& b) {
  return a.key == b.key && same_value(a.value, b.value);
}

// Places do not count: the same text in another file is the same document.
bool same_value(const Node& a, const Node& b) {
  return a.kind == b.kind && a.text == b.text &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), same_value) &&
         std::equal(a.members.begin(), a.members.end(), b.members.begin(), b.members.end(),
                    same_member);
}

bool is_of_envelope(std::string_view key) {
  return key == "apiVersion" || key == "kind" || key == "metadata" || key == "status";
}

// spec, data, stringData, …: what is wanted, as against what it is called.
Node wish_of(const Node& document) {
  Node wish = Node::object();
  for (const Node::Member& member : document.members)
    if (!is_of_envelope(member.key)) wish.members.push_back(member);
  return wish;
}

bool same_wish(const Object& a, const Object& b) {
  return same_value(wish_of(a.document), wish_of(b.document));
}

bool same_object(const Object& a, const Object& b) {
  return a.api_version == b.api_version && a.labels == b.labels && a.annotations == b.annotations &&
         same_wish(a, b);
}

}  // namespace

const Object* Catalog::find(const ObjectKey& key) const {
  const auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : &it->second;
}

const Object* Catalog::find(std::string_view kind, std::string_view ns,
                            std::string_view name) const {
  return find({std::string(kind), std::string(ns), std::string(name)});
}

std::vector<const Object*> Catalog::list(std::string_view kind) const {
  std::vector<const Object*> found;
  for (auto it = objects_.lower_bound({std::string(kind), "", ""});
       it != objects_.end() && it->first.kind == kind; ++it)
    found.push_back(&it->second);
  return found;
}

std::vector<const Object*> Catalog::all() const {
  std::vector<const Object*> found;
  for (const auto& [key, object] : objects_) found.push_back(&object);
  return found;
}

bool Catalog::put(Object object, TimePoint now) {
  const ObjectKey key = object.key;
  const auto it = objects_.find(key);
  if (it != objects_.end() && same_object(it->second, object)) return false;

  const bool is_new = it == objects_.end();
  object.created = is_new ? now : it->second.created;
  object.generation = is_new ? 1 : it->second.generation + (same_wish(it->second, object) ? 0 : 1);
  objects_.insert_or_assign(key, std::move(object));
  notify(key);
  return true;
}

void Catalog::restore(Object object) {
  const ObjectKey key = object.key;
  objects_.insert_or_assign(key, std::move(object));
  notify(key);
}

bool Catalog::remove(const ObjectKey& key) {
  if (objects_.erase(key) == 0) return false;
  notify(key);
  return true;
}

void Catalog::on_change(Listener listener) { listeners_.push_back(std::move(listener)); }

void Catalog::notify(const ObjectKey& key) const {
  for (const Listener& listener : listeners_) listener(key);
}

}  // namespace jobmill::manifest
