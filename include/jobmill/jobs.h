// SPDX-License-Identifier: Apache-2.0
//
// Background jobs: enqueue a call now, run it later, in another process, at least once.
//
//   #include "jobmill/jobs.h"
//
//   void send_mail(jobmill::Context& context, std::string to, int copies) {
//     for (int i = 0; i < copies && !context.cancelled(); ++i) {
//       mail(to);
//       context.progress(i + 1, copies);
//     }
//   }
//   inline constexpr jobmill::Job<"mail.send", send_mail> SendMail{{.queue = "mail"}};
//
//   int main() {
//     jobmill::Client client;                          // the server that JOBMILL_URL names
//     client.enqueue(SendMail, "bob@example.org", 3);  // checked against send_mail's parameters
//
//     jobmill::Worker worker;                          // usually in another program
//     std::stop_source stop;                           // fired by SIGTERM, say
//     worker.handle(SendMail).concurrency(8).run(stop.get_token());
//   }
//
// The text "mail.send" names the handler in storage, so functions may be renamed and moved. A job
// is done when its handler returns, and what it returns is the job's result. It is run again after
// any exception but `fatal`, and when its worker dies: handlers must stand being run twice.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace jobmill {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::system_clock;

// --- handlers -----------------------------------------------------------------------------------

enum class Severity { info, warn, error };

namespace detail {

// Where goes what a handler tells while it runs. Safe from any thread.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void log(Severity severity, std::string_view text) = 0;
  virtual void progress(std::int64_t done, std::int64_t total, std::int64_t failed) = 0;
  virtual void result(std::string json) = 0;
};

}  // namespace detail

// What a handler knows of the run that it is, and where it tells how it goes. One per run.
struct Context {
  std::string id;   // of the job
  int attempt = 1;  // counts runs; what crashes and releases interrupted is not counted
  int max_attempts = 11;
  int crashes = 0;         // how often a worker died while it ran this job
  std::stop_token stop{};  // fires when the result is not wanted any more
  // Of the producer, as W3C trace context has them; empty: there are none. For the handler's spans
  // and requests.
  std::string traceparent{};
  std::string tracestate{};
  detail::Sink* sink = nullptr;  // none, as in a test of a handler: nobody listens

  // After this run fails, the job stays FAILED.
  bool last_attempt() const { return attempt >= max_attempts; }

  // The job was deleted, takes longer than its timeout, or its worker must end now and has put the
  // job back. A handler that looks at this, or waits on `stop`, ends early; nothing forces it to.
  bool cancelled() const { return stop.stop_requested(); }

  // A line for people: `jobmill job logs`. From any thread of the handler. The last 10,000 lines or
  // 1 MiB of an attempt are kept.
  void log(std::string_view text) const { log(Severity::info, text); }
  void log(Severity severity, std::string_view text) const {
    if (sink != nullptr) sink->log(severity, text);
  }

  // How far it has come: done of total, of those failed. Cheap: the last one said goes with the
  // worker's next beat.
  void progress(std::int64_t done, std::int64_t total, std::int64_t failed = 0) const {
    if (sink != nullptr) sink->progress(done, total, failed);
  }
};

// Thrown by a handler: the job fails and is not retried.
struct fatal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Thrown by a handler: not now. The job runs again after that time, and no attempt is consumed.
struct snooze {
  seconds after;
};

// What Client and Worker throw. The code is for programs: invalid_argument, unauthenticated,
// forbidden, not_found, version_conflict, payload_too_large, storage_unavailable, …
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
  std::string code;
};

// --- arguments ----------------------------------------------------------------------------------

// How a type is written in JSON. Here for strings, numbers, bool, optional, vector, map, chrono
// durations ("PT1.5S") and instants ("2025-01-01T00:00:00Z"); see EnumNames and Fields for your
// own types, or specialise it. `get` throws `fatal` for text that is no such value.
template <class T>
struct Codec;

template <class T>
concept Codable = requires(const T& value, std::string_view json) {
  { Codec<T>::put(value) } -> std::convertible_to<std::string>;
  { Codec<T>::get(json) } -> std::convertible_to<T>;
};

// Enumerators are written by name:
//
//   template <>
//   struct jobmill::EnumNames<Color> {
//     static constexpr jobmill::EnumName<Color> table[] = {{Color::Red, "red"}, …};
//   };
template <class E>
struct EnumName {
  E value;
  std::string_view name;
};
template <class E>
struct EnumNames;

