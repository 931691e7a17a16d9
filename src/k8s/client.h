// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/document.h"
#include "base/result.h"
#include "http/client.h"
#include "k8s/config.h"
#include "k8s/resource.h"

namespace jobmill::k8s {

// What a client needs of its thread: it keeps its own state there, and answers there.
struct World {
  std::function<void(std::function<void()>)> post;
  // Calls it once, later, on that thread; dropping the handle cancels.
  std::function<std::shared_ptr<void>(Duration, std::function<void()>)> run_after;
  const Clock& clock;
  // Runs it on some other thread, where it may block: plugins that hand out credentials need it.
  std::function<void(std::function<void()>)> background{};
};

// Speaks to one API server: JSON over HTTPS, one connection pool, requests limited and counted.
// All calls on its thread; answers come there, later. Answers of a destroyed client are dropped.
// Requests wait for their turn in order; those for leases do not wait, since leadership hangs on
// them, and events let all others pass: what they tell stands in a status, too.
//
// Errors: NotFound; Conflict (409: another resourceVersion, or it exists: AlreadyExists; 410: a
// resourceVersion that is too old); PermissionDenied (403, 401: names verb, resource, namespace and
// the rule that a role lacks); Exhausted (429 after the tries of Retry-After); Unavailable (5xx, no
// connection); InvalidArgument (400, 422: the server's message); Timeout. Reads that meet
// Unavailable or 429 are repeated a few times, writes only where the server said that it did
// nothing (429, and once 401, with credentials that were read anew).
class Client {
 public:
  using Done = std::function<void(Result<Node>)>;
  struct Limits {
    double per_second = 20;  // KEDA's --kube-api-qps; watches count once
    int burst = 30;
    int at_once = 10;  // calls whose answers are awaited, each on a connection; not watches, leases
    Duration timeout = std::chrono::seconds(15);
  };
  struct Counts {  // since the start
    std::uint64_t reads = 0, writes = 0, watches = 0, failed = 0;
  };

  Client(Config config, http::Client& http, World world, Limits limits);
  ~Client();

  void get(const Resource& resource, std::string_view ns, std::string_view name, Done done,
           std::string_view subresource = {});
  // A whole collection, page by page; the answer is a List with all items, each with its
  // apiVersion and kind.
  void list(const Resource& resource, std::string_view ns, std::string_view label_selector,
            Done done, std::string_view field_selector = {});
  void create(const Resource& resource, std::string_view ns, Node object, Done done);
  void replace(const Resource& resource, std::string_view ns, std::string_view name, Node object,
               Done done, std::string_view subresource = {});  // Conflict by its resourceVersion
  void merge_patch(const Resource& resource, std::string_view ns, std::string_view name, Node patch,
                   Done done, std::string_view subresource = {});
  // Server-side apply as field manager "jobmill".
  void apply(const Resource& resource, std::string_view ns, std::string_view name, Node object,
             Done done, std::string_view subresource = {});
  enum class Propagation { Background, Foreground };
  // `grace`: gracePeriodSeconds, of a pod; 0 kills it. None: as the object itself says.
  void remove(const Resource& resource, std::string_view ns, std::string_view name,
              Propagation propagation, Done done, std::optional<Duration> grace = {});
  // Any path below the server, e.g. "/apis/apps/v1" or "/version".
  void get_path(std::string_view path, Done done);

  // A text that is read as it comes, such as the log of a container that still runs: `piece` gets
  // its bytes. It ends with `ended`: nothing wrong when the server closed it. Counts as a watch.
  // Dropping the handle ends it without a word.
  [[nodiscard]] std::shared_ptr<void> get_text(std::string_view path,
                                               std::function<void(std::string_view)> piece,
                                               std::function<void(Status)> ended);

  // The stream of a watch: `line` gets each JSON object of it as it comes. It ends with `ended`:
  // nothing wrong when the server closed it; Conflict: 410. Dropping the handle ends it without a
  // word.
  struct Watch {
    std::string ns{};  // empty: all
    std::string label_selector{};
    std::string field_selector{};
    std::string resource_version{};
    Duration timeout = std::chrono::minutes(5);  // after which the server closes it
    std::function<void()> begun{};               // the server has accepted it
  };
  std::shared_ptr<void> watch(const Resource& resource, const Watch& watch,
                              std::function<void(Node)> line, std::function<void(Status)> ended);

  // How a kind is named in paths, by the server's own list (kept for ten minutes). NotFound names
  // apiVersion and kind.
  void discover(std::string_view api_version, std::string_view kind,
                std::function<void(Result<Resource>)> done);

  const Config& config() const;
  Counts counts() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace jobmill::k8s
