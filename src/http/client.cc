// SPDX-License-Identifier: Apache-2.0
#include "http/client.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace jobmill::http {
namespace {

constexpr std::size_t kMaxHeaderBytes = 256u << 10;
constexpr std::size_t kIdleHandles = 16;
constexpr long kKeepAliveSeconds = 15;
constexpr int kLongPollMs = 3'600'000;  // curl_multi_poll returns earlier for its own timers

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using List = std::unique_ptr<curl_slist, FreeList>;

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using Easy = std::unique_ptr<CURL, FreeEasy>;

struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
using Multi = std::unique_ptr<CURLM, FreeMulti>;

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

// A URL's parts as libcurl itself reads them.
class Url {
 public:
  explicit Url(const std::string& text) : handle_(curl_url()) {
    valid_ = curl_url_set(handle_.get(), CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  }

  bool is_http() const {
    const std::string scheme = valid_ ? part(CURLUPART_SCHEME) : "";
    return scheme == "http" || scheme == "https";
  }

  std::string part(CURLUPart which) const {
    char* text = nullptr;
    if (curl_url_get(handle_.get(), which, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
    std::string copy(text);
    curl_free(text);
    return copy;
  }

  // For people: no query, no credentials.
  std::string name() const {
    for (const CURLUPart secret : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS,
                                   CURLUPART_QUERY, CURLUPART_FRAGMENT}) {
      (void)curl_url_set(handle_.get(), secret, nullptr, 0);  // clearing cannot fail
    }
    char* text = nullptr;
    if (curl_url_get(handle_.get(), CURLUPART_URL, &text, CURLU_NO_DEFAULT_PORT) != CURLUE_OK) {
      return {};
    }
    std::string copy(text);
    curl_free(text);
    return copy;
  }

 private:
  std::unique_ptr<CURLU, FreeUrl> handle_;
  bool valid_ = false;
};

// What a stream's handle and its transfer share. libcurl's handle is the client thread's.
struct Stream {
  StreamEvents events;
  std::atomic<bool> dropped = false;
  CURL* easy = nullptr;
  bool begun = false;
};

// A request on its way: what libcurl reads from and writes to. Stays where it is.
struct Transfer {
  ClientRequest request;
  std::function<void(ClientResult)> done;
  std::shared_ptr<Stream> stream{};  // null: the answer is kept until it is whole
  CURL* easy = nullptr;
  Response response;
  std::size_t body_sent = 0;
  std::size_t header_bytes = 0;
  bool too_large = false;
  std::array<char, CURL_ERROR_SIZE> error{};
  List headers;
  List connect_to;
};

std::size_t on_body(char* bytes, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::size_t length = size * count;
  if (transfer.stream) {
    if (transfer.stream->dropped) return 0;
    transfer.stream->events.data({bytes, length});
    return length;
  }
  transfer.too_large = length > transfer.request.max_response_bytes - transfer.response.body.size();
  if (transfer.too_large) return 0;
  transfer.response.body.append(bytes, length);
  return length;
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

int status_of(CURL* easy) {
  long status = 0;
  curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}

// After the empty line that ends the header fields; 100 (Continue) is not the answer yet.
void tell_begun(Transfer& transfer) {
  Stream& stream = *transfer.stream;
  transfer.response.status = status_of(transfer.easy);
  if (transfer.response.status < 200 || stream.dropped) return;
  stream.begun = true;
  stream.events.begun(transfer.response);
}

// Called for every line. A status line begins a new answer: after 100 and after each redirect.
std::size_t on_header(char* bytes, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view line(bytes, size * count);
  transfer.header_bytes += line.size();
  transfer.too_large = transfer.header_bytes > kMaxHeaderBytes;
  if (transfer.too_large) return 0;

  if (transfer.stream && transfer.stream->begun) return line.size();  // trailers
  const std::size_t colon = line.find(':');
  if (transfer.stream && trimmed(line).empty()) {
    tell_begun(transfer);
  } else if (line.starts_with("HTTP/")) {
    transfer.response.headers = {};
  } else if (colon != std::string_view::npos) {
    transfer.response.headers.add(std::string(trimmed(line.substr(0, colon))),
                                  std::string(trimmed(line.substr(colon + 1))));
  }
  return line.size();
}

void append(List& list, const std::string& text) {
  if (curl_slist* longer = curl_slist_append(list.get(), text.c_str())) {
    (void)list.release();  // the same list, one longer
    list.reset(longer);
  }
}

bool has_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

Status set_headers(Transfer& transfer) {
  for (const auto& [name, value] : transfer.request.headers.fields()) {
    if (name.empty() || has_break(name) || has_break(value)) {
      return fail(Code::InvalidArgument, "a header field that cannot be sent: " + name);
    }
    append(transfer.headers, value.empty() ? name + ";" : name + ": " + value);
  }
  // libcurl would add these by itself: the one costs a round trip, the other is untrue.
  append(transfer.headers, "Expect:");
  if (!transfer.request.headers.get("Content-Type")) append(transfer.headers, "Content-Type:");
  return {};
}

std::size_t read_body(char* to, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::size_t length = transfer.request.body.copy(to, size * count, transfer.body_sent);
  transfer.body_sent += length;
  return length;
}

int rewind_body(void* context, curl_off_t offset, int) {
  static_cast<Transfer*>(context)->body_sent = static_cast<std::size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

// libcurl sends a request again when a kept connection turns out to be dead, also one that the
// server may have carried out. A body that it cannot rewind prevents that.
void set_body(CURL* easy, Transfer& transfer) {
  curl_easy_setopt(easy, CURLOPT_POST, 1L);
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                   static_cast<curl_off_t>(transfer.request.body.size()));
  curl_easy_setopt(easy, CURLOPT_READFUNCTION, read_body);
  curl_easy_setopt(easy, CURLOPT_READDATA, &transfer);
  if (!transfer.request.follow_redirects) return;
  curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
  curl_easy_setopt(easy, CURLOPT_SEEKDATA, &transfer);
}

void set_method(CURL* easy, Transfer& transfer) {
  const std::string& method = transfer.request.method;
  const bool has_body = !transfer.request.body.empty();
  if (method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    return;
  }
  if (has_body || method == "POST" || method == "PUT" || method == "PATCH") {
    set_body(easy, transfer);
  }
  // Said by itself, POST turns to GET after a 303, as it should.
  if (method != "POST" && (method != "GET" || has_body)) {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
  }
}

void set_blob(CURL* easy, CURLoption option, const std::string& pem) {
  if (pem.empty()) return;
  curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_NOCOPY};
  curl_easy_setopt(easy, option, &blob);
}

void set_tls(CURL* easy, const ClientRequest& request) {
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, request.verify_tls ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, request.verify_tls ? 2L : 0L);
  set_blob(easy, CURLOPT_SSLCERT_BLOB, request.tls_cert);
  set_blob(easy, CURLOPT_SSLKEY_BLOB, request.tls_key);
  set_blob(easy, CURLOPT_CAINFO_BLOB, request.tls_ca);
}

// Proxies come from the environment, but never for this machine itself.
std::string no_proxy() {
  const char* set = std::getenv("NO_PROXY");
  if (!set) set = std::getenv("no_proxy");
  const std::string own = "localhost,127.0.0.0/8,::1";
  return set && *set ? fmt::format("{},{}", set, own) : own;
}

void set_connect_to(CURL* easy, const Url& url, Transfer& transfer) {
  if (transfer.request.connect_to.empty()) return;
  append(transfer.connect_to, fmt::format("{}:{}:{}", url.part(CURLUPART_HOST),
                                          url.part(CURLUPART_PORT), transfer.request.connect_to));
  curl_easy_setopt(easy, CURLOPT_CONNECT_TO, transfer.connect_to.get());
  curl_easy_setopt(easy, CURLOPT_PROXY, "");  // the place to connect to is given
}

// A stream may last; that its peer is gone without a word is for the kernel to find out.
void set_timeout(CURL* easy, const Transfer& transfer) {
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(transfer.request.timeout);
  curl_easy_setopt(easy, transfer.stream ? CURLOPT_CONNECTTIMEOUT_MS : CURLOPT_TIMEOUT_MS,
                   static_cast<long>(std::max<std::int64_t>(1, timeout.count())));
  if (!transfer.stream) return;
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, kKeepAliveSeconds);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, kKeepAliveSeconds);
}

