"""A node without containers: pods that the scheduler gives it become local processes, or only say that they run.

Which image is which program is for its maker to say; pods of other images are Running and Ready at once and
run nothing. What a kubelet does for the first container is done: environment, readiness, restarts, phases,
termination with its period of grace. All pods share this machine's network, so two that listen want ports of
their own: see Program.
"""
import base64
import contextlib
import dataclasses
import datetime
import http.client
import itertools
import os
import pathlib
import queue
import re
import signal
import socket
import threading
import time
import typing

from api import STRATEGIC, ApiError, path
from cluster import AWAY, end, launch
from harness import CLEAN
from logs import LogServer

HEARTBEAT = 10  # seconds; a node is lost after 50
DELAYS = (0.2, 1, 5, 10)  # before a container that ended begins anew


@dataclasses.dataclass
class Program:
    """What an image is here. `command` is its entry point; a container's own command takes its place, unless its
    first word names the same program. `arguments` come after the container's; `environment` wins over its
    variables, in whose values and arguments `replace` has had its turn; `ports` says where a port of the
    container is found on this machine."""
    command: typing.Sequence[object] = ()
    arguments: typing.Sequence[object] = ()
    environment: dict = dataclasses.field(default_factory=dict)
    replace: dict = dataclasses.field(default_factory=dict)
    ports: dict = dataclasses.field(default_factory=dict)


class CannotStart(Exception):
    """The container's configuration is wrong now; it may be right later."""


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition(kind, holds):
    return {"type": kind, "status": "True" if holds else "False", "lastTransitionTime": now()}


def terminated(code):
    return {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": now()}


class Node:
    """`programs`: image name without its tag -> Program, or a function from the pod to one."""

    def __init__(self, cluster, programs=None, name="node-1"):
        self.cluster, self.api, self.name = cluster, cluster.api, name
        self.programs = dict(programs or {})
        self.folder = cluster.folder / name
        self.folder.mkdir()
        self.pods = {}  # uid -> Pod
        self.numbers = itertools.count()
        self.logs = LogServer(self, *cluster.authority.server(name))
        self.stopped = threading.Event()
        self._register()
        for work in (self._keep_ready, self._watch):
            threading.Thread(target=work, daemon=True).start()

    def close(self):
        """At once: no pod is given time."""
        self.stopped.set()
        for pod in list(self.pods.values()):
            pod.events.put(("gone",))
        for pod in list(self.pods.values()):
            pod.thread.join(10)
        self.logs.close()

    def program(self, manifest):
        image = manifest["spec"]["containers"][0]["image"].rsplit("@", 1)[0]
        name = re.sub(r":[^/:]*$", "", image)
        found = self.programs.get(name)
        return found(manifest) if callable(found) else found

    def log(self, pod):
        return (self.folder / f"{pod}.log").read_text(errors="replace")

    def has_pods(self, namespace):
        return any(pod.namespace == namespace for pod in list(self.pods.values()))

    def runs(self, namespace, name):
        """Whether the pod has a process that may still write."""
        return any(pod.process for pod in list(self.pods.values()) if (pod.namespace, pod.name) == (namespace, name))

    def patiently(self, call):
        """Repeats what meets an API server that is away; None when the object is gone, or we are."""
        while not self.stopped.is_set():
            try:
                return call()
            except ApiError as error:
                if error.status in (404, 409):
                    return None
                if error.status < 500 and error.status != 429:
                    raise
            except AWAY:
                pass
            self.stopped.wait(0.3)
        return None

    def _register(self):
        capacity = {"cpu": "64", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "100Gi"}
        self.api.create("nodes", None, {"metadata": {"name": self.name, "labels": {"kubernetes.io/hostname": self.name}}})
        addresses = [{"type": "Hostname", "address": "127.0.0.1"}, {"type": "InternalIP", "address": "192.0.2.10"}]
        self._beat({"capacity": capacity, "allocatable": capacity, "addresses": addresses,
                    "daemonEndpoints": {"kubeletEndpoint": {"Port": self.logs.port}}})

    def _beat(self, more=None):
        beat = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now()}
        self.api.call("PATCH", path("nodes", None, self.name, "status"), {"status": {"conditions": [beat], **(more or {})}}, STRATEGIC)

    def _keep_ready(self):
        while not self.stopped.wait(HEARTBEAT):
            self.patiently(self._beat)

    def _watch(self):
        mine = {"fieldSelector": f"spec.nodeName={self.name}"}
        while not self.stopped.is_set():
            with contextlib.suppress(ApiError, *AWAY):
                listed = self.api.call("GET", "/api/v1/pods?" + "&".join(f"{key}={value}" for key, value in mine.items()))
                there = {pod["metadata"]["uid"] for pod in listed["items"]}
                for uid in self.pods.keys() - there:
                    self._seen("DELETED", {"metadata": {"uid": uid}})
                for pod in listed["items"]:
                    self._seen("ADDED", pod)
                for kind, pod in self.api.watch("pods", resourceVersion=listed["metadata"]["resourceVersion"], timeoutSeconds=300, **mine):
                    self._seen(kind, pod)
            self.stopped.wait(0.2)

    def _seen(self, kind, manifest):
        if kind not in ("ADDED", "MODIFIED", "DELETED"):  # a bookmark, or an error: the watch ends by itself
            return
        metadata = manifest["metadata"]
        pod = self.pods.get(metadata["uid"])
        if kind == "DELETED":
            if pod:
                pod.events.put(("gone",))
            return
        over = manifest.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if not pod and (not over or "deletionTimestamp" in metadata):
            pod = self.pods[metadata["uid"]] = Pod(self, manifest, self._address())
            pod.thread.start()
        if pod and "deletionTimestamp" in metadata:
            pod.events.put(("deleted", metadata.get("deletionGracePeriodSeconds", 30)))

    def _address(self):
        """Only a name: nobody listens there."""
        number = next(self.numbers)
        return f"10.244.{number // 250}.{number % 250 + 1}"


