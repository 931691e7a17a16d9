// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/errors.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

namespace jobmill::postgres {
namespace {

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

std::string said(const Complaint& complaint) {
  std::string text = first_line(complaint.message);
  if (!complaint.detail.empty()) text += ": " + first_line(complaint.detail);
  return text;
}

Fault unavailable(std::string what, const Peer& peer) {
  return fail(Code::Unavailable, peer.text() + ' ' + std::move(what) + "; retrying");
}

// What the user must be given to do what it was refused. `kind` and `name` as in the server's
// "permission denied for table jobmill_job".
std::string grant_for(std::string_view kind, const std::string& name, const Peer& peer) {
  const std::string to = " TO " + peer.user;
  if (kind == "schema") return "GRANT USAGE ON SCHEMA " + name + to;
  if (kind == "sequence") return "GRANT USAGE, SELECT ON SEQUENCE " + name + to;
  if (kind == "function") return "GRANT EXECUTE ON FUNCTION " + name + to;
  if (kind == "database") return "GRANT CONNECT ON DATABASE " + name + to;
  return "GRANT SELECT, INSERT, UPDATE, DELETE ON " + name + to;
}

Fault missing_right(const Complaint& complaint, const Peer& peer) {
  constexpr std::string_view kDenied = "permission denied for ";
  const std::string message = first_line(complaint.message);
  std::string text =
      "user " + peer.user + " may not do this in " + peer.text() + " (" + message + ')';
  if (message.starts_with(kDenied)) {
    const std::string_view object = std::string_view(message).substr(kDenied.size());
    const std::size_t space = object.find(' ');
    const std::string name(object.substr(std::min(space, object.size() - 1) + 1));
    text += "; as its owner say " + grant_for(object.substr(0, space), name, peer) +
            ", or run jobmill migrate --grant " + peer.user;
  } else {  // another language, or an owner's privilege
    text += "; run jobmill migrate as the owner of the tables, with --grant " + peer.user;
  }
  return fail(Code::PermissionDenied, std::move(text));
}

Fault wrong_schema(const Complaint& complaint, const Peer& peer) {
  return fail(Code::Unsupported, "the schema of " + peer.text() + " does not fit this program (" +
                                     first_line(complaint.message) + "); run jobmill migrate");
}

Fault full_disk(const Complaint& complaint, const Peer& peer) {
  return fail(Code::Exhausted,
              "the disk of " + peer.text() + " is full (" + said(complaint) + "); make room there");
}

Fault full_memory(const Complaint& complaint, const Peer& peer) {
  return fail(Code::Exhausted, peer.text() + " has no room for this (" + said(complaint) + ')');
}

Fault full_of_connections(const Complaint& complaint, const Peer& peer) {
  return unavailable("takes no more connections (" + first_line(complaint.message) + ')', peer);
}

Fault lost(const Complaint& complaint, const Peer& peer) {
  std::string why = first_line(complaint.message);
  return unavailable("was lost" + (why.empty() ? why : " (" + why + ')'), peer);
}

Fault not_ready(const Complaint& complaint, const Peer& peer) {
  return unavailable("does not answer now (" + first_line(complaint.message) + ')', peer);
}

Fault read_only(const Complaint&, const Peer& peer) { return read_only_fault(peer); }

Fault try_again(const Complaint& complaint, const Peer& peer) {
  return fail(Code::Conflict, peer.text() + " undid this because of another transaction (" +
                                  first_line(complaint.message) + "); try again");
}

Fault too_slow(const Complaint& complaint, const Peer& peer) {
  return fail(Code::Timeout, peer.text() + " gave up (" + first_line(complaint.message) + ')');
}

Fault taken(const Complaint& complaint, const Peer&) {
  return fail(Code::AlreadyExists, said(complaint));
}

Fault no_schema(const Complaint&, const Peer& peer) {
  return fail(Code::PermissionDenied,
              "user " + peer.user + " may use no schema of its search path in " + peer.text() +
                  "; as the schema's owner say GRANT USAGE ON SCHEMA public TO " + peer.user +
                  " (and CREATE for who runs jobmill migrate)");
}

Fault unknown_database(const Complaint&, const Peer& peer) {
  return fail(Code::NotFound, "there is no " + peer.text() + "; create it with CREATE DATABASE \"" +
                                  peer.database + "\" ENCODING 'UTF8' TEMPLATE template0");
}

Fault unknown_name(const Complaint& complaint, const Peer& peer) {
  return fail(Code::NotFound, peer.text() + ": " + first_line(complaint.message));
}

Fault wrong_password(const Complaint&, const Peer& peer) {
  return fail(Code::PermissionDenied, "the password of user " + peer.user + " is not right for " +
                                          peer.text() + "; give it in the URL or in PGPASSWORD");
}

Fault not_allowed(const Complaint& complaint, const Peer& peer) {
  return fail(Code::PermissionDenied, peer.text() + " refuses user " + peer.user + " (" +
                                          first_line(complaint.message) + ')');
}

Fault bad_value(const Complaint& complaint, const Peer&) {
  return fail(Code::InvalidArgument, "the database cannot hold a value (" + said(complaint) + ')');
}

// A code or the beginning of codes, the longer one first.
struct Meaning {
  std::string_view sqlstate;
  Fault (*fault)(const Complaint&, const Peer&);
};
constexpr std::array kMeanings{
    Meaning{"08", lost},
    Meaning{"22", bad_value},
    Meaning{"23505", taken},
    Meaning{"25006", read_only},
    Meaning{"25P03", lost},  // too long idle in a transaction
    Meaning{"28P01", wrong_password},
    Meaning{"28", not_allowed},
    Meaning{"3D000", unknown_database},
    Meaning{"3F000", no_schema},
    Meaning{"40", try_again},
    Meaning{"42501", missing_right},
    Meaning{"42P01", wrong_schema},  // no such table
    Meaning{"42703", wrong_schema},  // no such column
    Meaning{"42704", unknown_name},  // a role, in GRANT
    Meaning{"42883", wrong_schema},  // no such function
    Meaning{"53100", full_disk},
    Meaning{"53300", full_of_connections},
    Meaning{"53", full_memory},
    Meaning{"54", bad_value},  // beyond a limit of the server
    Meaning{"55P03", too_slow},
    Meaning{"57014", too_slow},
    Meaning{"57P0", not_ready},  // stops, crashed, starts, was told to end this connection
};

std::optional<Fault> by_state(const Complaint& complaint, const Peer& peer) {
  for (const Meaning& meaning : kMeanings) {
    if (complaint.sqlstate.starts_with(meaning.sqlstate)) return meaning.fault(complaint, peer);
  }
  return std::nullopt;
}

bool is_sqlstate(std::string_view text) {
  return text.size() == 5 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
         });
}

