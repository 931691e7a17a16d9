// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <limits>
#include <unordered_set>

namespace jobmill::postgres {
namespace {

constexpr int kOldestServer = 150000;

using Steady = std::chrono::steady_clock;

// Rounded up, so that a wait does not spin through its last millisecond.
int poll_timeout(Steady::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

// The end of a limit of which zero means none.
Steady::time_point deadline_after(Duration limit) {
  constexpr Duration kNever = std::chrono::hours(24 * 365);
  return Steady::now() + (limit == Duration::zero() ? kNever : std::min(limit, kNever));
}

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Handle = std::unique_ptr<PGconn, CloseConnection>;

struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Answer = std::unique_ptr<PGresult, ClearResult>;

std::string_view field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

Complaint complaint_of(const PGresult* result) {
  Complaint complaint{.sqlstate = field(result, PG_DIAG_SQLSTATE),
                      .message = field(result, PG_DIAG_MESSAGE_PRIMARY),
                      .detail = field(result, PG_DIAG_MESSAGE_DETAIL)};
  if (complaint.message.empty()) complaint.message = PQresultErrorMessage(result);
  return complaint;
}

bool failed(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && status != PGRES_PIPELINE_SYNC &&
         status != PGRES_EMPTY_QUERY;
}

// The server ends the connection after these, or a new one is needed to go on: its prepared
// statements are gone (26000) or do not fit the schema any more (0A000), it was demoted (25006).
bool ends_connection(const PGresult* result) {
  const std::string_view severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  const std::string_view state = field(result, PG_DIAG_SQLSTATE);
  return severity == "FATAL" || severity == "PANIC" || state == "26000" || state == "0A000" ||
         state == "25006";
}

}  // namespace

struct Connection::State {
  Handle handle;
  Peer peer;
  int backend = 0;
  Duration answer_timeout{};
  std::unordered_set<const Statement*> prepared;
  std::string sqlstate;

  Fault lose(std::string_view why) {
    handle.reset();
    sqlstate = "08006";
    return statement_fault({.sqlstate = sqlstate, .message = why}, peer);
  }
  Fault lose_as_said() { return lose(std::string(PQerrorMessage(handle.get()))); }

