// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "api/control_plane.h"
#include "api/problem.h"
#include "api/route.h"
#include "api/waiting_read.h"
#include "base/document.h"

namespace jobmill::api {
namespace {

constexpr std::size_t kMaxFiles = 1000;

http::Response bad(std::string detail, std::vector<FieldError> errors = {}) {
  return to_response(Problem{.status = 400,
                             .code = "invalid_argument",
                             .detail = std::move(detail),
                             .parameter = {},
                             .errors = std::move(errors),
                             .job_id = {}});
}

std::string namespace_of(const http::Request& request) {
  return std::string(request.parameter("namespace").value_or(manifest::kDefaultNamespace));
}

// --- apply and delete ---------------------------------------------------------------------------

struct ChangeRequest {
  std::vector<ManifestFile> files;
  std::string ns{manifest::kDefaultNamespace};
};

Result<ManifestFile> file_of(const Node& node) {
  const Node* name = node.find("name");
  const Node* text = node.find("text");
  if (name == nullptr || text == nullptr || !name->is_string() || !text->is_string())
    return fail(Code::InvalidArgument, "files: each needs a name and a text");
  return ManifestFile{name->text, text->text};
}

// The command line sends files with their names, so that errors can name file and line; anyone else
// may send a manifest as it is.
Result<ChangeRequest> change_request(const http::Request& request) {
  ChangeRequest change;
  change.ns = namespace_of(request);
  auto body = parse_json(request.body);
  const Node* files = body ? body->find("files") : nullptr;
  if (files == nullptr) {
    change.files.push_back({"request", request.body});
    return change;
  }
  if (!files->is_array() || files->items.size() > kMaxFiles)
    return fail(Code::InvalidArgument, "files: must be a list of at most 1000");
  for (const Node& item : files->items) {
    TRY(ManifestFile file, file_of(item));
    change.files.push_back(std::move(file));
  }
  if (const Node* ns = body->find("namespace");
      ns != nullptr && ns->is_string() && !ns->text.empty())
    change.ns = ns->text;
  return change;
}

Node remarks(const std::vector<manifest::Remark>& list) {
  Node array = Node::array();
  for (const manifest::Remark& remark : list) {
    Node node = Node::object();
    node.set("where", Node::string(remark.where));
    node.set("text", Node::string(remark.text));
    array.push(std::move(node));
  }
  return array;
}

http::Response report(const ManifestReport& report) {
  if (!report.errors.empty()) {
    std::vector<FieldError> errors;
    for (const manifest::Remark& error : report.errors) errors.push_back({error.where, error.text});
    const auto& first = report.errors.front();
    return bad(first.where + ": " + first.text + "; nothing was changed", std::move(errors));
  }
  Node results = Node::array();
  for (const auto& line : report.lines) {
    Node node = Node::object();
    node.set("kind", Node::string(line.key.kind));
    node.set("namespace", Node::string(line.key.ns));
    node.set("name", Node::string(line.key.name));
    node.set("change", Node::string(line.change));
    results.push(std::move(node));
  }
  Node document = Node::object();
  document.set("results", std::move(results));
  document.set("notes", remarks(report.notes));
  return json_response(200, to_json(document));
}

void change(ApiContext& context, Call call, bool apply) {
  auto change = change_request(call.request);
  if (!change) return call.responder.send(to_response(change.error()));
  auto done = [responder = call.responder](Result<ManifestReport> result) {
    responder.send(result ? report(*result) : to_response(result.error()));
  };
  if (apply)
    context.control->apply(std::move(change->files), change->ns, std::move(done));
  else
    context.control->remove(std::move(change->files), change->ns, std::move(done));
}

void apply_manifests(ApiContext& context, Call call) { change(context, std::move(call), true); }
void delete_manifests(ApiContext& context, Call call) { change(context, std::move(call), false); }

void send_document(const http::Responder& responder, const Result<Node>& document) {
  responder.send(document ? json_response(200, to_json(*document)) : to_response(document.error()));
}

void list_manifests(ApiContext& context, Call call) {
  const std::string name(call.request.parameter("name").value_or(""));
  context.control->list(
      call.parameter("kind"), namespace_of(call.request), name,
      [responder = call.responder](Result<Node> document) { send_document(responder, document); });
}

// --- decisions ----------------------------------------------------------------------------------

// Answers with the state of a ScaledObject, or holds the answer until it is another one than the
// client has.
void explain(ApiContext& context, const Call& call, std::optional<WaitingRead> waiting) {
  const std::string ns = namespace_of(call.request);
  const std::string name = call.parameter("name");
  context.control->explain(ns, name, [&context, call, waiting, ns, name](Result<Node> document) {
    if (!document) return call.responder.send(to_response(document.error()));
    const Node* revision = document->find("revision");  // the ages in it change all the time
    const std::string etag = etag_of(revision != nullptr ? revision->text : "");
    if (!waiting || waiting->etag != etag)
      return call.responder.send(waiting_response(to_json(*document), etag));
    if (context.clock.now() >= waiting->until)
      return call.responder.send(not_modified(waiting->etag));
    context.control->watch(ns, name, waiting->until - context.clock.now(),
                           [&context, call, waiting] { explain(context, call, waiting); });
  });
}

void explain_scale(ApiContext& context, Call call) {
  auto waiting = waiting_read(call.request, context.clock.now());
  explain(context, call, std::move(waiting));
}

constexpr std::array kRoutes{
    Route{"POST", "/v1/manifests/apply", Scope::Admin, apply_manifests},
    Route{"POST", "/v1/manifests/delete", Scope::Admin, delete_manifests},
    Route{"GET", "/v1/manifests/{kind}", Scope::Read, list_manifests},
    Route{"GET", "/v1/scale/{name}", Scope::Read, explain_scale},
};

}  // namespace

std::span<const Route> manifest_routes() { return kRoutes; }

}  // namespace jobmill::api