Status configure(CURL* easy, Transfer& transfer, const std::string& unproxied) {
  const ClientRequest& request = transfer.request;
  const Url url(request.url);
  if (!url.is_http()) {
    return fail(Code::InvalidArgument, "not an http or https URL: " + url.name());
  }
  TRY_VOID(set_headers(transfer));
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, request.follow_redirects ? 1L : 0L);
  curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "jobmill");
  curl_easy_setopt(easy, CURLOPT_NOPROXY, unproxied.c_str());
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.headers.get());
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.error.data());
  set_timeout(easy, transfer);
  set_method(easy, transfer);
  set_tls(easy, request);
  set_connect_to(easy, url, transfer);
  return {};
}

ClientResult result_of(CURL* easy, CURLcode code, Transfer& transfer) {
  if (code == CURLE_OK) {
    transfer.response.status = status_of(easy);
    return std::move(transfer.response);
  }
  const ClientRequest& request = transfer.request;
  const std::string what = request.method + " " + Url(request.url).name() + ": ";
  if (transfer.too_large) return fail(Code::Exhausted, what + "the answer is too large");
  if (code == CURLE_OPERATION_TIMEDOUT) {
    const std::chrono::duration<double> seconds = request.timeout;
    return fail(Code::Timeout, fmt::format("{}no answer within {} s", what, seconds.count()));
  }
  const char* why = transfer.error.front() ? transfer.error.data() : curl_easy_strerror(code);
  const bool hopeless = code == CURLE_URL_MALFORMAT || code == CURLE_SSL_CERTPROBLEM ||
                        code == CURLE_SSL_CACERT_BADFILE;
  return fail(hopeless ? Code::InvalidArgument : Code::Unavailable, what + why);
}

