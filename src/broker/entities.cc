// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>

#include "broker/engine.h"
#include "broker/root_rule.h"

namespace jobmill::broker {
namespace {

// The numbers of entities are reserved like those of messages, in a container of nobody.
constexpr QueueKey kEntityNumbers{};

Status check_fixed(const QueueDescription& before, const QueueDescription& after) {
  const auto differs = [&](std::string_view property) {
    return fail(Code::InvalidArgument, "queue " + after.name + ": " + std::string(property) +
                                           " cannot change after creation");
  };
  if (before.requires_session != after.requires_session) return differs("RequiresSession");
  if (before.requires_duplicate_detection != after.requires_duplicate_detection)
    return differs("RequiresDuplicateDetection");
  if (before.partitioning != after.partitioning) return differs("EnablePartitioning");
  return {};
}

bool refuses_receivers(EntityStatus status) {
  return status == EntityStatus::Disabled || status == EntityStatus::ReceiveDisabled;
}

}  // namespace

// --- look-up ---

Entity* Engine::find_entity(std::string_view path) const {
  const auto at = by_path_.find(path);
  return at == by_path_.end() || !at->second->visible ? nullptr : at->second.get();
}

Result<Queue*> Engine::find_queue(const Address& address) const {
  Entity* entity = find_entity(address.path);
  if (entity == nullptr)
    return fail(Code::NotFound, "The messaging entity '" + address.path + "' could not be found");
  return &entity->queue(address.sub_queue);
}

Result<Queue*> Engine::use_queue(const Address& address, TimePoint now) {
  see(now);
  TRY(Queue * queue, find_queue(address));
  queue->entity.used_at = now_;
  return queue;
}

bool Engine::exists(const Address& address) const { return find_entity(address.path) != nullptr; }

Result<QueueInfo> Engine::queue(std::string_view path) const {
  const Entity* entity = find_entity(lower(path));
  if (entity == nullptr) return fail(Code::NotFound, "no queue " + std::string(path));
  return entity->info();
}

std::vector<QueueInfo> Engine::queues() const {
  std::vector<QueueInfo> all;
  for (const auto& [path, entity] : by_path_) {
    if (entity->visible) all.push_back(entity->info());
  }
  std::sort(all.begin(), all.end(), [](const QueueInfo& a, const QueueInfo& b) {
    return lower(a.description.name) < lower(b.description.name);
  });
  return all;
}

std::int64_t Engine::entities_of(std::string_view name_space) const {
  return std::ranges::count_if(
      by_id_, [&](const auto& one) { return one.second->stored.name_space == name_space; });
}

std::vector<std::string> Engine::beyond(const Limits& limits) const {
  std::vector<std::string> all;
  const auto look = [&](std::int64_t count, std::int64_t limit, const std::string& owner,
                        const std::string& what) {
    if (count > limit)
      all.push_back(owner + " has " + std::to_string(count) + " " + what + ", the limit is " +
                    std::to_string(limit));
  };
  for (const StoredNamespace& one : namespaces()) {
    const std::string name = "namespace " + one.name;
    look(entities_of(one.name), limits.entities, name, "entities");
    look(std::ssize(one.rules), limits.rules, name, "authorization rules");
  }
  for (const QueueInfo& queue : queues()) {
    for (std::string& one : broker::beyond(queue.description, limits))
      all.push_back(std::move(one));
    look(find_entity(lower(queue.description.name))->receivers, limits.receivers,
         "queue " + queue.description.name, "receivers");
  }
  return all;
}

// --- creation, change, removal ---

Status Engine::admit(QueueDescription& queue, const QueueDescription& before) const {
  TRY_VOID(check(queue));
  TRY_VOID(check(queue, options_.limits, before));
  queue = within(std::move(queue), options_.limits);
  return {};
}

Entity& Engine::add_entity(StoredEntity stored) {
  auto entity = std::make_shared<Entity>(std::move(stored));
  entity->used_at = now_;
  by_id_.emplace(entity->stored.id, entity);
  by_path_[entity->path] = entity;
  if (watched_.contains(entity->path)) entity->changes = &changed_;
  return *entity;
}

void Engine::create(std::string name_space, QueueDescription queue, TimePoint now,
                    Broker::Done done) {
  const Turn turn(*this, false);
  see(now);
  if (name_space.empty()) name_space = options_.default_namespace;
  if (const Status good = admit(queue, {}); !good) return done(good);
  if (!knows_namespace(name_space)) return done(fail(Code::NotFound, "no namespace " + name_space));
  if (const auto at = by_path_.find(lower(queue.name)); at != by_path_.end())
    return done(fail(Code::AlreadyExists, "queue " + queue.name + " exists in the namespace " +
                                              at->second->stored.name_space));
  if (const Status room =
          check_count(entities_of(name_space), options_.limits.entities, "a namespace", "entities");
      !room)
    return done(room);
  const EntityId id = next_entity_++;
  Entity& entity = add_entity({id, std::move(name_space), std::move(queue), now_, now_});
  Batch batch;
  batch.changes.emplace_back(ReserveSequences{kEntityNumbers, next_entity_});
  batch.changes.emplace_back(PutEntity{entity.stored});
  commit(std::move(batch),
         [this, made = pointer(entity), done = std::move(done)](const Status& written) {
           if (written) {
             made->visible = true;
             made->changed();
             if (const auto idle = made->idle_at()) arm(made->main, *idle);
             if (on_entities_changed_) on_entities_changed_(made->path, Broker::Change::Made);
           } else {
             forget(*made);
           }
           done(written);
         });
}

void Engine::update(QueueDescription queue, TimePoint now, Broker::Done done) {
  const Turn turn(*this, false);
  see(now);
  Entity* entity = find_entity(lower(queue.name));
  if (entity == nullptr) return done(fail(Code::NotFound, "no queue " + queue.name));
  if (const Status good = admit(queue, entity->description()); !good) return done(good);
  if (const Status same = check_fixed(entity->description(), queue); !same) return done(same);
  StoredEntity changed = entity->stored;
  changed.description = std::move(queue);
  changed.updated_at = now_;
  Batch batch;
  batch.changes.emplace_back(PutEntity{changed});
  commit(std::move(batch), [this, target = pointer(*entity), changed = std::move(changed),
                            done = std::move(done)](const Status& written) mutable {
    if (written && !target->gone) apply(*target, std::move(changed));
    done(written);
  });
}

void Engine::apply(Entity& entity, StoredEntity stored) {
  entity.stored = std::move(stored);
  entity.used_at = now_;
  entity.changed();
  if (refuses_receivers(entity.description().status))
    end_receivers(entity, fail(Code::PermissionDenied, entity.path + " is disabled"));
  if (const auto idle = entity.idle_at()) arm(entity.main, *idle);
  wake(entity.main);  // forwarding may begin
  wake(entity.dead_letters);
  if (on_entities_changed_) on_entities_changed_(entity.path, Broker::Change::Changed);
}

void Engine::remove(std::string_view path, Broker::Done done) {
  const Turn turn(*this, false);
  Entity* entity = find_entity(lower(path));
  if (entity == nullptr) return done(fail(Code::NotFound, "no queue " + std::string(path)));
  remove(*entity, std::move(done));
}

// From now on nobody finds it, so nothing is written for it after its deletion.
void Engine::remove(Entity& entity, Broker::Done done) {
  entity.visible = false;
  entity.changed();
  Batch batch;
  batch.changes.emplace_back(DeleteEntity{entity.stored.id});
  commit(std::move(batch), [this, target = pointer(entity),
                            done = std::move(done)](const Status& written) {
    if (written) {
      forget(*target);
    } else {
      target->visible = true;
      target->changed();
      target->used_at = now_;
      for (Queue* queue : {&target->main, &target->dead_letters, &target->transfer_dead_letters})
        wake(*queue);
      if (const auto idle = target->idle_at()) arm(target->main, *idle);
    }
    done(written);
  });
}

void Engine::forget(Entity& entity) {
  const EntityPtr alive = pointer(entity);
  const Fault why = fail(Code::NotFound, "The messaging entity '" + entity.path +
                                             "' could not be found: it was deleted");
  for (const LockId id :
       locks_.of([&](const Lock& lock) { return &lock.queue->entity == &entity; })) {
    const Lock& lock = *locks_.find(id);
    tell(*lock.queue, outcome(lock, Outcome::LockLost));
    locks_.erase(id);
  }
  for (const Move& move : entity.main.moves) tell(entity.main, move.ended);
  if (entity.main.sessions) {
    // Their links know of no session yet: they are answered, not ended.
    while (!entity.main.sessions->waiting().empty()) {
      WaitingReceiver first = std::move(entity.main.sessions->waiting().front());
      entity.main.sessions->waiting().pop_front();
      refuse_session(*find_receiver(first.receiver), why, std::move(first.answer));
    }
    for (auto& [id, receiver] : receivers_) {
      if (receiver.session != nullptr && &receiver.queue->entity == &entity)
        receiver.session->locks.clear();
    }
  }
  entity.gone = true;
  entity.visible = false;
  end_receivers(entity, why);
  by_path_.erase(entity.path);
  by_id_.erase(entity.stored.id);
  if (on_entities_changed_) on_entities_changed_(entity.path, Broker::Change::Gone);
}

// They are told at the end of the turn, and hear nothing else of this queue before.
void Engine::end_receivers(Entity& entity, const Fault& why) {
  for (auto& [id, receiver] : receivers_) {
    if (receiver.queue == nullptr || &receiver.queue->entity != &entity) continue;
    receiver.queue->credit.remove(receiver);
    receiver.credit = 0;
    end_receiver(receiver, why);
  }
}

// Nothing reaches it afterwards. What is being deleted for it comes first, unless it goes with its
// entity anyway.
void Engine::end_receiver(OpenReceiver& receiver, const Fault& why) {
  receiver.ending = why;
  if (receiver.deleting == 0 || receiver.queue->entity.gone) post(receiver.id, why);
}

// --- namespaces and rules ---

bool Engine::knows_namespace(std::string_view name) const { return namespaces_.contains(name); }

std::vector<StoredNamespace> Engine::namespaces() const {
  std::vector<StoredNamespace> all;
  for (const auto& [name, stored] : namespaces_) {
    all.push_back(stored);
    std::erase_if(all.back().rules, [](const auto& rule) { return rule.name == kRootRule; });
    all.back().rules.insert(all.back().rules.begin(),
                            {.name = std::string(kRootRule),
                             .rights = {static_cast<std::uint8_t>(Right::Manage)},
                             .primary_key = options_.root_key});
  }
  return all;
}

void Engine::put_namespace(std::string name, std::string properties, Broker::Done done) {
  const Turn turn(*this, false);
  if (name.empty()) return done(fail(Code::InvalidArgument, "a namespace needs a name"));
  Batch batch;
  batch.changes.emplace_back(PutNamespace{name, properties});
  commit(std::move(batch), [this, name = std::move(name), properties = std::move(properties),
                            done = std::move(done)](const Status& written) {
    if (written) {
      StoredNamespace& stored = namespaces_[name];
      stored.name = name;
      stored.properties = properties;
    }
    done(written);
  });
}

void Engine::remove_namespace(std::string_view name, Broker::Done done) {
  const Turn turn(*this, false);
  if (!knows_namespace(name))
    return done(fail(Code::NotFound, "no namespace " + std::string(name)));
  if (name == options_.default_namespace)
    return done(fail(Code::Unsupported, "the namespace " + std::string(name) +
                                            " is always there and cannot be removed"));
  std::vector<EntityPtr> entities;
  Batch batch;
  for (const auto& [id, entity] : by_id_) {
    if (entity->stored.name_space != name || !entity->visible) continue;
    entities.push_back(entity);
    entity->visible = false;
    entity->changed();
    batch.changes.emplace_back(DeleteEntity{id});
  }
  batch.changes.emplace_back(DeleteNamespace{std::string(name)});
  commit(std::move(batch), [this, name = std::string(name), entities = std::move(entities),
                            done = std::move(done)](const Status& written) {
    for (const EntityPtr& entity : entities) {
      if (written) {
        forget(*entity);
      } else {
        entity->visible = true;
        entity->changed();
        wake(entity->main);
      }
    }
    if (written) namespaces_.erase(name);
    done(written);
  });
}

std::vector<AuthorizationRule> Engine::rules(std::string_view path) const {
  std::vector<AuthorizationRule> all;
  if (const Entity* entity = find_entity(lower(path))) all = entity->description().rules;
  for (StoredNamespace& one : namespaces()) {
    std::move(one.rules.begin(), one.rules.end(), std::back_inserter(all));
  }
  return all;
}

void Engine::put_namespace_rules(std::string_view name, std::vector<AuthorizationRule> rules,
                                 Broker::Done done) {
  const Turn turn(*this, false);
  if (!knows_namespace(name))
    return done(fail(Code::NotFound, "no namespace " + std::string(name)));
  const auto& stored = namespaces_.find(name)->second;
  // A change of those that are there goes on.
  if (rules.size() > stored.rules.size()) {
    const std::int64_t before_last = std::ssize(rules);  // with the root rule, without the new one
    if (const Status room =
            check_count(before_last, options_.limits.rules, "a namespace", "authorization rules");
        !room)
      return done(room);
  }
  Batch batch;
  batch.changes.emplace_back(PutNamespace{stored.name, stored.properties});
  batch.changes.emplace_back(PutNamespaceRules{std::string(name), rules});
  commit(std::move(batch), [this, name = std::string(name), rules = std::move(rules),
                            done = std::move(done)](const Status& written) {
    if (const auto at = namespaces_.find(name); written && at != namespaces_.end())
      at->second.rules = rules;
    done(written);
  });
}

}  // namespace jobmill::broker
