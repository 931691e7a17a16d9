// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/message_store.h"

#include <utility>
#include <variant>

#include "base/seal.h"

namespace jobmill::sqlite {

using namespace broker;

namespace {

constexpr int kScanned = 4096;  // messages that the scan at start holds at a time

MessageKey key_of(const QueueKey& queue, SequenceNumber sequence) {
  return {number_of(queue), sequence};
}

template <class F>
std::shared_ptr<const Message> changed(const Message& message, const F& change) {
  auto copy = std::make_shared<Message>(message);
  change(*copy);
  return copy;
}

}  // namespace

Result<std::unique_ptr<MessageStore>> MessageStore::open(SqliteFile& file,
                                                         const std::string& key_path, Loop loop,
                                                         MessageStoreOptions options) {
  TRY(Secret key, load_or_create_key(key_path));
  return std::unique_ptr<MessageStore>(
      new MessageStore(file, EntityJson(std::move(key), key_path), std::move(loop), options));
}

MessageStore::MessageStore(SqliteFile& file, EntityJson json, Loop loop,
                           MessageStoreOptions options)
    : file_(file),
      loop_(std::move(loop)),
      options_(options),
      tables_(file.db(), std::move(json)),
      cache_(options.body_cache_bytes) {}

MessageStore::~MessageStore() {
  flush();
  (void)file_.queue().run([] { return Status(); });  // ours are before it
}

// --- at start ----------------------------------------------------------------------------------

template <class T>
Result<std::vector<T>> MessageStore::all(Result<std::vector<T>> (MessageTables::*part)()) {
  return file_.run<std::vector<T>>([&](Database&) { return (tables_.*part)(); });
}

Result<std::vector<StoredEntity>> MessageStore::entities() { return all(&MessageTables::entities); }
Result<std::vector<StoredNamespace>> MessageStore::namespaces() {
  return all(&MessageTables::namespaces);
}
Result<std::vector<StoredSequence>> MessageStore::sequences() {
  return all(&MessageTables::sequences);
}
Result<std::vector<StoredSession>> MessageStore::sessions() {
  return all(&MessageTables::sessions);
}
Result<std::vector<RememberDuplicate>> MessageStore::duplicates() {
  return all(&MessageTables::duplicates);
}

Status MessageStore::messages(const std::function<void(const StoredMessage&)>& each) {
  TRY(const bool in_order, file_.run<bool>([&](Database&) { return tables_.rows_in_order(); }));
  MessageKey last{.queue = -1, .sequence = 0};
  std::int64_t last_row = 0;
  for (;;) {
    TRY(const auto page, file_.run<MessageTables::Page>([&](Database&) {
      return in_order ? tables_.by_row(last_row, kScanned) : tables_.by_sequence(last, kScanned);
    }));
    for (const StoredMessage& message : page.messages) each(message);
    if (page.messages.size() < kScanned) return {};
    last = key_of(page.messages.back().queue, page.messages.back().message.sequence);
    last_row = page.last_row;
  }
}

// --- the loop thread ---------------------------------------------------------------------------

void MessageStore::write(std::vector<Change> changes, Done done) {
  flush();
  add(MessageWrite{.changes = std::move(changes), .done = std::move(done)});
}

void MessageStore::write_later(Change change) {
  if (const auto* count = std::get_if<CountDelivery>(&change)) {
    counts_[key_of(count->queue, count->sequence)] = count->delivery_count;
    remember_count(*count);
  }
  later_.push_back(std::move(change));
  if (timer_set_) return;
  timer_set_ = true;
  loop_.run_after(options_.write_later_after, [this, alive = std::weak_ptr<const bool>(alive_)] {
    if (alive.expired()) return;
    timer_set_ = false;
    flush();
  });
}

void MessageStore::flush() {
  if (later_.empty()) return;
  add(MessageWrite{.changes = std::exchange(later_, {})});
}

void MessageStore::read(QueueKey queue, std::vector<SequenceNumber> sequences, Read done) {
  Reading reading{.queue = queue, .done = std::move(done)};
  reading.messages.reserve(sequences.size());
  for (const SequenceNumber sequence : sequences) {
    const MessageKey key = key_of(queue, sequence);
    reading.messages.push_back(cache_.find(key));
    if (!reading.messages.back()) reading.missing.push_back(key);
  }
  if (!reading.missing.empty() || reads_under_way_ > 0) {
    ++reads_under_way_;
    return add(std::move(reading));
  }
  post([held = std::make_shared<Reading>(std::move(reading))] {
    held->done(std::move(held->messages));
  });
}

void MessageStore::add(MessageWrite write) {
  const std::lock_guard lock(mutex_);
  waiting_.writes.push_back(std::move(write));
  submit();
}

void MessageStore::add(Reading reading) {
  const std::lock_guard lock(mutex_);
  waiting_.reads.push_back(std::move(reading));
  submit();
}

void MessageStore::submit() {
  if (std::exchange(submitted_, true)) return;
  file_.queue().submit([this] { return work(); },
                       [this](const Status& status) { complete(status); });
}

void MessageStore::post(std::function<void()> work) {
  loop_.post([alive = std::weak_ptr<const bool>(alive_), work = std::move(work)] {
    if (!alive.expired()) work();
  });
}

// First all is remembered, so that whoever is called back finds it in the cache.
void MessageStore::finish(std::vector<MessageWrite>& writes) {
  for (const MessageWrite& write : writes) {
    for (const Change& change : write.changes) {
      if (write.status) remember(change);
      if (const auto* count = std::get_if<CountDelivery>(&change)) {
        const auto at = counts_.find(key_of(count->queue, count->sequence));
        if (at != counts_.end() && at->second == count->delivery_count) counts_.erase(at);
      }
    }
  }
  for (const MessageWrite& write : writes) {
    if (write.done) write.done(write.status);
  }
}

void MessageStore::finish(Reading& reading) {
  --reads_under_way_;
  if (!reading.found) return reading.done(std::move(reading.found).error());
  merge(reading);
  reading.done(std::move(reading.messages));
}

void MessageStore::merge(Reading& reading) {
  auto found = reading.found->begin();
  for (auto& message : reading.messages) {
    if (message) continue;
    message = std::move(*found++);
    if (!message) continue;
    const auto count = counts_.find(key_of(reading.queue, message->sequence));
    if (count != counts_.end())
      message = changed(*message, [&](Message& copy) { copy.delivery_count = count->second; });
    cache_.put(reading.queue, message);
  }
  std::erase(reading.messages, nullptr);
}

void MessageStore::remember(const Change& change) {
  if (const auto* insert = std::get_if<InsertMessage>(&change)) {
    cache_.put(insert->queue, insert->message);
  } else if (const auto* remove = std::get_if<DeleteMessage>(&change)) {
    cache_.drop(key_of(remove->queue, remove->sequence));
  } else if (const auto* update = std::get_if<UpdateMessage>(&change)) {
    const auto kept = cache_.find(key_of(update->queue, update->message->sequence));
    if (update->bytes_too) {
      cache_.put(update->queue, update->message);
    } else if (kept) {
      cache_.put(update->queue, changed(*update->message, [&](Message& copy) {
                   copy.bytes = kept->bytes;
                   copy.size = kept->size;
                 }));
    }
  } else if (const auto* count = std::get_if<CountDelivery>(&change)) {
    remember_count(*count);
  } else if (const auto* entity = std::get_if<DeleteEntity>(&change)) {
    cache_.drop(entity->id);
  }
}

void MessageStore::remember_count(const CountDelivery& change) {
  const auto kept = cache_.find(key_of(change.queue, change.sequence));
  if (!kept || kept->delivery_count == change.delivery_count) return;
  cache_.put(change.queue,
             changed(*kept, [&](Message& copy) { copy.delivery_count = change.delivery_count; }));
}

// --- the commit thread -------------------------------------------------------------------------

void MessageStore::take() {
  const std::lock_guard lock(mutex_);
  round_ = std::exchange(waiting_, {});
  submitted_ = false;
  taken_ = true;
}

Status MessageStore::work() {
  take();
  for (Reading& reading : round_.reads) reading.found = tables_.read(reading.missing);
  answer_reads();
  return tables_.apply(round_.writes);
}

void MessageStore::complete(const Status& status) {
  if (!std::exchange(taken_, false)) {  // the transaction could not even begin
    take();
    taken_ = false;
    for (Reading& reading : round_.reads) reading.found = status.error();
    answer_reads();
  }
  if (round_.writes.empty()) return;
  if (!status) {
    for (MessageWrite& write : round_.writes) write.status = status;
  }
  auto held = std::make_shared<std::vector<MessageWrite>>(std::exchange(round_.writes, {}));
  post([this, held] { finish(*held); });
}

void MessageStore::answer_reads() {
  if (round_.reads.empty()) return;
  auto held = std::make_shared<std::vector<Reading>>(std::exchange(round_.reads, {}));
  post([this, held] {
    for (Reading& reading : *held) finish(reading);
  });
}

}  // namespace jobmill::sqlite
