// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "app/command_line.h"
#include "base/document.h"
#include "base/secret.h"
#include "http/client.h"

namespace jobmill::app {

// Why a request of the command line failed: what to print and how to exit.
struct Refusal {
  int exit = kFailed;
  Node problem;  // RFC 9457
};

// What the server said: a document, or a refusal.
struct Reply {
  std::optional<Refusal> refusal;
  Node document;
  explicit operator bool() const { return !refusal; }
};

enum class Output { Table, Json, Yaml, Name };

// Where the server is and who we are, by flags and environment.
struct ServerAccess {
  std::string url;  // without a slash at its end
  Secret token;     // goes before a user
  std::string user;
  Secret password;
};
Result<ServerAccess> server_access(const Arguments& arguments);

// The control server as the command line sees it. Commands talk to the server only, never to its
// files.
class ApiClient {
 public:
  // Where the server is, who we are and how to print, by flags and environment.
  // A usage error is printed; none then.
  static std::optional<ApiClient> from(const Arguments& arguments);
  // The same, for commands that print in their own ways.
  static std::optional<ApiClient> connect(const Arguments& arguments, Output output);

  Reply get(const std::string& path) { return request("GET", path, {}); }
  // A read that the server holds until its answer is another one than that of `etag`, at most
  // `wait`: then the reply is empty. Sets `etag` to the answer's.
  Reply get_changed(const std::string& path, std::string& etag, std::chrono::seconds wait);
  Reply post(const std::string& path, const Node& body) {
    return request("POST", path, to_json(body));
  }
  Reply put(const std::string& path, const Node& body) {
    return request("PUT", path, to_json(body));
  }
  Reply patch(const std::string& path, const Node& body) {
    return request("PATCH", path, to_json(body));
  }
  Reply remove(const std::string& path) { return request("DELETE", path, {}); }
  Reply remove(const std::string& path, const Node& body) {
    return request("DELETE", path, to_json(body));
  }

  // For requests that the server answers when processes have ended.
  void be_patient() { timeout_ = std::chrono::hours(1); }

  // Prints why, as one line or, with --output json, as a problem; returns the exit code.
  int refused(const Reply& reply) const;
  // The same for what the client itself finds wrong.
  int complain(int exit, std::string_view text) const;

  Output output() const { return output_; }
  const std::string& ns() const { return namespace_; }
  const std::string& url() const { return url_; }

 private:
  Reply request(const std::string& method, const std::string& path, std::string body);
  Reply send(http::ClientRequest request, std::string* etag = nullptr);
  Refusal unreachable(const Fault& error) const;

  std::string url_;
  std::string authorization_;
  std::string namespace_;
  Output output_ = Output::Table;
  std::chrono::seconds timeout_{60};
  std::shared_ptr<http::Client> client_;
};

// How to print, by --output. A usage error is printed; none then.
std::optional<Output> output_of(const Arguments& arguments);

// One line on stderr: "jobmill: <text>"; returns `exit`. Commands that have a client use its own.
int complain(int exit, std::string_view text);

std::string environment(const char* name);  // empty when unset
Result<std::string> read_text_file(const std::string& path, std::size_t limit = 4u << 20);

}  // namespace jobmill::app
