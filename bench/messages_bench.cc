// SPDX-License-Identifier: Apache-2.0
//
// What a durable message of 1 KiB costs the store, without broker and protocol:
//
//   messages_bench --data DIR [--messages N] [--queues N] [--window N]
//
// `window` writes of one message each are under way at a time, as pipelining senders make them.
#include <sys/resource.h>
#include <time.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "base/clock.h"
#include "measure.h"
#include "store/sqlite/message_store.h"

namespace {

using namespace jobmill;
using bench::need;
using broker::Change;
using broker::DeleteMessage;
using broker::InsertMessage;
using broker::Message;
using broker::QueueKey;
using broker::SequenceNumber;

constexpr std::size_t kBytes = 1024;
constexpr int kReadAhead = 64;  // messages of one read, as credit lets a broker ask for

// This thread as the broker's thread.
class Loop {
 public:
  void post(std::function<void()> work) {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(work));
    if (posted_.size() == 1) arrived_.notify_one();
  }

  template <class Condition>
  void run_until(const Condition& come_true) {
    std::vector<std::function<void()>> works;
    while (!come_true()) {
      {
        std::unique_lock lock(mutex_);
        arrived_.wait(lock, [this] { return !posted_.empty(); });
        works.swap(posted_);
      }
      for (const auto& work : works) work();
      works.clear();
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<std::function<void()>> posted_;
};

double thread_micros() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) * 1e6 + static_cast<double>(used.tv_nsec) / 1e3;
}

class Bench {
 public:
  Bench(std::string data, int queues, int window)
      : data_(std::move(data)), queues_(queues), window_(window) {
    open();
  }

  void open() {
    store_.reset();
    file_.reset();
    file_ = need(sqlite::SqliteFile::open(data_ + "/messages.db"));
    store_ =
        need(sqlite::MessageStore::open(*file_, data_ + "/secrets.key",
                                        {.post = [this](auto work) { loop_.post(std::move(work)); },
                                         .run_after = [](Duration, auto) {}}));
  }

  // Counts messages from 0; queues take turns.
  QueueKey queue(int i) const { return {.entity = 1 + i % queues_}; }
  SequenceNumber sequence(int i) const { return 1 + i / queues_; }

  InsertMessage insert(int i) const {
    auto message = std::make_shared<Message>();
    message->sequence = sequence(i);
    message->enqueued_at = clock_.now();
    message->message_id = fmt::format("{:032x}", i);
    message->bytes = std::make_shared<const std::string>(kBytes, 'x');
    return {queue(i), std::move(message)};
  }

  DeleteMessage remove(int i) const { return {queue(i), sequence(i)}; }

  // `make` gives the changes of write i; `window` of them are under way.
  template <class Make>
  void write(std::string_view name, int count, const Make& make) {
    const bench::Stopwatch watch(cpu_);
    const double own = thread_micros();
    const auto before = file_->transactions();
    int made = 0, answered = 0;
    const auto fill = [&] {
      while (made < count && made - answered < window_) {
        store_->write(make(made), [&](const Status& status) {
          need(status);
          ++answered;
        });
        ++made;
      }
    };
    fill();
    loop_.run_until([&] {
      fill();
      return answered == count;
    });
    watch.report(name, count);
    bench::report(fmt::format("{}.loop_cpu_us", name), (thread_micros() - own) / count);
    bench::report(fmt::format("{}.per_transaction", name),
                  count / static_cast<double>(file_->transactions() - before));
  }

  void read(std::string_view name, int count) {
    const bench::Stopwatch watch(cpu_);
    int found = 0, asked = 0;
    const auto fill = [&] {
      while (asked < count && asked - found < 4 * kReadAhead) {
        std::vector<SequenceNumber> wanted;
        for (int n = 0; n < kReadAhead; ++n) wanted.push_back(sequence(asked + n * queues_));
        const QueueKey from = queue(asked);
        asked += (asked + 1) % queues_ == 0 ? 1 + (kReadAhead - 1) * queues_ : 1;
        store_->read(from, std::move(wanted),
                     [&](auto messages) { found += static_cast<int>(need(messages).size()); });
      }
    };
    fill();
    loop_.run_until([&] {
      fill();
      return found >= count;
    });
    watch.report(name, count);
  }

  void scan(int expected) {
    open();
    const bench::Stopwatch watch(cpu_);
    int found = 0;
    need(store_->messages([&](const broker::StoredMessage&) { ++found; }));
    if (found != expected) bench::give_up(fmt::format("{} of {} were found", found, expected));
    watch.report("messages.sqlite.scan", found);
    bench::report("messages.sqlite.scan.cpu_ms", watch.cpu_micros() / 1e3);
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    bench::report("messages.sqlite.peak_rss_mb", static_cast<double>(usage.ru_maxrss) / 1024);
  }

 private:
  const std::string data_;
  const int queues_;
  const int window_;
  const SystemClock clock_;
  const bench::CpuClock cpu_;
  Loop loop_;
  std::unique_ptr<sqlite::SqliteFile> file_;
  std::unique_ptr<sqlite::MessageStore> store_;
};

}  // namespace

int main(int argc, char** argv) {
  const bench::Flags flags(argc, argv, 1);
  const int queues = flags.number("--queues", 1);
  const int window = flags.number("--window", 500);
  const int block = kReadAhead * queues;
  const int count = flags.number("--messages", 1'000'000) / block * block;
  Bench bench(flags.text("--data"), queues, window);

  using Changes = std::vector<Change>;
  bench.write("messages.sqlite.send", count, [&](int i) { return Changes{bench.insert(i)}; });
  bench.scan(count);
  bench.read("messages.sqlite.read", count);
  bench.write("messages.sqlite.complete", count, [&](int i) { return Changes{bench.remove(i)}; });
  // A queue that stays short: each completion follows its message soon.
  bench.write("messages.sqlite.pass", count, [&](int i) {
    const int place = i / 2 + (i % 2 == 0 ? count : count - 2 * window);
    if (i % 2 == 0) return Changes{bench.insert(place)};
    return Changes{bench.remove(place)};
  });
}
