// SPDX-License-Identifier: Apache-2.0
#include "app/command_line.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <sstream>
#include <utility>

#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "app/problem.h"
#include "app/version.h"

namespace jobmill::app {
namespace {

constexpr std::array kServerFlags{
    Flag{"--server", "URL", "the control server (JOBMILL_URL, default http://127.0.0.1:8000)"},
    Flag{"--user", "NAME", "user for Basic authentication (JOBMILL_USER)"},
    Flag{"--password-file", "FILE", "file with the user's password (else JOBMILL_PASSWORD)"},
    Flag{"--token", "TOKEN", "bearer token (JOBMILL_TOKEN)"},
    Flag{"-o,--output", "FORMAT", "table, json, yaml or name"},
    Flag{"-n,--namespace", "NAMESPACE", "namespace of the objects (default: default)"},
};

// Of the commands that mirror az. Some have no meaning here and are taken all the same, so that
// scripts run unchanged.
constexpr std::array kAzFlags{
    Flag{"-o,--output", "FORMAT", "json (default), jsonc, table, tsv, yaml or none"},
    Flag{"--query", "EXPRESSION", "print only this part of the result (JMESPath)"},
    Flag{"-g,--resource-group", "GROUP", "resource group (default: default)"},
    Flag{"--subscription", "ID", "subscription, a label"},
    Flag{"--only-show-errors", "", "no warnings"},
    Flag{"--verbose", "", "no effect"},
    Flag{"--debug", "", "no effect"},
    Flag{"--server", "URL", "the control server (JOBMILL_URL, default http://127.0.0.1:8000)"},
    Flag{"--user", "NAME", "user for Basic authentication (JOBMILL_USER)"},
    Flag{"--password-file", "FILE", "file with the user's password (else JOBMILL_PASSWORD)"},
    Flag{"--token", "TOKEN", "bearer token (JOBMILL_TOKEN)"},
};

// What the command has besides flags of its own.
std::span<const Flag> globals_of(const Command& command) {
  if (!command.talks_to_server) return {};
  if (command.like_az) return kAzFlags;
  return kServerFlags;
}

// "-n,--name" and "--name,--queue-name" have a name in common.
bool share_a_name(std::string_view a, std::string_view b) {
  for (std::string_view rest = a; !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(name.size() + 1, rest.size()));
    for (std::size_t at = b.find(name); at != std::string_view::npos; at = b.find(name, at + 1)) {
      const std::string_view after = b.substr(at + name.size());
      if ((at == 0 || b[at - 1] == ',') && (after.empty() || after.front() == ',')) return true;
    }
  }
  return false;
}

// A flag of az's own goes before one of ours: --server of a registry. Ours may stand before the
// noun then.
bool is_hidden(const Command& command, const Flag& global) {
  return std::ranges::any_of(command.flags,
                             [&](const Flag& own) { return share_a_name(own.name, global.name); });
}

constexpr std::string_view kEllipsis = "…";
constexpr std::string_view kSeveralOrNone = " …]";
constexpr std::string_view kOptional = "[true|false]";
bool repeats(std::string_view text) { return text.ends_with(kEllipsis); }

// "-n,--name,--queue-name" -> "name"
std::string long_name(std::string_view name) {
  name.remove_prefix(name.find("--") + 2);
  return std::string(name.substr(0, name.find(',')));
}

// Where one invocation's values go. CLI11 keeps pointers into it.
struct Values {
  std::map<std::string, std::vector<std::string>> flags;
  std::map<std::string, bool> switches;
  std::map<std::string, std::vector<std::string>> positional;
  std::vector<std::string> order;
};

void add_flag(CLI::App& app, const Flag& flag, Values& values) {
  const std::string name = long_name(flag.name);
  if (std::string_view(flag.value).empty()) {
    app.add_flag(flag.name, values.switches[name], flag.help);
    return;
  }
  std::string type(flag.value);
  CLI::Option* option = app.add_option(flag.name, values.flags[name], flag.help);
  if (type.ends_with(kSeveralOrNone)) {
    option->expected(0, 100'000)->take_all()->allow_extra_args(true);
  } else if (repeats(type)) {
    type.resize(type.size() - kEllipsis.size());
    const bool several = type.ends_with(' ');
    option->expected(1, several ? 100'000 : 1)->take_all()->allow_extra_args(several);
  } else if (type == kOptional) {
    option->expected(0, 1)->take_last()->allow_extra_args(false);
  } else {
    option->expected(1)->take_last()->allow_extra_args(false);
  }
  option->type_name(type);
}

// "KIND [ARGS]" -> a required and an optional one; "ID…" takes one or more.
void add_positionals(CLI::App& app, std::string_view text, Values& values) {
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    const bool optional = word.front() == '[';
    if (optional) word = word.substr(1, word.size() - 2);
    const bool many = repeats(word);
    if (many) word.resize(word.size() - kEllipsis.size());
    values.order.push_back(word);
    CLI::Option* option = app.add_option(word, values.positional[word]);
    option->required(!optional)->expected(1, many ? 100'000 : 1)->type_name("");
    if (!many) option->allow_extra_args(false);  // else CLI11 takes [1, 2] for a list of its own
  }
}

Arguments collect(const Values& values) {
  Arguments arguments;
  for (const auto& [name, given] : values.flags)
    if (!given.empty()) arguments.flags[name] = given;
  for (const auto& [name, given] : values.switches)
    if (given) arguments.flags[name] = {"true"};
  for (const std::string& name : values.order)
    for (const std::string& value : values.positional.at(name))
      arguments.positional.push_back(value);
  return arguments;
}

constexpr std::string_view noun_help(std::string_view nouns) {
  constexpr std::pair<std::string_view, std::string_view> kHelp[] = {
      {"job", "Enqueue, list, show, requeue, delete and wait for jobs."},
      {"recurring", "Jobs that run again and again."},
      {"queue", "Queues of jobs."},
      {"server", "Workers that are registered now."},
      {"scale", "What the autoscaler decided, and why."},
      {"account", "The subscription, a label."},
      {"acr", "Images of container registries, as far as they run here."},
      {"containerapp", "Jobs of Container Apps, and their environments."},
      {"containerapp env", "Environments: names that jobs refer to."},
      {"containerapp job", "Jobs that events, schedules or people start."},
      {"containerapp job execution", "Runs of a job."},
      {"containerapp job identity", "Managed identities of a job."},
      {"containerapp job logs", "What executions wrote."},
      {"containerapp job registry", "Container registries of a job."},
      {"containerapp job replica", "Processes of an execution."},
      {"containerapp job secret", "Secrets of a job."},
      {"group", "Resource groups: names."},
      {"hosts", "Names of local namespaces on this machine."},
      {"identity", "Managed identities."},
      {"image", "What container images mean on this machine."},
      {"role", "Who may do what."},
      {"role assignment", "Roles of identities: who may send, receive, manage."},
      {"servicebus", "The message broker: namespaces, queues, messages."},
      {"servicebus namespace", "Namespaces: names under which the broker answers."},
      {"servicebus namespace authorization-rule", "Shared access rules of a namespace."},
      {"servicebus namespace authorization-rule keys", "Keys and connection strings of a rule."},
      {"servicebus queue", "Queues of messages."},
      {"servicebus queue authorization-rule", "Shared access rules of a queue."},
      {"servicebus queue authorization-rule keys", "Keys and connection strings of a rule."},
      {"servicebus message", "Send, look at and receive messages."},
      {"servicebus deadletter", "Messages that could not be processed."},
  };
  for (const auto& [path, help] : kHelp)
    if (path == nouns) return help;
  return "";
}

// Flags that stand before the noun: for whichever command follows, if it has them.
bool knows(const Command& command, std::string_view name) {
  const auto is_it = [&](const Flag& flag) { return long_name(flag.name) == name; };
  return std::ranges::any_of(command.flags, is_it) ||
         std::ranges::any_of(globals_of(command), is_it);
}

// What is said nearer to the command wins. Answers with the first flag that it does not have.
std::optional<std::string> inherit(const Command& command, const Values& above,
                                   Arguments& arguments) {
  for (const auto& [name, given] : above.flags) {
    if (given.empty()) continue;
    if (!knows(command, name)) return name;
    arguments.flags.try_emplace(name, given);
  }
  return std::nullopt;
}

struct Bound {
  const Command* command;
  CLI::App* app;
  std::unique_ptr<Values> values;
};

std::vector<std::string> words_of(const Command& command) {
  std::istringstream words{std::string(command.path)};
  std::vector<std::string> path;
  for (std::string word; words >> word;) path.push_back(word);
  return path;
}

// Of hundreds of flags a command line needs those of one command: the others have names only.
Bound bind(CLI::App& root, const Command& command, std::span<char* const> line) {
  CLI::App* parent = &root;
  const std::vector<std::string> path = words_of(command);
  std::string nouns;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    nouns += (nouns.empty() ? "" : " ") + path[i];
    const auto same =
        parent->get_subcommands([&](const CLI::App* app) { return app->get_name() == path[i]; });
    if (same.empty()) {
      parent = parent->add_subcommand(path[i], std::string(noun_help(nouns)));
      parent->require_subcommand(1);
    } else {
      parent = same.front();
    }
  }
  CLI::App* app = parent->add_subcommand(path.back(), command.help);
  auto values = std::make_unique<Values>();
  const bool meant = std::ranges::all_of(path, [&](const std::string& word) {
    return std::ranges::find(line, word, [](const char* each) { return std::string_view(each); }) !=
           line.end();
  });
  if (!meant) return {&command, app, std::move(values)};
  add_positionals(*app, command.positional, *values);
  for (const Flag& flag : command.flags) add_flag(*app, flag, *values);
  for (const Flag& flag : globals_of(command))
    if (!is_hidden(command, flag)) add_flag(*app, flag, *values);
  return {&command, app, std::move(values)};
}

// Whether the output was to be JSON, as far as a line can be read that is wrong elsewhere.
bool wants_json(int argc, char** argv) {
  std::string line;
  for (int i = 1; i < argc; ++i) line += std::string(argv[i]) + ' ';
  for (const char* way : {"-o json ", "-ojson ", "-o=json ", "--output json ", "--output=json "})
    if (line.find(way) != std::string::npos) return true;
  return false;
}

int usage_error(const Program& program, std::string text, bool json) {
  std::ranges::replace(text, '\n', ' ');
  text += fmt::format("; `{} --help` lists the commands", program.name);
  if (json)
    fmt::print(stderr, "{}\n", to_json(client_problem(kUsage, text)));
  else
    fmt::print(stderr, "{}: {}\n", program.name, text);
  return kUsage;
}

// A command and what it was given; or the exit code of a line that is answered already.
struct Parsed {
  const Command* command = nullptr;
  Arguments arguments{};
  int exit_code = kOk;
};

Parsed parse(const Program& program, int argc, char** argv) {
  CLI::App root{program.description, program.name};
  root.set_version_flag("--version", std::string(kVersion));
  root.require_subcommand(1);
  Values before;
  for (const Flag& flag : kServerFlags) add_flag(root, flag, before);

  const std::span<char* const> line(argv, static_cast<std::size_t>(argc));
  std::vector<Bound> bound;
  for (const Command& command : program.commands) bound.push_back(bind(root, command, line));
  try {
    root.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    CLI::App* app = &root;  // the innermost command that was named
    std::string above;
    while (!app->get_subcommands().empty()) {
      above += (above.empty() ? "" : " ") + app->get_name();
      app = app->get_subcommands().front();
    }
    fmt::print("{}", app->help(above));
    return {};
  } catch (const CLI::CallForVersion&) {
    fmt::print("{}\n", kVersion);
    return {};
  } catch (const CLI::ParseError& error) {
    return {.exit_code = usage_error(program, error.what(), wants_json(argc, argv))};
  }
  const auto chosen = std::ranges::find_if(bound, [](const Bound& b) { return b.app->parsed(); });
  Arguments arguments = collect(*chosen->values);
  if (const auto foreign = inherit(*chosen->command, before, arguments)) {
    const std::string text = fmt::format("{} takes no --{}", chosen->command->path, *foreign);
    return {.exit_code = usage_error(program, text, wants_json(argc, argv))};
  }
  return {.command = chosen->command, .arguments = std::move(arguments)};
}

}  // namespace

std::string Arguments::get(std::string_view flag, std::string_view fallback) const {
  const auto it = flags.find(flag);
  return it == flags.end() ? std::string(fallback) : it->second.back();
}

std::vector<std::string> Arguments::all(std::string_view flag) const {
  const auto it = flags.find(flag);
  return it == flags.end() ? std::vector<std::string>() : it->second;
}

int run_command_line(const Program& program, int argc, char** argv) {
  const Parsed parsed = parse(program, argc, argv);  // a server that runs for months keeps no more
  return parsed.command == nullptr ? parsed.exit_code : parsed.command->run(parsed.arguments);
}

}  // namespace jobmill::app
