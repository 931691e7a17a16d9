// SPDX-License-Identifier: Apache-2.0
#include "k8s/exec_plugin.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>
#include <utility>
#include <vector>

#include "base/base64.h"
#include "base/document.h"
#include "base/duration.h"
#include "base/fd.h"

namespace jobmill::k8s {
namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t kMostOutput = 1u << 20;
constexpr std::size_t kShown = 500;  // of its stderr in a message

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail(Code::Exhausted, std::generic_category().message(errno));
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// A child of ours that is gone when this is.
class Child {
 public:
  explicit Child(pid_t pid)
      : pid_(pid), end_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~Child() {
    if (pid_ == 0) return;
    ::kill(-pid_, SIGKILL);  // it leads a group: what it started goes, too
    (void)wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int end() const { return end_.get(); }
  int wait() {  // its status; blocks
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

 private:
  pid_t pid_;
  Fd end_;  // readable when it has ended
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (std::string& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

// KUBERNETES_EXEC_INFO: that it cannot ask a person and, if it wants to know, of which cluster it
// is.
std::string exec_info(const Config& config) {
  Node spec = Node::object();
  spec.set("interactive", Node::boolean(false));
  if (config.exec.cluster_info) {
    Node& cluster = spec.set("cluster", Node::object());
    cluster.set("server", Node::string(config.server));
    if (!config.ca.empty())
      cluster.set("certificate-authority-data", Node::string(base64_encode(config.ca)));
    if (!config.verify_tls) cluster.set("insecure-skip-tls-verify", Node::boolean(true));
  }
  Node info = Node::object();
  info.set("apiVersion", Node::string(config.exec.api_version));
  info.set("kind", Node::string("ExecCredential"));
  info.set("spec", std::move(spec));
  return to_json(info);
}

std::vector<std::string> environment_of(const Config& config) {
  std::vector<std::string> variables;  // the first of a name counts
  for (const auto& [name, value] : config.exec.env) variables.push_back(name + "=" + value);
  variables.push_back("KUBERNETES_EXEC_INFO=" + exec_info(config));
  for (char** variable = environ; *variable; ++variable) {
    const std::string_view text(*variable);
    const std::string name(text.substr(0, text.find('=')));
    if (!config.exec.env.contains(name) && name != "KUBERNETES_EXEC_INFO")
      variables.emplace_back(text);
  }
  return variables;
}

struct Attributes {
  Attributes() {
    posix_spawnattr_init(&value);
    sigset_t none;
    sigemptyset(&none);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigmask(&value, &none);
    posix_spawnattr_setsigdefault(&value, &all);
    posix_spawnattr_setpgroup(&value, 0);
    posix_spawnattr_setflags(
        &value, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~Attributes() { posix_spawnattr_destroy(&value); }
  posix_spawnattr_t value;
};

struct Files {
  Files(int out, int err) {
    posix_spawn_file_actions_init(&value);
    posix_spawn_file_actions_addopen(&value, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&value, out, 1);
    posix_spawn_file_actions_adddup2(&value, err, 2);
  }
  ~Files() { posix_spawn_file_actions_destroy(&value); }
  posix_spawn_file_actions_t value;
};

Result<pid_t> spawn(const Config& config, int out, int err) {
  const ExecPlugin& plugin = config.exec;
  std::vector<std::string> words{plugin.command};
  words.insert(words.end(), plugin.args.begin(), plugin.args.end());
  std::vector<std::string> variables = environment_of(config);
  const Files files(out, err);
  const Attributes attributes;
  pid_t child = 0;
  const int error = posix_spawnp(&child, plugin.command.c_str(), &files.value, &attributes.value,
                                 pointers(words).data(), pointers(variables).data());
  if (error == 0) return child;
  return fail(Code::PermissionDenied,
              fmt::format("the credential plugin '{}' cannot be started ({}){}", plugin.command,
                          std::generic_category().message(error),
                          plugin.install_hint.empty() ? "" : ": " + plugin.install_hint));
}

// All that is there; a pipe at its end is closed.
void read_some(Fd& from, std::string& text, std::size_t most) {
  std::array<char, 16u << 10> buffer;
  while (from) {
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return from.close();
    const std::size_t room = most - std::min(most, text.size());
    text.append(buffer.data(), std::min(room, static_cast<std::size_t>(got)));
  }
}

int milliseconds_until(Steady::time_point end) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Steady::now());
  return static_cast<int>(std::max<std::chrono::milliseconds::rep>(0, left.count()));
}

std::string last_words(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text.empty() ? text : ": " + text;
}

Fault failed(const ExecPlugin& plugin, std::string_view why) {
  return fail(Code::PermissionDenied,
              fmt::format("the credential plugin '{}' {}", plugin.command, why));
}

Result<std::string> output_of(const Config& config, Duration limit) {
  TRY(Pipe out, make_pipe());
  TRY(Pipe err, make_pipe());
  TRY(const pid_t pid, spawn(config, out.write.get(), err.write.get()));
  Child child(pid);
  out.write.close();
  err.write.close();
  std::string printed;
  std::string complaints;
  const auto end = Steady::now() + limit;
  for (bool ended = false; !ended;) {
    std::array<pollfd, 3> waits{
        {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}, {child.end(), POLLIN, 0}}};
    const int left = milliseconds_until(end);
    if (left == 0)
      return failed(config.exec,
                    fmt::format("did not end within {} s",
                                std::chrono::ceil<std::chrono::seconds>(limit).count()));
    ::poll(waits.data(), waits.size(), left);
    ended = waits[2].revents != 0;  // what it wrote before is in the pipes
    read_some(out.read, printed, kMostOutput);
    read_some(err.read, complaints, kShown);
  }
  const int status = child.wait();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return printed;
  return failed(config.exec, "failed" + last_words(std::move(complaints)));
}

Status read_certificate(const Node& status, ExecCredential& into) {
  const Node* certificate = status.find("clientCertificateData");
  const Node* key = status.find("clientKeyData");
  if (!certificate && !key) return {};
  if (!certificate || !key || !certificate->is_string() || !key->is_string())
    return fail(Code::InvalidArgument,
                "clientCertificateData and clientKeyData belong together, as strings");
  into.client_cert = certificate->text;
  into.client_key = Secret(key->text);
  return {};
}

Status read_expiry(const Node& status, ExecCredential& into) {
  const Node* expires = status.find("expirationTimestamp");
  if (!expires || expires->is_null()) return {};
  const auto instant = parse_instant(expires->text);
  if (!instant) return fail(Code::InvalidArgument, "expirationTimestamp is no time");
  into.expires = *instant;
  return {};
}

}  // namespace

Result<ExecCredential> parse_exec_credential(std::string_view text, std::string_view api_version) {
  TRY(const Node root, parse_json(text, {.bytes = kMostOutput, .nodes = 10'000}));
  const Node* version = root.find("apiVersion");
  const Node* kind = root.find("kind");
  if (!kind || kind->text != "ExecCredential" || !version || version->text != api_version)
    return fail(Code::InvalidArgument, fmt::format("it is no ExecCredential of {}", api_version));
  const Node* status = root.find("status");
  if (!status || !status->is_object())
    return fail(Code::InvalidArgument, "its ExecCredential has no status");
  ExecCredential credential;
  if (const Node* token = status->find("token")) credential.token = Secret(token->text);
  TRY_VOID(read_certificate(*status, credential));
  TRY_VOID(read_expiry(*status, credential));
  if (credential.token.empty() && credential.client_cert.empty())
    return fail(Code::InvalidArgument, "its ExecCredential has neither token nor certificate");
  return credential;
}

Result<ExecCredential> run_exec_plugin(const Config& config, Duration limit) {
  TRY(std::string text, output_of(config, limit));
  const Secret printed(std::move(text));
  auto credential = parse_exec_credential(printed.reveal(), config.exec.api_version);
  if (credential) return credential;
  return failed(config.exec, "printed what cannot be used: " + credential.error().message);
}

}  // namespace jobmill::k8s
