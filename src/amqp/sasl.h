// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "amqp/connection.h"
#include "amqp/performatives.h"
#include "base/result.h"

namespace jobmill::amqp {

// What the one message of our mechanisms says; none of them has a second one.
//   ANONYMOUS, MSSBCBS  nothing (a trace text is not looked at); who it is comes by $cbs
//   PLAIN               user and password, RFC 4616
//   EXTERNAL            the identity that the transport has proven, or nothing

// PermissionDenied: a mechanism that was not offered, or a response that is not of its form.
Result<SaslLogin> read_login(const SaslInit& init, const std::vector<std::string>& offered);

SaslInit make_init(const ConnectionOptions::Login& login,
                   const std::optional<std::string>& hostname);

}  // namespace jobmill::amqp
