// SPDX-License-Identifier: Apache-2.0
#include "store/postgres/notice.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace jobmill::postgres {
namespace {

// A notification holds less than 8000 bytes.
constexpr std::size_t kMostLanes = 500;

}  // namespace

std::string notice_text(const Effects& effects, bool workers) {
  std::string text;
  if (effects.ready.size() > kMostLanes) text.push_back('a');
  for (const std::int32_t lane : effects.ready) {
    if (text == "a") break;
    text += text.empty() ? 'r' : ',';
    text += std::to_string(lane);
  }
  if (effects.due) text += text.empty() ? "d" : " d";
  if (effects.states) text += text.empty() ? "s" : " s";
  if (effects.queues) text += text.empty() ? "q" : " q";
  if (workers) text += text.empty() ? "w" : " w";
  return text;
}

Effects notice_of(std::string_view text) {
  Effects effects;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word == "d") effects.due = true;
    if (word == "w") effects.workers = true;
    if (word == "s") effects.states = true;
    if (word == "q") effects.queues = true;
    if (word == "a") effects.all = true;
    if (!word.starts_with('r')) continue;
    for (word.remove_prefix(1); !word.empty();) {
      std::int32_t lane = 0;
      const auto [at, error] = std::from_chars(word.data(), word.data() + word.size(), lane);
      if (error != std::errc()) break;
      effects.ready.insert(lane);
      word.remove_prefix(static_cast<std::size_t>(at - word.data()));
      if (word.starts_with(',')) word.remove_prefix(1);
    }
  }
  return effects;
}

}  // namespace jobmill::postgres
