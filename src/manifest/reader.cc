// SPDX-License-Identifier: Apache-2.0
#include "manifest/reader.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "manifest/core_kinds.h"

namespace jobmill::manifest {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStandardInput = "-";

bool is_manifest_name(const fs::path& path) {
  const std::string extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

// JSON is read as JSON where it is, because YAML's reader refuses the tabs in it.
Result<std::vector<Node>> parse(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && text[first] == '{')
    if (auto node = parse_json(text)) return std::vector<Node>{*std::move(node)};
  return parse_yaml(text);
}

// "line 3, column 2: why" of the document's reader, as "source:3" and "why".
Remark syntax_remark(const std::string& source, const std::string& message) {
  constexpr std::string_view kLine = "line ";
  const std::size_t comma = message.find(',');
  const std::size_t colon = message.find(": ");
  if (!message.starts_with(kLine) || comma == message.npos || colon == message.npos)
    return {source, message};
  return {source + ":" + message.substr(kLine.size(), comma - kLine.size()),
          message.substr(colon + 2)};
}

class Reader {
 public:
  Reader(std::string source, std::string_view ns, Manifests& into)
      : source_(std::move(source)), ns_(ns), into_(into) {}

  void read(Node document) {
    if (is_list(document)) return read_list(std::move(document));
    Problems problems(source_);
    const Node place = place_of(document);
    Object object = read_object(std::move(document), ns_, problems);
    if (problems.ok()) keep(std::move(object), place, problems);
    into_.add(problems);
  }

 private:
  static Node place_of(const Node& document) {
    Node place;
    place.line = document.line;
    return place;
  }

  static bool is_list(const Node& document) {
    const Node* kind = document.find("kind");
    const Node* version = document.find("apiVersion");
    return kind && kind->text == "List" && version && version->text == "v1";
  }

  void read_list(Node list) {
    Node* items = list.find("items");
    if (!items || !items->is_array()) {
      Problems problems(source_);
      problems.error(items ? *items : list, "items: expected a list");
      return into_.add(problems);
    }
    for (Node& item : items->items) read(std::move(item));
  }

  void keep(Object object, const Node& place, Problems& problems) {
    const std::string name = to_string(object.key);
    switch (meaning_of(object.api_version, object.key.kind)) {
      case Meaning::NotUsed:
        return problems.note(place, name + ": not used on this machine");
      case Meaning::Unknown:
        return problems.error(place, name + ": unknown kind of " + object.api_version +
                                         "; known: " + std::string(used_kinds()));
      case Meaning::Used:
        break;
    }
    check_core_object(object, problems);
    refuse_second(object, place, problems);
    if (problems.ok()) into_.objects.push_back(std::move(object));
  }

  void refuse_second(const Object& object, const Node& place, Problems& problems) const {
    const std::string here = source_ + ":" + std::to_string(place.line);
    const auto [first, is_first] = into_.places.try_emplace(object.key, here);
    if (!is_first) problems.error(place, to_string(object.key) + ": also in " + first->second);
  }

  std::string source_;
  std::string_view ns_;
  Manifests& into_;
};

Result<std::string> read_file(const std::string& path) {
  if (path == kStandardInput) return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::NotFound, "cannot open " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace

void Manifests::add(const Problems& problems) {
  notes.insert(notes.end(), problems.notes().begin(), problems.notes().end());
  errors.insert(errors.end(), problems.errors().begin(), problems.errors().end());
}

void read_manifests(std::string_view text, const std::string& source, std::string_view ns,
                    Manifests& into) {
  auto documents = parse(text);
  if (!documents) {
    into.errors.push_back(syntax_remark(source, documents.error().message));
    return;
  }
  Reader reader(source, ns, into);
  for (Node& document : *documents) reader.read(std::move(document));
}

Manifests read_manifests(const std::string& path, std::string_view ns) {
  Manifests manifests;
  const auto names = manifest_files(path);
  if (!names) manifests.errors.push_back({path, names.error().message});
  if (!names) return manifests;
  for (const std::string& name : *names) {
    const auto text = read_file(name);
    if (!text) manifests.errors.push_back({name, text.error().message});
    if (text) read_manifests(*text, name == kStandardInput ? "stdin" : name, ns, manifests);
  }
  return manifests;
}

Result<std::vector<std::string>> manifest_files(const std::string& path) {
  std::error_code error;
  if (path == kStandardInput || fs::is_regular_file(path, error)) return std::vector{path};
  std::vector<std::string> names;
  if (fs::is_directory(path, error)) {
    for (const auto& entry : fs::directory_iterator(path, error))
      if (is_manifest_name(entry.path())) names.push_back(entry.path());
    if (error) return fail(Code::PermissionDenied, "cannot read " + path + ": " + error.message());
    if (names.empty()) return fail(Code::NotFound, path + " holds no .yaml, .yml or .json file");
    std::sort(names.begin(), names.end());
    return names;
  }
  if (fs::exists(path, error)) return std::vector{path};  // a pipe, as shells give for <(…)
  return fail(Code::NotFound, "there is no " + path);
}

}  // namespace jobmill::manifest