// What the last server said, from "… FATAL:  28P01: password authentication failed …".
Complaint spoken(std::string_view message) {
  Complaint complaint;
  for (std::size_t at = 0; (at = message.find(":  ", at)) != std::string_view::npos; at += 3) {
    const std::string_view rest = message.substr(at + 3);
    if (!is_sqlstate(rest.substr(0, 5)) || !rest.substr(5).starts_with(": ")) continue;
    complaint.sqlstate = rest.substr(0, 5);
    complaint.message = rest.substr(7, rest.find('\n') - 7);
  }
  return complaint;
}

// "connection to server at "::1", port 5432 failed: Connection refused": the reason.
std::string reason_of(std::string_view message) {
  constexpr std::string_view kFailed = " failed: ";
  const std::size_t at = message.rfind(kFailed);
  return first_line(at == std::string_view::npos ? message : message.substr(at + kFailed.size()));
}

}  // namespace

std::string Peer::text() const { return "database " + database + " at " + host; }

Fault read_only_fault(const Peer& peer) {
  return unavailable("is a read-only standby; jobs need the primary", peer);
}

Fault statement_fault(const Complaint& complaint, const Peer& peer) {
  if (auto fault = by_state(complaint, peer)) return *std::move(fault);
  return fail(Code::Internal, peer.text() + " failed: " + said(complaint) + " (SQLSTATE " +
                                  std::string(complaint.sqlstate) + ')');
}

Fault connect_fault(std::string_view message, const Peer& peer) {
  if (auto fault = by_state(spoken(message), peer)) return *std::move(fault);
  const std::string reason = reason_of(message);
  if (message.find("no password supplied") != std::string_view::npos) {
    return wrong_password({}, peer);
  }
  if (message.find("session is read-only") != std::string_view::npos) return read_only_fault(peer);
  if (message.starts_with("invalid ")) {  // a keyword of the URL, or a port
    return fail(Code::InvalidArgument, "the PostgreSQL URL cannot be used (" + reason + ')');
  }
  return unavailable("cannot be reached (" + reason + ')', peer);
}

}  // namespace jobmill::postgres
