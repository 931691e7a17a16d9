// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "manifest/object.h"

// Kubernetes' own kinds, as far as they mean something on one machine. The field names are those
// of its API; the rest is named in notes.
namespace jobmill::manifest {

// Everything of a Secret or ConfigMap becomes a variable.
struct EnvFrom {
  enum class Source { Secret, ConfigMap };
  Source source = Source::Secret;
  std::string name;
  std::string prefix;
  bool optional = false;
};

struct EnvVar {
  enum class Source {
    Value,
    Secret,
    ConfigMap,
    Field,  // fieldRef: metadata.name, …
    None,   // resourceFieldRef and others that have no value here
  };
  std::string name;
  Source source = Source::Value;
  std::string value;   // Value: with $(…) as written; Field: the path
  std::string object;  // Secret, ConfigMap: its name
  std::string key;
  bool optional = false;
};

struct ContainerPort {
  std::string name;
  int number = 0;
};

// A port by number or by the name that the container gives it.
using PortRef = std::variant<int, std::string>;

struct Probe {
  enum class Kind { Exec, Http, Tcp };
  Kind kind = Kind::Exec;
  std::vector<std::string> command;  // Exec
  PortRef port = 0;                  // Http, Tcp
  std::string path = "/";            // Http
  bool https = false;
  Duration initial_delay{};
  Duration period = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(1);
  int success_threshold = 1;
  int failure_threshold = 3;
};

struct Limits {
  std::optional<std::int64_t> cpu_milli;
  std::optional<std::int64_t> memory_bytes;
};

struct Container {
  std::string name;
  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::string working_dir;
  std::vector<EnvVar> env;
  std::vector<EnvFrom> env_from;
  std::vector<ContainerPort> ports;
  std::optional<Probe> readiness;
  Limits limits;
};

// The one of that name, the first one for "", null if there is none.
const Container* find_container(const std::vector<Container>& containers, std::string_view name);

struct Deployment {
  ObjectKey key;
  int replicas = 1;
  Texts pod_labels;
  std::vector<Container> containers;  // at least one; only the first runs here
  Duration grace = std::chrono::seconds(30);

  const Container& main() const { return containers.front(); }
  const Container* container(std::string_view name) const {
    return find_container(containers, name);
  }
};

// What a Job of batch/v1 runs. It stands in other kinds too.
struct JobSpec {
  int parallelism = 1;
  int completions = 1;
  int backoff_limit = 6;
  std::optional<Duration> deadline;   // activeDeadlineSeconds, of the job or of its pod
  std::vector<Container> containers;  // at least one
  std::vector<Container> init_containers;
  Duration grace = std::chrono::seconds(30);
};

struct ServicePort {
  std::string name;
  int port = 0;
  PortRef target_port = 0;  // the same as `port` unless written
};

struct Service {
  ObjectKey key;
  std::vector<ServicePort> ports;
  Texts selector;
};

// Each decodes one manifest. Everything wrong with it goes to `problems`; the result is to be used
// only when they are ok().
Deployment decode_deployment(const Object& object, Problems& problems);
Service decode_service(const Object& object, Problems& problems);
Texts decode_secret(const Object& object, Problems& problems);  // data and stringData, as bytes
Texts decode_config_map(const Object& object, Problems& problems);

// Decodes a part of a manifest of another kind; `path` leads to it.
JobSpec decode_job_spec(const Node& node, const std::string& path, Problems& problems);

// Decodes an object of one of these kinds only to find what is wrong with it. Other kinds are
// for the module that owns them.
void check_core_object(const Object& object, Problems& problems);

// The number of a port, by the names that the container gives; nothing for an unknown name.
std::optional<int> port_number(const PortRef& port, const Container& container);

}  // namespace jobmill::manifest
