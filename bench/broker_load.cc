// SPDX-License-Identifier: Apache-2.0
//
// What a broker takes for durable messages of 1 KiB, seen by its clients:
//
//   broker_load fill     [--messages N] [--window N]     sends; says nothing
//   broker_load send     [--messages N] [--window N]     pipelined, each confirmed
//   broker_load receive  [--messages N] [--credit N]     each completed, each completion confirmed,
//                                                        or with --unconfirmed 1 not waited for
//   broker_load confirm  --data DIR [--messages N]       one at a time, against the disk of DIR
//   broker_load idle     [--connections N]               memory while consumers wait
//
// All: --amqp ADDRESS --pid PID-OF-THE-BROKER --user NAME --key-file FILE [--queue NAME]. CPU times
// are the broker's own.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "amqp/message.h"
#include "amqp_client.h"
#include "measure.h"
#include "net/address.h"

namespace {

using namespace jobmill;
using namespace jobmill::bench;
using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kBytes = 1024;
constexpr int kRounds = 10;  // of turns between what is compared

double ms_since(SteadyClock::time_point start) {
  return std::chrono::duration<double, std::milli>(SteadyClock::now() - start).count();
}

// --- messages ------------------------------------------------------------------------------------

// A durable message of 1 KiB, of which the id differs each time.
class MessageText {
 public:
  MessageText() {
    const std::string id(kIdSize, '0');
    amqp::encode_header(text_, {.durable = true});
    amqp::encode_properties(text_, {.message_id = amqp::Value(id)});
    id_at_ = text_.find(id);
    amqp::encode_data_section(text_, std::string(kBytes, 'x'));
  }
  std::string_view number(std::uint64_t number) {
    fmt::format_to(text_.begin() + static_cast<std::ptrdiff_t>(id_at_), "{:032x}", number);
    return text_;
  }

 private:
  static constexpr std::size_t kIdSize = 32;
  std::string text_;
  std::size_t id_at_ = 0;
};

// What the senders of a run have in common.
struct Outbox {
  int to_send = 0;
  int to_confirm = 0;
  std::vector<double> latencies{};  // of confirmed sends, while there is one at a time

  void refill(int messages) {
    to_send = to_confirm = messages;
    latencies.clear();
  }
};

class Sender final : public Peer {
 public:
  Sender(Peers& peers, Outbox& outbox, int window)
      : Peer(peers.login()), peers_(peers), outbox_(outbox), window_(window) {}

  void go() {
    pump();
    write_out();
  }

 private:
  void on_turn() override { pump(); }

  void on_disposition(const amqp::DispositionReceived& disposition) override {
    if (!disposition.state || !std::holds_alternative<amqp::Accepted>(*disposition.state))
      give_up("the broker did not accept a message");
    --under_way_;
    if (window_ == 1) outbox_.latencies.push_back(ms_since(sent_at_));
    if (--outbox_.to_confirm == 0) peers_.finish();
  }

  void pump() {
    while (under_way_ < window_ && outbox_.to_send > 0 && engine_.credit(link_) > 0) send();
  }

  void send() {
    std::array<char, sizeof number_> tag;
    std::memcpy(tag.data(), &++number_, sizeof number_);
    sent_at_ = SteadyClock::now();
    engine_.send(link_, {.tag = {tag.data(), tag.size()}}, {text_.number(number_)});
    ++under_way_;
    --outbox_.to_send;
  }

  Peers& peers_;
  Outbox& outbox_;
  const int window_;
  MessageText text_;
  std::uint64_t number_ = 0;
  int under_way_ = 0;
  SteadyClock::time_point sent_at_{};
};

class Receiver final : public Peer {
 public:
  Receiver(Peers& peers, int credit, int messages, bool confirmed)
      : Peer(peers.login()),
        peers_(peers),
        credit_(static_cast<std::uint32_t>(credit)),
        to_complete_(messages),
        confirmed_(confirmed) {}

  void go() {
    engine_.grant(link_, credit_);
    write_out();
  }

 private:
  void on_message(const amqp::MessageReceived& message) override {
    if (confirmed_) return engine_.propose(link_, message.delivery, amqp::Accepted{});
    engine_.settle(link_, message.delivery, amqp::Accepted{});
    completed();
  }

  void on_disposition(const amqp::DispositionReceived& disposition) override {
    if (!disposition.settled || !disposition.state ||
        !std::holds_alternative<amqp::Accepted>(*disposition.state))
      give_up("the broker did not take a completion");
    completed();
  }

  void on_turn() override {
    if (engine_.granted(link_) <= credit_ / 2) engine_.grant(link_, credit_);
  }

  void completed() {
    if (--to_complete_ == 0) peers_.finish();
  }

  Peers& peers_;
  const std::uint32_t credit_;
  int to_complete_;
  const bool confirmed_;
};

// Waits for messages that do not come.
class Consumer final : public Peer {
 public:
  using Peer::Peer;

