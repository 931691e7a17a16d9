// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <vector>

#include "base/result.h"
#include "jobs/job_store.h"

namespace jobmill::sqlite {

// Claims that found nothing, first come, first served. The transaction that makes a job ready
// claims it for the first of them that may have it: so a worker that waits costs no commit of its
// own, and nobody is woken in vain.
class ClaimLine {
  struct Waiting {
    explicit Waiting(const jobs::ClaimRequest& claim) : request(claim) {}

    const jobs::ClaimRequest& request;
    bool served = false;  // by a transaction that has not ended
    std::optional<Result<jobs::Claimed>> answer{};
    std::condition_variable_any told{};
  };

 public:
  using Answer = std::optional<Result<jobs::Claimed>>;

  // One claim, from here to the end of its life. For the thread that claims.
  class Place {
   public:
    // The request must live as long.
    Place(ClaimLine& line, const jobs::ClaimRequest& request);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    // Nothing: the time is up, or the request's token fired.
    Answer wait(std::chrono::steady_clock::time_point until);
    Answer leave();  // what it was handed in the meantime, if anything

   private:
    Answer outcome(std::unique_lock<std::mutex>& lock);

    ClaimLine& line_;
    std::list<Waiting>::iterator at_;
  };

  // Whom a transaction served. It must be ended.
  using Served = std::vector<std::list<Waiting>::iterator>;

  // Claims for each that waits, until a call says that nothing is left. An answer without jobs
  // leaves the claim in line. For the thread that writes, inside a transaction.
  struct Turn {
    bool left = true;
    Answer answer{};
  };
  Status serve(Served& served,
               const std::function<Result<Turn>(const jobs::ClaimRequest& request)>& take);
  // Committed: they are told. Otherwise they wait on.
  void end(Served& served, bool committed);

 private:
  std::mutex mutex_;  // guards waiting_ and what it holds
  std::list<Waiting> waiting_;
};

}  // namespace jobmill::sqlite