// A struct is written as an object of its listed members; when it is read, unknown members are
// ignored, and missing ones keep their default:
//
//   template <>
//   struct jobmill::Fields<Point> {
//     static constexpr auto list =
//         std::tuple(jobmill::field("x", &Point::x), jobmill::field("y", &Point::y));
//   };
template <class T>
struct Fields;

template <class T, class M>
struct Field {
  std::string_view name;
  M T::*member;
};
template <class T, class M>
constexpr Field<T, M> field(std::string_view name, M T::*member) {
  return {name, member};
}

namespace detail {

// JSON texts; the functions that read throw `fatal`.
std::string put_text(std::string_view text);
std::string get_text(std::string_view json);
std::string put_double(double value);  // throws std::invalid_argument for what JSON cannot say
double get_double(std::string_view json);
bool get_bool(std::string_view json);
std::string put_duration(std::chrono::nanoseconds value);
std::chrono::nanoseconds get_duration(std::string_view json);
std::string put_instant(std::chrono::sys_time<std::chrono::nanoseconds> at);
std::chrono::sys_time<std::chrono::nanoseconds> get_instant(std::string_view json);
std::vector<std::string> get_items(std::string_view json);  // of an array, each as JSON
std::vector<std::pair<std::string, std::string>> get_members(std::string_view json);
std::string_view trimmed(std::string_view json);
[[noreturn]] void not_a(std::string_view what, std::string_view json);

template <class T>
inline constexpr bool is_duration = false;
template <class Rep, class Period>
inline constexpr bool is_duration<std::chrono::duration<Rep, Period>> = true;

}  // namespace detail

template <>
struct Codec<std::string> {
  static std::string put(const std::string& value) { return detail::put_text(value); }
  static std::string get(std::string_view json) { return detail::get_text(json); }
};

template <>
struct Codec<bool> {
  static std::string put(bool value) { return value ? "true" : "false"; }
  static bool get(std::string_view json) { return detail::get_bool(json); }
};

template <std::integral I>
struct Codec<I> {
  static std::string put(I value) { return std::to_string(value); }
  static I get(std::string_view json) {
    json = detail::trimmed(json);
    I value{};
    const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), value);
    if (error != std::errc() || end != json.data() + json.size())
      detail::not_a("an integer of this size", json);
    return value;
  }
};

template <std::floating_point F>
struct Codec<F> {
  static std::string put(F value) { return detail::put_double(static_cast<double>(value)); }
  static F get(std::string_view json) { return static_cast<F>(detail::get_double(json)); }
};

template <class T>
requires Codable<T>
struct Codec<std::optional<T>> {
  static std::string put(const std::optional<T>& value) {
    return value ? Codec<T>::put(*value) : "null";
  }
  static std::optional<T> get(std::string_view json) {
    if (detail::trimmed(json) == "null") return std::nullopt;
    return Codec<T>::get(json);
  }
};

template <class T>
requires Codable<T>
struct Codec<std::vector<T>> {
  static std::string put(const std::vector<T>& values) {
    std::string json = "[";
    for (const auto& value : values) json += (json.size() > 1 ? "," : "") + Codec<T>::put(value);
    return json + "]";
  }
  static std::vector<T> get(std::string_view json) {
    std::vector<T> values;
    for (const std::string& item : detail::get_items(json)) values.push_back(Codec<T>::get(item));
    return values;
  }
};

template <class T>
requires Codable<T>
struct Codec<std::map<std::string, T>> {
  static std::string put(const std::map<std::string, T>& values) {
    std::string json = "{";
    for (const auto& [key, value] : values)
      json += (json.size() > 1 ? "," : "") + detail::put_text(key) + ":" + Codec<T>::put(value);
    return json + "}";
  }
  static std::map<std::string, T> get(std::string_view json) {
    std::map<std::string, T> values;
    for (const auto& [key, value] : detail::get_members(json))
      values.insert_or_assign(key, Codec<T>::get(value));
    return values;
  }
};

template <class D>
requires detail::is_duration<D>
struct Codec<D> {
  static std::string put(D value) {
    return detail::put_duration(std::chrono::duration_cast<std::chrono::nanoseconds>(value));
  }
  static D get(std::string_view json) {
    return std::chrono::duration_cast<D>(detail::get_duration(json));
  }
};

