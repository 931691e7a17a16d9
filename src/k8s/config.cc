// SPDX-License-Identifier: Apache-2.0
#include "k8s/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/base64.h"
#include "base/document.h"
#include "base/text_file.h"
#include "manifest/fields.h"

namespace jobmill::k8s {
namespace {

namespace fs = std::filesystem;
using manifest::Fields;
using manifest::Problems;
using manifest::Unknown;

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value ? value : "";
}

std::string relative_to(const fs::path& folder, const std::string& name) {
  return fs::path(name).is_absolute() ? name : (folder / name).lexically_normal().string();
}

// An entry of clusters, users or contexts.
const Node* find_named(const Node& root, std::string_view list, std::string_view name) {
  const Node* entries = root.find(list);
  if (!entries || !entries->is_array()) return nullptr;
  for (const Node& entry : entries->items) {
    const Node* called = entry.find("name");
    if (called && called->text == name) return &entry;
  }
  return nullptr;
}

std::string names_in(const Node& root, std::string_view list) {
  std::string names;
  const Node* entries = root.find(list);
  for (std::size_t i = 0; entries && i < entries->items.size(); ++i)
    if (const Node* name = entries->items[i].find("name"))
      names.append(names.empty() ? "" : ", ").append(name->text);
  return names.empty() ? "none" : names;
}

// Decodes one context, and the cluster and the user that it names; the others may be broken.
class Kubeconfig {
 public:
  Kubeconfig(const Node& root, const std::string& path)
      : root_(root), folder_(fs::path(path).parent_path()), problems_(path) {}

  Result<Config> read(std::string_view context) {
    Fields top(root_, "", Unknown::Ignored, problems_);
    std::string name(context);
    if (name.empty()) name = top.text("current-context");
    if (name.empty()) {
      top.error("current-context", fmt::format("is not set; name one of the contexts: {}",
                                               names_in(root_, "contexts")));
    } else {
      read_context(name);
    }
    if (problems_.ok()) return std::move(config_);
    const manifest::Remark& first = problems_.errors().front();
    return fail(Code::InvalidArgument, first.where + ": " + first.text);
  }

 private:
  template <class Decode>
  void entry(const char* list, const char* kind, const std::string& name, Decode decode) {
    const Node* found = find_named(root_, list, name);
    if (!found)
      return problems_.error(root_, fmt::format("there is no {} \"{}\"; there are: {}", kind, name,
                                                names_in(root_, list)));
    Fields fields(*found, fmt::format("{} \"{}\"", kind, name), Unknown::Ignored, problems_);
    fields.required_object(kind, decode);
  }

  void read_context(const std::string& name) {
    entry("contexts", "context", name, [this](Fields& context) {
      const std::string ns = context.text("namespace");
      if (!ns.empty()) config_.ns = ns;
      const std::string cluster = context.required_text("cluster");
      const std::string user = context.text("user");
      if (!problems_.ok()) return;
      entry("clusters", "cluster", cluster, [this](Fields& fields) { read_cluster(fields); });
      if (!user.empty())
        entry("users", "user", user, [this](Fields& fields) { read_user(fields); });
    });
  }

  void read_cluster(Fields& cluster) {
    config_.server = cluster.required_text("server");
    while (config_.server.ends_with('/')) config_.server.pop_back();
    if (!config_.server.starts_with("https://") && !config_.server.starts_with("http://"))
      cluster.error("server", "must begin with https:// or http://");
    config_.verify_tls = !cluster.boolean("insecure-skip-tls-verify").value_or(false);
    config_.ca = data_or_file(cluster, "certificate-authority");
    if (!config_.verify_tls && !config_.ca.empty())
      cluster.error("insecure-skip-tls-verify", "cannot be set beside certificate-authority");
    cluster.not_supported_yet({"tls-server-name", "proxy-url"});
  }

  void read_user(Fields& user) {
    config_.client_cert = data_or_file(user, "client-certificate");
    config_.client_key = Secret(data_or_file(user, "client-key"));
    if (config_.client_cert.empty() != config_.client_key.empty())
      user.error("client-certificate", "belongs together with client-key");
    config_.token = Secret(secret_text(user, "token"));
    if (const std::string file = user.text("tokenFile"); !file.empty())
      config_.token_file = relative_to(folder_, file);
    config_.username = user.text("username");
    config_.password = Secret(secret_text(user, "password"));
    user.object("exec", [this](Fields& fields) { read_exec(fields); });
    user.not_supported_yet({"auth-provider", "as", "as-uid", "as-groups", "as-user-extra"});
  }

