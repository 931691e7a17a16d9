// SPDX-License-Identifier: Apache-2.0
#include "amqp/sasl.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace jobmill::amqp {

namespace {

Result<SaslLogin> read_plain(std::string_view response) {
  // [authorization identity] NUL authentication identity NUL password. We act for nobody else, so
  // the first is not looked at.
  const std::size_t user = response.find('\0');
  const std::size_t password =
      user == std::string_view::npos ? user : response.find('\0', user + 1);
  if (password == std::string_view::npos) {
    return fail(Code::PermissionDenied, "PLAIN needs a user and a password.");
  }
  return SaslLogin{.mechanism = "PLAIN",
                   .user = std::string(response.substr(user + 1, password - user - 1)),
                   .password = Secret(std::string(response.substr(password + 1)))};
}

}  // namespace

Result<SaslLogin> read_login(const SaslInit& init, const std::vector<std::string>& offered) {
  if (std::find(offered.begin(), offered.end(), init.mechanism) == offered.end()) {
    return fail(Code::PermissionDenied, "The SASL mechanism was not offered.");
  }
  const std::string response = init.initial_response.value_or("");
  if (init.mechanism == "PLAIN") return read_plain(response);
  SaslLogin login{.mechanism = init.mechanism};
  if (init.mechanism == "EXTERNAL") login.user = response;
  return login;
}

SaslInit make_init(const ConnectionOptions::Login& login,
                   const std::optional<std::string>& hostname) {
  SaslInit init{.mechanism = login.mechanism, .initial_response = "", .hostname = hostname};
  if (login.mechanism == "PLAIN") {
    init.initial_response = '\0' + login.user + '\0' + login.password.reveal();
  } else if (login.mechanism == "EXTERNAL") {
    init.initial_response = login.user;
  }
  return init;
}

}  // namespace jobmill::amqp
