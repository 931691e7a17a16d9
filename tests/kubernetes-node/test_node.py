"""The first walkthrough on a real node: its pods are containers of our image, started and ended by a kubelet."""
import atexit
import functools
import json
import threading

from cluster import Cluster
from harness import until
from machine import API_SERVER, Machine
from postgres import Postgres
from sandbox import ADDRESS
from walkthrough import IN_THE_FILES, USER, WEB, WORKERS, WalkthroughTest

FINISHED = ("Succeeded", "Failed", "Stopped")
TELL_USER = 'BEGIN { while ((getline line < "/proc/self/status") > 0) if (line ~ /^Uid/) print line; exit 7 }'


@functools.cache
def real_cluster():
    cluster = Cluster(*API_SERVER)
    atexit.register(cluster.close)
    machine = Machine(cluster)
    atexit.register(machine.close)
    return cluster, machine


class Lives:
    """Each pod of a namespace as it was last seen, also when it is gone."""

    def __init__(self, api, namespace):
        self.api, self.namespace, self.pods = api, namespace, {}
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self):
        for _, pod in self.api.watch("pods", self.namespace):
            if name := pod["metadata"].get("name"):  # a bookmark has none
                self.pods[name] = pod

    def container(self, name):
        """The status of its first container."""
        return (self.pods[name].get("status", {}).get("containerStatuses") or [{}])[0]

    def exit_code(self, name):
        return self.container(name).get("state", {}).get("terminated", {}).get("exitCode")


