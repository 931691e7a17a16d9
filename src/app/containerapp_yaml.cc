// SPDX-License-Identifier: Apache-2.0
#include "app/containerapp_yaml.h"

#include <algorithm>
#include <utility>

#include <fmt/core.h>

#include "base/text.h"
#include "executions/container_job.h"

namespace jobmill::app {
namespace {

constexpr char kType[] = "Microsoft.App/jobs";
constexpr char kNoMapping[] =
    "Invalid YAML provided. Please see https://aka.ms/azure-container-apps-yaml for a valid "
    "containerapps YAML spec.";

Fault invalid(std::string text) { return fail(Code::InvalidArgument, std::move(text)); }

Result<Node> read_mapping(const std::string& path, std::string_view text) {
  auto documents = parse_yaml(text);
  if (!documents)
    return invalid(fmt::format("Error parsing {} ({})", path, documents.error().message));
  if (documents->empty() || !documents->front().is_object()) return invalid(kNoMapping);
  return std::move(documents->front());
}

// "properties.configuration.replicaTimeout: required, …" with the names that the file has.
std::string as_written(const Node& written, const std::string& text) {
  const std::size_t path = text.find(": ");
  if (path == text.npos || text.find(' ') < path) return text;
  return executions::path_as_written(written, text.substr(0, path)) + text.substr(path);
}

std::string lines(const manifest::Problems& problems, const Node& written) {
  std::string text;
  for (const manifest::Remark& error : problems.errors())
    text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", error.where,
                        as_written(written, error.text));
  return text;
}

// "/subscriptions/s/resourceGroups/g/…/e" -> "g" and "e"
std::string segment_after(std::string_view id, std::string_view word) {
  while (!id.empty()) {
    const std::string_view segment = id.substr(0, id.find('/'));
    id.remove_prefix(std::min(segment.size() + 1, id.size()));
    if (same_text(segment, word)) return std::string(id.substr(0, id.find('/')));
  }
  return "";
}

void drop(Node& object, std::string_view key) {
  std::erase_if(object.members, [&](const Node::Member& member) { return member.key == key; });
}

}  // namespace

Result<JobFile> read_job_file(const std::string& path, std::string_view text,
                              const std::string& name) {
  TRY(const Node read, read_mapping(path, text));
  JobFile file{.path = path,
               .name = name,
               .resource = executions::tidy_resource(read),
               .written = read,
               .notes = {}};
  const std::string type = text_at(file.resource, {"type"});
  if (!type.empty() && !same_text(type, kType))
    return invalid(fmt::format("Containerapp job type must be \"{}\"", kType));
  const std::string said = text_at(file.resource, {"name"});
  if (said.empty() || said == name) return file;
  file.name = said;
  if (!name.empty())
    file.notes.push_back(
        fmt::format("The job name provided in the --yaml file \"{}\" does not match the one "
                    "provided in the --name flag \"{}\". The one provided in the --yaml file will "
                    "be used.",
                    said, name));
  return file;
}

Status complete_environment(JobFile& file, const std::string& environment, const Place& place,
                            const FindEnvironment& find_environment) {
  Node& properties = object_at(file.resource, {"properties"});
  std::string id = text_at(properties, {"environmentId"});
  if (id.empty() && !environment.empty()) {
    id = resource_id(place, kEnvironmentType, environment);
    properties.set("environmentId", Node::string(id));
  }
  if (!is_resource_id(id)) return invalid("Invalid environmentId specified. Environment not found");
  const auto found = find_environment(id);
  if (!found && found.error().code == Code::NotFound)
    return invalid(fmt::format("The environment '{}' in resource group '{}' was not found",
                               segment_after(id, "managedEnvironments"),
                               segment_after(id, "resourceGroups")));
  if (!found) return found.error();
  if (text_at(file.resource, {"location"}).empty())
    file.resource.set("location", Node::string(text_at(*found, {"location"})));
  return {};
}

Status check_job(const JobFile& file, const Node& job) {
  manifest::Problems problems(file.path);
  // Which group it is for, the file does not say.
  const executions::JobKey key{.group = "default", .name = lower(file.name)};
  (void)executions::decode_job(key, job, problems);
  return problems.ok() ? Status() : invalid(lines(problems, file.written));
}

Result<Node> read_template_file(const std::string& path, std::string_view text) {
  TRY(const Node read, read_mapping(path, text));
  const Node tidy = executions::tidy_resource(read);
  const Node* within = find_at(tidy, {"properties", "template"});
  Node pod = within != nullptr ? *within : tidy;
  manifest::Problems problems(path);
  (void)executions::decode_template(pod, problems);
  if (!problems.ok()) return invalid(lines(problems, within != nullptr ? Node() : read));
  return pod;
}

Node exported_job(const Node& job, bool arm) {
  Node file = executions::tidy_resource(job);
  if (Node* properties = file.find("properties"); properties != nullptr && arm)
    drop(*properties, "jobmill");
  return file;
}

}  // namespace jobmill::app
