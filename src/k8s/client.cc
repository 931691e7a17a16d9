// SPDX-License-Identifier: Apache-2.0
#include "k8s/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <deque>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/node_path.h"
#include "k8s/api_error.h"
#include "k8s/credentials.h"
#include "k8s/rate_limit.h"
#include "k8s/watch_lines.h"

namespace jobmill::k8s {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::size_t kMostAnswer = 64u << 20;
constexpr DocumentLimits kAnswerLimits{.bytes = kMostAnswer, .nodes = 10'000'000};
constexpr std::size_t kMostError = 64u << 10;  // of a refused watch
constexpr int kPage = 500;
constexpr Duration kPluginLimit = seconds(10);
constexpr Duration kKnownFor = std::chrono::minutes(10);  // a server's list of its kinds
constexpr Duration kMissedFor = seconds(10);              // what is not in it may have come since

constexpr int kReadTries = 3;
constexpr Duration kReadPause = milliseconds(200);  // doubles
constexpr int kBusyTries = 5;                       // at 429
constexpr Duration kBusyPause = seconds(1);
constexpr Duration kLongestPause = seconds(30);

// "?a=b&c=d"; what is empty is left out.
std::string query(std::initializer_list<std::pair<std::string_view, std::string_view>> parameters) {
  std::string text;
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    text += fmt::format("{}{}={}", text.empty() ? '?' : '&', name, http::url_encode(value));
  }
  return text;
}

// Seconds; the form with a date is not used by API servers.
std::optional<Duration> retry_after(const http::Response& response) {
  const auto field = response.headers.get("Retry-After");
  int count = 0;
  if (!field) return std::nullopt;
  const auto [end, error] = std::from_chars(field->data(), field->data() + field->size(), count);
  if (error != std::errc() || count < 0) return std::nullopt;
  return std::min<Duration>(seconds(count), kLongestPause);
}

// The kinds in an APIResourceList; subresources have a '/' in their names.
std::vector<Resource> resources_in(const Node& list, std::string_view api_version) {
  std::vector<Resource> found;
  const std::size_t slash = api_version.find('/');
  const std::string group(slash == api_version.npos ? "" : api_version.substr(0, slash));
  const std::string version(slash == api_version.npos ? api_version
                                                      : api_version.substr(slash + 1));
  const Node* resources = list.find("resources");
  for (std::size_t i = 0; resources && i < resources->items.size(); ++i) {
    const Node& entry = resources->items[i];
    const std::string plural = text_at(entry, {"name"});
    if (plural.empty() || plural.find('/') != plural.npos) continue;
    const Node* namespaced = entry.find("namespaced");
    found.push_back({group, version, plural, text_at(entry, {"kind"}),
                     namespaced && namespaced->as_bool().value_or(false)});
  }
  return found;
}

}  // namespace

struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
  using Id = std::uint64_t;
  using Answered = std::function<void(Result<http::Response>)>;

  struct Call {
    Asked asked;
    http::ClientRequest request;  // without credentials
    bool write = false;
    Answered answered{};  // a success, or the fault that is told
    int tries = 0;
    std::shared_ptr<void> pause{};
  };

  struct Streaming {  // a watch or a text
    Asked asked;
    http::ClientRequest request;
    std::function<void()> begun{};
    std::function<void(Node)> line{};               // of a watch
    std::function<void(std::string_view)> piece{};  // of a text
    std::function<void(Status)> ended;
    int status = 0;
    std::string refusal{};  // the body of a status that is no success
    WatchLines lines{};
    std::shared_ptr<void> http{};
  };

  // What the two have in common: credentials that were refused are tried once more.
  struct Sent {
    std::uint64_t credentials = 0;
    bool renewed = false;
  };

  struct List {
    Resource resource;
    std::string ns;
    std::string label_selector;
    std::string field_selector;
    Done done;
    bool paged = true;
    Node items = Node::array();
  };

  struct Known {
    std::vector<Resource> resources;
    TimePoint at{};
    bool valid = false;
    std::vector<std::function<void(const Status&)>> waiting{};  // for the answer that is asked for
  };

  Impl(Config where, http::Client& client, World in, Limits limits_of)
      : config(std::move(where)),
        http(client),
        world(std::move(in)),
        limits(limits_of),
        credentials(config),
        rate(limits.per_second, limits.burst) {}

  const Config config;
  http::Client& http;
  const World world;
  const Limits limits;
  Credentials credentials;
  RateLimit rate;
  Counts counts{};

  Id last_id = 0;
  std::unordered_map<Id, std::shared_ptr<Call>> calls;
  std::unordered_map<Id, std::shared_ptr<Streaming>> streams;
  std::unordered_map<Id, Sent> sent;
  std::deque<Id> urgent;  // not limited
  std::deque<Id> queue;
  std::deque<Id> events;  // only when nothing else waits
  int under_way = 0;      // calls that were sent, and were not urgent
  std::shared_ptr<void> next_turn;
  bool plugin_runs = false;
  std::map<std::string, Known, std::less<>> known;  // by apiVersion
  bool closed = false;

  // Posts to our thread, from any; dropped when the client is gone by then.
  template <class Work>
  auto posting(Work work) {
    return [post = world.post, weak = weak_from_this(), work](auto&&... arguments) {
      post([weak, work,
            ... kept = std::decay_t<decltype(arguments)>(
                std::forward<decltype(arguments)>(arguments))]() mutable {
        if (const auto alive = weak.lock()) work(*alive, std::move(kept)...);
      });
    };
  }

  // --- requests and their order -----------------------------------------------------------------

  http::ClientRequest request(std::string method, const std::string& path_and_query) const {
    http::ClientRequest made{.method = std::move(method),
                             .url = config.server + path_and_query,
                             .timeout = limits.timeout,
                             .verify_tls = config.verify_tls,
                             .max_response_bytes = kMostAnswer,
                             .tls_ca = config.ca};
    made.headers.add("Accept", "application/json, */*");
    return made;
  }

  bool is_urgent(const Asked& asked) const { return asked.resource == resources::kLeases; }

  std::deque<Id>& queue_of(const Asked& asked) {
    if (is_urgent(asked)) return urgent;
    return asked.resource == resources::kEvents ? events : queue;
  }

  void enqueue(Id id, const Asked& asked) {
    queue_of(asked).push_back(id);
    pump();
  }

  bool is_wanted(Id id) const { return calls.contains(id) || streams.contains(id); }

  void pump() {
    while (!urgent.empty() || !queue.empty() || !events.empty()) {
      std::deque<Id>& from = !urgent.empty() ? urgent : !queue.empty() ? queue : events;
      const Id id = from.front();
      if (is_wanted(id)) {
        const TimePoint now = world.clock.now();
        if (credentials.need_plugin(now)) return run_plugin();
        if (urgent.empty() && calls.contains(id) && under_way >= limits.at_once) return;
        if (urgent.empty())
          if (const auto wait = rate.take(now)) return wait_for_turn(*wait);
      }
      from.pop_front();
      start(id);
    }
  }

  void wait_for_turn(Duration wait) {
    next_turn = world.run_after(wait, [weak = weak_from_this()] {
      if (const auto alive = weak.lock()) alive->pump();
    });
  }

  void start(Id id) {
    if (const auto call = calls.find(id); call != calls.end()) return start_call(id, *call->second);
    if (const auto stream = streams.find(id); stream != streams.end())
      start_stream(id, *stream->second);
  }

  void start_call(Id id, const Call& call) {
    ++(call.write ? counts.writes : counts.reads);
    http::ClientRequest copy = call.request;
    if (auto status = credentials.add_to(copy); !status)
      return finish_later(id, std::move(status).error());
    sent[id].credentials = credentials.version();
    const int counted = is_urgent(call.asked) ? 0 : 1;
    under_way += counted;
    http.send(std::move(copy), posting([id, counted](Impl& self, http::ClientResult result) {
                self.under_way -= counted;
                self.take_answer(id, std::move(result));
                self.pump();
              }));
  }

  // Never from within the call that asked.
  void finish_later(Id id, Fault fault) {
    posting([id](Impl& self, Fault why) { self.finish(id, std::move(why)); })(std::move(fault));
  }

  void finish(Id id, Result<http::Response> result) {
    if (!result) ++counts.failed;
    sent.erase(id);
    if (const auto stream = streams.find(id); stream != streams.end()) {
      const auto ended = std::move(streams.extract(stream).mapped()->ended);
      return ended(result ? Status() : std::move(result).error());
    }
    const auto call = calls.find(id);
    if (call == calls.end()) return;
    const Answered answered = std::move(calls.extract(call).mapped()->answered);
    answered(std::move(result));
  }

  // --- credentials ------------------------------------------------------------------------------

  void run_plugin() {
    if (std::exchange(plugin_runs, true)) return;
    auto told = posting([](Impl& self, Result<ExecCredential> credential) {
      self.take_credential(std::move(credential));
    });
    if (!world.background)
      return told(fail(Code::Unsupported, "credential plugins cannot be run here"));
    world.background([config = config, told] { told(run_exec_plugin(config, kPluginLimit)); });
  }

  void take_credential(Result<ExecCredential> credential) {
    plugin_runs = false;
    if (credential) {
      credentials.plugin_gave(*std::move(credential));
      return pump();
    }
    std::vector<Id> hopeless(urgent.begin(), urgent.end());
    for (const auto* waiting : {&queue, &events})
      hopeless.insert(hopeless.end(), waiting->begin(), waiting->end());
    for (auto* waiting : {&urgent, &queue, &events}) waiting->clear();
    const auto self = shared_from_this();  // what is told may drop us
    for (const Id id : hopeless) finish(id, credential.error());
  }

  // True: it was queued again, since other credentials may do.
  bool renewed(Id id, const Asked& asked) {
    Sent& of = sent[id];
    if (of.renewed || !credentials.refused(of.credentials)) return false;
    of.renewed = true;
    enqueue(id, asked);
    return true;
  }

  // --- calls ------------------------------------------------------------------------------------

  void take_answer(Id id, http::ClientResult result) {
    const auto found = calls.find(id);
    if (found == calls.end()) return;
    Call& call = *found->second;
    if (result && result->status == 401 && renewed(id, call.asked)) return;
    if (const auto pause = pause_before_next_try(call, result)) return try_again(id, call, *pause);
    if (result && (result->status < 200 || result->status > 299))
      return finish(id, fault_of(call.asked, result->status, result->body));
    if (!result)
      return finish(
          id, fail(result.error().code,
                   fmt::format("cannot {}: {}", to_string(call.asked), result.error().message)));
    finish(id, *std::move(result));
  }

  static std::optional<Duration> pause_before_next_try(const Call& call,
                                                       const http::ClientResult& result) {
    if (result && result->status == 429 && call.tries + 1 < kBusyTries)
      return retry_after(*result).value_or(kBusyPause);
    const bool ill = result ? result->status >= 500 : result.error().code == Code::Unavailable;
    if (call.write || !ill || call.tries + 1 >= kReadTries) return std::nullopt;
    const auto asked_for = result ? retry_after(*result) : std::nullopt;
    return asked_for.value_or(kReadPause * (1 << call.tries));
  }

  void try_again(Id id, Call& call, Duration pause) {
    ++call.tries;
    call.pause = world.run_after(pause, [weak = weak_from_this(), id] {
      const auto self = weak.lock();
      if (!self) return;
      const auto waiting = self->calls.find(id);
      if (waiting != self->calls.end()) self->enqueue(id, waiting->second->asked);
    });
  }

  void add_call(Call call) {
    const Id id = ++last_id;
    const auto kept = std::make_shared<Call>(std::move(call));
    calls.emplace(id, kept);
    enqueue(id, kept->asked);
  }

  static Answered parsed(Done done) {
    return [done = std::move(done)](Result<http::Response> response) {
      if (!response) return done(std::move(response).error());
      auto node = parse_json(response->body, kAnswerLimits);
      if (!node)
        return done(fail(Code::Internal, "the API server's answer: " + node.error().message));
      done(*std::move(node));
    };
  }

  struct Body {
    std::string type = "application/json";
    Node node{};
  };

  void call(Asked asked, std::string method, const std::string& parameters, const Body& body,
            Done done) {
    const bool write = method != "GET";
    if (asked.name.empty() && method != "POST" && asked.path.empty()) {
      // Its path would be that of the whole collection.
      ++counts.failed;
      return posting([done = std::move(done), text = to_string(asked)](Impl&) {
        done(fail(Code::InvalidArgument, "cannot " + text + ": a name is missing"));
      })();
    }
    http::ClientRequest made = request(std::move(method), path_of(asked) + parameters);
    if (!body.node.is_null()) {
      made.headers.add("Content-Type", body.type);
      made.body = to_json(body.node);
    }
    add_call({.asked = std::move(asked),
              .request = std::move(made),
              .write = write,
              .answered = parsed(std::move(done))});
  }

  static std::string path_of(const Asked& asked) {
    if (!asked.path.empty()) return asked.path;
    return asked.resource.path(http::url_encode(asked.ns), http::url_encode(asked.name),
                               asked.subresource);
  }

  // --- lists ------------------------------------------------------------------------------------

  void list_page(const std::shared_ptr<List>& list, std::string_view from) {
    Asked asked{.verb = "list", .resource = list->resource, .ns = list->ns};
    const std::string limit = list->paged ? std::to_string(kPage) : "";
    http::ClientRequest made =
        request("GET", path_of(asked) + query({{"labelSelector", list->label_selector},
                                               {"fieldSelector", list->field_selector},
                                               {"limit", limit},
                                               {"continue", from}}));
    add_call({.asked = std::move(asked),
              .request = std::move(made),
              .answered = parsed([weak = weak_from_this(), list](Result<Node> page) {
                if (const auto self = weak.lock()) self->take_page(list, std::move(page));
              })});
  }

  // A continuation that is too old (410, told as Conflict) can only be begun anew; whole, so that
  // it cannot grow too old again.
  void take_page(const std::shared_ptr<List>& list, Result<Node> page) {
    const bool expired = !page && page.error().code == Code::Conflict;
    if (expired && list->paged) {
      list->paged = false;
      list->items = Node::array();
      return list_page(list, "");
    }
    if (!page) return list->done(std::move(page).error());
    if (Node* items = page->find("items"); items && items->is_array())
      for (Node& item : items->items) list->items.push(named(std::move(item), list->resource));
    const std::string next = text_at(*page, {"metadata", "continue"});
    if (!next.empty()) return list_page(list, next);
    Node whole = Node::object();
    whole.set("apiVersion", Node::string(list->resource.api_version()));
    whole.set("kind", Node::string(list->resource.kind + "List"));
    whole.set("metadata", Node::object())
        .set("resourceVersion", Node::string(text_at(*page, {"metadata", "resourceVersion"})));
    whole.set("items", std::move(list->items));
    list->done(std::move(whole));
  }

  // Objects of a list do not say what they are; those of a watch do.
  static Node named(Node item, const Resource& resource) {
    if (!item.find("apiVersion")) item.set("apiVersion", Node::string(resource.api_version()));
    if (!item.find("kind")) item.set("kind", Node::string(resource.kind));
    return item;
  }

  // --- streams ----------------------------------------------------------------------------------

  struct Handle {
    Handle(std::weak_ptr<Impl> client, Id stream) : impl(std::move(client)), id(stream) {}
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() {
      const auto alive = impl.lock();
      if (!alive) return;
      alive->sent.erase(id);
      const auto dropped = alive->streams.extract(id);  // its callbacks go after it
    }
    std::weak_ptr<Impl> impl;
    Id id;
  };

  std::shared_ptr<void> add_stream(Streaming stream) {
    const Id id = ++last_id;
    const auto kept = std::make_shared<Streaming>(std::move(stream));
    streams.emplace(id, kept);
    enqueue(id, kept->asked);
    return std::make_shared<Handle>(weak_from_this(), id);
  }

  void start_stream(Id id, Streaming& stream) {
    ++counts.watches;
    http::ClientRequest copy = stream.request;
    if (auto status = credentials.add_to(copy); !status)
      return finish_later(id, std::move(status).error());
    sent[id].credentials = credentials.version();
    stream.status = 0;
    stream.refusal.clear();
    auto on_data =
        posting([id](Impl& self, const std::string& bytes) { self.take_bytes(id, bytes); });
    stream.http = http.stream(
        std::move(copy),
        {.begun = posting(
             [id](Impl& self, const http::Response& head) { self.take_head(id, head.status); }),
         .data = [on_data](std::string_view bytes) { on_data(std::string(bytes)); },
         .ended = posting([id](Impl& self, Status status) { self.end_stream(id, status); })});
  }

  void take_head(Id id, int status) {
    const auto found = streams.find(id);
    if (found == streams.end()) return;
    const auto stream = found->second;
    stream->status = status;
    if (status == 200 && stream->begun) stream->begun();
  }

  // Each line may drop the stream, or all of us.
  void take_bytes(Id id, const std::string& bytes) {
    const auto found = streams.find(id);
    if (found == streams.end()) return;
    const auto stream = found->second;
    if (stream->status != 200) {
      stream->refusal.append(bytes, 0, kMostError - std::min(kMostError, stream->refusal.size()));
      return;
    }
    if (stream->piece) return stream->piece(bytes);
    stream->lines.feed(bytes);
    while (streams.contains(id)) {
      auto next = stream->lines.next();
      if (!next) {
        stream->http.reset();
        return finish(
            id, fail(next.error().code,
                     fmt::format("cannot {}: {}", to_string(stream->asked), next.error().message)));
      }
      if (!*next) return;
      stream->line(**std::move(next));
    }
  }

  void end_stream(Id id, Status status) {
    const auto found = streams.find(id);
    if (found == streams.end()) return;
    const Streaming& stream = *found->second;
    if (stream.status == 401 && renewed(id, stream.asked)) return;
    if (stream.status != 0 && stream.status != 200)
      return finish(id, fault_of(stream.asked, stream.status, stream.refusal));
    if (!status)
      return finish(
          id, fail(status.error().code,
                   fmt::format("cannot {}: {}", to_string(stream.asked), status.error().message)));
    finish(id, http::Response{});
  }

  // --- kinds ------------------------------------------------------------------------------------

  const Resource* known_kind(std::string_view api_version, std::string_view kind) const {
    const auto found = known.find(api_version);
    if (found == known.end() || !found->second.valid) return nullptr;
    for (const Resource& resource : found->second.resources)
      if (resource.kind == kind) return &resource;
    return nullptr;
  }

  bool must_ask(const std::string& api_version, const std::string& kind) {
    const Known& of = known[api_version];
    if (!of.valid) return true;
    const Duration age = world.clock.now() - of.at;
    return age >= (known_kind(api_version, kind) ? kKnownFor : kMissedFor);
  }

  void ask_for_kinds(const std::string& api_version) {
    const std::string path =
        (api_version.find('/') == api_version.npos ? "/api/" : "/apis/") + api_version;
    call({.verb = "get", .path = path}, "GET", "", {},
         [weak = weak_from_this(), api_version](Result<Node> answer) {
           if (const auto self = weak.lock()) self->take_kinds(api_version, answer);
         });
  }

  void take_kinds(const std::string& api_version, const Result<Node>& answer) {
    Known& of = known[api_version];
    const bool absent = !answer && answer.error().code == Code::NotFound;
    if (answer || absent) {
      of.resources = answer ? resources_in(*answer, api_version) : std::vector<Resource>();
      of.at = world.clock.now();
      of.valid = true;
    }
    const Status status = answer || absent ? Status() : answer.error();
    for (const auto& tell : std::exchange(of.waiting, {})) tell(status);
  }
};

