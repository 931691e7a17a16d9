// SPDX-License-Identifier: Apache-2.0
#include "app/post_mortem.h"

namespace jobmill::app {

jobs::Crash crash_of(const targets::ProcessExit& exit) {
  return {.signal = exit.signal,
          .exit_code = exit.exit_code,
          .peak_rss_bytes = exit.peak_rss_bytes,
          .out_of_memory = exit.out_of_memory,
          .detail = exit.detail};
}

}  // namespace jobmill::app
