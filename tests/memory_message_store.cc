// SPDX-License-Identifier: Apache-2.0
#include "memory_message_store.h"

#include <algorithm>
#include <variant>

namespace jobmill::testing {
namespace {

using namespace broker;

MemoryMessageStore::Key key_of(QueueKey queue) { return {queue.entity, queue.sub_queue}; }

std::shared_ptr<const Message> with_count(const Message& message, std::uint32_t count) {
  Message copy = message;
  copy.delivery_count = count;
  return std::make_shared<const Message>(std::move(copy));
}

}  // namespace

// --- running ---

bool MemoryMessageStore::run_one() {
  if (waiting_.empty()) return false;
  run(waiting_.begin());
  return true;
}

void MemoryMessageStore::run_reads() {
  const auto reads = [](const Request& request) { return request.reads; };
  for (;;) {
    const auto next = std::ranges::find_if(waiting_, reads);
    if (next == waiting_.end()) return;
    run(next);
  }
}

void MemoryMessageStore::run(std::deque<Request>::iterator request) {
  const auto work = std::move(request->work);
  waiting_.erase(request);
  work();
}

void MemoryMessageStore::run() {
  while (run_one()) {
  }
  apply_all(std::exchange(later_, {}));
}

void MemoryMessageStore::close() {
  silent_ = true;
  run();
  silent_ = false;
}

void MemoryMessageStore::crash() {
  waiting_.clear();
  later_.clear();
  failing_writes_ = failing_reads_ = 0;
}

void MemoryMessageStore::write(std::vector<Change> changes, Done done) {
  waiting_.push_back({.work = [this, changes = std::move(changes), done = std::move(done)] {
    perform(changes, done);
  }});
}

void MemoryMessageStore::perform(const std::vector<Change>& changes, const Done& done) {
  ++writes_;
  if (failing_writes_ > 0) {
    --failing_writes_;
    return answer(done, fail(Code::Internal, "the disk is full"));
  }
  if (repeats_a_number(changes))
    return answer(done, fail(Code::Internal, "a number was given twice"));
  apply_all(std::exchange(later_, {}));
  apply_all(changes);
  answer(done, {});
}

void MemoryMessageStore::answer(const Done& done, const Status& status) const {
  if (!silent_) done(status);
}

bool MemoryMessageStore::repeats_a_number(const std::vector<Change>& changes) const {
  std::map<std::pair<Key, SequenceNumber>, bool> there;
  for (const Change& change : changes) {
    if (const auto* removal = std::get_if<DeleteMessage>(&change))
      there[{key_of(removal->queue), removal->sequence}] = false;
    const auto* insert = std::get_if<InsertMessage>(&change);
    if (insert == nullptr) continue;
    const Key key = key_of(insert->queue);
    const SequenceNumber sequence = insert->message->sequence;
    const auto table = messages_.find(key);
    const bool stored = table != messages_.end() && table->second.contains(sequence);
    bool& present = there.try_emplace({key, sequence}, stored).first->second;
    if (std::exchange(present, true)) return true;
  }
  return false;
}

void MemoryMessageStore::apply_all(const std::vector<Change>& changes) {
  for (const Change& change : changes) std::visit([this](const auto& one) { apply(one); }, change);
}

void MemoryMessageStore::write_later(Change change) { later_.push_back(std::move(change)); }

void MemoryMessageStore::read(QueueKey queue, std::vector<SequenceNumber> sequences, Read done) {
  waiting_.push_back({.reads = true,
                      .work = [this, queue, sequences = std::move(sequences),
                               done = std::move(done)] { look_up(queue, sequences, done); }});
}

void MemoryMessageStore::look_up(QueueKey queue, const std::vector<SequenceNumber>& sequences,
                                 const Read& done) {
  if (silent_) return;
  if (failing_reads_ > 0) {
    --failing_reads_;
    return done(fail(Code::Internal, "the disk cannot be read"));
  }
  apply_all(std::exchange(later_, {}));
  const Table& table = messages_[key_of(queue)];
  std::vector<std::shared_ptr<const Message>> found;
  for (const SequenceNumber sequence : sequences) {
    if (const auto at = table.find(sequence); at != table.end()) found.push_back(at->second);
  }
  done(std::move(found));
}

// --- changes ---

void MemoryMessageStore::apply(const InsertMessage& change) {
  messages_[key_of(change.queue)][change.message->sequence] = change.message;
}
void MemoryMessageStore::apply(const DeleteMessage& change) {
  messages_[key_of(change.queue)].erase(change.sequence);
}
void MemoryMessageStore::apply(const UpdateMessage& change) {
  Table& table = messages_[key_of(change.queue)];
  const auto at = table.find(change.message->sequence);
  if (at == table.end()) return;
  Message changed = *change.message;
  if (!change.bytes_too) {
    changed.bytes = at->second->bytes;
    changed.size = at->second->size;
  }
  at->second = std::make_shared<const Message>(std::move(changed));
}
void MemoryMessageStore::apply(const CountDelivery& change) {
  Table& table = messages_[key_of(change.queue)];
  const auto at = table.find(change.sequence);
  if (at != table.end()) at->second = with_count(*at->second, change.delivery_count);
}
void MemoryMessageStore::apply(const ReserveSequences& change) {
  sequences_[key_of(change.queue)] = change.next;
}
void MemoryMessageStore::apply(const PutSessionState& change) {
  const std::pair key{key_of(change.queue), change.session};
  if (change.state) {
    sessions_[key] = {change.queue, change.session, *change.state, change.at};
  } else {
    sessions_.erase(key);
  }
}
void MemoryMessageStore::apply(const RememberDuplicate& change) {
  duplicates_[{change.entity, change.key}] = change.until;
}
void MemoryMessageStore::apply(const ForgetDuplicates& change) {
  std::erase_if(duplicates_, [&](const auto& one) {
    return one.first.first == change.entity && one.second < change.before;
  });
}
void MemoryMessageStore::apply(const PutEntity& change) {
  entities_[change.entity->id] = *change.entity;
}
void MemoryMessageStore::apply(const DeleteEntity& change) {
  entities_.erase(change.id);
  std::erase_if(messages_, [&](const auto& one) { return one.first.first == change.id; });
  std::erase_if(sequences_, [&](const auto& one) { return one.first.first == change.id; });
  std::erase_if(sessions_, [&](const auto& one) { return one.first.first.first == change.id; });
  std::erase_if(duplicates_, [&](const auto& one) { return one.first.first == change.id; });
}
void MemoryMessageStore::apply(const PutNamespace& change) {
  namespaces_[change.name].name = change.name;
  namespaces_[change.name].properties = change.properties;
}
void MemoryMessageStore::apply(const DeleteNamespace& change) { namespaces_.erase(change.name); }
void MemoryMessageStore::apply(const PutNamespaceRules& change) {
  namespaces_[change.name_space].name = change.name_space;
  namespaces_[change.name_space].rules = change.rules;
}
void MemoryMessageStore::apply(const RecordOutcome& change) {
  outcomes_.push_back(*change.outcome);
}

// --- at start ---

Result<std::vector<StoredEntity>> MemoryMessageStore::entities() {
  std::vector<StoredEntity> all;
  for (const auto& [id, entity] : entities_) all.push_back(entity);
  return all;
}
Result<std::vector<StoredNamespace>> MemoryMessageStore::namespaces() {
  std::vector<StoredNamespace> all;
  for (const auto& [name, one] : namespaces_) all.push_back(one);
  return all;
}
Result<std::vector<StoredSequence>> MemoryMessageStore::sequences() {
  std::vector<StoredSequence> all;
  for (const auto& [key, next] : sequences_) all.push_back({{key.first, key.second}, next});
  return all;
}
Result<std::vector<StoredSession>> MemoryMessageStore::sessions() {
  std::vector<StoredSession> all;
  for (const auto& [key, session] : sessions_) all.push_back(session);
  return all;
}
Result<std::vector<RememberDuplicate>> MemoryMessageStore::duplicates() {
  std::vector<RememberDuplicate> all;
  for (const auto& [key, until] : duplicates_) all.push_back({key.first, key.second, until});
  return all;
}
Status MemoryMessageStore::messages(const std::function<void(const StoredMessage&)>& each) {
  for (const auto& [key, table] : messages_) {
    for (const auto& [sequence, message] : table) {
      StoredMessage stored{{key.first, key.second}, *message};
      stored.message.bytes = nullptr;
      each(stored);
    }
  }
  return {};
}

}  // namespace jobmill::testing
