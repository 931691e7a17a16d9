// SPDX-License-Identifier: Apache-2.0
#include "app/trigger_fetch.h"

#include <atomic>
#include <charconv>

#include <fmt/core.h>

#include "net/address.h"

namespace jobmill::app {
namespace {

struct Url {
  std::string scheme, host, target;
  int port = 0;
  bool has_user = false;  // http://user:password@host: the client makes credentials of it
};

// As much of a URL as routing needs. None: not http(s), which the client will say better.
std::optional<Url> parse_url(const std::string& text) {
  Url url;
  const auto colon = text.find("://");
  if (colon == std::string::npos) return std::nullopt;
  url.scheme = text.substr(0, colon);
  if (url.scheme != "http" && url.scheme != "https") return std::nullopt;
  const auto start = colon + 3;
  const auto end = text.find_first_of("/?#", start);
  std::string authority = text.substr(start, end == std::string::npos ? end : end - start);
  if (const auto at = authority.rfind('@'); at != std::string::npos) {
    url.has_user = true;
    authority = authority.substr(at + 1);
  }
  url.target = end == std::string::npos ? "/" : text.substr(end, text.find('#', end) - end);
  if (!url.target.starts_with('/')) url.target.insert(url.target.begin(), '/');
  const auto port = authority.rfind(':');
  const bool has_port = port != std::string::npos && authority.find(']', port) == std::string::npos;
  url.host = authority.substr(0, has_port ? port : std::string::npos);
  url.port = url.scheme == "https" ? 443 : 80;
  if (has_port)
    std::from_chars(authority.data() + port + 1, authority.data() + authority.size(), url.port);
  return url;
}

// Answers a request of this process: once, whoever is first, the handler or the timeout.
class OwnCall : public http::Responder::Sink {
 public:
  explicit OwnCall(TriggerFetch::Done done) : done_(std::move(done)) {}
  ~OwnCall() override { finish(fail(Code::Unavailable, "the request ended without an answer")); }
  std::shared_ptr<http::Body> stream(http::Response) override { return nullptr; }
  void send(http::Response response) override { finish(std::move(response)); }
  void on_gone(std::function<void()> fn) override { gone_ = std::move(fn); }

  void finish(http::ClientResult result) {
    if (!answered_.exchange(true)) done_(std::move(result));
  }
  void time_out() {
    if (answered_) return;
    finish(fail(Code::Timeout, "no answer in time"));
    if (gone_) gone_();
  }

 private:
  TriggerFetch::Done done_;
  std::function<void()> gone_;  // the loop thread only
  std::atomic<bool> answered_ = false;
};

}  // namespace

ServiceMap::ServiceMap(const manifest::Catalog& catalog,
                       const std::vector<std::pair<std::string, std::string>>& given)
    : catalog_(catalog), given_(given.begin(), given.end()) {}

manifest::Address ServiceMap::address(const manifest::ServiceEndpoint& endpoint) const {
  const std::string& name = endpoint.service.name;
  for (const std::string& key : {fmt::format("{}:{}", name, endpoint.port), name})
    if (const auto it = given_.find(key); it != given_.end())
      if (const auto address = net::parse_address(it->second))
        return {address->host, address->port};
  return {"127.0.0.1", endpoint.target_port};
}

// A cluster's Services are not known here; beside it, what --service says of them holds.
std::optional<std::string> ServiceMap::given(const std::string& host, int port) const {
  const std::size_t dot = std::min(host.find('.'), host.size());
  const std::size_t end = std::min(host.find('.', dot + 1), host.size());
  const std::string domain = host.substr(end);  // after name and namespace
  if (!domain.empty() && domain != ".svc" && !domain.starts_with(".svc.")) return std::nullopt;
  const std::string name = host.substr(0, dot);
  for (const std::string& key : {fmt::format("{}:{}", name, port), name})
    if (const auto it = given_.find(key); it != given_.end()) return it->second;
  return std::nullopt;
}

std::optional<std::string> ServiceMap::resolve(const std::string& host, int port) const {
  const manifest::Object* service = manifest::find_service(catalog_, host);
  if (service == nullptr) return given(host, port);
  const auto endpoint = manifest::endpoint_of(catalog_, *service, port);
  if (!endpoint) return std::nullopt;
  const manifest::Address to = address(*endpoint);
  return net::format_address(to.host, static_cast<std::uint16_t>(to.port));
}

std::optional<std::string> TriggerFetch::own_target(const std::string& text) const {
  const auto url = parse_url(text);
  if (!url || url->scheme != "http") return std::nullopt;
  const std::string plain = fmt::format("{}:{}", url->host, url->port);
  if (services_.resolve(url->host, url->port).value_or(plain) != own_) return std::nullopt;
  return url->target;
}

void TriggerFetch::send(http::ClientRequest request, Done done) {
  control_.post([this, request = std::move(request), done = std::move(done)]() mutable {
    route(std::move(request), std::move(done));
  });
}

void TriggerFetch::route(http::ClientRequest request, Done done) {
  const auto url = parse_url(request.url);
  if (!url) return client_.send(std::move(request), std::move(done));
  if (const auto service = services_.resolve(url->host, url->port)) request.connect_to = *service;
  const std::string target =
      request.connect_to.empty() ? fmt::format("{}:{}", url->host, url->port) : request.connect_to;
  if (url->scheme == "http" && !url->has_user && target == own_)
    return call_own(request, fmt::format("{}:{}", url->host, url->port), url->target,
                    std::move(done));
  client_.send(std::move(request), std::move(done));
}

void TriggerFetch::call_own(const http::ClientRequest& request, std::string host,
                            std::string target, Done done) {
  http::Request own;
  own.method = request.method;
  own.target = std::move(target);
  own.headers = request.headers;
  own.headers.set("Host", std::move(host));
  own.body = request.body;
  if (!http::parse_target(own))
    return done(fail(Code::InvalidArgument, "the URL's path cannot be read"));
  loop_.post(
      [this, own = std::move(own), done = std::move(done), timeout = request.timeout]() mutable {
        auto call = std::make_shared<OwnCall>(std::move(done));
        loop_.run_after(timeout, [weak = std::weak_ptr(call)] {
          if (const auto late = weak.lock()) late->time_out();
        });
        door_.serve(std::move(own), http::Responder(std::move(call)));
      });
}

}  // namespace jobmill::app