class RealNode(WalkthroughTest):
    patience = 180

    @classmethod
    def start_postgres(cls):
        """Beside the cluster, where pods reach it."""
        postgres = Postgres(fsync=False, settings=["listen_addresses = '*'"])
        with (postgres.folder / "data/pg_hba.conf").open("a") as file:
            file.write("host all all 10.244.0.0/24 scram-sha-256\n")
        postgres.execute("SELECT pg_reload_conf()", "postgres")
        return postgres

    def shared(self):
        return real_cluster()

    def setUp(self):
        super().setUp()
        self.database = self.database.replace("127.0.0.1", ADDRESS)
        self.lives = Lives(self.api, self.ns)
        for part in ("kubelet", "containerd", "kube-proxy"):
            self.addCleanup(self.show_after_failure, part, lambda part=part: self.node.log(part)[-5000:])

    def files(self):
        """Of 1-postgres.yaml only the Secret, which says where the database is."""
        folder = super().files()
        file = folder / "1-postgres.yaml"
        secret = file.read_text().split("\n---\n")[0]
        self.assertEqual(1, secret.count(IN_THE_FILES))
        file.write_text(secret.replace(IN_THE_FILES, self.database) + "\n")
        return folder

    def start_all(self, controllers=1):
        self.addCleanup(self.show_after_failure, "jobmill", lambda: self.kubectl("logs", "--tail=60", "deployment/jobmill"))
        self.addCleanup(self.show_after_failure, "pods", lambda: self.kubectl("describe", "pods"))
        super().start_all(controllers)
        web = self.address("app=jobrunr-dashboard")
        self.dashboard, self.page = f"{web}:8000", f"{web}:8080"
        self.earlier = set(self.lives.pods)

    def address(self, selector):
        pod, = self.api.items("pods", self.ns, labelSelector=selector)
        return pod["status"]["podIP"]

    def workers(self):
        """The pods whose containers have run since the start, whether they are there or gone."""
        return {name for name in set(self.lives.pods) - self.earlier if name.startswith(WORKERS + "-") and "containerID" in self.lives.container(name)}

    def assert_left_by_themselves(self, names):
        for name in names:
            until(lambda name=name: self.lives.exit_code(name) is not None, what=f"the end of {name}")
            container = self.lives.container(name)
            self.assertEqual((0, 0), (self.lives.exit_code(name), container["restartCount"]), container)
            self.assertTrue(container["containerID"].startswith("containerd://"), container)

    def test_worker_pods_run_and_drain_without_killing_a_job(self):
        self.start_all()
        self.schedule(runIn="PT10S", executionTimeMs=2000)
        self.until_wanted(5, WORKERS, 30)
        # On a slow machine jobs are due before all have started; more workers are wanted then.
        until(lambda: self.web("/api/metrics/workers")["totalWorkers"] >= 20, self.patience, "the slots of five")
        self.until_done(40, self.patience)
        self.until_ready(WORKERS, 0)
        self.assert_none_interrupted()
        self.assertGreaterEqual(len(self.workers()), 5)
        self.assert_left_by_themselves(self.workers())

    def test_a_node_that_is_emptied_lets_jobs_end(self):
        self.start_all()
        self.schedule(count=8, runIn="PT3S", executionTimeMs=8000)
        until(lambda: self.jobs("PROCESSING"), self.patience, "work")
        busy = self.workers()
        self.addCleanup(self.kubectl, "uncordon", self.node.name)
        self.kubectl("drain", self.node.name, "--pod-selector", f"app={WORKERS}", "--delete-emptydir-data")
        self.assert_left_by_themselves(busy)
        self.assertEqual([], self.jobs("PROCESSING"), "it left when its jobs had ended")
        self.kubectl("uncordon", self.node.name)
        self.until_done(8, self.patience)
        self.assert_none_interrupted()

    # --- executions -------------------------------------------------------------------------------

    def az(self, *words, group=True):
        controller = f"http://{self.address('app=jobmill')}:8000"
        user, password = USER
        done = self.run_jobmill(*words, *(["-g", "rg"] if group else []), env={"JOBMILL_URL": controller, "JOBMILL_USER": user, "JOBMILL_PASSWORD": password})
        self.assertEqual(0, done.returncode, f"{words}\n{done.stdout}{done.stderr}")
        try:
            return json.loads(done.stdout) if done.stdout else None
        except ValueError:
            return done.stdout

    def execute(self, job, program):
        """A program for awk, which busybox has, as an execution: (what became of it, its log)."""
        self.az("containerapp", "job", "create", "-n", job, "--environment", "cluster", "--trigger-type", "Manual",
                "--replica-timeout", "120", "--replica-retry-limit", "0", "--image", "shell:1", "--cpu", "0.25", "--memory", "0.5Gi",
                "--command", "/usr/bin/busybox", "--args", "awk", program)
        name = self.az("containerapp", "job", "start", "-n", job)["name"]

        def ended():
            found = self.az("containerapp", "job", "execution", "show", "-n", job, "--job-execution-name", name)["properties"]
            return found["status"] in FINISHED and found
        return until(ended, self.patience, "its end"), self.az(
            "containerapp", "job", "logs", "show", "-n", job, "--container", job, "--execution", name, "--tail", "300", "--format", "text")

    def test_executions_are_containers_with_their_logs_and_ends(self):
        self.start_all()
        self.az("group", "create", "-n", "rg", "-l", "here", group=False)
        self.az("containerapp", "env", "create", "-n", "cluster")
        execution, log = self.execute("crunch", TELL_USER)
        self.assertEqual("Failed", execution["status"])
        self.assertIn("exit 7", execution["jobmill"]["reason"])
        self.assertIn("Uid:\t65532", log)

        execution, log = self.execute("glutton", 'BEGIN { print "begun"; fflush(); for (text = "x"; ; ) text = text text }')
        self.assertEqual("Failed", execution["status"])
        self.assertIn("oom", execution["jobmill"]["reason"])
        self.assertIn("begun", log)

    def test_kubectl_shows_what_a_pod_says(self):
        self.start_all()
        until(lambda: "leads the cluster" in self.kubectl("logs", "deployment/jobmill"), what="the leader's words")
        self.assertIn(WEB, self.kubectl("get", "pods", "-o", "name"))
