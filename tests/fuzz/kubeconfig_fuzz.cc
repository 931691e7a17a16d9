// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "k8s/config.h"
#include "k8s/exec_plugin.h"

// A kubeconfig, and what a plugin printed. Files that it names are looked for where none are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("/dev/") == text.npos && text.find("/proc/") == text.npos)
    (void)jobmill::k8s::parse_kubeconfig(text, "/nonexistent/config", "");
  (void)jobmill::k8s::parse_exec_credential(text, "client.authentication.k8s.io/v1");
  return 0;
}
