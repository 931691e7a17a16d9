// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <atomic>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "api/execution_plane.h"
#include "base/duration.h"
#include "base/id.h"
#include "executions/resources.h"
#include "protocol/control_server.h"

// Jobs of Container Apps, and what they refer to, by the paths of Azure Resource Manager.
namespace jobmill {
namespace {

using executions::JobKey;
using executions::Resource;
using namespace std::chrono_literals;

constexpr char kSubscription[] = "/subscriptions/00000000-0000-0000-0000-000000000000";

struct MemoryResources final : executions::ResourceStore {
  Status save(const Resource& resource) override {
    saved[resource.id] = resource;
    ++writes;
    return {};
  }
  Status remove(std::string_view id) override {
    saved.erase(std::string(id));
    return {};
  }
  Result<std::vector<Resource>> load() override { return std::vector<Resource>(); }

  std::map<std::string, Resource> saved;
  int writes = 0;
};

template <class T>
T must(Result<T> result) {
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  return *std::move(result);
}

// Keeps jobs as they come, and what it was asked for.
class Plane final : public api::ExecutionPlane {
 public:
  void put_job(JobKey key, std::string id, Node resource, bool patch, Done<Put> done) override {
    const bool known = jobs_.contains(key);
    if (patch && !known) return done(missing());
    if (resource.find("refused") != nullptr) return done(fail(Code::Conflict, "not this one"));
    resource.set("id", Node::string(id));
    jobs_[key] = resource;
    done(Put{.resource = resource, .created = !known});
  }
  void get_job(JobKey key, Done<Node> done) override {
    const auto found = jobs_.find(key);
    done(found == jobs_.end() ? Result<Node>(missing()) : Result<Node>(found->second));
  }
  void list_jobs(std::string group, Done<Node> done) override {
    Node list = Node::array();
    for (const auto& [key, job] : jobs_)
      if (group.empty() || key.group == group) list.push(job);
    done(std::move(list));
  }
  void delete_job(JobKey key, Done<void> done) override {
    done(jobs_.erase(key) > 0 ? Status() : missing());
  }
  void secrets(JobKey, Done<Node> done) override {
    done(parse_json(R"([{"name": "a", "value": "b"}])"));
  }
  void start(JobKey key, Node pod, Done<Node> done) override {
    asked = "start " + key.name + " " + to_json(pod);
    done(parse_json(R"({"id": "/x", "name": "job-1234567"})"));
  }
  void stop(JobKey key, std::string execution, Done<Node> done) override {
    asked = "stop " + key.name + " " + execution;
    done(parse_json(R"([{"id": "/x", "name": "job-1234567"}])"));
  }
  void list_executions(JobKey, List query, Done<Node> done) override {
    listed = query;
    Node list = Node::array();
    for (std::size_t i = 0; i < std::min<std::size_t>(query.limit, 3); ++i)
      list.push(must(parse_json(R"({"name": "job-)" + std::to_string(i) + "\"}")));
    done(std::move(list));
  }
  void find_executions(executions::ExecutionQuery query,
                       Done<std::vector<executions::Execution>> done) override {
    asked = "find " + query.job.name;
    done(std::vector{one()});
  }
  void find_execution(std::string name, Done<executions::Execution> done) override {
    if (name != "job-1234567") return done(missing());
    done(one());
  }
  void job_facts(Done<std::vector<JobFacts>> done) override {
    done(std::vector{JobFacts{.key = {"shop", "job"}, .unfinished = 1}});
  }
  void get_execution(JobKey, std::string execution, Done<Node> done) override {
    if (execution != "job-1234567") return done(missing());
    done(parse_json(R"({"name": "job-1234567"})"));
  }
  void log(JobKey, Log query, Done<api::LogPage> done) override {
    logged = query;
    done(api::LogPage{.text = "line\n", .next = 5, .ended = true});
  }
  void explain(JobKey, Explain query, Done<Node> done) override {
    asked = "explain " + query.execution + (query.why_not ? " why not" : "");
    done(parse_json(R"({"text": "because"})"));
  }
  void watch(JobKey, Duration wait, std::function<void()> changed) override {
    watched = wait;
    changed();
  }
  void resources_changed() override { ++resource_changes; }
  Node fixed_images() override { return must(parse_json(R"([{"match": "quickstart"}])")); }
  executions::Resources& resources() override { return *resources_; }

