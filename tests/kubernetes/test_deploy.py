"""deploy/k8s as users apply it: two servers on one PostgreSQL, with no more rights than they need."""
from cluster import own_port
from harness import JOBMILL, http, until
from node import Program
from postgres import Postgres
from support import DEPLOY, ControllerTest

SECRET = {"username": "me", "password": "secret"}


class Delivered(ControllerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.postgres = Postgres(fsync=False)
        cls.addClassCleanup(cls.postgres.close)

    def setUp(self):
        super().setUp()
        self.ports = {}  # pod -> where it answers
        self.node.programs["jobmill"] = self.jobmill

    def jobmill(self, pod):
        name = pod["metadata"]["name"]
        self.ports[name] = own_port()
        return Program([JOBMILL], environment={"JOBMILL_DATA": self.folder / name}, replace={"0.0.0.0:8000": f"127.0.0.1:{self.ports[name]}"},
                       ports={8000: self.ports[name]})

    def test_two_servers_of_which_one_scales(self):
        self.namespace("jobmill")
        self.kubectl("apply", "--server-side", "-k", DEPLOY)
        self.api.create("secrets", "jobmill", {"metadata": {"name": "jobmill"}, "stringData": {**SECRET, "store": self.postgres.url}})
        until(lambda: self.api.get("deployments", "jobmill", "jobmill")["status"].get("readyReplicas") == 2, what="two ready servers")
        for name, port in self.ports.items():
            answer = http("GET", f"http://127.0.0.1:{port}/v1/jobs", user=tuple(SECRET.values()))
            self.assertEqual(200, answer.status, f"{name}: {answer.body}")
        # In any namespace, not only their own.
        self.deployment("web", 0)
        self.source.value = 30
        self.scaled_object()
        self.until_ready("web", 3)
        self.source.value = 0
        self.until_ready("web", 0)
        logs = "".join(self.node.log(name) for name in self.ports)
        self.assertEqual(1, logs.count("leads the cluster"), logs)
        # Namespaces of other tests may end meanwhile, and then take nothing new.
        self.assertEqual([], [line for line in logs.splitlines() if "forbidden" in line and "being terminated" not in line])
