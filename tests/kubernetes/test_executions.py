"""Executions of jobs of Container Apps are Jobs of the cluster; what becomes of a ScaledJob's Jobs when it changes."""
import json
import signal

from api import MERGE, path
from harness import until
from node import Program
from support import ControllerTest

GROUP = "rg"
FINISHED = ("Succeeded", "Failed", "Stopped")


class Executions(ControllerTest):
    def setUp(self):
        super().setUp()
        self.node.programs["shell"] = Program()
        self.gate = self.folder / "gate"
        self.server = self.controller()
        self.az("group", "create", "-n", GROUP, "-l", "here", group=False)
        self.az("containerapp", "env", "create", "-n", "cluster")

    def az(self, *words, group=True, code=0):
        done = self.run_jobmill(*words, *(["-g", GROUP] if group else []), server=self.server)
        self.assertEqual(code, done.returncode, f"{words}\n{done.stdout}{done.stderr}\n-- the server:\n{self.server.stderr()[-3000:]}")
        try:
            return json.loads(done.stdout) if done.stdout else None
        except ValueError:
            return done.stdout

    def job(self, *words):
        return self.az("containerapp", "job", *words, "-n", "crunch")

    def make(self, script, *more):
        self.job("create", "--environment", "cluster", "--trigger-type", "Manual", "--replica-timeout", "60", "--replica-retry-limit", "0",
                 "--image", "shell:1", *more, "--command", "sh", "--args", self.file("script.sh", script))

    def waits(self, code=0):
        return f"echo begun; until [ -e {self.gate} ]; do sleep 0.05; done; echo over; exit {code}"

    def start(self):
        return self.job("start")["name"]

    def execution(self, name):
        return self.job("execution", "show", "--job-execution-name", name)["properties"]

    def until_status(self, name, *statuses, seconds=120):
        def there():
            return (found := self.execution(name))["status"] in statuses and found
        return until(there, seconds, f"{statuses} of {name}; {self.server.stderr()[-2000:]}")

    def jobs(self):
        return self.api.items("jobs", self.ns, labelSelector="jobmill/job=crunch")

    def log(self, name):
        return self.job("logs", "show", "--container", "crunch", "--execution", name, "--tail", "300", "--format", "text") or ""  # nothing yet

    def test_an_execution_is_a_job_with_its_log_and_its_end(self):
        self.make(self.waits())
        name = self.start()
        self.until_status(name, "Running")
        job, = self.jobs()
        self.assertEqual((1, 1, 0), tuple(job["spec"][field] for field in ("parallelism", "completions", "backoffLimit")))
        self.assertEqual(name, job["metadata"]["labels"]["jobmill/execution"])
        self.assertEqual("Never", job["spec"]["template"]["spec"]["restartPolicy"])
        until(lambda: "begun" in self.log(name), what="the first line, while it runs")
        self.gate.touch()
        self.until_status(name, "Succeeded")
        self.assertIn("over", self.log(name))
        until(lambda: not self.jobs(), what="the end of the Job")

    def test_an_exit_code_is_told(self):
        self.gate.touch()
        self.make(self.waits(7))
        name = self.start()
        ended = self.until_status(name, *FINISHED)
        self.assertEqual("Failed", ended["status"])
        self.assertIn("exit 7", ended["jobmill"]["reason"])
        self.assertIn("over", self.log(name))

    def test_a_stop_ends_the_pod_in_its_grace(self):
        self.make(f"trap 'echo told; exit 0' TERM; {self.waits()}")
        name = self.start()
        self.until_status(name, "Running")
        until(lambda: "begun" in self.log(name), what="its first line")
        self.job("stop", "--job-execution-name", name)
        self.until_status(name, "Stopped")
        self.assertIn("told", self.log(name))
        until(lambda: not self.jobs() and not self.pods(), what="the end of Job and pod")

    def test_a_secret_is_not_seen_in_the_pod(self):
        self.make("echo length ${#KEY}; echo $KEY", "--secrets", "key=longer-than-eight", "--env-vars", "KEY=secretref:key")
        name = self.start()
        self.until_status(name, "Succeeded")
        self.assertIn("length 17", self.log(name))
        self.assertNotIn("longer-than-eight", self.log(name))
        until(lambda: not self.api.items("secrets", self.ns), what="the end of the Secret")

    def test_a_job_goes_on_without_its_server(self):
        self.make(self.waits())
        for number in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(number):
                self.gate.unlink(missing_ok=True)
                name = self.start()
                self.until_status(name, "Running")
                left, = self.jobs()
                self.server.kill(number)
                self.server.wait()
                self.server = self.controller()
                until(lambda name=name: "begun" in self.log(name), what="the log, from its beginning")
                self.assertEqual([left["metadata"]["uid"]], [job["metadata"]["uid"] for job in self.jobs()])
                self.gate.touch()
                self.until_status(name, "Succeeded")
                self.assertIn("over", self.log(name))
                until(lambda: not self.jobs(), what="the end of the Job")