  std::string asked;
  List listed;
  Log logged;
  Duration watched{};
  std::atomic<int> resource_changes = 0;
  MemoryResources store;

 private:
  static Fault missing() { return fail(Code::NotFound, "no such job"); }

  static executions::Execution one() {
    executions::Execution execution;
    execution.name = "job-1234567";
    execution.job = {"shop", "job"};
    execution.status = executions::ExecutionStatus::Failed;
    execution.created = *parse_instant("2030-01-01T00:00:00Z");
    execution.began = execution.created + 1s;
    execution.ended = execution.created + 3s;
    executions::Container container;
    container.name = "main";
    container.image = "mail";
    container.env = {{"PLAIN", "seen", ""},
                     {"API_KEY", "hidden-1", ""},
                     {"BUS", "Endpoint=sb://x;SharedAccessKey=hidden-2", ""},
                     {"NAMED", "", "hidden-3"}};
    execution.started.pod.containers.push_back(container);
    executions::Replica replica;
    replica.name = "job-1234567-abcde";
    replica.state = executions::ReplicaState::Failed;
    replica.reason = "exit 3";
    replica.started = execution.began;
    replica.ended = execution.ended;
    replica.end = executions::ReplicaEnd{.exit_code = 3, .peak_rss_bytes = 4096};
    execution.replicas.push_back(replica);
    execution.messages.push_back({.replica = replica.name,
                                  .entity = "orders",
                                  .sequence = 7,
                                  .message_id = "m7",
                                  .taken = *execution.began,
                                  .outcome = "completed",
                                  .ended = *execution.ended});
    return execution;
  }

  std::map<JobKey, Node> jobs_;
  std::unique_ptr<executions::Resources> resources_ = must(executions::Resources::open(store));
};

struct Rig {
  struct Answer {
    int status;
    Node body;
    const Node& at(std::initializer_list<const char*> path) const {
      static const Node kNone;
      const Node* found = &body;
      for (const char* name : path) {
        found = found->find(name);
        if (found == nullptr) return kNone;
      }
      return *found;
    }
    std::string text(std::initializer_list<const char*> path) const { return at(path).text; }
  };

  Answer call(const char* method, const std::string& target, const std::string& body = "") {
    http::Headers headers;
    if (!body.empty()) headers.set("Content-Type", "application/json");
    const auto response =
        ask(server, {.method = method, .target = target, .body = body, .headers = headers});
    return {response.status, response.body.empty() ? Node() : testing::json(response)};
  }
  Answer arm(const char* method, const std::string& below, const std::string& body = "") {
    return call(method, kSubscription + below, body);
  }

