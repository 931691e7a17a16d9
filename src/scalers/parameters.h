// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "scale/scaler.h"

namespace jobmill::scalers {

enum class ParameterType {
  Text,
  Number,       // JSON number syntax
  Integer,      // the same, without fraction and exponent, within 64 bits
  Boolean,      // 1 t T TRUE true True 0 f F FALSE false False
  Duration,     // 1.5s, 1m30s, 500ms; a whole number is milliseconds
  IsoDuration,  // PT2M
  Word,         // exactly one of `words`
  WordList,     // some of `words`, separated by commas
  TextList,     // separated by commas
  QueryString,  // a=1&b=2
};

// One row of a trigger's reference page; a test compares the two.
struct Parameter {
  // Names in the order they are tried, separated by "|". The first one names the parameter.
  std::string_view names;
  // Where it is looked up, in this order: m the trigger's metadata, a the authentication
  // parameters, e the environment variable that metadata key <name>FromEnv names.
  std::string_view sources = "m";
  ParameterType type = ParameterType::Text;
  std::string_view fallback = {};  // taken when it is absent; empty: none
  bool required = false;
  std::string_view words = {};  // of Word and WordList, separated by "|"
};

// What can be wrong with a parameter. In messages it is spelled out; tests compare the kind.
enum class Flaw {
  AuthIncomplete,
  Boolean,
  Conflict,
  Duration,
  Enum,
  Missing,
  Number,
  Range,
  RemovedParameter,
  Syntax,
  Unsupported,
};

std::string_view to_string(Flaw flaw);  // "auth-incomplete", "boolean", …

// The parameters of one trigger while they are read. A look-up that finds nothing usable notes
// why and answers an empty value, so that one pass finds everything that is wrong; status() tells
// it all at once. Values are trimmed and an empty value counts as absent.
class Parameters {
 public:
  // Only parameters in `table` may be asked for.
  Parameters(const scale::TriggerSpec& spec, std::span<const Parameter> table);

  std::string text(std::string_view name);
  // Absent and without a default: 0. Nothing: there is a text, but it is no number.
  std::optional<double> number(std::string_view name);
  std::optional<std::int64_t> integer(std::string_view name);
  bool boolean(std::string_view name);
  Duration duration(std::string_view name);              // Duration or IsoDuration; absent: zero
  std::vector<std::string> list(std::string_view name);  // WordList or TextList
  std::vector<std::pair<std::string, std::string>> query(std::string_view name);  // QueryString

  // Present and not empty in one of its sources, default or not.
  bool has(std::string_view name) const;

  // The common part of every trigger: "s<index>-<name>", the metric type as written or `otherwise`,
  // and the target.
  scale::MetricSpec metric(std::string_view name, double target,
                           scale::MetricType otherwise = scale::MetricType::AverageValue);

  // The trigger's own checks end here as well.
  void complain(Flaw flaw, std::string text);

  const scale::TriggerSpec& spec() const { return spec_; }
  const std::set<Flaw>& flaws() const { return flaws_; }
  Status status() const;  // one error that names the type and every complaint

 private:
  struct Given {
    std::string value;
    bool printable;  // from the metadata, so it is no secret
  };

  const Parameter& row(std::string_view name) const;
  std::optional<Given> given(const Parameter& parameter) const;
  std::optional<Given> value(const Parameter& parameter);  // given or default; may complain
  void refuse(Flaw flaw, const Parameter& parameter, const Given& text, std::string_view wish);

  const scale::TriggerSpec& spec_;
  std::span<const Parameter> table_;
  std::set<Flaw> flaws_;
  std::vector<std::string> complaints_;
};

}  // namespace jobmill::scalers