Client::Client(Config config, http::Client& http, World world, Limits limits)
    : impl_(std::make_shared<Impl>(std::move(config), http, std::move(world), limits)) {}

// Callbacks are let go of now, also when one of them is at work and holds the rest.
Client::~Client() {
  impl_->closed = true;
  impl_->next_turn.reset();
  const auto calls = std::exchange(impl_->calls, {});
  const auto streams = std::exchange(impl_->streams, {});
  impl_->known.clear();
}

void Client::get(const Resource& resource, std::string_view ns, std::string_view name, Done done,
                 std::string_view subresource) {
  impl_->call({.verb = "get",
               .resource = resource,
               .ns = std::string(ns),
               .name = std::string(name),
               .subresource = std::string(subresource)},
              "GET", "", {}, std::move(done));
}

void Client::list(const Resource& resource, std::string_view ns, std::string_view label_selector,
                  Done done, std::string_view field_selector) {
  impl_->list_page(
      std::make_shared<Impl::List>(Impl::List{.resource = resource,
                                              .ns = std::string(ns),
                                              .label_selector = std::string(label_selector),
                                              .field_selector = std::string(field_selector),
                                              .done = std::move(done)}),
      "");
}

void Client::create(const Resource& resource, std::string_view ns, Node object, Done done) {
  impl_->call({.verb = "create", .resource = resource, .ns = std::string(ns)}, "POST", "",
              {.node = std::move(object)}, std::move(done));
}

