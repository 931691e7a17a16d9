// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "jobs/job_explorer.h"
#include "jobs/job_store.h"
#include "jobs/metadata.h"
#include "jobs/metered_job_store.h"

namespace jobmill::api {

enum class Severity { Info, Warning, Error };
std::string_view to_string(Severity severity);  // "warning"

// Something that somebody should look at.
struct OpenProblem {
  std::string type;  // "recurring-missed": one of each is open at a time
  TimePoint created_at{};
  Severity severity = Severity::Warning;
  std::string title{};
  std::string cause{};
  std::string fix{};
  bool dismissible = true;
};

// What is wrong now. Some problems are reported by whoever meets them, the others are looked for
// when somebody asks: an idle server looks for none. One that was dismissed stays away until it
// occurs anew, which its `created_at` tells. Safe from any thread.
class OpenProblems {
 public:
  // Where to look; null: what would be found there is not known.
  struct Sources {
    jobs::JobStoreOwner& store;
    const jobs::MeteredJobStore* meter = nullptr;
    jobs::JobExplorer* explorer = nullptr;
    jobs::Metadata* metadata = nullptr;  // remembers what was dismissed
  };
  explicit OpenProblems(const Sources& sources) : sources_(sources) {}

  // Searches become possible. Before the first list().
  void look_with(jobs::JobExplorer& explorer) { sources_.explorer = &explorer; }

  // Told when a report came or went, on the thread that made it. Once, before the first report.
  void on_change(std::function<void()> listener) { listener_ = std::move(listener); }

  // The time of a problem that is open already stays.
  void report(OpenProblem problem);
  void resolve(std::string_view type);

  // Blocks: it reads the store. By type.
  Result<std::vector<OpenProblem>> list(TimePoint now);
  // NotFound; Conflict: it is there until its cause is gone.
  Status dismiss(std::string_view type, TimePoint now);

 private:
  struct Storage {
    TimePoint at{};
    double seconds = 0;
    std::uint64_t calls = 0;
  };

  Result<std::vector<OpenProblem>> all(TimePoint now);
  std::vector<OpenProblem> reported() const;
  std::optional<OpenProblem> slow_storage(TimePoint now);

  Sources sources_;
  std::function<void()> listener_;
  mutable std::mutex mutex_;  // guards all below
  std::map<std::string, OpenProblem, std::less<>> reported_;
  Storage measured_;                 // when the storage was looked at last
  std::optional<OpenProblem> slow_;  // what was found then
};

}  // namespace jobmill::api
