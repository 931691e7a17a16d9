// SPDX-License-Identifier: Apache-2.0
// condition_server
// An AMQP server that fails on demand: the name of a queue says how, and with which condition.
//
//   attach--amqp_internal-error               refuses the link ("_" stands for ":")
//   send--com.microsoft_server-busy           rejects every message
//   settle--com.microsoft_message-lock-lost   delivers one message and rejects its settlement
//   detach--amqp_link_detach-forced           detaches the first link that is used, not the next
//   close--amqp_connection_forced             closes the first connection that is used, not the
//   next request--com.microsoft_timeout            answers $management requests with the condition
//
// Every token is accepted. Prints "ready amqp=127.0.0.1:PORT" and runs until it is killed.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <fmt/core.h>

#include "amqp/connection.h"
#include "amqp/message.h"
#include "broker/address.h"
#include "front/request.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "net/stream.h"

namespace {

using namespace jobmill;

struct Wish {
  std::string way{};
  amqp::Error error{};
};

Wish wish_of(std::string_view path) {
  const auto split = path.find("--");
  if (split == std::string_view::npos) return {};
  Wish wish{.way = std::string(path.substr(0, split))};
  wish.error = {.condition = std::string(path.substr(split + 2)), .description = "As you wished."};
  std::replace(wish.error.condition.begin(), wish.error.condition.end(), '_', ':');
  return wish;
}

// As Service Bus pairs them in answers of $management.
std::int32_t status_of(std::string_view condition) {
  constexpr std::array<std::pair<std::string_view, std::int32_t>, 6> kPairs{{
      {"com.microsoft:message-lock-lost", 410},
      {"com.microsoft:session-lock-lost", 410},
      {"com.microsoft:message-not-found", 404},
      {"com.microsoft:entity-already-exists", 409},
      {"com.microsoft:timeout", 408},
      {"com.microsoft:server-busy", 503},
  }};
  for (const auto& [name, status] : kPairs)
    if (name == condition) return status;
  return 500;
}

struct Link {
  amqp::SessionId session = 0;
  bool to_client = false;
  broker::Address address{};
  Wish wish{};
  std::deque<std::string> waiting{};  // for credit
  bool delivered = false;
};

amqp::Map some_properties() {
  amqp::Map properties;
  amqp::set_symbol(properties, "product", "jobmill");
  return properties;
}

class Peer final : public net::Stream::Events, public std::enable_shared_from_this<Peer> {
 public:
  // `done`: the paths whose wish of one time was granted, on whatever connection.
  Peer(std::shared_ptr<net::Stream> stream, std::set<std::string>& done)
      : stream_(std::move(stream)),
        done_(done),
        engine_({.container_id = "conditions", .properties = some_properties()}) {}

  void start() { stream_->start(shared_from_this()); }
  void on_bytes(std::string_view bytes) override {
    engine_.feed(bytes);
    while (auto event = engine_.next_event()) std::visit([this](auto& one) { on(one); }, *event);
    if (stream_->closed()) return;
    stream_->write(engine_.take_output());
    if (over_) stream_->finish();
  }
  void on_end() override { stream_->finish(); }
  void on_drained() override {}
  void on_broken() override {}

 private:
  void on(amqp::SaslLogin& /*login*/) { engine_.sasl_outcome(amqp::SaslCode::Ok); }
  void on(amqp::Opened& /*opened*/) {}
  void on(amqp::SessionBegun& /*begun*/) {}
  void on(amqp::MessageTooLarge& /*message*/) {}
  void on(amqp::LinkDetached& detached) { links_.erase(detached.link); }
  void on(amqp::SessionEnded& /*ended*/) {}
  void on(amqp::Closed& /*closed*/) { over_ = true; }

  void on(amqp::LinkAttached& attached) {
    const amqp::Attach& attach = attached.attach;
    Link link{.session = attached.session, .to_client = attach.role == amqp::Role::Receiver};
    const auto* target = std::get_if<amqp::Target>(&attach.target);
    const auto node = link.to_client ? attach.source->address : target->address;
    link.address = *broker::parse_address(node.value_or(""));
    link.wish = wish_of(link.address.path);
    if (special(link)) link.wish.way.clear();
    if (link.wish.way == "attach") return engine_.refuse(attached.link, link.wish.error);
    engine_.accept(attached.link, {.sender_settle_mode = attach.sender_settle_mode,
                                   .receiver_settle_mode = attach.receiver_settle_mode,
                                   .source = attach.source,
                                   .target = attach.target,
                                   .properties = some_properties()});
    if (!link.to_client) engine_.grant(attached.link, 1000);
    links_.emplace(attached.link, std::move(link));
  }