void Client::replace(const Resource& resource, std::string_view ns, std::string_view name,
                     Node object, Done done, std::string_view subresource) {
  impl_->call({.verb = "update",
               .resource = resource,
               .ns = std::string(ns),
               .name = std::string(name),
               .subresource = std::string(subresource)},
              "PUT", "", {.node = std::move(object)}, std::move(done));
}

void Client::merge_patch(const Resource& resource, std::string_view ns, std::string_view name,
                         Node patch, Done done, std::string_view subresource) {
  impl_->call({.verb = "patch",
               .resource = resource,
               .ns = std::string(ns),
               .name = std::string(name),
               .subresource = std::string(subresource)},
              "PATCH", "", {.type = "application/merge-patch+json", .node = std::move(patch)},
              std::move(done));
}

// JSON is YAML; servers before 1.30 know no other name for it here.
void Client::apply(const Resource& resource, std::string_view ns, std::string_view name,
                   Node object, Done done, std::string_view subresource) {
  impl_->call({.verb = "patch",
               .resource = resource,
               .ns = std::string(ns),
               .name = std::string(name),
               .subresource = std::string(subresource)},
              "PATCH", query({{"fieldManager", "jobmill"}, {"force", "true"}}),
              {.type = "application/apply-patch+yaml", .node = std::move(object)}, std::move(done));
}

