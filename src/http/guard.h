// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <set>
#include <string>

#include "base/result.h"
#include "http/message.h"

namespace jobmill::http {

// What a listener's address is called by those who may use it.
struct GuardRules {
  bool loopback = true;  // the listener's address is a loopback one
  // Host names that are ours besides loopback, in lower case and without port.
  std::set<std::string, std::less<>> hosts{};
  bool links = false;  // a page of another site may lead a person here
};

// Keeps web pages of others away from a server without passwords. PermissionDenied for
//  - a request that a page of another origin makes (Origin, Sec-Fetch-Site), but for a link that a
//    person follows where `links` allows it;
//  - on a loopback listener, a request for a foreign host name: a page whose name was made to
//    resolve to 127.0.0.1 (DNS rebinding) is of the same origin as its requests.
// Programs that are not browsers send neither field and name the host they connect to.
Status check_origin(const Request& request, const GuardRules& rules);

}  // namespace jobmill::http
