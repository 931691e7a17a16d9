"""What the tests share: one cluster for all tests of a file, a namespace for each."""
import atexit
import base64
import functools
import http.server
import json
import threading
import uuid

from api import ApiError, path
from cluster import Cluster, own_port
from harness import ROOT, SystemTest, until
from node import Node

DEPLOY = ROOT / "deploy/k8s"
KINDS = ("scaledobjects", "scaledjobs", "triggerauthentications", "clustertriggerauthentications")


@functools.cache
def shared_cluster():
    """It takes ten seconds to start."""
    cluster = Cluster()
    atexit.register(cluster.close)
    node = Node(cluster)
    atexit.register(node.close)
    return cluster, node


class KubernetesTest(SystemTest):
    patience = 180  # seconds that pods may take until they are ready

    def setUp(self):
        super().setUp()
        self.cluster, self.node = self.shared()
        self.api, self.kubectl = self.cluster.api, self.cluster.kubectl
        self.ns = self.namespace()

    def shared(self):
        """What the tests of a file have in common, as it was at its beginning: (cluster, node)."""
        cluster, node = shared_cluster()
        node.programs.clear()
        return cluster, node

    def namespace(self, name=None):
        """One that is there while the test runs."""
        name = self.cluster.namespace(name or "test-" + uuid.uuid4().hex[:8])
        self.addCleanup(self.api.delete, "namespaces", None, name)
        self.addCleanup(self.end_pods, name)
        return name

    def deployment(self, name, replicas=1, image="nothing", **pod):
        """Made by the API; `pod` are fields of the pod, or of its container."""
        container = {"name": "main", "image": image, **{key: pod.pop(key) for key in ("command", "args", "env", "readinessProbe") if key in pod}}
        labels = {"app": name}
        self.api.create("deployments", self.ns, {
            "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": {"containers": [container], **pod}}}})

    def pods(self, app=None):
        return self.api.items("pods", self.ns, **({"labelSelector": f"app={app}"} if app else {}))

    def status(self, plural, name):
        return self.api.get(plural, self.ns, name).get("status", {})

    def until_ready(self, name, replicas, seconds=None):
        """A Deployment has exactly so many pods, and all are ready."""
        def there():
            status = self.status("deployments", name)
            return status.get("replicas", 0) == status.get("readyReplicas", 0) == replicas
        until(there, seconds or self.patience, f"{replicas} ready pods of {name}")

    def end_pods(self, namespace):
        # What would make new pods goes first; the end of a namespace would take seconds to begin.
        for plural in ("deployments", "statefulsets", "jobs", "replicasets", "pods"):
            self.api.call("DELETE", path(plural, namespace), {"propagationPolicy": "Background"})
        until(lambda: not self.node.has_pods(namespace), 180, "the end of the test's pods")


