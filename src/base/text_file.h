// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>

#include "base/result.h"

namespace jobmill {

// A whole file of a person's: a kubeconfig, a certificate, a manifest. NotFound: it cannot be read;
// Exhausted: it is larger than the limit. Takes as much memory as there is text.
Result<std::string> read_text_file(const std::string& path, std::size_t limit = 4u << 20);

// The same of a stream that is open already; `name` is for the messages.
Result<std::string> read_text(std::istream& in, const std::string& name, std::size_t limit);

}  // namespace jobmill