template <class D>
struct Codec<std::chrono::sys_time<D>> {
  static std::string put(std::chrono::sys_time<D> at) {
    return detail::put_instant(std::chrono::time_point_cast<std::chrono::nanoseconds>(at));
  }
  static std::chrono::sys_time<D> get(std::string_view json) {
    return std::chrono::time_point_cast<D>(detail::get_instant(json));
  }
};

template <class E>
requires(std::is_enum_v<E>&& requires { EnumNames<E>::table; }) struct Codec<E> {
  static std::string put(E value) {
    for (const EnumName<E>& entry : EnumNames<E>::table)
      if (entry.value == value) return detail::put_text(entry.name);
    throw std::invalid_argument("an enumerator without a name");
  }
  static E get(std::string_view json) {
    const std::string text = detail::get_text(json);
    for (const EnumName<E>& entry : EnumNames<E>::table)
      if (entry.name == text) return entry.value;
    detail::not_a("a name of this enumeration", json);
  }
};

template <class T>
requires requires { Fields<T>::list; }
struct Codec<T> {
  static std::string put(const T& value) {
    std::string json = "{";
    const auto add = [&]<class M>(const Field<T, M>& field) {
      json += (json.size() > 1 ? "," : "") + detail::put_text(field.name) + ":" +
              Codec<M>::put(value.*field.member);
    };
    std::apply([&](const auto&... field) { (add(field), ...); }, Fields<T>::list);
    return json + "}";
  }
  static T get(std::string_view json) {
    T value{};
    const auto members = detail::get_members(json);
    const auto take = [&]<class M>(const Field<T, M>& field) {
      for (const auto& [name, member] : members)
        if (name == field.name) value.*field.member = Codec<M>::get(member);
    };
    std::apply([&](const auto&... field) { (take(field), ...); }, Fields<T>::list);
    return value;
  }
};

// --- jobs ---------------------------------------------------------------------------------------

// The text that a job's kind is made of, as a template argument.
template <std::size_t N>
struct Name {
  char c[N]{};
  constexpr Name(const char (&text)[N]) { std::copy_n(text, N, c); }
  constexpr std::string_view sv() const { return {c, N - 1}; }
};

// How the jobs of a kind are run, unless the server says otherwise.
struct Options {
  std::string_view queue = "default";
  int priority = 0;           // 0..9, higher first within its queue
  int retries = 10;           // after 3, 9, 27 … seconds
  seconds timeout{0};         // of one run; not 0: `stop` fires then, and the run has failed
  std::string_view labels{};  // up to three, with commas: "tenant:{0},nightly"; {0} is an argument
  std::string_view name{};    // shown to people: "mail to {0}"
};

namespace detail {

template <class F>
struct sig;
template <class R, class... A>
struct sig<R (*)(Context&, A...)> {
  using result = R;
  using args = std::tuple<std::decay_t<A>...>;
  static constexpr std::size_t n = sizeof...(A);
};
template <class R, class... A>
struct sig<R (*)(Context&, A...) noexcept> : sig<R (*)(Context&, A...)> {};

template <class Tuple, class... U>
concept fits =
    sizeof...(U) == std::tuple_size_v<Tuple>&&[]<std::size_t... I>(std::index_sequence<I...>) {
  return (std::convertible_to<std::tuple_element_t<I, std::tuple<U...>>,
                              std::tuple_element_t<I, Tuple>> &&
          ...);
}
(std::make_index_sequence<sizeof...(U) == std::tuple_size_v<Tuple> ? sizeof...(U) : 0>{});

// Whether what a handler returns is a result: any type with a Codec.
template <class R>
inline constexpr bool returns_json = Codable<std::remove_cvref_t<R>>;
template <>
inline constexpr bool returns_json<void> = false;

template <class Tuple>
inline constexpr bool all_codable = []<class... A>(std::type_identity<std::tuple<A...>>) {
  return (Codable<A> && ...);
}(std::type_identity<Tuple>{});

// One job to be stored: what Client and Bulk hand to the store.
struct Spec {
  std::string kind;
  int version = 1;
  std::string args;
  Options options;
  std::string id{};
  std::string traceparent{};
  std::optional<system_clock::time_point> at{};
  int count = 1;
};

}  // namespace detail