// libcurl's own global state; the library counts its users.
struct Library {
  Library() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  ~Library() { curl_global_cleanup(); }
};

// Handles that have been used keep their connections.
class Handles {
 public:
  Easy take() {
    if (idle_.empty()) return Easy(curl_easy_init());
    Easy easy = std::move(idle_.back());
    idle_.pop_back();
    return easy;
  }
  void give_back(Easy easy) {
    curl_easy_reset(easy.get());
    if (idle_.size() < kIdleHandles) idle_.push_back(std::move(easy));
  }

 private:
  std::vector<Easy> idle_;
};

}  // namespace

struct Client::Impl {
  Library library;
  const std::string unproxied = no_proxy();

  // Of the client's thread.
  Multi multi{curl_multi_init()};
  Handles handles;
  struct Active {
    Easy easy;
    std::unique_ptr<Transfer> transfer;
  };
  std::unordered_map<CURL*, Active> active;

  std::mutex mutex;  // guards the rest
  std::vector<std::unique_ptr<Transfer>> incoming;
  std::vector<std::shared_ptr<Stream>> dropped;
  Handles blocking;  // of fetch()
  bool closing = false;

  std::thread thread;

  void run();
  void add(std::unique_ptr<Transfer> transfer);
  void drop(std::shared_ptr<Stream> stream);
  struct Posted {
    std::vector<std::unique_ptr<Transfer>> incoming;
    std::vector<std::shared_ptr<Stream>> dropped;
    bool stop;
  };
  Posted take_posted();
  void begin(std::unique_ptr<Transfer> transfer);
  void cancel(const Stream& stream);
  void finish_done();
  void give_up();
};

// What the caller of stream() holds.
struct Client::Handle {
  Handle(std::weak_ptr<Impl> client, std::shared_ptr<Stream> of)
      : impl(std::move(client)), stream(std::move(of)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    stream->dropped = true;
    if (const auto alive = impl.lock()) alive->drop(stream);
  }

  std::weak_ptr<Impl> impl;
  std::shared_ptr<Stream> stream;
};

Client::Impl::Posted Client::Impl::take_posted() {
  const std::lock_guard lock(mutex);
  return {std::exchange(incoming, {}), std::exchange(dropped, {}), closing};
}

