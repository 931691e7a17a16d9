// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "app/api_client.h"
#include "base/clock.h"
#include "base/document.h"

namespace jobmill::app {

// What flags and arguments say of a job, in the words of the API. All complain of what is wrong,
// set `exit` and answer none.

// `KIND [ARGS-JSON]`, from the argument `first` on, with --queue, --priority, --retries, --timeout
// and --label.
std::optional<Node> job_spec(const ApiClient& client, const Arguments& arguments, std::size_t first,
                             int& exit);

// A flag that is there.
std::optional<std::int64_t> whole_number(const ApiClient& client, const Arguments& arguments,
                                         std::string_view flag, int& exit);
std::optional<Duration> duration(const ApiClient& client, const Arguments& arguments,
                                 std::string_view flag, int& exit);

}  // namespace jobmill::app
