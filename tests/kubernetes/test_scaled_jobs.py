"""ScaledJobs are Jobs of the cluster."""
from harness import until
from node import Program
from support import ControllerTest


class ScaledJobs(ControllerTest):
    def setUp(self):
        super().setUp()
        self.node.programs["shell"] = Program()
        self.gate = self.folder / "gate"

    def scaled_job(self, name="crunch", code=0, **spec):
        """Each run lasts until the gate is open."""
        wait = f"echo begun; until [ -e {self.gate} ]; do sleep 0.05; done; exit {code}"
        pod = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "shell:1", "command": ["sh", "-c", wait]}]}
        return self.api.create("scaledjobs", self.ns, {
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "metadata": {"name": name},
            "spec": {"jobTargetRef": {"backoffLimit": 0, "template": {"metadata": {"labels": {"app": name}}, "spec": pod}},
                     "pollingInterval": 1, "maxReplicaCount": 4,
                     "triggers": [{"type": "metrics-api", "metadata": {"url": self.source.url, "valueLocation": "value", "targetValue": "1"}}], **spec}})

    def runs(self, name="crunch"):
        return self.api.items("jobs", self.ns, labelSelector=f"scaledjob.keda.sh/name={name}")

    def ended(self, kind="Complete"):
        return [job for job in self.runs() if any(one["type"] == kind and one["status"] == "True" for one in job["status"].get("conditions", []))]

    def test_a_run_for_each_piece_of_work(self):
        self.controller()
        made = self.scaled_job()
        self.until_condition("Ready", "True", "crunch", "scaledjobs")
        self.assertEqual([], self.runs())
        self.source.value = 3
        until(lambda: len(self.runs()) == 3, what="three Jobs")
        until(lambda: len([pod for pod in self.pods("crunch") if pod["status"]["phase"] == "Running"]) == 3, what="three running pods")
        for job in self.runs():
            self.assertRegex(job["metadata"]["name"], r"^crunch-[a-z0-9]{5}$")
            owner, = job["metadata"]["ownerReferences"]
            self.assertEqual(("ScaledJob", "crunch", made["metadata"]["uid"], True),
                             (owner["kind"], owner["name"], owner["uid"], owner["controller"]))
        reads = self.source.reads
        until(lambda: self.source.reads > reads + 3, what="three more looks at the source")
        self.assertEqual(3, len(self.runs()), "work that runs is not begun twice")
        self.source.value = 0
        self.gate.touch()
        until(lambda: len(self.ended()) == 3, what="three Jobs' success")
        self.until_told("KEDAJobsCreated", name="crunch")

    def test_no_more_at_once_than_it_allows(self):
        self.controller()
        self.source.value = 9
        self.scaled_job()
        until(lambda: len(self.runs()) == 4, what="four Jobs")
        reads = self.source.reads
        until(lambda: self.source.reads > reads + 3, what="three more looks at the source")
        self.assertEqual(4, len(self.runs()))
        self.source.value = 0
        self.gate.touch()
        until(lambda: len(self.ended()) == 4, what="four Jobs' success")

    def test_old_runs_go(self):
        self.controller()
        self.source.value = 3
        self.gate.touch()
        self.scaled_job(successfulJobsHistoryLimit=1)
        until(lambda: len(self.ended()) >= 1, what="the first success")
        self.source.value = 0
        until(lambda: len(self.runs()) == 1, what="the end of all but one")

    def test_runs_that_fail(self):
        self.controller()
        self.source.value = 2
        self.scaled_job(code=3, failedJobsHistoryLimit=1)
        until(lambda: len(self.runs()) == 2, what="two Jobs")
        self.source.value = 0
        self.gate.touch()
        until(lambda: len(self.runs()) == 1 and len(self.ended("Failed")) == 1, what="one failed Job that is left")

    def test_runs_go_with_their_object(self):
        self.controller()
        self.source.value = 2
        self.scaled_job()
        until(lambda: len(self.pods("crunch")) == 2, what="two pods")
        self.api.delete("scaledjobs", self.ns, "crunch")
        until(lambda: not self.runs() and not self.pods("crunch"), what="the end of the Jobs and of their pods")

    def test_runs_go_on_while_another_server_takes_over(self):
        first = self.controller(name="first")
        self.source.value = 2
        self.scaled_job()
        until(lambda: len(self.runs()) == 2, what="two Jobs")
        self.controller(name="second")
        first.kill()
        self.source.value = 3
        until(lambda: len(self.runs()) == 3, what="one more Job, and no other")
        self.source.value = 0
        self.gate.touch()
        until(lambda: len(self.ended()) == 3, what="three Jobs' success")
        self.assertEqual(3, len(self.runs()))
