// SPDX-License-Identifier: Apache-2.0
#include "targets/oci/build/sbom.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/document.h"
#include "base/duration.h"
#include "base/sha256.h"

namespace jobmill::targets {
namespace {

constexpr std::string_view kDocument = "SPDXRef-DOCUMENT";
constexpr std::string_view kImage = "SPDXRef-image";

// Ids have letters, digits, dots and dashes only.
std::string id_of(std::string_view kind, std::string_view name) {
  std::string id = fmt::format("SPDXRef-{}-{}", kind, name);
  std::ranges::replace_if(
      id, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.'; }, '-');
  return id;
}

// In a package URL these three mean something.
std::string url_part(std::string_view text) {
  std::string part;
  for (const char c : text) {
    if (c == '+' || c == '%' || c == ':')
      part += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    else
      part += c;
  }
  return part;
}

// What every package must say, also that we do not know.
Node package_of(std::string_view id, std::string_view name, std::string_view purpose) {
  Node package = Node::object();
  package.set("SPDXID", Node::string(id));
  package.set("name", Node::string(name));
  package.set("primaryPackagePurpose", Node::string(purpose));
  for (const char* unknown :
       {"downloadLocation", "licenseConcluded", "licenseDeclared", "copyrightText"})
    package.set(unknown, Node::string("NOASSERTION"));
  package.set("filesAnalyzed", Node::boolean(false));
  return package;
}

Node package_of(const LooseFile& file, std::string_view purpose) {
  const std::string name = file.path.substr(file.path.rfind('/') + 1);
  Node package = package_of(id_of("file", file.path), name, purpose);
  package.set("packageFileName", Node::string(file.path));
  Node checksum = Node::object();
  checksum.set("algorithm", Node::string("SHA256"));
  checksum.set("checksumValue", Node::string(file.sha256));
  package.set("checksums", Node::array()).push(std::move(checksum));
  return package;
}

Node package_of(const DebianPackage& debian, const std::string& distribution) {
  Node package = package_of(id_of("debian", debian.name), debian.name, "LIBRARY");
  package.set("versionInfo", Node::string(debian.version));
  if (!debian.source.empty())
    package.set("sourceInfo", Node::string("built from the source package " + debian.source));
  package.set("comment", Node::string(fmt::format("of it: {}", fmt::join(debian.files, ", "))));
  const std::string vendor = distribution.substr(0, distribution.find('-'));
  Node reference = Node::object();
  reference.set("referenceCategory", Node::string("PACKAGE-MANAGER"));
  reference.set("referenceType", Node::string("purl"));
  reference.set(
      "referenceLocator",
      Node::string(fmt::format("pkg:deb/{}/{}@{}?arch={}&distro={}", vendor, url_part(debian.name),
                               url_part(debian.version), debian.architecture, distribution)));
  package.set("externalRefs", Node::array()).push(std::move(reference));
  return package;
}

Node relation(std::string_view from, std::string_view how, std::string_view to) {
  Node node = Node::object();
  node.set("spdxElementId", Node::string(from));
  node.set("relationshipType", Node::string(how));
  node.set("relatedSpdxElement", Node::string(to));
  return node;
}

std::string to_second(TimePoint at) {
  return format_instant(std::chrono::floor<std::chrono::seconds>(at));
}

Node creation_of(const BillOfMaterials& bill) {
  Node creation = Node::object();
  creation.set("created", Node::string(to_second(bill.made_at)));
  creation.set("creators", Node::array()).push(Node::string("Tool: " + bill.tool));
  return creation;
}

Node packages_of(const BillOfMaterials& bill) {
  Node packages = Node::array();
  packages.push(package_of(kImage, bill.name, "CONTAINER"));
  for (const LooseFile& file : bill.programs) packages.push(package_of(file, "APPLICATION"));
  for (const LooseFile& file : bill.libraries) packages.push(package_of(file, "LIBRARY"));
  for (const DebianPackage& debian : bill.packages)
    packages.push(package_of(debian, bill.distribution));
  return packages;
}

Node relations_of(const Node& packages) {
  Node relations = Node::array();
  relations.push(relation(kDocument, "DESCRIBES", kImage));
  for (std::size_t i = 1; i < packages.items.size(); ++i)  // behind the image itself
    relations.push(relation(kImage, "CONTAINS", packages.items[i].find("SPDXID")->text));
  return relations;
}

}  // namespace

std::string to_spdx(const BillOfMaterials& bill) {
  Node packages = packages_of(bill);
  Node document = Node::object();
  document.set("spdxVersion", Node::string("SPDX-2.3"));
  document.set("dataLicense", Node::string("CC0-1.0"));
  document.set("SPDXID", Node::string(kDocument));
  document.set("name", Node::string(bill.name));
  // Must be another one for other content, and need lead nowhere.
  document.set("documentNamespace",
               Node::string(fmt::format("urn:jobmill:sbom:{}", sha256_hex(to_json(packages)))));
  document.set("creationInfo", creation_of(bill));
  document.set("relationships", relations_of(packages));
  document.set("packages", std::move(packages));
  return to_json_pretty(document) + "\n";
}

}  // namespace jobmill::targets
