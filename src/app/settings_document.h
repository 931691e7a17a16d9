// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "jobmill/server.h"

namespace jobmill::app {

// The effective configuration as JSON, with where each value comes from:
//
//   {"settings":[{"name":"http","value":"127.0.0.1:8000","source":"--http"},…],"storage":{…},…}
//
// Of secrets it says that they are set; of keys that nobody could guess, also by which digest they
// can be told apart. `store_fault` says why the store of jobs is away; empty: it is not.
std::string settings_document(const ServerOptions& options, const std::string& store_fault);

}  // namespace jobmill::app