  void read_exec(Fields& exec) {
    ExecPlugin& plugin = config_.exec;
    plugin.api_version = exec.required_text("apiVersion");
    if (plugin.api_version != "client.authentication.k8s.io/v1" &&
        plugin.api_version != "client.authentication.k8s.io/v1beta1")
      exec.error("apiVersion", "must be client.authentication.k8s.io/v1 or …/v1beta1");
    plugin.command = exec.required_text("command");
    if (plugin.command.find('/') != std::string::npos)
      plugin.command = relative_to(folder_, plugin.command);
    plugin.args = exec.text_list("args");
    exec.each("env", [&](Fields& variable) {
      const std::string name = variable.required_text("name");
      plugin.env[name] = variable.text("value");
    });
    plugin.install_hint = exec.text("installHint");
    plugin.cluster_info = exec.boolean("provideClusterInfo").value_or(false);
    if (exec.text("interactiveMode") == "Always")
      exec.error("interactiveMode", "Always needs a terminal, and we have none");
  }

  // Fields would quote what is there instead of a string.
  static std::string secret_text(Fields& fields, std::string_view key) {
    const Node* found = fields.any(key);
    if (found && found->is_string()) return found->text;
    if (found) fields.error(key, "expected a string");
    return {};
  }

  // As everywhere in a kubeconfig, what is written in it wins over a file.
  std::string data_or_file(Fields& fields, const std::string& key) {
    const std::string data = secret_text(fields, key + "-data");
    const std::string file = fields.text(key);
    if (!data.empty()) {
      if (auto bytes = base64_decode(data)) return *std::move(bytes);
      fields.error(key + "-data", "is not base64");
    } else if (!file.empty()) {
      auto text = read_text_file(relative_to(folder_, file));
      if (text) return *std::move(text);
      fields.error(key, text.error().message);
    }
    return {};
  }

  const Node& root_;
  const fs::path folder_;
  Problems problems_;
  Config config_;
};

Result<Config> load_file(const std::string& path, std::string_view context) {
  TRY(std::string bytes, read_text_file(path));
  const Secret text(std::move(bytes));
  return parse_kubeconfig(text.reveal(), path, context);
}

// The files that may be meant when none is named, first the ones that are preferred.
std::vector<std::string> listed_files(const std::string& list) {
  std::vector<std::string> files;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    if (end > begin) files.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return files;
}

bool exists(const std::string& path) {
  std::error_code ignored;  // what cannot be looked at is not there
  return fs::exists(path, ignored);
}

}  // namespace

Result<Config> parse_kubeconfig(std::string_view text, const std::string& path,
                                std::string_view context) {
  auto documents = parse_yaml(text);
  if (!documents) return fail(Code::InvalidArgument, path + ": " + documents.error().message);
  if (documents->size() != 1)
    return fail(Code::InvalidArgument, path + ": a kubeconfig is one document");
  return Kubeconfig(documents->front(), path).read(context);
}

Result<Config> in_cluster_config(std::string_view folder) {
  const std::string host = environment("KUBERNETES_SERVICE_HOST");
  if (host.empty()) return fail(Code::NotFound, "not in a pod: KUBERNETES_SERVICE_HOST is not set");
  const std::string port = environment("KUBERNETES_SERVICE_PORT");
  const std::string in(folder);
  Config config;
  config.server =
      fmt::format("https://{}:{}", host.find(':') == host.npos ? host : "[" + host + "]",
                  port.empty() ? "443" : port);
  config.token_file = in + "/token";
  TRY(config.ca, read_text_file(in + "/ca.crt"));
  TRY(const std::string token, read_text_file(config.token_file));  // now rather than later
  if (auto ns = read_text_file(in + "/namespace"); ns && !ns->empty())
    config.ns = ns->substr(0, ns->find_last_not_of(" \n\r\t") + 1);
  return config;
}

Result<Config> load_config(std::string_view path, std::string_view context) {
  if (!path.empty()) return load_file(std::string(path), context);
  const std::string variable = environment("KUBECONFIG");
  for (const std::string& file : listed_files(variable))
    if (exists(file)) return load_file(file, context);
  if (context.empty() && !environment("KUBERNETES_SERVICE_HOST").empty())
    return in_cluster_config();
  const std::string at_home = environment("HOME") + "/.kube/config";
  if (exists(at_home)) return load_file(at_home, context);
  return fail(Code::NotFound,
              fmt::format("no kubeconfig: KUBECONFIG is {}, there is no {}, and this is no pod",
                          variable.empty() ? "not set" : variable + " (no such file)", at_home));
}

}  // namespace jobmill::k8s
