// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/tls.h"

namespace jobmill::net {

// The files of a development authority and of the server certificate that it signed.
struct DevelopmentCertificates {
  std::string authority;  // FOLDER/ca.pem: what a client must believe
  std::string bundle;     // FOLDER/bundle.pem: the system's authorities and ours
  TlsFiles server;        // FOLDER/server.pem and FOLDER/server.key
  bool issued = false;    // the server certificate is new: TlsContext::reload
};

// Makes what is missing in the folder and leaves the rest alone. The authority (FOLDER/ca.key, mode
// 0600) is made once and stays, since clients know it; the server certificate is issued again when
// one of the names is missing in it, when it does not fit its key or the authority, and a month
// before its end. So call it at start, whenever a name is added, and once a day.
//
// The certificate is for localhost, 127.0.0.1, ::1, this machine's host name and `names`: DNS names
// (also "*.example.com") and addresses. The caller owns the folder: no two processes at a time.
//
// InvalidArgument: not a name. Conflict: the folder has an authority whose key is missing or does
// not fit. Internal: what the file system says.
Result<DevelopmentCertificates> ensure_development_certificates(
    const std::string& folder, const std::vector<std::string>& names, TimePoint now);

}  // namespace jobmill::net
