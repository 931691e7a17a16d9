// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "executions/container_job.h"

namespace jobmill::app {

// What a container image means on this machine: a command, or nothing ("off").
struct LocalImage {
  bool off = false;
  std::string pattern;  // the entry that matched, for messages
  std::vector<std::string> command;
  executions::RunnerKind runner = executions::RunnerKind::Auto;  // of executions
  std::string workdir{};
  executions::Texts env{};
  std::string archive{};  // file or folder with the image itself, for containers
};

// The entries of --image and `images:`. A pattern without a tag matches every tag; `*` matches any
// text. The entry with the most literal characters wins, then the earlier one.
class LocalImages {
 public:
  LocalImages() = default;
  // Relative programs are resolved against the folder of this process: children may have another.
  static Result<LocalImages> from(const std::vector<std::pair<std::string, std::string>>& entries);

  void add(LocalImage entry) { entries_.push_back(std::move(entry)); }
  void add_all(const LocalImages& others) {
    entries_.insert(entries_.end(), others.entries_.begin(), others.entries_.end());
  }
  std::optional<LocalImage> find(std::string_view image) const;
  const std::vector<LocalImage>& entries() const { return entries_; }

 private:
  std::vector<LocalImage> entries_;
};

// Splits a command line at blanks; '…' and "…" keep blanks. InvalidArgument: an open quote.
Result<std::vector<std::string>> split_words(std::string_view line);

}  // namespace jobmill::app
