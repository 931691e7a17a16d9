// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace jobmill {

// A schedule in words: "every 5 minutes", "at 02:30 on weekdays", "every hour at :15". What has no
// short words, or is no schedule, stays as it was written.
std::string schedule_text(std::string_view schedule);

}  // namespace jobmill