  void on(amqp::CreditGiven& credit) {
    const auto at = links_.find(credit.link);
    if (at == links_.end()) return;
    Link& link = at->second;
    if (special(link)) return send_waiting(credit.link, link);
    if (credit.credit > 0 && used(credit.link, link)) return;
    if (credit.credit > 0 && !std::exchange(link.delivered, true)) deliver(credit.link);
    if (credit.drain) engine_.drained(credit.link);
  }

  void on(amqp::MessageReceived& message) {
    const auto at = links_.find(message.link);
    if (at == links_.end()) return;
    Link& link = at->second;
    if (special(link)) {
      engine_.settle(message.link, message.delivery, amqp::Accepted{});
      return answer(link, *front::read_request(message.bytes));
    }
    if (used(message.link, link)) return;
    amqp::DeliveryState state = amqp::Accepted{};
    if (link.wish.way == "send") state = amqp::Rejected{link.wish.error};
    engine_.settle(message.link, message.delivery, std::move(state));
  }

  void on(amqp::DispositionReceived& disposition) {
    const auto at = links_.find(disposition.link);
    if (at == links_.end() || disposition.settled || !disposition.state) return;
    amqp::DeliveryState state = *disposition.state;
    if (at->second.wish.way == "settle") state = amqp::Rejected{at->second.wish.error};
    engine_.settle(disposition.link, disposition.delivery, std::move(state));
  }

  static bool special(const Link& link) { return link.address.cbs || link.address.management; }

  // Whether the link or the connection ended here.
  bool used(amqp::LinkId id, const Link& link) {
    const std::string way = link.wish.way;
    if (way != "detach" && way != "close") return false;
    if (!done_.insert(link.address.path).second) return false;
    const amqp::Error error = link.wish.error;
    if (way == "close") {
      engine_.close(error);
      over_ = true;
    } else {
      engine_.detach(id, error);
      links_.erase(id);
    }
    return true;
  }

  void deliver(amqp::LinkId link) {
    std::string message;
    amqp::encode_properties(message, {.message_id = "m"});
    amqp::encode_data_section(message, "wished");
    std::array<char, 16> tag{'t'};
    engine_.send(link, {.tag = {tag.data(), tag.size()}}, {message});
  }

  void answer(const Link& to, const front::Request& request) {
    amqp::Map properties;
    if (to.address.cbs) {
      amqp::set_string(properties, "status-code", std::int32_t{202});
      amqp::set_string(properties, "status-description", "Accepted");
    } else {
      const amqp::Error error = wish_of(to.address.path).error;
      amqp::set_string(properties, "statusCode", status_of(error.condition));
      amqp::set_string(properties, "statusDescription", error.description);
      amqp::set_string(properties, "errorCondition", amqp::Symbol{error.condition});
    }
    for (auto& [id, link] : links_) {
      const bool same = link.to_client && link.session == to.session &&
                        link.address.cbs == to.address.cbs && link.address.path == to.address.path;
      if (!same || !special(link)) continue;
      link.waiting.push_back(front::write_answer(request.message_id, properties, {}));
      return send_waiting(id, link);
    }
  }

  void send_waiting(amqp::LinkId id, Link& link) {
    while (!link.waiting.empty() && engine_.credit(id) > 0) {
      const std::string tag = std::to_string(++last_tag_);
      engine_.send(id, {.tag = tag, .settled = true}, {link.waiting.front()});
      link.waiting.pop_front();
    }
  }

  std::shared_ptr<net::Stream> stream_;
  std::set<std::string>& done_;
  amqp::Connection engine_;
  std::map<amqp::LinkId, Link> links_;
  std::uint64_t last_tag_ = 0;
  bool over_ = false;
};

}  // namespace

int main() {
  net::EventLoop loop;
  std::set<std::string> done;
  const auto listener = net::Listener::open(loop, "127.0.0.1:0", {.max_segment = 16384});
  if (!listener) {
    fmt::print(stderr, "{}\n", listener.error().message);
    return 1;
  }
  loop.post([&] {
    (*listener)->start([&done](std::shared_ptr<net::Stream> stream) {
      std::make_shared<Peer>(std::move(stream), done)->start();
    });
  });
  fmt::print("ready amqp={}\n", (*listener)->address());
  std::fflush(stdout);
  loop.run(std::stop_source().get_token());
}
