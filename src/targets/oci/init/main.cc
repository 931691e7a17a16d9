// SPDX-License-Identifier: Apache-2.0
// The first process of every container that jobmill runs: `init -- PROGRAM ARGUMENTS…`.
//
// A program that is the first process of its namespace has no default signals: TERM would not end
// it, and a crash by abort() would not be one. Here it is the second one. It starts the program,
// hands signals on, buries orphans, and when the program ends, ends everything else.
//
// With descriptor 3, a pipe to the server, it says what happens, one line each:
//   started | failed REASON | exited CODE PEAK-RSS-BYTES | killed SIGNAL PEAK-RSS-BYTES
// and stdin is a pipe from the server, each byte of which is a signal for all processes. When that
// is closed, the container ends: a server that died takes its containers with it. After the last
// line it stays until the server has closed the pipe, so that what the kernel knows of the
// container (its memory, for instance) can still be looked at.
//
// Linked statically, since nothing is known of the image; so nothing but system calls and libc.
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace {

constexpr int kLink = 3;
constexpr int kNotStarted = 127;
constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

bool linked = false;

void say(const char* word, long long a, long long b) {
  char line[128];
  const int size = std::snprintf(line, sizeof line, "%s %lld %lld\n", word, a, b);
  // Without a server nobody waits for it, and stdin tells us so.
  if (linked) (void)!::write(kLink, line, static_cast<std::size_t>(size));
}

void say_failed(const char* program, int error) {
  char line[512];
  const char* why = error == ENOENT ? "no such file in the image" : std::strerror(error);
  const int size =
      std::snprintf(line, sizeof line - 1, "failed cannot start '%.256s' (%s)\n", program, why);
  const int file = linked ? kLink : STDERR_FILENO;
  (void)!::write(file, line, static_cast<std::size_t>(size));
}

[[noreturn]] void become(char** command, int report) {
  ::setpgid(0, 0);  // so that `kill 0` in a script does not reach us
  if (linked) {     // its stdin is ours to listen on
    const int null = ::open("/dev/null", O_RDONLY);
    if (null >= 0) ::dup2(null, STDIN_FILENO);
  }
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvp(command[0], command);
  const int error = errno;
  (void)!::write(report, &error, sizeof error);
  ::_exit(kNotStarted);
}

// Nobody is to run for a server that has died meanwhile.
bool server_is_gone() {
  pollfd wait{STDIN_FILENO, POLLIN, 0};
  return linked && ::poll(&wait, 1, 0) == 1 && (wait.revents & POLLIN) == 0;
}

// 0: it runs; else why not.
int start(char** command, pid_t& program) {
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) return errno;
  program = ::fork();
  if (program < 0) return errno;
  if (program == 0) become(command, report[1]);
  ::close(report[1]);
  int error = 0;
  ssize_t got = 0;
  do {
    got = ::read(report[0], &error, sizeof error);
  } while (got < 0 && errno == EINTR);
  ::close(report[0]);
  return got > 0 ? error : 0;
}

// Until the server has seen it, which closes its end; bytes on the way there are late.
void wait_for_farewell() {
  char byte = 0;
  while (linked) {
    const ssize_t got = ::read(STDIN_FILENO, &byte, 1);
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

// Those that became somebody else are not ours to kill when we are not root: they end with us, and
// are not waited for. Of all signals only this one is not blocked.
void bury_the_rest() {
  struct sigaction wake {};
  wake.sa_handler = [](int) {};
  ::sigaction(SIGALRM, &wake, nullptr);
  ::alarm(1);
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  ::alarm(0);
}

// The program has ended: so do all others, and what they wrote is in the pipes before we say so.
int finish(int status, const rusage& usage) {
  ::kill(-1, SIGKILL);
  bury_the_rest();
  const long long peak = static_cast<long long>(usage.ru_maxrss) * 1024;
  const bool killed = WIFSIGNALED(status);
  const int number = killed ? WTERMSIG(status) : WEXITSTATUS(status);
  say(killed ? "killed" : "exited", number, peak);
  wait_for_farewell();
  return killed ? 128 + number : number;
}

// Whether the program is among those that have ended.
bool reap(pid_t program, int& status, rusage& usage) {
  for (;;) {
    const pid_t pid = ::wait4(-1, &status, WNOHANG, &usage);
    if (pid == program) return true;
    if (pid <= 0) return false;
  }
}

// Descriptor of the signals that we take, all of which are blocked.
int take_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  for (const int number : kForwarded) sigaddset(&set, number);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return ::signalfd(-1, &set, SFD_CLOEXEC);
}

int serve(pid_t program, int signals) {
  pollfd waits[] = {{signals, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  for (;;) {
    if (::poll(waits, linked ? 2 : 1, -1) < 0) continue;
    if (waits[0].revents != 0) {
      signalfd_siginfo info{};
      if (::read(signals, &info, sizeof info) != sizeof info) continue;
      int status = 0;
      rusage usage{};
      if (info.ssi_signo != SIGCHLD) {
        ::kill(-1, static_cast<int>(info.ssi_signo));
      } else if (reap(program, status, usage)) {
        return finish(status, usage);
      }
    }
    if (waits[1].revents != 0) {
      unsigned char number = 0;
      if (::read(STDIN_FILENO, &number, 1) != 1) return 0;  // the kernel ends all the others
      ::kill(-1, number);
    }
  }
}

}  // namespace

int main(int count, char** words) {
  if (count == 2 && std::strcmp(words[1], "--check") == 0) return 0;
  if (count < 3 || std::strcmp(words[1], "--") != 0) return kNotStarted;
  linked = ::fcntl(kLink, F_GETFD) >= 0;
  if (linked) ::fcntl(kLink, F_SETFD, FD_CLOEXEC);
  ::signal(SIGPIPE, SIG_IGN);
  const int signals = take_signals();
  if (server_is_gone()) return kNotStarted;
  pid_t program = 0;
  if (const int error = start(words + 2, program); error != 0) {
    say_failed(words[2], error);
    wait_for_farewell();
    return kNotStarted;
  }
  if (linked) (void)!::write(kLink, "started\n", 8);
  return serve(program, signals);
}