  Status wait(short events);
  Status flush_and_read();
  Status drain();
  Status pump();
  Status put(std::string_view data);
  Status talk(const std::string& sql, std::string_view data);
};

// --- connecting ---------------------------------------------------------------------------------

namespace {

const Setting* find(const std::vector<Setting>& settings, std::string_view keyword) {
  const auto it = std::ranges::find(settings, keyword, &Setting::keyword);
  return it == settings.end() ? nullptr : &*it;
}

Handle begin_connecting(const std::vector<Setting>& settings) {
  std::vector<const char*> keywords;
  std::vector<const char*> values;
  for (const Setting& setting : settings) {
    keywords.push_back(setting.keyword.c_str());
    values.push_back(setting.value.reveal().c_str());
  }
  keywords.push_back(nullptr);
  values.push_back(nullptr);
  return Handle(PQconnectStartParams(keywords.data(), values.data(), 0));
}

// For all of the URL's hosts together, each of which has the time of `connect_timeout`.
Duration patience(const std::vector<Setting>& settings, const Url& url) {
  std::int64_t seconds = 0;
  const std::string& text = find(settings, "connect_timeout")->value.reveal();
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  const std::string hosts = url.host();
  return std::chrono::seconds(std::max<std::int64_t>(seconds, 0)) *
         (1 + std::ranges::count(hosts, ','));
}

bool wait_for_socket(PGconn* connection, short events, Steady::time_point deadline) {
  pollfd socket{.fd = PQsocket(connection), .events = events, .revents = 0};
  int ready = 0;
  do ready = ::poll(&socket, 1, poll_timeout(deadline));
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

// False: the time is up. Whether it is connected then, PQstatus says.
bool finish_connecting(PGconn* connection, Steady::time_point deadline) {
  auto next = PGRES_POLLING_WRITING;
  while (next != PGRES_POLLING_OK && next != PGRES_POLLING_FAILED) {
    const short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (!wait_for_socket(connection, events, deadline)) return false;
    next = PQconnectPoll(connection);
  }
  return true;
}

std::string text_or(const char* text, std::string_view fallback) {
  return text == nullptr || *text == '\0' ? std::string(fallback) : std::string(text);
}

Peer peer_of(const PGconn* connection) {
  Peer peer{.user = text_or(PQuser(connection), "(none)"),
            .host = text_or(PQhost(connection), "localhost"),
            .database = text_or(PQdb(connection), "(none)")};
  const std::string port = text_or(PQport(connection), "");
  if (!peer.host.starts_with('/') && !port.empty()) peer.host += ':' + port;
  return peer;
}

Status check_server(const PGconn* connection, const Peer& peer) {
  const int version = PQserverVersion(connection);
  if (version < kOldestServer) {
    return fail(Code::Unsupported, peer.text() + " is PostgreSQL " +
                                       std::to_string(version / 10000) +
                                       "; jobmill needs 15 or later");
  }
  const std::string encoding = text_or(PQparameterStatus(connection, "server_encoding"), "unknown");
  if (encoding != "UTF8") {
    return fail(Code::Unsupported,
                peer.text() + " has the encoding " + encoding +
                    ", jobmill needs UTF8; use another database: CREATE DATABASE jobmill "
                    "ENCODING 'UTF8' TEMPLATE template0");
  }
  if (text_or(PQparameterStatus(connection, "in_hot_standby"), "off") == "on") {
    return read_only_fault(peer);
  }
  return {};
}

Status make_ready(PGconn* connection) {
  PQsetNoticeReceiver(
      connection, [](void*, const PGresult*) {}, nullptr);  // libpq would print them
  if (PQsetnonblocking(connection, 1) != 0 || PQenterPipelineMode(connection) != 1) {
    return fail(Code::Internal, std::string("libpq: ") + PQerrorMessage(connection));
  }
  return {};
}

}  // namespace

Result<Connection> Connection::open(const Url& url, const ConnectOptions& options) {
  const std::vector<Setting> settings = url.settings(options);
  auto state = std::make_unique<State>();
  state->answer_timeout = options.answer_timeout;
  state->handle = begin_connecting(settings);
  PGconn* const connection = state->handle.get();
  if (connection == nullptr) return fail(Code::Exhausted, "no memory to connect with");
  PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);  // for connect_fault
  bool in_time = true;
  if (PQstatus(connection) != CONNECTION_BAD) {
    in_time = finish_connecting(connection, deadline_after(patience(settings, url)));
  }
  state->peer = peer_of(connection);
  if (!in_time) return connect_fault("no answer in time", state->peer);
  if (PQstatus(connection) != CONNECTION_OK) {
    return connect_fault(PQerrorMessage(connection), state->peer);
  }
  PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
  TRY_VOID(check_server(connection, state->peer));
  TRY_VOID(make_ready(connection));
  state->backend = PQbackendPID(connection);
  return Connection(std::move(state));
}

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&&) noexcept = default;
Connection::~Connection() = default;

bool Connection::is_open() const { return state_->handle != nullptr; }
int Connection::socket() const { return PQsocket(state_->handle.get()); }
int Connection::backend() const { return state_->backend; }
const Peer& Connection::peer() const { return state_->peer; }
const std::string& Connection::sqlstate() const { return state_->sqlstate; }
Canceller Connection::canceller() const { return Canceller(state_->handle.get()); }

// --- cancelling ---------------------------------------------------------------------------------

Canceller::Canceller(pg_conn* connection) : cancel_(PQgetCancel(connection), PQfreeCancel) {}

void Canceller::cancel() const {
  std::array<char, 256> why{};  // nothing can be done about it: the statement goes on
  if (cancel_) (void)PQcancel(cancel_.get(), why.data(), static_cast<int>(why.size()));
}

// --- talking ------------------------------------------------------------------------------------

// Waits for one of the events, and takes in what the server said.
Status Connection::State::wait(short events) {
  if (!wait_for_socket(handle.get(), events, deadline_after(answer_timeout))) {
    return lose("no answer in time");
  }
  (void)PQconsumeInput(handle.get());  // PQstatus says whether it is lost
  return {};
}

// Waits until the socket has something for us, and sends meanwhile what it takes: a server that
// waits for us to read its answers does not read our statements.
Status Connection::State::flush_and_read() {
  const int unsent = PQflush(handle.get());
  if (unsent < 0) return {};  // lost; what the server said before is still to be read
  return wait(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
}

// Until all that was given to libpq is on its way, or the connection is lost. Not for longer: the
// server answers nothing before it was given the end of the transaction.
Status Connection::State::drain() {
  while (PQflush(handle.get()) > 0) TRY_VOID(wait(POLLIN | POLLOUT));
  return {};
}

// Until PQgetResult has something and does not block.
Status Connection::State::pump() {
  while (PQisBusy(handle.get()) != 0) {
    TRY_VOID(flush_and_read());
    if (PQstatus(handle.get()) == CONNECTION_BAD) break;
  }
  return {};
}

namespace {

// One step as it goes out. Prepared ones are not prepared again.
struct Call {
  const Statement* statement;
  const Parameters* parameters;
};

// An answer that will come, in the order of sending.
struct Awaited {
  std::size_t step;
  bool prepares;
};

bool send_prepare(PGconn* connection, const Call& call) {
  return PQsendPrepare(connection, call.statement->name, call.statement->sql,
                       call.parameters->size(), call.parameters->types()) == 1;
}

bool send_execute(PGconn* connection, const Call& call) {
  const Parameters& p = *call.parameters;
  constexpr int kBinary = 1;
  return PQsendQueryPrepared(connection, call.statement->name, p.size(), p.values().data(),
                             p.lengths(), p.formats().data(), kBinary) == 1;
}

}  // namespace

// One round trip: what a run or a pipeline sends and gets.
class Connection::Exchange {
 public:
  Exchange(State& state, std::span<const Call> calls) : state_(state), calls_(calls) {}

  Result<std::vector<Rows>> run() {
    state_.sqlstate.clear();
    if (!state_.handle) return state_.lose("it is closed");
    TRY_VOID(send());
    TRY_VOID(collect());
    if (!fault_) return std::move(rows_);
    if (lost_) state_.handle.reset();
    return *std::move(fault_);
  }
  // The step that failed; none if that was the commit, or the connection.
  std::optional<std::size_t> failed_step() const { return failed_step_; }

 private:
  // libpq moves what it has not sent each time it sends, so it is not given too much at once.
  static constexpr std::size_t kUnsent = std::size_t{256} << 10;

  Status send() {
    PGconn* const connection = state_.handle.get();
    awaited_.reserve(calls_.size());
    std::size_t unsent = 0;
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      if (!send_step(connection, i)) return state_.lose_as_said();
      unsent += calls_[i].parameters->bytes();
      if (unsent < kUnsent) continue;
      TRY_VOID(state_.drain());
      unsent = 0;
    }
    return PQpipelineSync(connection) == 1 ? Status() : state_.lose_as_said();
  }

  bool send_step(PGconn* connection, std::size_t step) {
    const Call& call = calls_[step];
    if (!state_.prepared.contains(call.statement) && preparing_.insert(call.statement).second) {
      if (!send_prepare(connection, call)) return false;
      awaited_.push_back({.step = step, .prepares = true});
    }
    awaited_.push_back({.step = step, .prepares = false});
    return send_execute(connection, call);
  }

  // Takes all answers up to the end of the transaction, the failed ones too: the connection is to
  // be used again.
  Status collect() {
    rows_.reserve(calls_.size());
    for (;;) {
      TRY_VOID(state_.pump());
      Answer answer(PQgetResult(state_.handle.get()));
      if (answer && PQresultStatus(answer.get()) == PGRES_PIPELINE_SYNC) return {};
      if (answer) {
        take(std::move(answer));
      } else if (PQstatus(state_.handle.get()) == CONNECTION_BAD) {
        return lost();
      } else {
        ++next_;  // every answer is followed by nothing
      }
      if (next_ > awaited_.size() + 1) return state_.lose("libpq lost count");
    }
  }

  void take(Answer answer) {
    if (failed(answer.get())) return note_failure(answer.get());
    if (next_ >= awaited_.size()) return;
    const Awaited& awaited = awaited_[next_];
    if (awaited.prepares) {
      state_.prepared.insert(calls_[awaited.step].statement);
    } else {
      rows_.emplace_back(answer.release());
    }
  }

  void note_failure(const PGresult* answer) {
    if (fault_ || PQresultStatus(answer) == PGRES_PIPELINE_ABORTED) return;
    const Complaint complaint = complaint_of(answer);
    if (complaint.sqlstate.empty()) return;  // libpq's word that the connection is lost
    fault_ = statement_fault(complaint, state_.peer);
    state_.sqlstate = complaint.sqlstate;
    lost_ = ends_connection(answer);
    if (next_ < awaited_.size() && !lost_) failed_step_ = awaited_[next_].step;
  }

  Status lost() {
    lost_ = true;
    if (fault_) return {};  // the server said why before it closed
    return state_.lose_as_said();
  }

  State& state_;
  std::span<const Call> calls_;
  std::unordered_set<const Statement*> preparing_;
  std::vector<Awaited> awaited_;
  std::size_t next_ = 0;  // of awaited_
  std::vector<Rows> rows_;
  std::optional<Fault> fault_;
  std::optional<std::size_t> failed_step_;
  bool lost_ = false;
};

Result<Rows> Connection::run(const Statement& statement, const Parameters& parameters) {
  const Call call{.statement = &statement, .parameters = &parameters};
  TRY(auto rows, Exchange(*state_, {&call, 1}).run());
  return std::move(rows.front());
}

// The server keeps one statement without a name, until the next one.
Result<Rows> Connection::query(const std::string& sql, const Parameters& parameters) {
  const Statement once{"", sql.c_str()};
  auto rows = run(once, parameters);
  state_->prepared.erase(&once);
  return rows;
}

Status Connection::script(const std::string& sql) { return state_->talk(sql, {}); }

Status Connection::copy(const std::string& sql, std::string_view rows) {
  return state_->talk(sql, rows);
}

// The rows of a COPY that the server waits for.
Status Connection::State::put(std::string_view data) {
  PGconn* const connection = handle.get();
  constexpr std::size_t kPart = std::size_t{256} << 10;
  while (!data.empty()) {
    const std::string_view part = data.substr(0, kPart);
    const int taken = PQputCopyData(connection, part.data(), static_cast<int>(part.size()));
    if (taken < 0) return lose_as_said();
    if (taken > 0) data.remove_prefix(part.size());
    TRY_VOID(drain());
  }
  int ended = 0;
  while ((ended = PQputCopyEnd(connection, nullptr)) == 0) TRY_VOID(drain());
  return ended > 0 ? drain() : Status(lose_as_said());
}

// The simple protocol: libpq has it only outside of pipelines.
Status Connection::State::talk(const std::string& sql, std::string_view data) {
  sqlstate.clear();
  if (!handle) return lose("it is closed");
  PGconn* const connection = handle.get();
  if (PQexitPipelineMode(connection) != 1 || PQsendQuery(connection, sql.c_str()) != 1) {
    return lose_as_said();
  }
  std::optional<Fault> fault;
  bool over = false;
  for (;;) {
    TRY_VOID(pump());
    const Answer answer(PQgetResult(connection));
    if (!answer) break;
    if (PQresultStatus(answer.get()) == PGRES_COPY_IN) {
      TRY_VOID(put(data));
      continue;
    }
    if (!failed(answer.get()) || fault) continue;
    const Complaint complaint = complaint_of(answer.get());
    if (complaint.sqlstate.empty()) break;  // lost: seen below
    fault = statement_fault(complaint, peer);
    sqlstate = complaint.sqlstate;
    over = ends_connection(answer.get());
  }
  if (PQstatus(connection) == CONNECTION_BAD || PQenterPipelineMode(connection) != 1) {
    if (!fault) return lose_as_said();
    over = true;
  }
  if (over) handle.reset();
  return fault ? Status(*std::move(fault)) : Status();
}

// --- notifications ------------------------------------------------------------------------------

namespace {

struct FreeNotify {
  void operator()(PGnotify* notify) const { PQfreemem(notify); }
};

std::vector<Notification> take_notifications(PGconn* connection) {
  std::vector<Notification> taken;
  while (const auto notify = std::unique_ptr<PGnotify, FreeNotify>(PQnotifies(connection))) {
    taken.push_back(
        {.channel = notify->relname, .payload = notify->extra, .sender = notify->be_pid});
  }
  return taken;
}

}  // namespace

Status Connection::listen(std::string_view channel) {
  std::string quoted;
  for (const char c : channel) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return script("LISTEN \"" + quoted + '"');
}

Result<std::vector<Notification>> Connection::wait(Duration timeout, const Wake& wake) {
  State& state = *state_;
  if (!state.handle) return state.lose("it is closed");
  PGconn* const connection = state.handle.get();
  const auto deadline = Steady::now() + timeout;
  for (;;) {
    auto taken = take_notifications(connection);
    if (wake.take() || !taken.empty()) return taken;
    std::array waited{pollfd{.fd = PQsocket(connection), .events = POLLIN, .revents = 0},
                      pollfd{.fd = wake.fd(), .events = POLLIN, .revents = 0}};
    const int ready = ::poll(waited.data(), waited.size(), poll_timeout(deadline));
    if (ready == 0) return taken;
    if (waited[0].revents != 0 && PQconsumeInput(connection) != 1) return state.lose_as_said();
  }
}

// --- pipelines and transactions -----------------------------------------------------------------

std::size_t Pipeline::add(const Statement& statement, Parameters parameters) {
  steps_.push_back({.statement = &statement, .parameters = std::move(parameters)});
  return steps_.size() - 1;
}

Result<std::vector<Rows>> Pipeline::finish() {
  failed_.reset();
  const std::vector<Step> steps = std::exchange(steps_, {});
  std::vector<Call> calls;
  calls.reserve(steps.size());
  for (const Step& step : steps) calls.push_back({step.statement, &step.parameters});
  Connection::Exchange exchange(*connection_->state_, calls);
  auto rows = exchange.run();
  failed_ = exchange.failed_step();
  return rows;
}

namespace {

constexpr Statement kBegin{"jobmill_begin", "BEGIN"};
constexpr Statement kCommit{"jobmill_commit", "COMMIT"};
constexpr Statement kRollback{"jobmill_rollback", "ROLLBACK"};

}  // namespace

Result<Transaction> Transaction::begin(Connection& connection) {
  TRY_VOID(connection.run(kBegin));
  return Transaction(connection);
}

Transaction::~Transaction() {
  // A failure means that the connection is lost, and the transaction with it.
  if (connection_ != nullptr && connection_->is_open()) (void)connection_->run(kRollback);
}

Status Transaction::commit() {
  Connection& connection = *std::exchange(connection_, nullptr);
  TRY(const Rows done, connection.run(kCommit));
  if (done.command() == "COMMIT") return {};
  return fail(Code::Internal, "a transaction with a failed statement was undone");
}

}  // namespace jobmill::postgres