class Rollout(ControllerTest):
    def setUp(self):
        super().setUp()
        self.node.programs["shell"] = Program()

    def scaled_job(self, annotations=None, **spec):
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "shell:1", "command": ["sleep", "600"]}]}
        return self.api.create("scaledjobs", self.ns, {
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "metadata": {"name": "crunch", "annotations": annotations or {}},
            "spec": {"jobTargetRef": {"template": {"spec": pod}}, "pollingInterval": 1, "maxReplicaCount": 2,
                     "triggers": [{"type": "metrics-api", "metadata": {"url": self.source.url, "valueLocation": "value", "targetValue": "1"}}], **spec}})

    def runs(self):
        return {job["metadata"]["uid"] for job in self.api.items("jobs", self.ns, labelSelector="scaledjob.keda.sh/name=crunch")}

    def change(self, **change):
        self.api.call("PATCH", path("scaledjobs", self.ns, "crunch"), change, MERGE)

    def test_a_new_spec_ends_the_runs_of_the_one_before(self):
        self.controller()
        self.source.value = 2
        self.scaled_job()
        until(lambda: len(self.runs()) == 2, what="two Jobs")
        before = self.runs()
        self.change(spec={"failedJobsHistoryLimit": 7})
        until(lambda: len(self.runs()) == 2 and not self.runs() & before, what="two other Jobs")
        self.until_told("ScaledJobRolloutCleanupStarted", "ScaledJobRolloutCleanupCompleted", name="crunch")

    def test_a_gradual_one_lets_them_end(self):
        self.controller()
        self.source.value = 2
        self.scaled_job(rollout={"strategy": "gradual"})
        until(lambda: len(self.runs()) == 2, what="two Jobs")
        before = self.runs()
        self.change(spec={"failedJobsHistoryLimit": 7})
        reads = self.source.reads
        until(lambda: self.source.reads > reads + 3, what="three more looks at the source")
        self.assertEqual(before, self.runs())

    def test_a_paused_one_begins_nothing_until_it_is_no_more(self):
        self.controller()
        self.source.value = 2
        self.scaled_job({"autoscaling.keda.sh/paused": "true"})
        self.until_condition("Paused", "True", "crunch", "scaledjobs")
        self.assertEqual((set(), 0), (self.runs(), self.source.reads))
        self.change(metadata={"annotations": {"autoscaling.keda.sh/paused": None}})
        until(lambda: len(self.runs()) == 2, what="two Jobs")

    def test_bound_semantics_are_refused(self):
        self.controller()
        self.source.value = 2
        self.scaled_job({"jobmill/semantics": "bound"})
        condition = self.until_condition("Ready", "False", "crunch", "scaledjobs")
        self.assertEqual("ScaledJobCheckFailed", condition[1])
        self.assertIn("jobmill/semantics", condition[2])
        self.assertEqual(set(), self.runs())