  ManualClock clock;
  Plane plane;
  testing::ControlServer server{clock, {.executions = &plane}};
};

constexpr char kGroup[] = "/resourceGroups/rg";
constexpr char kJob[] = "/resourceGroups/rg/providers/Microsoft.App/jobs/job";
constexpr char kEnvironment[] =
    "/resourceGroups/rg/providers/Microsoft.App/managedEnvironments/env";

std::string job_in(const std::string& environment) {
  return R"({"properties": {"environmentId": ")" + environment + R"("}})";
}

TEST_CASE("container apps: a group is made, shown, listed and deleted") {
  Rig rig;
  const auto made = rig.arm("PUT", kGroup, R"({"location": "swedencentral", "tags": {"a": "b"}})");
  CHECK(made.status == 201);
  CHECK(made.text({"location"}) == "swedencentral");
  CHECK(made.text({"type"}) == "Microsoft.Resources/resourceGroups");
  CHECK(rig.arm("PUT", "/resourcegroups/RG", R"({"location": "swedencentral", "tags": {"a": "b"}})")
            .status == 200);
  CHECK(rig.plane.store.writes == 1);  // an equal one is not written again
  CHECK(rig.arm("GET", "/resourceGroups").at({"value"}).items.size() == 1);
  CHECK(rig.arm("GET", kGroup).text({"tags", "a"}) == "b");
  CHECK(rig.arm("DELETE", kGroup).status == 200);
  const auto gone = rig.arm("GET", kGroup);
  CHECK(gone.status == 404);
  CHECK(gone.text({"error", "code"}) == "ResourceNotFound");
  CHECK(gone.text({"error", "message"}) == "Resource group 'rg' could not be found.");
}

TEST_CASE("container apps: whoever names a group in a PUT has made it") {
  Rig rig;
  CHECK(rig.arm("PUT", kEnvironment, R"({"location": "here"})").status == 201);
  CHECK(rig.arm("GET", kGroup).text({"location"}) == "here");
  CHECK(rig.arm("PUT", "/resourceGroups/rg/providers/Microsoft.App/managedEnvironments/second")
            .text({"location"}) == "here");
  CHECK(rig.arm("GET", "/providers/Microsoft.App/managedEnvironments").at({"value"}).items.size() ==
        2);
}

TEST_CASE("container apps: an identity has its ids once and for all") {
  Rig rig;
  const std::string path =
      "/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/me";
  const auto made = rig.arm("PUT", path, "{}");
  CHECK(made.status == 201);
  const std::string client = made.text({"properties", "clientId"});
  CHECK(is_uuid(client));
  CHECK(is_uuid(made.text({"properties", "principalId"})));
  CHECK(client != made.text({"properties", "principalId"}));
  const auto again = rig.arm("PUT", path, R"({"tags": {"x": "y"}})");
  CHECK(again.status == 200);
  CHECK(again.text({"properties", "clientId"}) == client);
  const auto found = executions::find_identity(rig.plane.resources(), client);
  REQUIRE(found);
  CHECK(found->principal_id == made.text({"properties", "principalId"}));
}

TEST_CASE("container apps: a registry has the name of its server") {
  Rig rig;
  const char* path = "/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/acr";
  CHECK(rig.arm("PUT", path, R"({"sku": {"name": "Basic"}})").text({"properties", "loginServer"}) ==
        "acr.azurecr.io");
  CHECK(rig.arm("GET", path).text({"sku", "name"}) == "Basic");
}

TEST_CASE("container apps: a role is assigned at a scope, and only once") {
  Rig rig;
  const std::string identity =
      "/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/me";
  const auto me = rig.arm("PUT", identity, "{}");
  const std::string queue =
      "/resourceGroups/rg/providers/Microsoft.ServiceBus/namespaces/ns/queues/q";
  const std::string roles = "/providers/Microsoft.Authorization/roleAssignments";
  const std::string body = R"({"properties": {"principalId": ")" +
                           me.text({"properties", "clientId"}) +
                           R"(", "roleDefinitionId": "/subscriptions/x/providers/)"
                           R"(Microsoft.Authorization/roleDefinitions/)"
                           R"(4F6D3B9B-027B-4f4c-9142-0e5a2a2247e0"}})";
  const auto made = rig.arm("PUT", queue + roles + "/11111111-1111-1111-1111-111111111111", body);
  CHECK(made.status == 201);
  CHECK(made.text({"properties", "roleDefinitionName"}) == "Azure Service Bus Data Receiver");
  CHECK(made.text({"properties", "principalId"}) == me.text({"properties", "principalId"}));
  CHECK(made.text({"properties", "scope"}) == kSubscription + queue);

  const auto again = rig.arm("PUT", queue + roles + "/22222222-2222-2222-2222-222222222222", body);
  CHECK(again.status == 200);
  CHECK(again.text({"name"}) == "11111111-1111-1111-1111-111111111111");
  CHECK(rig.arm("GET", roles).at({"value"}).items.size() == 1);
  CHECK(rig.arm("GET", kGroup + roles).at({"value"}).items.size() == 1);
  CHECK(rig.arm("GET", "/resourceGroups/r" + roles).at({"value"}).items.empty());

  CHECK(rig.arm("DELETE", queue + roles + "/11111111-1111-1111-1111-111111111111").status == 200);
  CHECK(rig.arm("DELETE", queue + roles + "/11111111-1111-1111-1111-111111111111").status == 204);
  CHECK(rig.arm("GET", roles).at({"value"}).items.empty());
}

