// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace jobmill::targets {

enum class OutputStream { Out, Err };

// Where the output of one process goes. Used by one thread; destroyed when nothing more comes.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  // Pieces as they were read, which end anywhere.
  virtual void write(OutputStream stream, std::string_view text) = 0;
};

}  // namespace jobmill::targets