// A typed handle: the stored kind, the function that runs it, and the version of its parameters.
// A job of another version fails for good: this program has nothing that could run it.
template <Name N, auto Fn, int Version = 1>
struct Job {
  using S = detail::sig<decltype(Fn)>;
  using Args = typename S::args;
  static_assert(detail::all_codable<Args>, "every job argument needs a Codec");

  Options opt{};
  static constexpr std::string_view kind = N.sv();
  static constexpr int version = Version;

  // The arguments as stored: a JSON array.
  template <class... U>
  requires detail::fits<Args, U...> std::string encode(U&&... u)
  const {
    const Args args{std::forward<U>(u)...};
    std::string json = "[";
    std::apply(
        [&](const auto&... arg) {
          ((json += (json.size() > 1 ? "," : "") + Codec<std::decay_t<decltype(arg)>>::put(arg)),
           ...);
        },
        args);
    return json + "]";
  }
};

// --- where jobs live ----------------------------------------------------------------------------

// Shared by the clients and workers of a process.
class Store;

// What Client::in takes has a specialisation: see jobmill/postgres.h.
template <class Tx>
struct Transaction;

// http://host:port or https://…: a control server. Empty: JOBMILL_URL, else DATABASE_URL, else
// http://127.0.0.1:8000. Credentials: JOBMILL_TOKEN, else JOBMILL_USER and JOBMILL_PASSWORD.
// Nothing is contacted yet. Throws Error for an address that it cannot use.
std::shared_ptr<Store> connect(std::string_view url = {});

// --- producers ----------------------------------------------------------------------------------

struct JobId {
  std::string uuid;
};

// How one call differs from the others of its kind.
struct Put {
  // A UUID, or any text: the same text is the same job. If it exists, it is left as it is; with
  // other arguments than these that is an error, idempotency_conflict.
  std::string id{};
  // W3C trace context of what enqueues the job; its handler gets it, and so does every retry.
  std::string traceparent{};
  std::optional<system_clock::time_point> at{};  // not before
  // That many jobs in one transaction; {i} in name, labels and string arguments is the index.
  int count = 1;
};

// What a job's handler returned.
struct JobResult {
  bool available = false;       // the job has succeeded, and its handler returned something
  std::string json{};           // read it with Codec<T>::get
  milliseconds retry_after{0};  // when to ask again; 0: there will be none
};

// What becomes of the runs that were missed because no server was there to make them.
enum class Missed { skip, run_once, run_all };

struct Recurrence {
  std::string id;            // 1..127 characters of A-Z a-z 0-9 - _ ( ) , .
  std::string schedule;      // cron "0 2 * * *", or an interval "PT1H"
  std::string zone = "UTC";  // IANA name, for cron
  Missed missed = Missed::run_once;
  seconds missed_within{0};  // not 0: make up for what was missed within this time
  int max_concurrent = 1;    // the only value; a run beyond it is skipped, and recorded
};

// Many jobs, one transaction, one round trip.
class Bulk {
 public:
  template <class J, class... U>
  requires detail::fits<typename J::Args, U...> Bulk& add(const J& job, U&&... u) {
    return add(Put{}, job, std::forward<U>(u)...);
  }

  template <class J, class... U>
  requires detail::fits<typename J::Args, U...> Bulk& add(const Put& put, const J& job, U&&... u) {
    specs_.push_back({std::string(job.kind), J::version, job.encode(std::forward<U>(u)...), job.opt,
                      put.id, put.traceparent, put.at, put.count});
    return *this;
  }

  // All or nothing. One id per job; of a Put with count, the first 10.
  std::vector<JobId> commit();

 private:
  friend class Client;
  explicit Bulk(std::shared_ptr<Store> store) : store_(std::move(store)) {}

  std::shared_ptr<Store> store_;
  std::vector<detail::Spec> specs_;
};

// Thread-safe; one per process is enough. When a call returns, what it did is on disk. Calls throw
// Error; after storage_unavailable the job may have been stored or not, and giving it an `id`
// makes it safe to try again.
class Client {
 public:
  explicit Client(std::shared_ptr<Store> store = connect()) : store_(std::move(store)) {}

  template <class J, class... U>
  requires detail::fits<typename J::Args, U...> JobId enqueue(const J& job, U&&... u) {
    return enqueue(Put{}, job, std::forward<U>(u)...);
  }

  template <class J, class... U>
  requires detail::fits<typename J::Args, U...> JobId enqueue(const Put& put, const J& job,
                                                              U&&... u) {
    return bulk().add(put, job, std::forward<U>(u)...).commit().front();
  }

