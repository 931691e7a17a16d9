// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "jobs/job.h"

namespace jobmill::jobs {

// A text with an index in it: "invoice {i}".
class IndexedText {
 public:
  IndexedText() = default;
  explicit IndexedText(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  explicit IndexedText(std::string constant) { pieces_.push_back(std::move(constant)); }

  bool constant() const { return pieces_.size() <= 1; }
  std::string at(std::int64_t index) const;

 private:
  std::vector<std::string> pieces_;  // the index stands between each two
};

// A spec that was checked, its texts ready to be written once or `count` times. Placeholders:
//   name, labels  {0} or %0: the argument; {meta.key} or %X{key}: a value of the metadata
//   these, and the string values among the arguments, of a spec with `count`:  {i}, the index
// What names nothing stays as it is.
class JobTemplate {
 public:
  // InvalidArgument "<field>: <reason>"; Exhausted when args and meta are above 1 MiB.
  static Result<JobTemplate> compile(const JobSpec& spec);

  std::int64_t count() const { return count_; }
  std::string name(std::int64_t index) const;
  std::vector<std::string> labels(std::int64_t index) const;
  std::string args(std::int64_t index) const { return args_.at(index); }

 private:
  Status check_labels(std::int64_t index) const;

  std::int64_t count_ = 1;
  IndexedText name_;
  std::vector<IndexedText> labels_;
  IndexedText args_;
};

}  // namespace jobmill::jobs
