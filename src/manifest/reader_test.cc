// SPDX-License-Identifier: Apache-2.0
#include "manifest/reader.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

using namespace jobmill::manifest;

namespace {

Manifests read(std::string_view text) {
  Manifests manifests;
  read_manifests(text, "m.yaml", kDefaultNamespace, manifests);
  return manifests;
}

std::string only_error(const Manifests& manifests) {
  REQUIRE(manifests.errors.size() == 1);
  return manifests.errors[0].where + ": " + manifests.errors[0].text;
}

std::string only_note(const Manifests& manifests) {
  REQUIRE(manifests.notes.size() == 1);
  return manifests.notes[0].where + ": " + manifests.notes[0].text;
}

// A folder that goes with the test.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() / ("manifests-" + std::to_string(getpid()))) {
    std::filesystem::create_directory(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path() const { return path_; }
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(path_ / name) << text;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("reader: the envelope of a manifest") {
  const Manifests manifests = read(R"(
apiVersion: v1
kind: ConfigMap
metadata:
  name: settings
  namespace: shop
  labels: {tier: web}
  annotations: {note: "5"}
  uid: 1-2-3
data: {a: b}
)");
  REQUIRE(manifests.ok());
  REQUIRE(manifests.objects.size() == 1);
  const Object& object = manifests.objects[0];
  CHECK(object.api_version == "v1");
  CHECK(object.key == ObjectKey{"ConfigMap", "shop", "settings"});
  CHECK(object.labels.at("tier") == "web");
  CHECK(object.annotations.at("note") == "5");
  CHECK(object.source == "m.yaml");
  CHECK(object.document.find("data")->line == 10);
  CHECK(manifests.notes.empty());
}

TEST_CASE("reader: a namespace that is not written is the caller's, cluster kinds have none") {
  Manifests manifests;
  read_manifests("{apiVersion: v1, kind: Secret, metadata: {name: a}}", "m", "shop", manifests);
  read_manifests(
      "{apiVersion: keda.sh/v1alpha1, kind: ClusterTriggerAuthentication, metadata: {name: a}}",
      "m", "shop", manifests);
  REQUIRE(manifests.objects.size() == 2);
  CHECK(manifests.objects[0].key.ns == "shop");
  CHECK(manifests.objects[1].key.ns == "");
}

TEST_CASE("reader: what is missing or of the wrong type is told with file and line, all of it") {
  const Manifests manifests = read(R"(
apiVersion: v1
kind: Secret
metadata:
  name: 5
  labels:
    a: true
---
apiVersion: v1
metadata: {name: b}
---
apiVersion: v1
kind: Secret
---
- a
)");
  std::string all;
  for (const Remark& error : manifests.errors) all += error.where + ": " + error.text + "\n";
  CHECK(all ==
        "m.yaml:5: metadata.name: expected a string, found an integer 5; put it in quotes: \"5\"\n"
        "m.yaml:7: metadata.labels.a: expected a string, found a boolean true; put it in quotes: "
        "\"true\"\n"
        "m.yaml:9: kind: required, and missing\n"
        "m.yaml:12: metadata: required, and missing\n"
        "m.yaml:15: the manifest: expected an object, found a list\n"
        "m.yaml:15: apiVersion: required, and missing\n"
        "m.yaml:15: kind: required, and missing\n"
        "m.yaml:15: metadata: required, and missing\n");
}

TEST_CASE("reader: names become parts of URLs and files, so they are held to DNS") {
  for (const char* name : {"../x", "A", "a_b", "-a", "a.", "a..b"}) {
    const std::string text =
        "{apiVersion: v1, kind: Secret, metadata: {name: \"" + std::string(name) + "\"}}";
    CHECK(only_error(read(text)).find("is no name") != std::string::npos);
  }
}

TEST_CASE("reader: kinds of a cluster are named and not used, others are errors") {
  CHECK(only_note(read("\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
                       "metadata: {name: scaledobjects.keda.sh, unknown: 1}\nspec: {a: 1}\n")) ==
        "m.yaml:2: CustomResourceDefinition/scaledobjects.keda.sh: not used on this machine");
  CHECK(read("{apiVersion: batch/v1, kind: Job, metadata: {name: a}}").ok());
  CHECK(read("{apiVersion: eventing.keda.sh/v1alpha1, kind: CloudEventSource, metadata: {name: a}}")
            .ok());
  CHECK(only_error(read("{apiVersion: example.com/v1, kind: Thing, metadata: {name: a}}"))
            .find("unknown kind of example.com/v1; known: ClusterTriggerAuthentication, ConfigMap, "
                  "Deployment") != std::string::npos);
  CHECK(only_error(read("{apiVersion: keda.sh/v1alpha1, kind: ScaledObjekt, metadata: {name: a}}"))
            .find("unknown kind") != std::string::npos);
}

TEST_CASE("reader: lists are opened, an object that comes twice is refused") {
  const Manifests list = read(R"({"apiVersion": "v1", "kind": "List", "items": [
	{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}},
	{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}]})");
  REQUIRE(list.objects.size() == 2);
  CHECK(list.objects[1].document.line == 3);

  CHECK(only_error(read("{apiVersion: v1, kind: Secret, metadata: {name: a}}\n---\n"
                        "{apiVersion: v1, kind: Secret, metadata: {name: a}}\n")) ==
        "m.yaml:3: Secret/a: also in m.yaml:1");
  CHECK(only_error(read("{apiVersion: v1, kind: List}")).find("items") != std::string::npos);
}

TEST_CASE("reader: a text that is no YAML is an error at its line") {
  CHECK(only_error(read("a: 1\nb: [\n")).starts_with("m.yaml:3: not YAML"));
  CHECK(only_error(read("a: 1\na: 2\n")) == "m.yaml:2: duplicate key \"a\"");
}

TEST_CASE("reader: a folder stands for its manifests, in the order of their names") {
  const Folder folder;
  folder.write("2.yml", "{apiVersion: v1, kind: Secret, metadata: {name: b}}");
  folder.write("1.json", R"({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}})");
  folder.write("3.txt", "no manifest");
  const Manifests manifests = read_manifests(folder.path());
  REQUIRE(manifests.objects.size() == 2);
  CHECK(manifests.objects[0].key.name == "a");
  CHECK(manifests.objects[1].source == folder.path() + "/2.yml");
  CHECK(read_manifests(folder.path() + "/2.yml").objects.size() == 1);
  CHECK(only_error(read_manifests(folder.path() + "/4.yaml")).find("there is no") !=
        std::string::npos);
}
