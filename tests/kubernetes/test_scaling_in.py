"""Pods that hold jobs are not ended by a scale-in, whichever Kubernetes would take."""
import signal

from harness import JOBMILL, until
from node import Program
from support import ControllerTest

POD = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
NAMESPACE = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}
COST = "controller.kubernetes.io/pod-deletion-cost"
AT_ONCE = {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}}


class ScalingIn(ControllerTest):
    def setUp(self):
        super().setUp()
        self.server = self.controller()
        # A job runs in a pod until somebody opens the gate of that pod.
        script = self.file("job.sh", f'touch "{self.folder}/runs-$POD"; until [ -e "{self.folder}/gate-$POD" ]; do sleep 0.05; done')
        self.node.programs["worker"] = Program([JOBMILL, "worker", "--server", self.server.url, "--workers", "1", "--", "sh", script])

    def workload(self, replicas, original=0, **advanced):
        variables = [{"name": "POD", **POD}, {"name": "JOBMILL_REPLICA", **POD}]
        self.deployment("web", original, image="worker", env=variables)
        self.source.value = 10 * replicas
        self.scaled_object(advanced={**AT_ONCE, **advanced})
        self.until_ready("web", replicas)
        until(lambda: self.server.metric("workers")["totalWorkers"] == replicas, what="their workers")

    def run_jobs(self, count):
        """One after the other, so that each has a pod of its own; the pods in that order."""
        ids, pods = [], []
        for _ in range(count):
            ids.append(self.server.call("POST", "/v1/jobs", {"kind": "k"}).json["id"])
            until(lambda: len(self.running()) > len(pods), what="another job that runs")
            pods += sorted(self.running() - set(pods))
        return ids, pods

    def running(self):
        return {path.name.removeprefix("runs-") for path in self.folder.glob("runs-*")}

    def names(self):
        return {pod["metadata"]["name"] for pod in self.pods("web") if "deletionTimestamp" not in pod["metadata"]}

    def finish(self, pod):
        (self.folder / f"gate-{pod}").touch()

    def assert_ran_once(self, ids):
        for job in ids:
            until(lambda job=job: self.server.job(job)["state"] == "SUCCEEDED", what="the job's success")
            states = [event["state"] for event in self.server.job(job)["history"]]
            self.assertEqual(1, states.count("PROCESSING"), states)

    def test_idle_pods_go_and_busy_ones_end_their_jobs(self):
        self.workload(4)
        ids, busy = self.run_jobs(2)
        self.source.value = 10
        until(lambda: self.names() == set(busy), what="the end of the idle pods")
        self.assertEqual(2, self.wanted(), "the other victim works on")

        self.finish(busy[1])  # it began last, so it has the least to lose
        until(lambda: self.names() == {busy[0]}, what="the end of the drained pod")
        self.assertEqual(1, self.wanted())
        self.finish(busy[0])
        self.assert_ran_once(ids)

    def test_a_draining_pod_goes_back_to_work(self):
        self.workload(2)
        ids, busy = self.run_jobs(2)
        self.source.value = 10
        until(lambda: "pod drains" in self.server.stderr(), what="a victim")
        self.source.value = 20
        until(lambda: "pod goes back to work" in self.server.stderr(), what="its return")
        for pod in busy:
            self.finish(pod)
        self.assert_ran_once(ids)
        self.assertEqual(set(busy), self.names())
        self.assertEqual(2, self.wanted())

    def test_the_end_of_an_object_lets_jobs_end(self):
        ids, busy = self.run_until_deleted()
        until(lambda: self.wanted() == 3 and self.names() == set(busy), what="the end of the idle pod")
        self.finish(busy[2])
        until(lambda: self.wanted() == 2, what="the end of the first that drained")
        self.assertEqual(["finalizer.keda.sh"], self.object()["metadata"]["finalizers"])
        self.finish(busy[1])
        until(lambda: not self.object(), what="the end of the object")
        self.assertEqual(1, self.wanted())
        until(lambda: self.names() == {busy[0]}, what="the end of the drained pods")
        self.finish(busy[0])
        self.assert_ran_once(ids)
        until(lambda: self.workers() == {busy[0]: "run"}, what="the one that stays, at work")

    def test_the_end_of_an_object_outlives_the_leader(self):
        ids, busy = self.run_until_deleted()
        until(lambda: self.wanted() == 3, what="the end of the idle pod")
        address = self.server.url.removeprefix("http://")
        self.server.kill(signal.SIGKILL)
        self.server = self.controller(http_address=address)
        until(lambda: self.server.stderr().count("replicas are restored") == 1, what="the next leader, who goes on")
        self.finish(busy[2])
        until(lambda: self.wanted() == 2, what="the end of the first that drained")
        self.assertTrue(self.object())
        self.finish(busy[1])
        until(lambda: not self.object(), what="the end of the object")
        until(lambda: self.names() == {busy[0]}, what="the end of the drained pods")
        self.assertEqual(1, self.wanted())
        self.finish(busy[0])
        self.assert_ran_once(ids)

    def test_an_object_that_need_not_wait_any_more(self):
        ids, busy = self.run_until_deleted()
        until(lambda: self.wanted() == 3, what="the end of the idle pod")
        self.api.merge("scaledobjects", self.ns, "web", {"metadata": {"finalizers": None}})
        until(lambda: set(self.workers().values()) == {"run"}, what="their return to work")
        until(lambda: self.names() == set(busy), what="the end of the idle pod's object")
        self.assertEqual(3, self.wanted())
        for pod in busy:
            self.finish(pod)
        self.assert_ran_once(ids)

    def run_until_deleted(self):
        """Four pods, three of them with a job, whose object is deleted: one pod is to be left. Its jobs and their pods."""
        self.workload(4, original=1, restoreToOriginalReplicaCount=True)
        until(lambda: self.object()["metadata"].get("finalizers"), what="the finalizer")
        ids, busy = self.run_jobs(3)
        self.api.delete("scaledobjects", self.ns, "web")
        return ids, busy

    def object(self):
        return self.api.find("scaledobjects", self.ns, "web")

    def workers(self):
        """Pod -> what its worker is told to do."""
        return {one["replica"]: one["state"] for one in self.server.get("/v1/workers").json}

    def test_a_busy_pod_is_marked(self):
        self.workload(2)
        ids, busy = self.run_jobs(1)
        until(lambda: self.annotations(busy[0]).get(COST) == "1000", what="the mark")
        self.assertEqual("false", self.annotations(busy[0])["cluster-autoscaler.kubernetes.io/safe-to-evict"])
        idle = (self.names() - set(busy)).pop()
        self.assertEqual({}, self.annotations(idle))
        self.finish(busy[0])
        self.assert_ran_once(ids)

    def annotations(self, pod):
        return self.api.get("pods", self.ns, pod)["metadata"].get("annotations", {})