class Deleted(Exception):
    """Somebody wants the pod gone; None: it is gone already."""

    def __init__(self, grace=None):
        super().__init__(grace)
        self.grace = grace


class Pod:
    """One pod's life, on a thread of its own, which also is the parent of its process."""

    def __init__(self, node, manifest, address):
        self.node, self.manifest, self.address = node, manifest, address
        self.metadata, self.spec = manifest["metadata"], manifest["spec"]
        self.name, self.namespace, self.uid = self.metadata["name"], self.metadata["namespace"], self.metadata["uid"]
        self.container = self.spec["containers"][0]
        self.events = queue.Queue()  # ("exited", process), ("deleted", grace), ("gone",)
        self.plan = self.process = self.last = None
        self.restarts, self.started_at = 0, now()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            if "deletionTimestamp" not in self.metadata:
                self._live()
            self._next()  # nothing is left but to be deleted
        except Deleted as deleted:
            if deleted.grace is not None:
                self._terminate(deleted.grace)
        finally:
            if self.process:
                end(self.process)
            self.node.api.close()
            self.node.pods.pop(self.uid, None)

    def _live(self):
        self.plan = self.node.program(self.manifest)
        if not self.plan:
            return self._tell("Running", {"running": {"startedAt": now()}}, ready=True)
        while True:
            code = self._run_once()
            self.last = terminated(code)
            policy = self.spec.get("restartPolicy", "Always")
            if policy == "Never" or (policy == "OnFailure" and code == 0):
                return self._tell("Failed" if code else "Succeeded", {"terminated": self.last})
            self._tell("Running", {"waiting": {"reason": "CrashLoopBackOff"}})
            self._pause(DELAYS[min(self.restarts, len(DELAYS) - 1)])
            self.restarts += 1

    def _run_once(self):
        """From start to end; the container's exit code."""
        self._start()
        running, probe = {"running": {"startedAt": now()}}, self.container.get("readinessProbe")
        ready, failures = not probe, 0
        self._tell("Running", running, ready=ready)
        pause = probe.get("initialDelaySeconds", 0) if probe else None
        while not self._next(pause):  # nothing else comes than that it exited
            good = self._probe(probe)
            failures = 0 if good else failures + 1
            wish = good or (ready and failures < probe.get("failureThreshold", 3))
            if wish != ready:
                ready = wish
                self._tell("Running", running, ready=ready)
            # One that is not ready yet is asked often, so that tests need not wait for the end of a period.
            pause = probe.get("periodSeconds", 10) if ready else 0.1
        return self._reap()

    def _next(self, timeout=None):
        try:
            event = self.events.get(timeout=timeout)
        except queue.Empty:
            return None
        if event[0] == "gone":
            raise Deleted()
        if event[0] == "deleted":
            raise Deleted(event[1])
        return event

    def _pause(self, seconds):
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            self._next(left)

    def _start(self):
        while True:
            try:
                environment = self._environment()
                break
            except CannotStart as error:
                self._tell("Pending", {"waiting": {"reason": "CreateContainerConfigError", "message": str(error)}})
                self._pause(0.5)
        self.process = launch(self._words(environment), self.node.folder / f"{self.name}.log", cwd=self.node.folder, env=environment)
        threading.Thread(target=self._wait_for, args=[self.process], daemon=True).start()

    def _wait_for(self, process):
        process.wait()
        self.events.put(("exited", process))

    def _reap(self):
        code = self.process.returncode
        end(self.process)  # what it left behind in its group
        self.process = None
        return code if code >= 0 else 128 - code

    def _terminate(self, grace):
        """TERM, time, KILL; then the object itself may go."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
            limit = time.monotonic() + grace
            while self.process.poll() is None and (left := limit - time.monotonic()) > 0:
                try:
                    event = self.events.get(timeout=left)
                except queue.Empty:
                    break
                if event[0] == "gone":  # by force
                    return
                if event[0] == "deleted":  # with less time than before
                    limit = min(limit, time.monotonic() + event[1])
            if self.process.poll() is None:
                end(self.process)
            code = self._reap()
            self._tell("Failed" if code else "Succeeded", {"terminated": terminated(code)})
        delete = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        self.node.patiently(lambda: self.node.api.delete("pods", self.namespace, self.name, **delete))

    def _tell(self, phase, state, ready=False):
        before = {"terminated": self.last} if self.last and "terminated" not in state else {}
        first = {"name": self.container["name"], "image": self.container["image"], "imageID": "", "restartCount": self.restarts,
                 "ready": ready, "started": "running" in state, "state": state, "lastState": before}
        others = [{**first, "name": other["name"], "image": other["image"]} for other in self.spec["containers"][1:]]
        status = {"phase": phase, "startTime": self.started_at, "hostIP": "192.0.2.10", "podIP": self.address, "podIPs": [{"ip": self.address}],
                  "conditions": [condition("Initialized", True), condition("ContainersReady", ready), condition("Ready", ready)],
                  "containerStatuses": [first, *others]}
        where = path("pods", self.namespace, self.name, "status")
        self.node.patiently(lambda: self.node.api.call("PATCH", where, {"metadata": {"uid": self.uid}, "status": status}, STRATEGIC))

    # --- what the process is given ----------------------------------------------------------------

    def _environment(self):
        values = {}
        for source in self.container.get("envFrom", []):
            kind = "secretRef" if "secretRef" in source else "configMapRef"
            for key, value in self._data(kind[:-3], source[kind]).items():
                values[source.get("prefix", "") + key] = value
        for variable in self.container.get("env", []):
            value = self._expand(variable["value"], values) if "value" in variable else self._value_from(variable.get("valueFrom"))
            if value is not None:
                values[variable["name"]] = value
        values = {name: self._replaced(value) for name, value in values.items()}
        forced = {name: str(value) for name, value in self.plan.environment.items()}
        return {**CLEAN, "HOSTNAME": self.name, **self._of_the_cluster(), **values, **forced}

    def _of_the_cluster(self):
        """A container has its account's token in a file at a fixed place; a process here, a kubeconfig that holds it."""
        found = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.node.cluster.port)}
        if self.spec.get("automountServiceAccountToken", True):
            file = self.node.folder / f"{self.name}.kubeconfig"
            account = self.spec.get("serviceAccountName", "default")
            self.node.patiently(lambda: self.node.cluster.kubeconfig_of(self.namespace, account, file))
            found["KUBECONFIG"] = str(file)
        return found

    def _data(self, kind, reference):
        plural = {"secret": "secrets", "configMap": "configmaps"}[kind]
        found = self.node.patiently(lambda: self.node.api.find(plural, self.namespace, reference["name"]))
        if found is None:
            if reference.get("optional"):
                return {}
            raise CannotStart(f'{kind} "{reference["name"]}" not found')
        data = found.get("data", {})
        return {key: base64.b64decode(value).decode() for key, value in data.items()} if kind == "secret" else data

    def _value_from(self, source):
        if source is None:
            return ""
        if "fieldRef" in source:
            return self._field(source["fieldRef"]["fieldPath"])
        kind = "secret" if "secretKeyRef" in source else "configMap"
        reference = source.get(kind + "KeyRef")
        if reference is None:
            raise CannotStart(f"this node knows no {', '.join(source)}")
        data = self._data(kind, reference)
        if reference["key"] not in data and not reference.get("optional"):
            raise CannotStart(f'{kind} "{reference["name"]}" has no key "{reference["key"]}"')
        return data.get(reference["key"])

    def _field(self, name):
        if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", name):
            return self.metadata.get(match[1], {}).get(match[2], "")
        return {"metadata.name": self.name, "metadata.namespace": self.namespace, "metadata.uid": self.uid, "spec.nodeName": self.node.name,
                "spec.serviceAccountName": self.spec.get("serviceAccountName", "default"), "status.podIP": self.address,
                "status.hostIP": "192.0.2.10"}[name]

    def _replaced(self, text):
        for old, new in self.plan.replace.items():
            text = text.replace(old, str(new))
        return text

    @staticmethod
    def _expand(text, values):
        """$(NAME), where it is known; $$ is a dollar."""
        return re.sub(r"\$\$|\$\((\w+)\)", lambda found: "$" if found[0] == "$$" else values.get(found[1], found[0]), text)

    def _words(self, environment):
        own, program = self.container.get("command"), list(self.plan.command)
        if own and program and pathlib.PurePath(own[0]).name == pathlib.PurePath(program[0]).name:
            own = [program[0], *own[1:]]
        words = [*(own or program), *self.container.get("args", [])]
        return [*(self._replaced(self._expand(str(word), environment)) for word in words), *map(str, self.plan.arguments)]

    def _probe(self, probe):
        """Whether the container is ready now."""
        kind = "httpGet" if "httpGet" in probe else "tcpSocket"
        port = probe[kind]["port"]
        port = next((known["containerPort"] for known in self.container.get("ports", []) if known.get("name") == port), port)
        address = ("127.0.0.1", self.plan.ports.get(port, port))
        try:
            if kind == "tcpSocket":
                socket.create_connection(address, timeout=probe.get("timeoutSeconds", 1)).close()
                return True
            connection = http.client.HTTPConnection(*address, timeout=probe.get("timeoutSeconds", 1))
            with contextlib.closing(connection):
                connection.request("GET", probe[kind].get("path", "/"))
                return 200 <= connection.getresponse().status < 400
        except AWAY:
            return False
