"""The cluster and its node are what the other tests take them for."""
import json
import os
import signal

from api import ApiError
from cluster import AWAY, PROGRAM
from harness import free_port, until
from node import Program
from support import KubernetesTest

JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: greeting}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: main
          image: local/shell:1.0
          command: [sh, -c, 'echo "$GREETING from $POD_NAME, $HOSTNAME"; exit $(CODE)']
          env:
            - {name: CODE, value: "%d"}
            - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
          envFrom: [{secretRef: {name: words}}]
---
apiVersion: v1
kind: Secret
metadata: {name: words}
stringData: {GREETING: "hello @here"}
"""


class Pods(KubernetesTest):
    def test_a_deployment_becomes_ready_and_goes(self):
        self.deployment("web", 3)
        self.until_ready("web", 3)
        self.assertEqual({self.node.name}, {pod["spec"]["nodeName"] for pod in self.pods("web")})
        self.api.scale("deployments", self.ns, "web", 0)
        until(lambda: not self.pods("web"), what="the end of the pods")
        self.until_ready("web", 0)

    def test_the_scale_of_a_deployment(self):
        self.deployment("web", 0)
        scale = self.api.get("deployments", self.ns, "web", "scale")
        self.assertEqual({}, scale["spec"], "zero is not written")
        self.assertEqual(2, self.api.scale("deployments", self.ns, "web", 2))
        self.until_ready("web", 2)
        scale = self.api.get("deployments", self.ns, "web", "scale")
        self.assertEqual((2, "app=web"), (scale["status"]["replicas"], scale["status"]["selector"]))
        stale = {**scale, "metadata": {**scale["metadata"], "resourceVersion": "1"}}
        with self.assertRaises(ApiError) as refused:
            self.api.call("PUT", f"/apis/apps/v1/namespaces/{self.ns}/deployments/web/scale", stale)
        self.assertEqual(409, refused.exception.status)

    def test_a_job_runs_a_command_of_this_machine(self):
        self.node.programs["local/shell"] = Program(replace={"@here": "there"})
        self.cluster.apply(namespace=self.ns, text=JOB % 0)
        until(lambda: self.status("jobs", "greeting").get("succeeded"), what="the Job's success")
        pod, = self.api.items("pods", self.ns, labelSelector="job-name=greeting")
        name = pod["metadata"]["name"]
        self.assertEqual("Succeeded", pod["status"]["phase"])
        self.assertEqual(f"hello there from {name}, {name}\n", self.node.log(name))

    def test_a_job_that_fails(self):
        self.node.programs["local/shell"] = Program()
        self.cluster.apply(namespace=self.ns, text=JOB % 7)
        until(lambda: self.status("jobs", "greeting").get("failed"), what="the Job's failure")
        pod, = self.api.items("pods", self.ns, labelSelector="job-name=greeting")
        self.assertEqual("Failed", pod["status"]["phase"])
        self.assertEqual(7, pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"])

    def test_a_pod_is_given_its_time_to_end(self):
        self.node.programs["shell"] = Program()
        patient = "exec 2>/dev/null; trap 'echo told; sleep 0.5; echo done; exit 0' TERM; echo begun; while :; do sleep 0.05; done"
        self.deployment("patient", image="shell", command=["sh", "-c", patient])
        self.deployment("deaf", image="shell", command=["sh", "-c", "trap '' TERM; echo begun; while :; do sleep 0.05; done"],
                        terminationGracePeriodSeconds=1)
        names = []
        for app in ("patient", "deaf"):
            self.until_ready(app, 1)
            name = self.pods(app)[0]["metadata"]["name"]
            until(lambda name=name: self.node.log(name) == "begun\n", what="the trap")
            names.append(name)
            self.api.scale("deployments", self.ns, app, 0)
        until(lambda: not self.pods(), what="the end of the pods")
        self.assertEqual(["begun\ntold\ndone\n", "begun\n"], [self.node.log(name) for name in names])

    def test_a_pod_that_dies_begins_anew(self):
        self.node.programs["shell"] = Program()
        self.deployment("web", image="shell", command=["sh", "-c", "echo $$$$; exec sleep 1000"])
        self.until_ready("web", 1)
        name = self.pods("web")[0]["metadata"]["name"]
        first = until(lambda: self.node.log(name).split(), what="its number")[0]
        os.kill(int(first), signal.SIGKILL)
        until(lambda: len(self.node.log(name).split()) == 2, what="the second start")
        status = until(lambda: (found := self.pods("web")[0]["status"]["containerStatuses"][0])["ready"] and found["restartCount"] and found)
        self.assertEqual((1, 137), (status["restartCount"], status["lastState"]["terminated"]["exitCode"]))

    def test_a_pod_is_ready_when_its_probe_says_so(self):
        port = free_port()
        serve = ["python3", "-m", "http.server", "--bind", "127.0.0.1", str(port)]
        self.node.programs["shell"] = Program(ports={8080: port})
        self.deployment("early", image="shell", command=["sleep", "1000"], readinessProbe={"tcpSocket": {"port": 8080}, "periodSeconds": 1})
        until(lambda: (pods := self.pods("early")) and pods[0]["status"]["phase"] == "Running", what="the pod's start")
        self.assertEqual(0, self.status("deployments", "early").get("readyReplicas", 0))
        self.deployment("late", image="shell", command=serve, readinessProbe={"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1})
        self.until_ready("late", 1)
        self.until_ready("early", 1)
        self.api.scale("deployments", self.ns, "late", 0)
        until(lambda: not self.status("deployments", "early").get("readyReplicas"), what="the loss of readiness")

    def test_a_pod_speaks_to_the_api_with_the_rights_of_its_account(self):
        self.node.programs["kubectl"] = Program(command=[PROGRAM, "kubectl"])
        for word in ("pods", "secrets"):
            self.api.create("jobs", self.ns, {"metadata": {"name": word}, "spec": {"template": {"spec": {
                "serviceAccountName": "reader", "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "kubectl:1", "args": ["get", word, "-o", "name"]}]}}, "backoffLimit": 0}})
        self.cluster.apply(namespace=self.ns, text="""
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
""")
        until(lambda: self.status("jobs", "pods").get("succeeded") and self.status("jobs", "secrets").get("failed"), what="both answers")
        pod, = self.api.items("pods", self.ns, labelSelector="job-name=secrets")
        self.assertIn('cannot list resource "secrets"', self.node.log(pod["metadata"]["name"]))


class ControlPlane(KubernetesTest):
    def test_its_version_and_its_nodes(self):
        version = json.loads(self.kubectl("version", "-o", "json"))
        self.assertEqual(["v1.34.4", "v1.34.4"], [version[side]["gitVersion"] for side in ("clientVersion", "serverVersion")])
        self.assertIn("Ready", self.kubectl("get", "nodes", "--no-headers"))

    def test_a_field_belongs_to_who_applied_it(self):
        config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {color: red}\n"
        self.assertIn("serverside-applied", self.cluster.apply(namespace=self.ns, text=config))
        other = self.kubectl("apply", "--server-side", "--field-manager=other", "-n", self.ns, "-f", "-",
                             stdin=config.replace("red", "blue"), check=False)
        self.assertEqual(1, other.returncode)
        self.assertIn(".data.color", other.stderr)

    def test_the_api_server_stops_and_comes_back(self):
        self.deployment("web", 1)
        self.until_ready("web", 1)
        self.addCleanup(self.cluster.start_api_server)  # also for the tests that follow
        self.cluster.stop_api_server()
        with self.assertRaises(AWAY):
            self.api.get("deployments", self.ns, "web")
        self.cluster.start_api_server()
        self.api.scale("deployments", self.ns, "web", 3)
        self.until_ready("web", 3)