TEST_CASE("container apps: a role that nobody knows is refused") {
  Rig rig;
  const auto answer =
      rig.arm("PUT", std::string(kGroup) + "/providers/Microsoft.Authorization/roleAssignments/x",
              R"({"properties": {"principalId": "me", "roleDefinitionId": "King"}})");
  CHECK(answer.status == 400);
  CHECK(answer.text({"error", "message"}).find("'King'") != std::string::npos);
}

TEST_CASE("container apps: a job needs an environment that is there") {
  Rig rig;
  const auto refused = rig.arm("PUT", kJob, job_in("/subscriptions/s/nothing"));
  CHECK(refused.status == 400);
  CHECK(refused.text({"error", "message"}) ==
        "The environment '/subscriptions/s/nothing' does not exist. Specify a valid environment");
  CHECK(rig.arm("PUT", kJob, R"({"properties": {}})").status == 400);

  REQUIRE(rig.arm("PUT", kEnvironment).status == 201);
  const std::string job = job_in(std::string(kSubscription) + kEnvironment);
  CHECK(rig.arm("PUT", kJob, job).status == 201);
  CHECK(rig.arm("PUT", kJob, job).status == 200);
  CHECK(rig.arm("GET", kJob).text({"id"}) == std::string(kSubscription) + kJob);
}

TEST_CASE("container apps: jobs are changed, listed and deleted") {
  Rig rig;
  REQUIRE(rig.arm("PUT", kEnvironment).status == 201);
  const std::string job = job_in(std::string(kSubscription) + kEnvironment);
  CHECK(rig.arm("PATCH", kJob, R"({"tags": {}})").status == 404);
  REQUIRE(rig.arm("PUT", kJob, job).status == 201);
  CHECK(rig.arm("PATCH", kJob, R"({"tags": {"a": "b"}})").status == 200);
  CHECK(rig.arm("GET", "/resourcegroups/RG/providers/microsoft.app/jobs")
            .at({"value"})
            .items.size() == 1);
  CHECK(rig.arm("GET", "/resourceGroups/other/providers/Microsoft.App/jobs")
            .at({"value"})
            .items.empty());
  CHECK(rig.arm("GET", "/providers/Microsoft.App/jobs").at({"value"}).items.size() == 1);
  CHECK(rig.arm("POST", std::string(kJob) + "/listSecrets").at({"value"}).items.size() == 1);
  CHECK(rig.arm("DELETE", std::string(kJob) + "?wait=false").status == 202);
  CHECK(rig.arm("DELETE", kJob).status == 404);
  CHECK(rig.arm("DELETE", std::string(kJob) + "?wait=false").status == 404);
}

TEST_CASE("container apps: any version of the API with jobs will do") {
  Rig rig;
  const std::string jobs = "/providers/Microsoft.App/jobs?api-version=";
  for (const char* known : {"2023-05-01", "2025-07-01", "2024-10-02-preview"})
    CHECK(rig.arm("GET", jobs + known).status == 200);
  for (const char* unknown : {"2022-03-01", "latest", ""}) {
    const auto answer = rig.arm("GET", jobs + unknown);
    CHECK(answer.status == 400);
    CHECK(answer.text({"error", "code"}) == "InvalidApiVersionParameter");
  }
}

