// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"

namespace jobmill::k8s {

// What a Lease object says of its holder.
struct Lease {
  std::string holder{};  // empty: nobody
  Duration duration{};   // so long without a renewal, by the observer's clock, and it is free
  std::int64_t transitions = 0;
  std::string version{};  // resourceVersion; empty: there is no such object yet
  bool operator==(const Lease&) const = default;
};

// Decides who of several leads, by one Lease that is only ever replaced as it was last seen: of two
// who write at a time the server refuses one. Times are of a clock that never jumps; only its own
// differences are used, so those of others may show anything.
//
// It leads from a write of its own that was confirmed, for `renew_deadline` after that write was
// *begun*. Others take the lease when they saw it unchanged for its duration, which they cannot
// have begun to count earlier: as long as duration - renew_deadline is more than what clocks differ
// in pace, there are never two.
//
// One request is under way at a time. One that is not answered for renew_deadline is given up:
// what comes of it later is not listened to, and what it wrote is seen by the next read.
class LeaseState {
 public:
  struct Options {
    std::string identity{};
    Duration duration{};
    Duration renew_deadline{};
    Duration retry{};
  };
  explicit LeaseState(Options options) : options_(std::move(options)) {}

  struct Request {
    enum class Kind { Read, Write } kind = Kind::Read;
    std::uint64_t number = 0;
    Lease lease{};          // to be written; its version is the one that is replaced
    bool acquires = false;  // it was not ours
  };
  // What to send now, if anything.
  std::optional<Request> next(TimePoint now);

  // What came of request `number`. NotFound: there is no such lease. Conflict and AlreadyExists: it
  // was changed meanwhile. Of any other error of a write it is not known whether it was done.
  // False: it is not listened to.
  bool answered(std::uint64_t number, Result<Lease> lease, TimePoint now);

  bool leads(TimePoint now) const { return now < leads_until_; }
  const std::string& leader() const { return seen_.holder; }

  // When next(), leads() or at_rest() may say something new, if no answer comes before.
  TimePoint next_change(TimePoint now) const;

  // From now on it does not lead, and gives back what it holds. At rest when that is done, or has
  // not been possible for renew_deadline; then it asks for nothing more.
  void resign(TimePoint now);
  bool at_rest(TimePoint now) const;

 private:
  struct Sent {
    TimePoint at;
    bool write;
  };

  bool is_mine() const { return seen_.holder == options_.identity; }
  TimePoint free_at() const {
    return seen_.holder.empty() ? TimePoint{} : seen_at_ + seen_.duration;
  }
  TimePoint request_at() const;
  Request write_request() const;
  void give_up_on_answer(TimePoint now);
  void saw(Lease lease, TimePoint now);
  void read_came(Result<Lease> lease, TimePoint now);
  void write_came(Result<Lease> lease, TimePoint sent, TimePoint now);

  const Options options_;
  Lease seen_{};          // the lease, the last time we looked
  TimePoint seen_at_{};   // when it was seen like this for the first time
  bool certain_ = false;  // else it has to be read before it is written
  int conflicts_ = 0;     // in a row
  TimePoint look_at_{};   // the next request, unless the lease becomes free before
  std::uint64_t number_ = 0;
  std::optional<Sent> sent_;  // request `number_`, under way
  TimePoint leads_until_{};
  std::optional<TimePoint> resign_until_;
};

}  // namespace jobmill::k8s