void Client::Impl::add(std::unique_ptr<Transfer> transfer) {
  {
    const std::lock_guard lock(mutex);
    incoming.push_back(std::move(transfer));
  }
  curl_multi_wakeup(multi.get());
}

void Client::Impl::drop(std::shared_ptr<Stream> stream) {
  {
    const std::lock_guard lock(mutex);
    dropped.push_back(std::move(stream));
  }
  curl_multi_wakeup(multi.get());
}

void Client::Impl::run() {
  sigset_t all;  // signals are for the threads that wait for them
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (true) {
    Posted posted = take_posted();
    for (auto& transfer : posted.incoming) begin(std::move(transfer));
    for (const auto& stream : posted.dropped) cancel(*stream);
    if (posted.stop) return give_up();
    int running = 0;
    curl_multi_perform(multi.get(), &running);
    finish_done();
    curl_multi_poll(multi.get(), nullptr, 0, kLongPollMs, nullptr);
  }
}

void Client::Impl::begin(std::unique_ptr<Transfer> transfer) {
  Easy easy = handles.take();
  if (auto status = configure(easy.get(), *transfer, unproxied); !status) {
    handles.give_back(std::move(easy));
    return transfer->done(std::move(status).error());
  }
  CURL* const key = easy.get();
  transfer->easy = key;
  if (transfer->stream) transfer->stream->easy = key;
  curl_multi_add_handle(multi.get(), key);
  active.emplace(key, Active{std::move(easy), std::move(transfer)});
}

// libcurl closes a connection whose answer was not read to its end.
void Client::Impl::cancel(const Stream& stream) {
  const auto found = active.find(stream.easy);
  if (found == active.end() || found->second.transfer->stream.get() != &stream) return;  // ended
  curl_multi_remove_handle(multi.get(), found->first);
  handles.give_back(std::move(found->second.easy));
  active.erase(found);
}

void Client::Impl::finish_done() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const key = message->easy_handle;
    const CURLcode code = message->data.result;  // before the handle is removed
    Active finished = std::move(active.extract(key).mapped());
    ClientResult result = result_of(key, code, *finished.transfer);
    curl_multi_remove_handle(multi.get(), key);
    handles.give_back(std::move(finished.easy));
    finished.transfer->done(std::move(result));
  }
}

void Client::Impl::give_up() {
  for (auto& [key, unfinished] : active) {
    curl_multi_remove_handle(multi.get(), key);
    unfinished.transfer->done(fail(Code::Unavailable, "the HTTP client is closing"));
  }
  active.clear();
}

Client::Client() : impl_(std::make_shared<Impl>()) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

Client::~Client() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->closing = true;
  }
  curl_multi_wakeup(impl_->multi.get());
  impl_->thread.join();
}

void Client::send(ClientRequest request, std::function<void(ClientResult)> done) {
  auto transfer = std::make_unique<Transfer>();
  transfer->request = std::move(request);
  transfer->done = std::move(done);
  impl_->add(std::move(transfer));
}

std::shared_ptr<void> Client::stream(ClientRequest request, StreamEvents events) {
  assert(events.begun && events.data && events.ended);
  auto stream = std::make_shared<Stream>();
  stream->events = std::move(events);
  auto transfer = std::make_unique<Transfer>();
  transfer->request = std::move(request);
  transfer->request.follow_redirects = false;
  transfer->stream = stream;
  transfer->done = [stream = stream.get()](ClientResult result) {  // the transfer's: it lives
    if (stream->dropped) return;
    stream->events.ended(result ? Status() : std::move(result).error());
  };
  impl_->add(std::move(transfer));
  return std::make_shared<Handle>(impl_, std::move(stream));
}

ClientResult Client::fetch(const ClientRequest& request) {
  Transfer transfer;
  transfer.request = request;
  Easy easy;
  {
    const std::lock_guard lock(impl_->mutex);
    easy = impl_->blocking.take();
  }
  Status ready = configure(easy.get(), transfer, impl_->unproxied);
  ClientResult result = ready ? result_of(easy.get(), curl_easy_perform(easy.get()), transfer)
                              : ClientResult(std::move(ready).error());
  const std::lock_guard lock(impl_->mutex);
  impl_->blocking.give_back(std::move(easy));
  return result;
}

}  // namespace jobmill::http