TEST_CASE("container apps: executions are started, stopped, shown and listed") {
  Rig rig;
  const std::string job = kJob;
  CHECK(rig.arm("POST", job + "/start").text({"name"}) == "job-1234567");
  CHECK(rig.plane.asked == "start job null");
  (void)rig.arm("POST", job + "/start", R"({"containers": []})");
  CHECK(rig.plane.asked == R"(start job {"containers":[]})");
  CHECK(rig.arm("POST", job + "/stop").at({"value"}).items.size() == 1);
  CHECK(rig.plane.asked == "stop job ");
  CHECK(rig.arm("POST", job + "/stop/job-1234567").status == 200);
  CHECK(rig.plane.asked == "stop job job-1234567");

  CHECK(rig.arm("GET", job + "/executions/job-1234567").status == 200);
  CHECK(rig.arm("GET", job + "/executions/job-7654321").status == 404);
  CHECK(rig.arm("GET", job + "/executions").at({"nextLink"}).is_null());
  const auto page = rig.arm("GET", job + "/executions?status=failed&since=1h&$top=2&after=job-9");
  CHECK(page.at({"value"}).items.size() == 2);
  CHECK(page.text({"nextLink"}).ends_with("?status=failed&since=1h&%24top=2&after=job-1"));
  CHECK(rig.plane.listed.status == executions::ExecutionStatus::Failed);
  CHECK(rig.plane.listed.since == rig.clock.now() - std::chrono::hours(1));
  CHECK(rig.plane.listed.after == "job-9");
  for (const char* wrong : {"status=Asleep", "since=yesterday", "$top=many"})
    CHECK(rig.arm("GET", job + "/executions?" + wrong).status == 400);
}

TEST_CASE("executions: logs, explanations and changes") {
  Rig rig;
  const auto page =
      rig.call("GET", "/v1/executions/RG/Job/logs?execution=e&replica=r&offset=7&tail=20&wait=90");
  CHECK(page.text({"text"}) == "line\n");
  CHECK(page.at({"next"}).as_int() == 5);
  CHECK(page.at({"ended"}).as_bool() == true);
  CHECK(rig.plane.logged.execution == "e");
  CHECK(rig.plane.logged.replica == "r");
  CHECK(rig.plane.logged.offset == 7);
  CHECK(rig.plane.logged.tail == 20);
  CHECK(rig.plane.logged.wait == std::chrono::seconds(30));
  CHECK(rig.call("GET", "/v1/executions/rg/job/logs?tail=x").status == 400);

  CHECK(rig.call("GET", "/v1/executions/rg/job/explain?why_not=true").text({"text"}) == "because");
  CHECK(rig.plane.asked == "explain  why not");
  CHECK(rig.call("GET", "/v1/executions/rg/job/watch?wait=2").status == 204);
  CHECK(rig.plane.watched == std::chrono::seconds(2));
}

TEST_CASE("pages about executions: an execution with its replicas, messages and moments") {
  Rig rig;
  const auto list = rig.call("GET", "/api/executions?job=Job&limit=1");
  CHECK(rig.plane.asked == "find job");
  REQUIRE(list.at({"items"}).items.size() == 1);
  CHECK(to_json(list.body).find(R"("durationMs":2000)") != std::string::npos);
  CHECK(rig.call("GET", "/api/executions?state=late").status == 400);
  CHECK(rig.call("GET", "/api/executions?limit=1000").status == 400);
  CHECK(rig.call("GET", "/api/executions?since=today").status == 400);

  const auto shown = rig.call("GET", "/api/executions/job-1234567");
  REQUIRE(shown.status == 200);
  CHECK(shown.text({"exitCode"}) == "3");
  CHECK(shown.at({"replicaList"}).items.front().find("peakRss")->text == "4096");
  CHECK(shown.at({"messages"}).items.front().find("outcome")->text == "completed");
  CHECK(shown.at({"timeline"}).items.size() == 6);
  const std::string text = to_json(shown.body);
  CHECK(text.find(R"({"name":"PLAIN","value":"seen"})") != std::string::npos);
  CHECK(text.find(R"({"name":"NAMED","secret":true})") != std::string::npos);
  CHECK_MESSAGE(text.find("hidden") == std::string::npos, text);
  CHECK(rig.call("GET", "/api/executions/none").status == 404);
}

TEST_CASE("pages about executions: logs by lines, and as a file") {
  Rig rig;
  const auto log = rig.call("GET", "/api/executions/job-1234567/logs?after=3&replica=r");
  CHECK(rig.plane.logged.offset == 3);
  CHECK(rig.plane.logged.execution == "job-1234567");
  CHECK(log.text({"next"}) == "5");
  CHECK(log.at({"lines"}).items.size() == 1);
  CHECK(rig.call("GET", "/api/executions/job-1234567/logs?after=x").status == 400);
  const auto file = ask(rig.server, {.target = "/api/executions/job-1234567/logs?format=text"});
  CHECK(file.body == "line\n");
  CHECK(file.headers.get("Content-Disposition")->starts_with("attachment"));
}