 private:
  void on_attached() override { engine_.grant(link_, 1); }
};

amqp::Attach sending(const std::string& queue) {
  return {.name = "bench",
          .role = amqp::Role::Sender,
          .sender_settle_mode = amqp::SenderSettleMode::Unsettled,
          .source = amqp::Source{.address = "bench"},
          .target = amqp::Target{.address = queue}};
}

amqp::Attach receiving(const std::string& queue) {
  return {.name = "bench",
          .role = amqp::Role::Receiver,
          .sender_settle_mode = amqp::SenderSettleMode::Unsettled,
          .source = amqp::Source{.address = queue},
          .target = amqp::Target{.address = "bench"}};
}

// --- the modes -----------------------------------------------------------------------------------

struct Options {
  Broker broker{};
  std::string queue{};
  pid_t pid = 0;
};

Secret key_in(const std::string& path) {
  std::ifstream file(path);
  std::string key(std::istreambuf_iterator<char>(file), {});
  if (!file) give_up("cannot read " + path);
  while (key.ends_with('\n')) key.pop_back();
  return Secret(std::move(key));
}

Options options_of(const Flags& flags) {
  auto address = need(net::parse_address(flags.text("--amqp")));
  return {.broker = {.host = std::move(address.host),
                     .port = address.port,
                     .login = {.mechanism = "PLAIN",
                               .user = flags.text("--user"),
                               .password = key_in(flags.text("--key-file"))}},
          .queue = flags.text("--queue"),
          .pid = flags.number("--pid", 0)};
}

// So many senders, of `window` unconfirmed messages each.
class Senders {
 public:
  Senders(const Options& options, int count, int window) : peers_(options.broker) {
    for (int i = 0; i < count; ++i) {
      senders_.push_back(std::make_shared<Sender>(peers_, outbox_, window));
      peers_.add(senders_.back(), sending(options.queue));
    }
    peers_.wait_attached();
  }

  void send(int messages) {
    outbox_.refill(messages);
    for (const auto& sender : senders_) sender->go();
    peers_.run();
  }
  const std::vector<double>& latencies() const { return outbox_.latencies; }

 private:
  Peers peers_;
  Outbox outbox_;
  std::vector<std::shared_ptr<Sender>> senders_;
};

void fill(const Options& options, const Flags& flags) {
  Senders(options, 1, flags.number("--window", 500)).send(flags.number("--messages", 1'000'000));
}

void send(const Options& options, const Flags& flags) {
  Senders senders(options, 1, flags.number("--window", 500));
  const int messages = flags.number("--messages", 200'000);
  const CpuClock cpu = CpuClock::only(options.pid);
  const Stopwatch watch(cpu);
  senders.send(messages);
  watch.report("broker.send", messages);
}

void receive(const Options& options, const Flags& flags) {
  const int messages = flags.number("--messages", 200'000);
  Peers peers(options.broker);
  const auto receiver = std::make_shared<Receiver>(peers, flags.number("--credit", 500), messages,
                                                   flags.number("--unconfirmed", 0) == 0);
  peers.add(receiver, receiving(options.queue));
  peers.wait_attached();
  const CpuClock cpu = CpuClock::only(options.pid);
  const Stopwatch watch(cpu);
  receiver->go();
  peers.run();
  watch.report("broker.receive", messages);
}

// --- confirmed sends against the disk

// What a broker could not do without: append the message, have it on the disk.
class GrowingFile {
 public:
  explicit GrowingFile(const std::string& path)
      : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    if (file_ < 0) give_up("cannot write " + path);
  }
  ~GrowingFile() { ::close(file_); }
  GrowingFile(const GrowingFile&) = delete;
  GrowingFile& operator=(const GrowingFile&) = delete;

  double append_ms(std::string_view text) {
    const auto start = SteadyClock::now();
    if (::write(file_, text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fdatasync(file_) != 0)
      give_up("the disk failed");
    return ms_since(start);
  }

 private:
  const int file_;
};

double per_second(Senders& senders, int messages) {
  const auto start = SteadyClock::now();
  senders.send(messages);
  return messages / ms_since(start) * 1000;
}

// In turns, so that a disk that becomes slower or faster meanwhile does so for all of them.
void confirm(const Options& options, const Flags& flags) {
  constexpr int kSenders = 8;
  const int each = flags.number("--messages", 2000) / kRounds;
  GrowingFile file(flags.text("--data") + "/append.bin");
  Senders one(options, 1, 1);
  Senders eight(options, kSenders, 1);
  MessageText text;
  std::vector<double> disk, confirmed, rate, rate8;
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < each; ++i) disk.push_back(file.append_ms(text.number(0)));
    rate.push_back(per_second(one, each));
    confirmed.insert(confirmed.end(), one.latencies().begin(), one.latencies().end());
    rate8.push_back(per_second(eight, each * kSenders));
  }
  const double append = median(disk);
  const double p50 = median(confirmed);
  report("disk.append_p50_ms", append);
  report("broker.confirm1_p50_ms", p50);
  report("broker.confirm1_ratio", p50 / append);
  report("broker.confirm8_gain", median(rate8) / median(rate));
}

// --- idle connections

double rss_mb(pid_t process) {
  std::ifstream status(fmt::format("/proc/{}/status", process));
  std::string word;
  while (status >> word && word != "VmRSS:") {
  }
  double kb = 0;
  if (!(status >> kb)) give_up("the broker has gone");
  return kb / 1024;
}

void idle(const Options& options, const Flags& flags) {
  const int connections = flags.number("--connections", 1000);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  Peers peers(options.broker);
  for (int i = 0; i < connections; ++i)
    peers.add(std::make_shared<Consumer>(peers.login()), receiving(options.queue));
  peers.wait_attached();
  peers.run_for(std::chrono::seconds(2));
  report(fmt::format("broker.connections{}_rss_mb", connections), rss_mb(options.pid));
}

struct Mode {
  std::string_view name;
  void (*run)(const Options&, const Flags&);
};
constexpr std::array kModes{
    Mode{"fill", fill},       Mode{"send", send}, Mode{"receive", receive},
    Mode{"confirm", confirm}, Mode{"idle", idle},
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Mode& mode : kModes) {
    if (mode.name != name) continue;
    const Flags flags(argc, argv, 2);
    mode.run(options_of(flags), flags);
    return 0;
  }
  give_up("broker_load fill | send | receive | confirm | idle");
}