  template <class J, class... U>
  requires detail::fits<typename J::Args, U...> JobId schedule(system_clock::time_point at,
                                                               const J& job, U&&... u) {
    return enqueue(Put{.at = at}, job, std::forward<U>(u)...);
  }

  Bulk bulk() { return Bulk(store_); }

  // A client whose enqueue, schedule and bulk write within an SQL transaction of the caller, so
  // that the jobs exist if and only if it commits: with jobmill/postgres.h, client.in(connection).
  // After an Error the transaction can only be rolled back. The other calls go past it.
  template <class Tx>
  Client in(Tx&& tx) {
    return Client(Transaction<std::remove_cvref_t<Tx>>::join(store_, tx));
  }

  // Creates it, or changes the one of this id. The same again changes nothing.
  template <class J, class... U>
  requires detail::fits<typename J::Args, U...>
  void recurring(const Recurrence& recurrence, const J& job, U&&... u) {
    put_recurring(recurrence,
                  {std::string(job.kind), J::version, job.encode(std::forward<U>(u)...), job.opt});
  }

  template <class J, class... U>
  requires detail::fits<typename J::Args, U...>
  void recurring(std::string id, std::string cron_or_iso, std::string tz, Missed missed,
                 const J& job, U&&... u) {
    recurring(Recurrence{std::move(id), std::move(cron_or_iso), std::move(tz), missed}, job,
              std::forward<U>(u)...);
  }

  // Deletes the job; a running one is told to stop. False: unknown, or deleted already.
  bool cancel(const JobId& id);

  // Runs a job again that has ended, or a scheduled one now. False: unknown, or it waits or runs.
  bool requeue(const JobId& id);

  // Throws Error not_found when there is no such job.
  JobResult result(const JobId& id);

 private:
  void put_recurring(const Recurrence& recurrence, const detail::Spec& spec);

  std::shared_ptr<Store> store_;
};

// --- workers ------------------------------------------------------------------------------------

// Runs handlers on N slots, each a thread. Set it up, then run it.
class Worker {
 public:
  explicit Worker(std::shared_ptr<Store> store = connect()) : store_(std::move(store)) {}

  template <class... J>
  Worker& handle(const J&... job) {
    (add(job), ...);
    return *this;
  }

  Worker& concurrency(int slots);  // default: 8 for each processor
  Worker& tags(std::initializer_list<std::string_view> tags);
  Worker& queues(std::initializer_list<std::string_view> queues);  // strict order; default: all

  // Until the token fires: then it claims no more, runs on for the grace (JOBMILL_GRACE, 25 s),
  // puts back what still runs, tells that to its handlers, and returns when they have. A run that
  // is not over that long after its timeout is given up in the same way. Also
  // returns when the server told it to stop. A server that is away is waited for.
  // Throws Error when the server refuses the worker.
  void run(std::stop_token stop);

  // The handlers by kind; each takes the arguments' JSON texts, and hands its result to the sink.
  std::map<std::string, std::function<void(Context&, std::vector<std::string>)>, std::less<>> table;

 private:
  template <Name N, auto Fn, int Version>
  void add(const Job<N, Fn, Version>&) {
    using Handle = Job<N, Fn, Version>;
    versions_[std::string(N.sv())] = Version;
    table[std::string(N.sv())] = [](Context& context, std::vector<std::string> json) {
      if (json.size() != Handle::S::n)
        throw fatal("expected " + std::to_string(Handle::S::n) + " arguments, got " +
                    std::to_string(json.size()));
      const auto call = [&]<std::size_t... I>(std::index_sequence<I...>) {
        return Fn(context, Codec<std::tuple_element_t<I, typename Handle::Args>>::get(json[I])...);
      };
      constexpr std::make_index_sequence<Handle::S::n> kEach{};
      if constexpr (detail::returns_json<typename Handle::S::result>) {
        const auto result = call(kEach);
        if (context.sink != nullptr)
          context.sink->result(Codec<std::remove_const_t<decltype(result)>>::put(result));
      } else {
        call(kEach);
      }
    };
  }

  std::shared_ptr<Store> store_;
  std::map<std::string, int, std::less<>> versions_;
  int concurrency_ = 0;
  std::vector<std::string> tags_;
  std::vector<std::string> queues_;
};

}  // namespace jobmill
