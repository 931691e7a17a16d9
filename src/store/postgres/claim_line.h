// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <stop_token>
#include <vector>

#include "store/postgres/job_tables.h"

namespace jobmill::postgres {

// Claims that found nothing, first come, first served. The transaction that inserts jobs hands them
// out to the first of those that wait and may have them, so that a worker that waits costs no round
// trip of its own. Who may have jobs that became ready in another way is told to look again.
class ClaimLine {
  struct Waiting {
    std::function<Claim()> make;
    std::stop_token stop;
    bool stands = false;  // it may be served
    bool served = false;  // by a transaction that has not ended
    bool told = false;    // there may be something for it
    HandOut hand_out{};
    std::optional<ClaimAnswer> answer{};
    std::condition_variable_any news{};
  };

 public:
  // One claim, from before its first look to the end of its life. For the thread that claims.
  class Place {
   public:
    // `make`: what it would claim now; from any thread.
    Place(ClaimLine& line, std::function<Claim()> make, std::stop_token stop);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // With an answer: what it was handed. Without: it shall look again. Nothing: the time is up, or
    // its token fired.
    struct News {
      Claim claim;
      std::optional<ClaimAnswer> answer;
    };
    std::optional<News> wait(std::chrono::steady_clock::time_point until);

   private:
    ClaimLine& line_;
    std::list<Waiting>::iterator at_;
  };

  // For the thread that writes. Who is served by a transaction stays so until its end.
  using Served = std::vector<std::list<Waiting>::iterator>;

  // The ready ones of the new jobs, as far as somebody waits for them. They must live as long as
  // the transaction.
  Served serve(std::span<NewJob> jobs);
  static const HandOut& hand_out(Served::value_type served) { return served->hand_out; }
  static void answer(Served::value_type served, ClaimAnswer answer);
  // Committed: they are told. Otherwise they wait on.
  void end(const Served& served, bool committed);

  void wake(const std::set<std::int32_t>& lanes);  // those who may take from them
  void wake_all();

 private:
  static void tell(Waiting& waiting);

  std::mutex mutex_;  // guards waiting_ and what it holds
  std::list<Waiting> waiting_;
};

}  // namespace jobmill::postgres