TEST_CASE("pages about executions: stopped, run again, and started with other containers") {
  Rig rig;
  CHECK(rig.call("POST", "/api/executions/job-1234567/stop").status == 204);
  CHECK(rig.plane.asked == "stop job job-1234567");
  CHECK(rig.call("POST", "/api/executions/job-1234567/rerun").text({"id"}) == "job-1234567");
  CHECK(
      rig.call("POST", "/api/container-jobs/Shop/Job/start", R"({"overrides": {"containers": []}})")
          .status == 201);
  CHECK(rig.plane.asked == R"(start job {"containers":[]})");
  const auto jobs = rig.call("GET", "/api/container-jobs");
  CHECK(jobs.body.items.front().find("running")->text == "1");
}

TEST_CASE("images: entries of the image map are put, listed and removed") {
  Rig rig;
  const auto put = rig.call(
      "PUT", "/v1/images",
      R"({"match": "*/shop:*", "workdir": "/srv", "command": ["python", "x.py"], "env": {"A": "b"}})");
  CHECK(put.status == 200);
  CHECK(put.text({"runner"}) == "process");
  const auto listed = rig.call("GET", "/v1/images");
  REQUIRE(listed.at({"images"}).items.size() == 2);
  CHECK(listed.at({"images"}).items[1].find("match")->text == "quickstart");
  CHECK(rig.call("PUT", "/v1/images", R"({"match": "x"})").status == 400);
  CHECK(rig.call("PUT", "/v1/images", R"({"match": "x", "runner": "magic", "command": ["y"]})")
            .status == 400);
  CHECK(rig.call("DELETE", "/v1/images?match=*%2Fshop%3A*").status == 204);
  CHECK(rig.call("DELETE", "/v1/images?match=*%2Fshop%3A*").status == 404);
}

TEST_CASE("vault secrets: values go in and never out") {
  Rig rig;
  constexpr char kUrl[] = "https://V.vault.azure.net/secrets/Key";
  const auto put = rig.call("PUT", "/v1/vault-secrets",
                            R"({"url": "https://V.vault.azure.net/secrets/Key", "value": "hush"})");
  CHECK(put.status == 200);
  CHECK(to_json(put.body) == R"({"url":"https://V.vault.azure.net/secrets/Key"})");
  CHECK(to_json(rig.call("GET", "/v1/vault-secrets").body) ==
        R"({"secrets":[{"url":"https://V.vault.azure.net/secrets/Key"}]})");
  CHECK(rig.plane.resource_changes == 1);
  const auto value = [&](std::string_view url) {
    return executions::vault_secret(rig.plane.resources(), url);
  };
  CHECK(value(kUrl)->reveal() == "hush");
  CHECK(value("https://v.vault.azure.net/secrets/key/")->reveal() == "hush");
  CHECK_FALSE(value("https://v.vault.azure.net/secrets/other"));

  CHECK(rig.call("PUT", "/v1/vault-secrets", R"({"url": "vault", "value": "x"})").status == 400);
  CHECK(rig.call("PUT", "/v1/vault-secrets", R"({"url": "https://v/secrets/k"})").status == 400);
  const std::string one = "/v1/vault-secrets?url=https%3A%2F%2Fv.vault.azure.net%2Fsecrets%2Fkey";
  CHECK(rig.call("DELETE", one).status == 204);
  CHECK(rig.call("DELETE", one).status == 404);
  CHECK(rig.plane.resource_changes == 2);
}

TEST_CASE("container apps: a server without them says so") {
  ManualClock clock;
  testing::ControlServer server(clock);
  const auto response =
      ask(server, {.target = std::string(kSubscription) + "/providers/Microsoft.App/jobs"});
  CHECK(response.status == 404);
  CHECK(testing::json(response).find("error")->find("message")->text ==
        "this server runs without jobs of Container Apps");
}

}  // namespace
}  // namespace jobmill