class Source:
    """What a metrics-api trigger reads: {"value": …} at `url`, for the user "me" where there is a password.

    It can go away and come back at the same address.
    """

    def __init__(self):
        self.value, self.password, self.reads, self.port, self.server = 0, None, 0, 0, None
        self.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/metric"

    def start(self):
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                source.reads += 1
                body = json.dumps({"value": source.value}).encode()
                self.send_response(200 if source.knows(self.headers.get("Authorization")) else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port or own_port()), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def knows(self, words):
        expected = base64.b64encode(f"me:{self.password}".encode()).decode()
        return self.password is None or words == f"Basic {expected}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class ControllerTest(KubernetesTest):
    """Tests of `jobmill serve --target kubernetes`, which is a process beside the cluster."""

    def setUp(self):
        super().setUp()
        self.define()
        self.source = Source()
        self.addCleanup(self.source.stop)

    def define(self):
        """The kinds of keda.sh, as we deliver them."""
        self.cluster.apply(DEPLOY / "crds.yaml")
        for plural in KINDS:
            until(lambda plural=plural: self.served(plural), 180, plural)

    def undefine(self):
        """Until the end of the test."""
        for plural in KINDS:
            self.api.delete("customresourcedefinitions", None, f"{plural}.keda.sh")
        self.addCleanup(self.define)
        # What of it does not go at once the API server tries again after a minute.
        until(lambda: not any(self.api.find("customresourcedefinitions", None, f"{plural}.keda.sh") for plural in KINDS), 180, "their end")

    def served(self, plural):
        definition = self.api.get("customresourcedefinitions", None, f"{plural}.keda.sh")
        conditions = definition.get("status", {}).get("conditions") or []
        established = any(one["type"] == "Established" and one["status"] == "True" for one in conditions)
        return established and self.listed(plural)

    def listed(self, plural):
        """An API server that says 429 is still setting up what it stores them in."""
        try:
            return self.api.find(plural) is not None
        except ApiError as error:
            if error.status != 429:
                raise
            return False

    def rights(self):
        """Kind of role -> its rules, as we deliver them."""
        text = self.kubectl("apply", "--dry-run=client", "-o", "json", "-n", self.ns, "-f", DEPLOY / "rbac.yaml")
        return {one["kind"]: one["rules"] for one in json.loads(text)["items"] if "rules" in one}

    def give(self, rights, account="controller"):
        """Those rights, and no others, to an account of the test's namespace; its kubeconfig."""
        if not self.api.find("serviceaccounts", self.ns, account):
            self.api.create("serviceaccounts", self.ns, {"metadata": {"name": account}})
        name = f"{self.ns}-{account}"
        for kind, rules in rights.items():
            plural, where = (kind.lower() + "s", self.ns if kind == "Role" else None)
            if self.api.find(plural, where, name):
                self.api.merge(plural, where, name, {"rules": rules})
                continue
            bindings = kind.lower() + "bindings"
            self.api.create(plural, where, {"metadata": {"name": name}, "rules": rules})
            self.api.create(bindings, where, {"metadata": {"name": name}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
                                              "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": self.ns}]})
            if kind == "ClusterRole":
                self.addCleanup(self.api.delete, plural, None, name)
                self.addCleanup(self.api.delete, bindings, None, name)
        return self.cluster.kubeconfig_of(self.ns, account)

    def controller(self, *flags, name="controller", everywhere=False, **more):
        """With the rights that we deliver, unless the account has others already."""
        config = self.cluster.folder / f"{self.ns}-controller.kubeconfig"
        if not config.exists():
            self.give(self.rights())
        where = () if everywhere else ("--watch-namespace", self.ns)
        server = self.serve("--target", "kubernetes", "--kubeconfig", config, *where, *flags,
                            data=self.folder / name, env={"POD_NAMESPACE": self.ns}, **more)
        self.addCleanup(self.show_after_failure, name, server.stderr)
        return server

    def show_after_failure(self, name, log):
        result = self._outcome.result
        if any(test is self for test, _ in result.failures + result.errors):
            print(f"-- {name}:", log(), sep="\n")

    def scaled_object(self, name="web", *, url=None, annotations=None, **spec):
        """Ten of the source's value for each replica, asked every second."""
        trigger = {"type": "metrics-api", "metricType": "AverageValue",
                   "metadata": {"url": url or self.source.url, "format": "json", "valueLocation": "value", "targetValue": "10"}}
        return self.api.create("scaledobjects", self.ns, {
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name, "annotations": annotations or {}},
            "spec": {"scaleTargetRef": {"name": name}, "pollingInterval": 1, "cooldownPeriod": 1, "minReplicaCount": 0, "maxReplicaCount": 10,
                     "triggers": [trigger], **spec}})

    def wanted(self, name="web"):
        return self.api.scale("deployments", self.ns, name)

    def until_wanted(self, replicas, name="web", seconds=120):
        until(lambda: self.wanted(name) == replicas, seconds, f"{replicas} replicas of {name}")

    def condition(self, kind, name="web", plural="scaledobjects"):
        """(status, reason, message) of an object's condition."""
        for one in self.status(plural, name).get("conditions", []):
            if one["type"] == kind:
                return one["status"], one.get("reason", ""), one.get("message", "")
        return "", "", ""

    def until_condition(self, kind, status, name="web", plural="scaledobjects", seconds=120):
        until(lambda: self.condition(kind, name, plural)[0] == status, seconds, f"{kind}={status} of {name}")
        return self.condition(kind, name, plural)

    def reasons(self, name="web"):
        """Of the events that tell of an object."""
        return {event["reason"] for event in self.api.items("events", self.ns) if event["involvedObject"]["name"] == name}

    def until_told(self, *reasons, name="web"):
        """Events let everything else go before them."""
        until(lambda: self.reasons(name) >= set(reasons), what=f"events of {name}: {reasons}")
