// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace jobmill::postgres {

// Whom a message is about. Never a password.
struct Peer {
  std::string user{};
  std::string host{};
  std::string database{};

  std::string text() const;  // database jobs at db.example:5432
};

// What a server or libpq reported. Empty texts are unknown.
struct Complaint {
  std::string_view sqlstate{};
  std::string_view message{};
  std::string_view detail{};
};

// The failure of a statement, by its SQLSTATE:
//   Unavailable       the connection is gone, the server stops, starts, is full of connections or
//                     is a read-only standby: later
//   Conflict          a deadlock or a serialization failure: the same again will do
//   Timeout           the statement ran out of its time
//   Exhausted         the database's disk or memory is full
//   AlreadyExists     a unique key is taken
//   PermissionDenied  the user lacks a right; the message names the GRANT
//   Unsupported       the schema is older than this program: `jobmill migrate`
//   InvalidArgument   a value that the database cannot hold
//   Internal          anything else
Fault statement_fault(const Complaint& complaint, const Peer& peer);

// The failure to connect, by libpq's message in its verbose form, which has the SQLSTATE of what
// the server said: as above, and PermissionDenied for a wrong password, NotFound for an unknown
// database. Without one it is Unavailable: nobody was there.
Fault connect_fault(std::string_view message, const Peer& peer);

// A server that takes no writes: Unavailable, as it may be promoted.
Fault read_only_fault(const Peer& peer);

}  // namespace jobmill::postgres
