// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "access/access_store.h"
#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

namespace jobmill::api {

struct KnownUser {
  std::string name;
  std::string role;
};

// Who may log in with a password. On the loop thread.
class UserDirectory {
 public:
  // None: the password is wrong, or has to wait.
  struct Checked {
    std::optional<KnownUser> user{};
    Duration wait{};  // not zero: too many failures from this address
  };

  virtual ~UserDirectory() = default;
  virtual void check(std::string user, std::string password, const std::string& address,
                     std::function<void(Checked)> done) = 0;
  virtual std::vector<KnownUser> list() const = 0;
  // The role that a user has now; none: he is not known any more.
  virtual std::optional<std::string> role_of(const std::string& user) const = 0;
  // Nobody has to log in: there are no users.
  virtual bool open() const = 0;
};

// Logins of browsers, by a cookie, and tokens of programs. A login lasts twelve hours and ends
// after two without a request; each begins with a new cookie. What the browser or the program holds
// is known here by its digest only.
//
// Belongs to the loop thread.
class Sessions {
 public:
  static constexpr Duration kLongest = std::chrono::hours(12);
  static constexpr Duration kIdle = std::chrono::hours(2);
  static constexpr std::size_t kMostPerUser = 50;  // the oldest goes

  Sessions(access::AccessStore& store, const Clock& clock) : store_(store), clock_(clock) {}
  Status load();  // before anything else; blocks

  // Before the first request.
  void set_directory(UserDirectory& users) { users_ = &users; }
  UserDirectory& users() const { return *users_; }
  void on_end(std::function<void(const std::string& id)> told) { told_ = std::move(told); }

  // --- logins

  struct NewLogin {
    std::string user;
    std::string role;
    std::string address;
    bool foreign_user = false;
  };
  std::string begin(const NewLogin& login);  // the cookie's value
  // The session of a cookie, which counts as seen; null: none, or it is over.
  const access::Session* find(std::string_view cookie);
  // False: there is no such session. `done` as in AccessStore.
  bool end(const std::string& id, access::AccessStore::Done done = {});
  void end_of_user(const std::string& user);
  void expire();                              // ends those whose time is up
  std::vector<access::Session> list() const;  // the latest first

  // What a page of ours knows of its session and a page of others cannot.
  static std::string csrf_of(std::string_view cookie);

  // --- tokens

  struct NewToken {
    std::string name{};
    unsigned scopes = 0;
    std::vector<std::string> queues{};
    std::string creator{};
    std::optional<Duration> lifetime{};
  };
  struct Created {
    access::AccessToken token;
    std::string text;  // shown once
  };
  Created make_token(const NewToken& wanted) const;
  void add(const access::AccessToken& token, access::AccessStore::Done done);
  const access::AccessToken* find_token(std::string_view text);  // null: unknown or expired
  bool revoke(const std::string& id, access::AccessStore::Done done);
  std::vector<access::AccessToken> tokens() const;  // the latest first

 private:
  bool is_over(const access::Session& session) const;
  void keep_few(const std::string& user);

  access::AccessStore& store_;
  const Clock& clock_;
  UserDirectory* users_ = nullptr;
  std::function<void(const std::string&)> told_;
  std::unordered_map<std::string, access::Session> sessions_;    // by key
  std::unordered_map<std::string, access::AccessToken> tokens_;  // by key
};

// The session's cookie in a request. Its name has the port: cookies do not, and two servers of one
// machine must not end each other's logins.
std::optional<std::string_view> session_cookie(const http::Request& request);

// For Set-Cookie: a browser sends it to us only, and only from pages of ours; no script sees it.
std::string set_session_cookie(const http::Request& request, std::string_view value);
std::string clear_session_cookie(const http::Request& request);

}  // namespace jobmill::api
