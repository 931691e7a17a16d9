// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

namespace jobmill::k8s {

// A program that prints credentials (client.authentication.k8s.io/v1 or v1beta1).
struct ExecPlugin {
  std::string api_version{};
  std::string command{};  // looked up in PATH; with a '/' relative to the kubeconfig's folder
  std::vector<std::string> args{};
  std::map<std::string, std::string, std::less<>> env{};  // beside our own
  std::string install_hint{};                             // for people who lack it
  bool cluster_info = false;                              // it wants to know of the cluster
};

// Where the API server is, and who we are to it.
struct Config {
  std::string server{};    // "https://10.96.0.1:443"
  std::string ca{};        // PEM; empty: the system's
  bool verify_tls = true;  // insecure-skip-tls-verify
  std::string ns = "default";
  // One of these, or none:
  std::string client_cert{};  // PEM
  Secret client_key{};
  Secret token{};
  std::string token_file{};  // re-read when it changes and after a 401: tokens of pods rotate
  std::string username{};
  Secret password{};
  ExecPlugin exec{};  // without a command: none
};

// What a kubeconfig says; `path` is its name, which relative names in it are relative to.
Result<Config> parse_kubeconfig(std::string_view text, const std::string& path,
                                std::string_view context);

// `path`: a kubeconfig; empty: that of $KUBECONFIG (the first file that exists of its list), else
// that of the pod we are in, else ~/.kube/config. `context`: empty = its current-context; one that
// is named is looked for in kubeconfigs only.
// InvalidArgument names file and line; NotFound lists what was looked for.
Result<Config> load_config(std::string_view path, std::string_view context);

// The service account's of a pod. `folder` holds token, ca.crt and namespace.
Result<Config> in_cluster_config(
    std::string_view folder = "/var/run/secrets/kubernetes.io/serviceaccount");

}  // namespace jobmill::k8s
