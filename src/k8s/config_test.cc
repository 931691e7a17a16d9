// SPDX-License-Identifier: Apache-2.0
#include "k8s/config.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>

#include "base/base64.h"
#include "temporary_folder.h"

using jobmill::testing::TemporaryFolder;

namespace jobmill::k8s {
namespace {

void write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A kubeconfig with one context, whose cluster and user say that.
std::string kubeconfig(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\nkind: Config\ncurrent-context: here\n"
         "contexts:\n- name: here\n  context: {cluster: c, user: u, namespace: shop}\n"
         "clusters:\n- name: c\n  cluster: {server: \"https://k:6443/\"" +
         cluster +
         "}\n"
         "users:\n- name: u\n  user: {" +
         user + "}\n";
}

Result<Config> parse(const std::string& text, std::string_view context = "") {
  return parse_kubeconfig(text, "/etc/kube/config", context);
}

std::string error_of(const Result<Config>& config) {
  REQUIRE_FALSE(config);
  CHECK(config.error().code == Code::InvalidArgument);
  return config.error().message;
}

// A variable of the environment, for as long as this lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_) {
      ::setenv(name_, before_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("kubeconfig: server, namespace and token") {
  const auto config = parse(kubeconfig("", "token: abc"));
  REQUIRE(config);
  CHECK(config->server == "https://k:6443");
  CHECK(config->ns == "shop");
  CHECK(config->token.reveal() == "abc");
  CHECK(config->verify_tls);
  CHECK(config->ca.empty());
}

TEST_CASE("kubeconfig: what is written in it wins over files, which are relative to it") {
  const TemporaryFolder folder;
  write(folder.path() + "/ca.pem", "file's ca");
  write(folder.path() + "/pki/cert.pem", "file's certificate");
  write(folder.path() + "/key.pem", "file's key");
  const std::string path = folder.path() + "/config";
  const std::string files = ", certificate-authority: ca.pem";
  const std::string user = "client-certificate: pki/cert.pem, client-key: " + folder.path() +
                           "/key.pem, tokenFile: tok/en";
  const auto config = parse_kubeconfig(kubeconfig(files, user), path, "");
  REQUIRE(config);
  CHECK(config->ca == "file's ca");
  CHECK(config->client_cert == "file's certificate");
  CHECK(config->client_key.reveal() == "file's key");
  CHECK(config->token_file == folder.path() + "/tok/en");
  const std::string data = ", certificate-authority-data: " + base64_encode("data's ca");
  const auto both = parse_kubeconfig(kubeconfig(files + data, user), path, "");
  REQUIRE(both);
  CHECK(both->ca == "data's ca");
}

TEST_CASE("kubeconfig: the other ways to say who one is") {
  const auto password =
      parse(kubeconfig(", insecure-skip-tls-verify: true", "username: jane, password: secret"));
  REQUIRE(password);
  CHECK_FALSE(password->verify_tls);
  CHECK(password->username == "jane");
  CHECK(password->password.reveal() == "secret");
  const auto plugin = parse(
      kubeconfig("",
                 "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: bin/login, "
                 "args: [a, b], env: [{name: X, value: y}], installHint: get it, "
                 "interactiveMode: IfAvailable, provideClusterInfo: true}"));
  REQUIRE(plugin);
  CHECK(plugin->exec.api_version == "client.authentication.k8s.io/v1beta1");
  CHECK(plugin->exec.command == "/etc/kube/bin/login");
  CHECK(plugin->exec.args == std::vector<std::string>{"a", "b"});
  CHECK(plugin->exec.env.at("X") == "y");
  CHECK(plugin->exec.install_hint == "get it");
  CHECK(plugin->exec.cluster_info);
  const auto in_path =
      parse(kubeconfig("", "exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}"));
  CHECK(in_path->exec.command == "aws");
  const auto nobody = parse(
      "{contexts: [{name: x, context: {cluster: c}}], current-context: x, "
      "clusters: [{name: c, cluster: {server: 'http://localhost:8001'}}]}");
  REQUIRE(nobody);
  CHECK(nobody->ns == "default");
  CHECK(nobody->token.empty());
}

TEST_CASE("kubeconfig: a context that is named, and only what it needs is looked at") {
  const std::string text =
      "current-context: broken\n"
      "contexts:\n- {name: broken, context: {cluster: broken, user: broken}}\n"
      "- {name: good, context: {cluster: good}}\n"
      "clusters:\n- {name: broken, cluster: {server: 5}}\n"
      "- {name: good, cluster: {server: 'https://good'}}\n";
  CHECK(parse(text, "good")->server == "https://good");
  CHECK(error_of(parse(text)).starts_with("/etc/kube/config:6: "));
  CHECK(error_of(parse(text, "other")) ==
        R"(/etc/kube/config:1: there is no context "other"; there are: broken, good)");
}

TEST_CASE("kubeconfig: errors name the line and the member, and no secret") {
  const std::string secret = "53123";
  const struct {
    std::string cluster;
    std::string user;
    std::string message;
  } cases[] = {
      {", certificate-authority: /no/such/file", "",
       R"(:9: cluster "c".cluster.certificate-authority: cannot read /no/such/file)"},
      {", certificate-authority-data: '" + secret + "!'", "",
       R"(:9: cluster "c".cluster.certificate-authority-data: is not base64)"},
      {", insecure-skip-tls-verify: true, certificate-authority-data: eA==", "",
       R"(:9: cluster "c".cluster.insecure-skip-tls-verify: cannot be set beside certificate-authority)"},
      {"", "client-key-data: " + base64_encode(secret),
       R"(:12: user "u".user.client-certificate: belongs together with client-key)"},
      {"", "token: " + secret, R"(:12: user "u".user.token: expected a string)"},
      {"", "password: [" + secret + "]", R"(:12: user "u".user.password: expected a string)"},
      {"", "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}",
       R"(:12: user "u".user.exec.apiVersion: must be client.authentication.k8s.io/v1 or …/v1beta1)"},
      {"",
       "exec: {apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: Always}",
       R"(:12: user "u".user.exec.interactiveMode: Always needs a terminal, and we have none)"},
  };
  for (const auto& [cluster, user, message] : cases) {
    CAPTURE(message);
    const std::string said = error_of(parse(kubeconfig(cluster, user)));
    CHECK(said == "/etc/kube/config" + message);
    CHECK(said.find(secret) == std::string::npos);
  }
  const std::string broken = error_of(parse("token: \"" + secret));
  CHECK(broken.starts_with("/etc/kube/config: line "));
  CHECK(broken.find(secret) == std::string::npos);
}

TEST_CASE("kubeconfig: what it needs and does not have") {
  CHECK(error_of(parse("contexts: [{name: a}, {name: b}]")) ==
        "/etc/kube/config:1: current-context: is not set; name one of the contexts: a, b");
  CHECK(error_of(parse("current-context: a\ncontexts: [{name: a, context: {cluster: b}}]"))
            .find(R"(there is no cluster "b"; there are: none)") != std::string::npos);
  CHECK(error_of(parse("a: b\n---\nc: d\n")).ends_with("a kubeconfig is one document"));
  CHECK(error_of(parse("[]")).starts_with("/etc/kube/config:1: "));
  CHECK(error_of(parse(kubeconfig(", proxy-url: 'http://p'", ""))).find("proxy-url") !=
        std::string::npos);
  CHECK(error_of(parse(kubeconfig("", "as: root"))).find("as") != std::string::npos);
}

TEST_CASE("config: where a kubeconfig is looked for") {
  const TemporaryFolder folder;
  const Variable home("HOME", folder.path());
  const Variable nowhere("KUBERNETES_SERVICE_HOST", "");
  const std::string absent = folder.path() + "/absent";
  {
    const Variable list("KUBECONFIG", absent);
    const auto none = load_config("", "");
    REQUIRE_FALSE(none);
    CHECK(none.error().code == Code::NotFound);
    CHECK(none.error().message == "no kubeconfig: KUBECONFIG is " + absent +
                                      " (no such file), there is no " + folder.path() +
                                      "/.kube/config, and this is no pod");
  }
  write(folder.path() + "/.kube/config", kubeconfig("", "token: home"));
  write(folder.path() + "/listed", kubeconfig("", "token: listed"));
  write(folder.path() + "/named", kubeconfig("", "token: named"));
  const Variable list("KUBECONFIG", ":" + absent + ":" + folder.path() + "/listed");
  CHECK(load_config("", "")->token.reveal() == "listed");
  CHECK(load_config(folder.path() + "/named", "")->token.reveal() == "named");
  CHECK(load_config(absent, "").error().code == Code::NotFound);
  const Variable empty("KUBECONFIG", "");
  CHECK(load_config("", "")->token.reveal() == "home");
}

TEST_CASE("config: a file that is too large is no kubeconfig") {
  const TemporaryFolder folder;
  write(folder.path() + "/config", std::string(5u << 20, ' '));
  CHECK(load_config(folder.path() + "/config", "").error().code == Code::Exhausted);
}

TEST_CASE("config: a pod's service account") {
  const TemporaryFolder folder;
  {
    const Variable host("KUBERNETES_SERVICE_HOST", "");
    CHECK(in_cluster_config(folder.path()).error().code == Code::NotFound);
  }
  const Variable host("KUBERNETES_SERVICE_HOST", "10.96.0.1");
  const Variable port("KUBERNETES_SERVICE_PORT", "6443");
  CHECK(in_cluster_config(folder.path()).error().code == Code::NotFound);
  write(folder.path() + "/ca.crt", "pem");
  write(folder.path() + "/token", "abc");
  write(folder.path() + "/namespace", "shop\n");
  const auto config = in_cluster_config(folder.path());
  REQUIRE(config);
  CHECK(config->server == "https://10.96.0.1:6443");
  CHECK(config->ca == "pem");
  CHECK(config->ns == "shop");
  CHECK(config->token_file == folder.path() + "/token");
  const Variable ipv6("KUBERNETES_SERVICE_HOST", "fd00::1");
  CHECK(in_cluster_config(folder.path())->server == "https://[fd00::1]:6443");
}

}  // namespace jobmill::k8s
