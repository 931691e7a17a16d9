// SPDX-License-Identifier: Apache-2.0
#include "scalers/azure_servicebus.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/core.h>
#include <re2/re2.h>

#include "base/random.h"
#include "scalers/azure_servicebus_admin.h"
#include "scalers/pending_read.h"
#include "scalers/table.h"

namespace jobmill::scalers {
namespace {

constexpr std::array kParameters{
    Parameter{.names = "queueName"},
    Parameter{.names = "topicName"},
    Parameter{.names = "subscriptionName"},
    Parameter{.names = "messageCount", .type = ParameterType::Integer, .fallback = "5"},
    Parameter{.names = "activationMessageCount", .type = ParameterType::Integer, .fallback = "0"},
    Parameter{.names = "connection", .sources = "ae"},
    Parameter{.names = "namespace"},
    Parameter{.names = "useRegex", .type = ParameterType::Boolean, .fallback = "false"},
    Parameter{.names = "operation",
              .type = ParameterType::Word,
              .fallback = "sum",
              .words = "sum|max|avg"},
    Parameter{.names = "cloud", .fallback = "AzurePublicCloud"},
    Parameter{.names = "endpointSuffix"},
};

struct Cloud {
  std::string_view name;
  std::string_view suffix;
};
constexpr std::array kClouds{
    Cloud{"AzurePublicCloud", "servicebus.windows.net"},
    Cloud{"AzureUSGovernmentCloud", "servicebus.usgovcloudapi.net"},
    Cloud{"AzureChinaCloud", "servicebus.chinacloudapi.cn"},
    Cloud{"AzureGermanCloud", "servicebus.cloudapi.de"},
};

EntityOperation operation_of(std::string_view word) {
  if (word == "max") return EntityOperation::Max;
  return word == "avg" ? EntityOperation::Avg : EntityOperation::Sum;
}

// --- parameters ---------------------------------------------------------------------------------

void check_entity(Parameters& parameters, const ServiceBusTrigger& trigger) {
  const bool queue = !trigger.queue.empty();
  const bool topic = !trigger.topic.empty();
  const bool subscription = !trigger.subscription.empty();
  if (queue && (topic || subscription))
    return parameters.complain(Flaw::Conflict,
                               "queueName cannot stand beside topicName or subscriptionName");
  if (topic && !subscription)
    return parameters.complain(Flaw::Missing, "subscriptionName is missing beside topicName");
  if (!queue && !topic)
    parameters.complain(Flaw::Missing, "queueName, or topicName with subscriptionName, is missing");
}

std::unique_ptr<RE2> compile(std::string_view pattern) {
  RE2::Options options;
  options.set_longest_match(true);
  options.set_log_errors(false);
  return std::make_unique<RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
}

void check_pattern(Parameters& parameters, const ServiceBusTrigger& trigger) {
  const bool topic = trigger.queue.empty();
  const auto pattern = compile(topic ? trigger.subscription : trigger.queue);
  if (!pattern->ok())
    parameters.complain(Flaw::Syntax,
                        fmt::format("{} is no regular expression: {}",
                                    topic ? "subscriptionName" : "queueName", pattern->error()));
}

std::string suffix(Parameters& parameters) {
  const std::string cloud = parameters.text("cloud");
  if (http::iequals(cloud, "Private")) {
    const std::string own = parameters.text("endpointSuffix");
    if (own.empty())
      parameters.complain(Flaw::Missing, "endpointSuffix is missing beside cloud Private");
    return own;
  }
  for (const Cloud& known : kClouds)
    if (http::iequals(cloud, known.name)) return std::string(known.suffix);
  parameters.complain(Flaw::Unsupported, fmt::format("cloud is not known: {}", cloud));
  return {};
}

// Either a connection string, or the name of a namespace that an identity opens.
void decode_access(Parameters& parameters, ServiceBusTrigger& trigger) {
  const std::string& identity = parameters.spec().pod_identity;
  if (identity.empty() || identity == "none") {
    trigger.connection = Secret(parameters.text("connection"));
    if (trigger.connection.empty())
      parameters.complain(Flaw::Missing, "connection is missing, and there is no identity");
    return;
  }
  if (identity != "azure-workload")
    return parameters.complain(Flaw::Unsupported,
                               fmt::format("identity must be azure-workload, not {}", identity));
  const std::string space = parameters.text("namespace");
  if (space.empty())
    return parameters.complain(Flaw::Missing, "namespace is missing, which an identity needs");
  trigger.host = space + "." + suffix(parameters);
  trigger.principal = parameters.spec().principal;
}

std::string metric_name(const ServiceBusTrigger& trigger) {
  const bool topic = trigger.queue.empty();
  if (trigger.regex) return topic ? "azure-servicebus-topic-regex" : "azure-servicebus-queue-regex";
  return "azure-servicebus-" + (topic ? trigger.topic : trigger.queue);
}

// Below 0 as well: KEDA takes any messageCount, and nothing comes of such a one.
std::int64_t thousandths(std::int64_t whole) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / 1000;
  return std::clamp(whole, -kMost, kMost) * 1000;
}

// --- reads --------------------------------------------------------------------------------------

constexpr int kTries = 4;
constexpr Duration kTokenLife = std::chrono::hours(2);

// About 0.8, 2.4 and 5.6 s, each somewhat shorter or longer by chance, so that many that failed
// together do not come back together.
Duration pause_before(int attempt) {
  std::array<std::byte, 2> random{};
  fill_random(random);
  const auto fraction = static_cast<double>(std::to_integer<unsigned>(random[0]) << 8 |
                                            std::to_integer<unsigned>(random[1])) /
                        65'536;
  const double seconds = 0.8 * ((1 << attempt) - 1) * (0.8 + fraction / 2);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

EntityKind kind_of(const ServiceBusTrigger& trigger) {
  return trigger.queue.empty() ? EntityKind::Subscription : EntityKind::Queue;
}

std::string name_of(const ServiceBusTrigger& trigger) {
  return trigger.queue.empty()
             ? fmt::format("subscription {} of topic {}", trigger.subscription, trigger.topic)
             : "queue " + trigger.queue;
}

// The reads of one trigger: first in process; if its namespace is not there, over HTTPS. It
// outlives the scaler while answers, changes and timers are on their way. Reads and their answers
// never overlap, so what is not marked otherwise needs no lock.
class Reader : public std::enable_shared_from_this<Reader> {
 public:
  Reader(ServiceBusTrigger trigger, const ScalerContext& context)
      : trigger_(std::move(trigger)),
        source_(context.service_bus),
        fetch_(context.fetch),
        run_after_(context.run_after),
        clock_(context.clock),
        timeout_(context.http_timeout) {}

  const scale::MetricSpec& metric() const { return trigger_.metric; }

  void read(scale::Scaler::Done done) {
    pending_.begin(std::move(done));
    remote_ = !source_.read;
    if (remote_) return ask_remote();
    // Subscribed before the number is read, so that no change falls between the two.
    if (!subscription_ && source_.subscribe)
      subscription_ = source_.subscribe(trigger_, call([](Reader& self) { self.ask(false); }));
    ask(false);
    if (pending_.open() && !remote_)
      set_timer(trigger_.longest_wait, [](Reader& self) { self.ask(true); });
  }

  void close() {
    pending_.close();
    subscription_.reset();
    keep(nullptr);
  }

 private:
  using Step = void (*)(Reader&);

  std::function<void()> call(Step step) {
    return [weak = weak_from_this(), step] {
      if (const auto self = weak.lock()) step(*self);
    };
  }

  void set_timer(Duration after, Step step) { keep(run_after_(after, call(step))); }

  // The old handle is dropped outside the lock, since that may call into a loop.
  void keep(std::shared_ptr<void> timer) {
    const std::lock_guard lock(mutex_);
    timer_.swap(timer);
  }

  // --- in process ---

  void ask(bool even_if_unchanged) {
    if (remote_ || !pending_.open()) return;
    source_.read(trigger_, [weak = weak_from_this(),
                            even_if_unchanged](Result<std::vector<std::int64_t>> counts) {
      if (const auto self = weak.lock()) self->on_counts(std::move(counts), even_if_unchanged);
    });
  }

  // Also of a question that an earlier read asked: then it is only a number more.
  void on_counts(Result<std::vector<std::int64_t>> counts, bool even_if_unchanged) {
    if (remote_ || !pending_.open()) return;
    if (!counts && counts.error().code == Code::Unsupported) {
      if (!remote_.exchange(true)) ask_remote();
      return;
    }
    pending_.finish_with([&] { return news(counts, even_if_unchanged); });
  }

  std::optional<Result<scale::Sample>> news(const Result<std::vector<std::int64_t>>& counts,
                                            bool even_if_unchanged) {
    if (!counts) return counts.error();
    const std::int64_t value = combine_counts(trigger_.operation, *counts);
    if (last_ == value && !even_if_unchanged) return std::nullopt;
    last_ = value;
    return sample(value, true);
  }

  scale::Sample sample(std::int64_t value, bool waits) const {
    return {
        .value = static_cast<double>(value), .active = value > trigger_.activation, .waits = waits};
  }

  // --- over HTTPS ---

  void ask_remote() {
    if (trigger_.connection.empty())
      return pending_.finish(fail(
          Code::Unsupported,
          fmt::format("{} is not a namespace of this server, and identities open only those: give "
                      "a connection string",
                      trigger_.host)));
    auto connection = parse_connection(trigger_.connection);
    if (!connection) return pending_.finish(connection.error());
    connection_ = *std::move(connection);
    listing_ = {};
    send_first();
  }

  void send_first() {
    url_ = trigger_.regex ? listing_url(connection_.host, trigger_, listing_.received())
                          : entity_url(connection_.host, trigger_);
    attempt_ = 0;
    send();
  }

  // The token is for this URL and made anew for each attempt.
  void send() {
    if (!pending_.open()) return;
    ++attempt_;
    http::ClientRequest request{.url = url_, .timeout = timeout_};
    request.headers.set("Authorization", authorization());
    fetch_(std::move(request), [weak = weak_from_this()](http::ClientResult result) {
      const auto self = weak.lock();
      if (self && self->pending_.open()) self->on_answer(std::move(result));
    });
  }

  std::string authorization() const {
    if (!connection_.signature.empty()) return connection_.signature.reveal();
    return shared_access_signature(url_, connection_.key_name, connection_.key,
                                   clock_.now() + kTokenLife);
  }

  void on_answer(http::ClientResult result) {
    const bool passing = !result || may_be_tried_again(result->status);
    if (passing && attempt_ < kTries)
      return set_timer(pause_before(attempt_), [](Reader& self) { self.send(); });
    if (!result) return pending_.finish(std::move(result).error());
    trigger_.regex ? on_page(*result) : on_entity(*result);
  }

  void on_entity(const http::Response& response) {
    const auto entity = read_entity(kind_of(trigger_), response);
    if (!entity) return fail_with(entity.error());
    if (!*entity)
      return fail_with(fail(Code::NotFound, fmt::format("has no {}", name_of(trigger_))));
    pending_.finish(sample((*entity)->active, false));
  }

  void on_page(const http::Response& response) {
    auto page = read_listing(kind_of(trigger_), response);
    if (!page) return fail_with(page.error());
    if (listing_.add(*std::move(page))) return send_first();
    const auto counts = matching();
    if (!counts) return fail_with(counts.error());
    pending_.finish(sample(combine_counts(trigger_.operation, *counts), false));
  }

  Result<std::vector<std::int64_t>> matching() const {
    const std::string& pattern = trigger_.queue.empty() ? trigger_.subscription : trigger_.queue;
    std::vector<std::int64_t> counts;
    for (const EntityCount& entity : listing_.entities()) {
      TRY(const bool matches, entity_matches(pattern, entity.name));
      if (matches) counts.push_back(entity.active);
    }
    return counts;
  }

  void fail_with(const Fault& fault) {
    pending_.finish(fail(fault.code, fmt::format("{}: {}", connection_.host, fault.message)));
  }

  const ServiceBusTrigger trigger_;
  const ServiceBusSource source_;
  const decltype(ScalerContext::fetch) fetch_;
  const decltype(ScalerContext::run_after) run_after_;
  const Clock& clock_;
  const Duration timeout_;

  PendingRead pending_;
  std::atomic<bool> remote_ = false;    // this read goes over HTTPS
  std::shared_ptr<void> subscription_;  // touched by the scaler's owner only
  std::mutex mutex_;
  std::shared_ptr<void> timer_;       // guarded by mutex_: of a wait, or before another attempt
  std::optional<std::int64_t> last_;  // what was answered; touched inside finish_with only

  ServiceBusConnection connection_;
  Listing listing_;
  std::string url_;
  int attempt_ = 0;
};

class ServiceBusScaler final : public scale::Scaler {
 public:
  ServiceBusScaler(ServiceBusTrigger trigger, const ScalerContext& context)
      : reader_(std::make_shared<Reader>(std::move(trigger), context)) {}
  ~ServiceBusScaler() override { reader_->close(); }

  const scale::MetricSpec& metric() const override { return reader_->metric(); }
  // `done` may destroy the scaler before this returns.
  void read(Done done) override {
    const auto reader = reader_;
    reader->read(std::move(done));
  }

 private:
  std::shared_ptr<Reader> reader_;
};

}  // namespace

std::span<const Parameter> azure_servicebus_parameters() { return kParameters; }

ServiceBusTrigger decode_azure_servicebus(Parameters& parameters) {
  ServiceBusTrigger trigger;
  trigger.queue = parameters.text("queueName");
  trigger.topic = parameters.text("topicName");
  trigger.subscription = parameters.text("subscriptionName");
  trigger.messages = parameters.integer("messageCount").value_or(5);
  trigger.activation = parameters.integer("activationMessageCount").value_or(0);
  trigger.regex = parameters.boolean("useRegex");
  trigger.operation = operation_of(parameters.text("operation"));
  trigger.longest_wait =
      std::min<Duration>(parameters.spec().polling_interval, std::chrono::seconds(25));
  check_entity(parameters, trigger);
  if (trigger.regex) check_pattern(parameters, trigger);
  decode_access(parameters, trigger);
  trigger.metric = parameters.metric(metric_name(trigger), 0);
  trigger.metric.target_milli = thousandths(trigger.messages);
  return trigger;
}

Result<ServiceBusTrigger> parse_azure_servicebus(const scale::TriggerSpec& spec) {
  Parameters parameters(spec, kParameters);
  ServiceBusTrigger trigger = decode_azure_servicebus(parameters);
  TRY_VOID(parameters.status());
  return trigger;
}

Result<std::unique_ptr<scale::Scaler>> make_azure_servicebus(const scale::TriggerSpec& spec,
                                                             const ScalerContext& context) {
  TRY(ServiceBusTrigger trigger, parse_azure_servicebus(spec));
  return std::make_unique<ServiceBusScaler>(std::move(trigger), context);
}

Result<bool> entity_matches(std::string_view pattern, std::string_view entity) {
  const auto compiled = compile(pattern);
  if (!compiled->ok())
    return fail(Code::InvalidArgument,
                fmt::format("{} is no regular expression: {}", pattern, compiled->error()));
  re2::StringPiece match;
  const re2::StringPiece text(entity.data(), entity.size());
  return compiled->Match(text, 0, text.size(), RE2::UNANCHORED, &match, 1) &&
         match.size() == text.size();
}

std::int64_t combine_counts(EntityOperation operation, std::span<const std::int64_t> counts) {
  std::int64_t sum = 0;
  std::int64_t most = 0;
  for (const std::int64_t one : counts) {
    sum += one;
    most = std::max(most, one);
  }
  if (operation == EntityOperation::Max) return most;
  const auto number = static_cast<std::int64_t>(counts.size());
  return operation == EntityOperation::Avg && number > 0 ? sum / number : sum;
}

}  // namespace jobmill::scalers
