// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "store/postgres/job_tables.h"

namespace jobmill::postgres {

// What a notification says: "r1,2" lanes with new jobs, "a" if they are too many to tell, "d" due
// instants, "s" states of workers, "q" pauses of queues, "w" workers, in words with blanks between.
std::string notice_text(const Effects& effects, bool workers);
Effects notice_of(std::string_view text);

}  // namespace jobmill::postgres