void Client::remove(const Resource& resource, std::string_view ns, std::string_view name,
                    Propagation propagation, Done done, std::optional<Duration> grace) {
  Node options = Node::object();
  options.set("apiVersion", Node::string("v1"));
  options.set("kind", Node::string("DeleteOptions"));
  options.set("propagationPolicy",
              Node::string(propagation == Propagation::Foreground ? "Foreground" : "Background"));
  if (grace)
    options.set("gracePeriodSeconds", Node::integer(std::chrono::ceil<seconds>(*grace).count()));
  impl_->call(
      {.verb = "delete", .resource = resource, .ns = std::string(ns), .name = std::string(name)},
      "DELETE", "", {.node = std::move(options)}, std::move(done));
}

void Client::get_path(std::string_view path, Done done) {
  impl_->call({.verb = "get", .path = std::string(path)}, "GET", "", {}, std::move(done));
}

std::shared_ptr<void> Client::get_text(std::string_view path,
                                       std::function<void(std::string_view)> piece,
                                       std::function<void(Status)> ended) {
  Asked asked{.verb = "get", .path = std::string(path)};
  http::ClientRequest request = impl_->request("GET", asked.path);
  return impl_->add_stream({.asked = std::move(asked),
                            .request = std::move(request),
                            .piece = std::move(piece),
                            .ended = std::move(ended)});
}

