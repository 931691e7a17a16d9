// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace jobmill::app {

// What the last stage of a Dockerfile says about the process that its image runs.
struct Dockerfile {
  std::string workdir;
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  bool entrypoint_is_shell = false;  // then CMD does not count
  std::vector<std::string> runs;     // what RUN would have done

  // ENTRYPOINT and CMD as one command; empty: the Dockerfile names none.
  std::vector<std::string> command() const;
  // The file of "pip install -r FILE", of the RUN that says so; empty: none does.
  std::string requirements() const;
};

// FROM, ARG, ENV, WORKDIR, ENTRYPOINT, CMD and RUN; every other instruction means nothing to a
// process on this machine. A stage that begins with an earlier one has what that one has.
// InvalidArgument names the line.
Result<Dockerfile> parse_dockerfile(std::string_view text);

}  // namespace jobmill::app
