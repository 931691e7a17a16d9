"""ScaledJobs from the outside: the manifests of KEDA, executions on this machine."""
import json
import re
import signal
import time

from harness import JOBMILL, SystemTest, alive, http, until

JOB, QUEUE = "consumer", "orders"
RESOURCES = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/default/providers/Microsoft.App/jobs"
LISTEN = ["--amqp", "127.0.0.1:0", "--amqps", "off", "--admin", "off", "--admin-http", "off", "--identity", "off"]
FINISHED = ("Succeeded", "Failed", "Stopped")

# Says who it is, waits until the file is there, takes one message.
CONSUMER = (
    'echo "$(GREETING) $PASSWORD from $POD of $JOBMILL_TRIGGER_TYPE"; trap "exit 3" TERM; '
    'while [ ! -e "$GO" ]; do sleep 0.02 & wait $!; done; '
    '"$JOBMILL" servicebus message receive -n "$QUEUE" -o none --only-show-errors'
)


def secret(**values):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bus"}, "stringData": values}


AUTHENTICATION = {"apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": {"name": "bus"},
                  "spec": {"secretTargetRef": [{"parameter": "connection", "name": "bus", "key": "connection"}]}}


class ScaledJob(SystemTest):
    def setUp(self):
        super().setUp()
        self.server = self.serve(*LISTEN)
        self.jobmill("servicebus", "queue", "create", "-n", QUEUE, "-g", "default")
        self.go = self.folder / "go"
        self.secret = secret(connection=self.jobmill("servicebus", "connection-string").strip(), password="a-secret-word")

    def jobmill(self, *words, code=0, stdin=None):
        done = self.run_jobmill(*words, server=self.server, stdin=stdin)
        self.assertEqual(code, done.returncode, f"{words}\n{done.stdout}{done.stderr}\n-- the server:\n{self.server.stderr()[-3000:]}")
        self.stderr = done.stderr
        return done.stdout

    def manifest(self, annotations=None, variables=None, **spec):
        variables = {"GO": str(self.go), "QUEUE": QUEUE, "JOBMILL": str(JOBMILL), "JOBMILL_URL": self.server.url,
                     "NAME": "world", "GREETING": "hello $(NAME)", **(variables or {})}
        env = [{"name": name, "value": value} for name, value in variables.items()]
        env.append({"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "bus", "key": "password"}}})
        env.append({"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})
        pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 10,
               "containers": [{"name": "main", "image": "anything", "command": ["/bin/sh", "-c", CONSUMER], "env": env}]}
        trigger = {"type": "azure-servicebus", "name": "orders", "metadata": {"queueName": QUEUE, "messageCount": "1"},
                   "authenticationRef": {"name": "bus"}}
        return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "metadata": {"name": JOB, "annotations": annotations or {}},
                "spec": {"jobTargetRef": {"backoffLimit": 0, "template": {"spec": pod}}, "triggers": [trigger], **spec}}

    def apply(self, *objects, code=0):
        return self.jobmill("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}), code=code)

    def send(self, count=1):
        for number in range(count):
            self.jobmill("servicebus", "message", "send", "-n", QUEUE, "--body", str(number))

    def executions(self):
        """Oldest first."""
        return self.server.get(f"{RESOURCES}/{JOB}/executions?api-version=2025-07-01").json["value"][::-1]

    def when(self, check, what, seconds=180):
        """Waits until `check` is true of the executions; looks again after each change of them."""
        end = time.monotonic() + seconds
        while not check(found := self.executions()):
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not happen within {seconds} s\n{json.dumps(found, indent=1)}\n{self.explain()}\n"
                                     f"-- the server:\n{self.server.stderr()[-3000:]}")
            http("GET", f"{self.server.url}/v1/executions/default/{JOB}/watch?wait=1")
        return found

    def running(self, count=1):
        return self.when(lambda found: len([one for one in found if self.state(one) == "Running"]) == count, f"{count} that run")

    def all_done(self, count):
        """One more may have run: of two that take messages by HTTP at once, nobody knows who took which."""
        return self.when(lambda found: len(found) >= count and all(self.state(one) in FINISHED for one in found), "the end of all")

    @staticmethod
    def state(execution):
        return execution["properties"]["status"]

    def explain(self):
        return self.jobmill("scale", "explain", JOB)

    def status(self):
        return self.server.get(f"/v1/manifests/ScaledJob?name={JOB}").json["items"][0]["status"]

    def condition(self, kind):
        found = next(one for one in self.status()["conditions"] if one["type"] == kind)
        return found["status"], found["reason"]

    def log(self, execution):
        return self.server.get(f"/v1/executions/default/{JOB}/logs?execution={execution['name']}").json["text"]


class Messages(ScaledJob):
    def test_each_message_starts_an_execution(self):
        said = self.apply(self.secret, AUTHENTICATION, self.manifest(maxReplicaCount=2))
        self.assertIn(f"scaledjob/{JOB} created", said)
        self.assertEqual([], self.executions())
        self.send(3)
        first = self.running(2)[0]
        self.assertRegex(first["name"], f"^{JOB}-[a-z0-9]{{7}}$")
        self.assertEqual({"name": "orders", "type": "azure-servicebus"}, first["properties"]["jobmill"]["trigger"])
        until(lambda: "max-executions (2 of 2 running)" in self.explain(), what="a decision about the third message")
        self.assertRegex(self.jobmill("get", "sj"), rf"NAME +MIN +MAX +READY +ACTIVE +PAUSED +TRIGGERS.*\n{JOB} +2 +True +True +False +azure-servicebus +bus")
        self.assertEqual("bound", self.status()["semantics"])
        self.go.touch()
        done = self.all_done(3)
        self.assertEqual({"Succeeded"}, {self.state(one) for one in done})
        self.assertEqual("", self.jobmill("servicebus", "message", "receive", "-n", QUEUE, "-o", "tsv").strip())
        replica = done[0]["properties"]["jobmill"]["replicas"][0]["name"]
        self.assertIn(f"hello world *** from {replica} of azure-servicebus", self.log(done[0]))
        stored = b"".join(path.read_bytes() for path in (self.folder / "data").iterdir() if path.name.startswith("jobmill.db"))
        self.assertNotIn(b"a-secret-word", stored)

    def test_a_pause_starts_nothing_and_stops_nothing(self):
        self.apply(self.secret, AUTHENTICATION, self.manifest())
        self.send()
        self.running()
        paused = self.manifest(annotations={"autoscaling.keda.sh/paused": "true"})
        self.apply(paused)
        self.send()
        until(lambda: "suspended" in self.explain(), what="a decision about the second message")
        self.assertEqual(("True", "ScaledJobPaused"), self.condition("Paused"))
        self.assertEqual(["Running"], [self.state(one) for one in self.executions()])
        self.apply(self.manifest())
        self.running(2)
        self.assertEqual(("False", "ScaledJobUnpaused"), self.condition("Paused"))

    def test_a_strategy_that_is_named_counts_as_keda_does(self):
        self.send(3)
        self.apply(self.secret, AUTHENTICATION,
                   self.manifest(maxReplicaCount=2, pollingInterval=1, scalingStrategy={"strategy": "default"}))
        self.running(2)
        self.assertEqual("cloud", self.status()["semantics"])
        self.assertIn("cloud semantics", self.explain())
        self.go.touch()
        self.all_done(3)

    def test_what_is_missing_is_named_and_waited_for(self):
        self.send()
        self.apply(AUTHENTICATION, self.manifest())
        until(lambda: self.condition("Ready") == ("False", "ScaledJobCheckFailed"), what="the look at what it refers to")
        self.assertIn("there is no Secret/bus", self.jobmill("describe", "sj", JOB))
        self.assertEqual([], self.executions())
        self.apply(self.secret)
        self.running()
        until(lambda: self.condition("Ready") == ("True", "ScaledJobReady"), what="the second look")


class Changes(ScaledJob):
    def test_executions_of_an_earlier_spec(self):
        self.apply(self.secret, AUTHENTICATION, self.manifest())
        self.send()
        self.running()
        self.apply(self.manifest(variables={"NAME": "2"}, rollout={"strategy": "gradual"}))
        self.send()
        second = self.running(2)[1]
        until(lambda: "hello 2" in self.log(second), what="its first words")
        self.apply(self.manifest(variables={"NAME": "3"}))
        found = self.when(lambda found: [self.state(one) for one in found] == ["Stopped", "Stopped", "Running", "Running"],
                          "the roll-out")
        until(lambda: "hello 3" in self.log(found[2]), what="the first words of the new one")
        until(lambda: "executions of an earlier spec are stopped" in self.server.stderr(), what="a word about it")

    def test_it_is_there_again_after_a_server_that_died(self):
        self.apply(self.secret, AUTHENTICATION, self.manifest())
        self.send()
        before = self.running()[0]
        pid = before["properties"]["jobmill"]["replicas"][0]["pid"]
        self.server.kill(signal.SIGKILL)
        self.server.wait()
        until(lambda: not alive(pid), what="the end of the replica")
        self.server = self.serve(*LISTEN)
        states = lambda one: [replica["state"] for replica in one["properties"]["jobmill"]["replicas"]]  # noqa: E731
        again = self.when(lambda found: states(found[0]) == ["Lost", "Running"], "the next replica")
        self.assertEqual([before["name"]], [one["name"] for one in again])
        self.assertIn(f"{JOB} ", self.jobmill("get", "scaledjobs"))

    def test_deleted_it_stops_its_executions(self):
        job = self.manifest()
        self.apply(self.secret, AUTHENTICATION, job)
        self.send()
        pid = self.running()[0]["properties"]["jobmill"]["replicas"][0]["pid"]
        self.assertIn(f"scaledjob/{JOB} deleted", self.jobmill("delete", "-f", "-", stdin=json.dumps(job)))
        until(lambda: not alive(pid), what="the end of the replica")
        self.assertEqual(404, self.server.get(f"{RESOURCES}/{JOB}?api-version=2025-07-01").status)
        self.assertIn("there is no ScaledObject or ScaledJob", self.run_jobmill("scale", "explain", JOB, server=self.server).stderr)

    def test_its_manifest_is_the_only_place_to_change_it(self):
        self.apply(self.secret, AUTHENTICATION, self.manifest())
        shown = self.server.get(f"{RESOURCES}/{JOB}?api-version=2025-07-01").json
        self.assertEqual("Event", shown["properties"]["configuration"]["triggerType"])
        self.assertNotIn("a-secret-word", json.dumps(shown))
        refused = self.server.call("PATCH", f"{RESOURCES}/{JOB}?api-version=2025-07-01", {"properties": {}})
        self.assertEqual(409, refused.status, refused.body)
        for words in (["delete", "--yes"], ["suspend"], ["update", "--replica-timeout", "5"]):
            self.jobmill("containerapp", "job", *words, "-n", JOB, "-g", "default", code=1)
            self.assertIn("is a ScaledJob; change its manifest", self.stderr)
        started = json.loads(self.jobmill("containerapp", "job", "start", "-n", JOB, "-g", "default"))
        self.assertEqual([started["name"]], [one["name"] for one in self.running()])

    def test_a_name_that_a_job_has(self):
        self.jobmill("containerapp", "env", "create", "-n", "env", "-g", "default")
        self.jobmill("containerapp", "job", "create", "-n", JOB, "-g", "default", "--environment", "env", "--trigger-type", "Manual",
                     "--replica-timeout", "60", "--replica-retry-limit", "0")
        done = self.run_jobmill("apply", "-f", "-", server=self.server, stdin=json.dumps(self.manifest()))
        self.assertNotEqual(0, done.returncode)
        self.assertRegex(done.stderr, rf"ScaledJob/{JOB}: there is a containerapp job of this name")
        self.assertEqual("", re.sub("(?m)^NAME.*$", "", self.jobmill("get", "sj")).strip())