class OneNameInTwoNamespaces(ControllerTest):
    """StatefulSets of two pods each, web-0 and web-1, in two namespaces."""

    def setUp(self):
        super().setUp()
        self.namespaces = [self.ns, self.namespace()]
        self.server = self.controller(everywhere=True)
        script = self.file("job.sh", f'touch "{self.folder}/runs-$POD"; until [ -e "{self.folder}/gate-$POD" ]; do sleep 0.05; done')
        self.node.programs["worker"] = Program([JOBMILL, "worker", "--server", self.server.url, "--workers", "1", "--", "sh", script])

    def workloads(self, replica):
        variables = [{"name": "POD_NAMESPACE", **NAMESPACE}, {"name": "POD_NAME", **POD}, {"name": "POD", "value": "$(POD_NAMESPACE).$(POD_NAME)"},
                     {"name": "JOBMILL_REPLICA", "value": replica}]
        container = {"name": "main", "image": "worker", "env": variables}
        self.source.value = 20
        for self.ns in self.namespaces:
            self.api.create("statefulsets", self.ns, {
                "metadata": {"name": "web"},
                "spec": {"replicas": 0, "serviceName": "web", "podManagementPolicy": "Parallel", "selector": {"matchLabels": {"app": "web"}},
                         "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}}})
            self.scaled_object(scaleTargetRef={"name": "web", "kind": "StatefulSet"}, advanced=AT_ONCE)
        until(lambda: self.server.metric("workers")["totalWorkers"] == 4, what="their workers")

    def wanted_in(self):
        return [self.api.scale("statefulsets", ns, "web") for ns in self.namespaces]

    def test_each_namespace_has_its_own(self):
        self.workloads("$(POD_NAMESPACE)/$(POD_NAME)")
        ids = [self.server.call("POST", "/v1/jobs", {"kind": "k"}).json["id"] for _ in range(4)]
        until(lambda: len(list(self.folder.glob("runs-*"))) == 4, what="a job in each pod")
        self.source.value = 10
        until(lambda: self.server.stderr().count("pod drains") == 2, what="a victim in each")
        first, second = self.namespaces
        (self.folder / f"gate-{second}.web-1").touch()
        until(lambda: self.wanted_in() == [2, 1], what="the end of the one that is idle")
        (self.folder / f"gate-{first}.web-1").touch()
        until(lambda: self.wanted_in() == [1, 1], what="the end of the other one")
        self.assertNotIn("goes back to work", self.server.stderr())
        for ns in self.namespaces:
            (self.folder / f"gate-{ns}.web-0").touch()
        for job in ids:
            until(lambda job=job: self.server.job(job)["state"] == "SUCCEEDED", what="the job's success")
            states = [event["state"] for event in self.server.job(job)["history"]]
            self.assertEqual(1, states.count("PROCESSING"), states)

    def test_nobody_is_taken_for_idle_by_a_name_that_two_have(self):
        self.workloads("$(POD_NAME)")
        self.source.value = 10
        until(lambda: self.server.stderr().count(" to=1") == 2, what="fewer that are wanted")
        reads = self.source.reads
        until(lambda: self.source.reads > reads + 6, what="three more looks at the source for each")
        self.assertEqual([2, 2], self.wanted_in())
        self.assertEqual({"run"}, {one["state"] for one in self.server.get("/v1/workers").json})
        self.assertEqual(2, self.server.stderr().count("set JOBMILL_REPLICA to $(POD_NAMESPACE)/$(POD_NAME)"))
