// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace jobmill::jobs {

// What a job does: its handler and what it is handed. When and where it runs is no part of it, so a
// producer that repeats `delay: PT5M` with the same id asks for the same job.
struct Payload {
  std::string_view kind;
  int v = 1;
  std::string_view args;  // JSON
  std::string_view meta;  // JSON object, or empty
};

// As values, not as texts: blanks, the order of members and 1 or 1.0 make no difference.
bool same_payload(const Payload& a, const Payload& b);

}  // namespace jobmill::jobs