std::shared_ptr<void> Client::watch(const Resource& resource, const Watch& watch,
                                    std::function<void(Node)> line,
                                    std::function<void(Status)> ended) {
  Asked asked{.verb = "watch", .resource = resource, .ns = watch.ns};
  const auto timeout = std::chrono::ceil<seconds>(watch.timeout).count();
  http::ClientRequest request = impl_->request(
      "GET", Impl::path_of(asked) + query({{"watch", "true"},
                                           {"allowWatchBookmarks", "true"},
                                           {"labelSelector", watch.label_selector},
                                           {"fieldSelector", watch.field_selector},
                                           {"resourceVersion", watch.resource_version},
                                           {"timeoutSeconds", std::to_string(timeout)}}));
  return impl_->add_stream({.asked = std::move(asked),
                            .request = std::move(request),
                            .begun = watch.begun,
                            .line = std::move(line),
                            .ended = std::move(ended)});
}

void Client::discover(std::string_view api_version, std::string_view kind,
                      std::function<void(Result<Resource>)> done) {
  const std::string version(api_version);
  const std::string wanted(kind);
  auto tell = [weak = std::weak_ptr(impl_), version, wanted,
               done = std::move(done)](const Status& status) {
    const auto self = weak.lock();
    if (!self || self->closed) return;
    if (!status) return done(status.error());
    const Resource* found = self->known_kind(version, wanted);
    if (found) return done(Resource(*found));
    done(fail(Code::NotFound, fmt::format("the API server knows no {} {}", version, wanted)));
  };
  if (!impl_->must_ask(version, wanted)) return impl_->posting([tell](Impl&) { tell(Status()); })();
  auto& waiting = impl_->known[version].waiting;
  waiting.push_back(std::move(tell));
  if (waiting.size() == 1) impl_->ask_for_kinds(version);
}

const Config& Client::config() const { return impl_->config; }

Client::Counts Client::counts() const { return impl_->counts; }

}  // namespace jobmill::k8s
