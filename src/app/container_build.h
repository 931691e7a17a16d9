// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/dockerfile.h"
#include "base/document.h"
#include "base/result.h"

namespace jobmill::app {

// "registry.azurecr.io/name:tag"; a registry's short name gets the suffix, an image that names its
// registry stays as it is.
std::string image_name(std::string_view registry, std::string_view tag);

// The entry of the image map for an image that would be built from a folder: {match, runner,
// workdir, command, env}. The folder is what the Dockerfile's WORKDIR would be: words of the
// command that lead there lead to the folder. InvalidArgument: there is no command.
Result<Node> built_entry(const Dockerfile& file, const std::string& image,
                         const std::string& folder);

// Where the requirements of an application of Python are installed, and what of the entry leads
// there: its programs go before those of the machine.
std::string venv_of(const std::string& folder);
void use_venv(Node& entry, const std::string& venv, const std::string& path);

}  // namespace jobmill::app
