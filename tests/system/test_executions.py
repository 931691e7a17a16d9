"""Jobs of Container Apps from the outside: the second walkthrough step by step with the example's own
consumer, its faults, the same by Terraform, and jobs without messages."""
import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from harness import BIN, CLEAN, JOBMILL, ROOT, Process, SystemTest, alive, free_port, http, until

EXAMPLE = ROOT / "examples/servicebus-job"
sys.path.insert(0, str(EXAMPLE))
from demo import CONSUMER, terraform  # noqa: E402  the same programs as the demo's

GROUP, NAMESPACE, QUEUE = "rg-containerapp-keda-16", "servicebus-ns-job", "queue-messages"
REGISTRY, ENVIRONMENT, IDENTITY = "acrcontainerapp16", "aca-environment", "identity-aca"
SUBSCRIPTION = "/subscriptions/00000000-0000-0000-0000-000000000000"
FINISHED = ("Succeeded", "Failed", "Stopped")

# The consumer as it is, but it does not complete its message while the file $HOLD is there. It blocks its
# event loop meanwhile, as a handler does that computes.
HOLD = """
import os, runpy, time
from azure.servicebus.aio import ServiceBusReceiver
complete = ServiceBusReceiver.complete_message
async def held(self, message):
    while os.path.exists(os.environ["HOLD"]):
        time.sleep(0.02)
    if "LEAVE" not in os.environ:
        await complete(self, message)
ServiceBusReceiver.complete_message = held
runpy.run_path("processor.py", run_name="__main__")
"""


def seconds(text):
    """Of an instant."""
    return datetime.datetime.fromisoformat(text).timestamp()


def ours(execution):
    return execution["properties"]["jobmill"]


class Dev(Process):
    """`jobmill dev`; with `amqps` where Azure's clients look for it."""

    def __init__(self, folder, amqp, amqps):
        listen = [word for name in ("http", "admin", "admin-http", "identity") for word in (f"--{name}", "127.0.0.1:0")]
        super().__init__([JOBMILL, "dev", "--data", folder / "data", "--amqp", amqp, "--amqps", amqps, *listen], folder=folder,
                         env={"PATH": f"{CONSUMER}:{BIN}:{os.environ['PATH']}"})
        self.url = "http://" + dict(word.split("=", 1) for word in self.ready.split()[2:])["http"]


class ExecutionTest(SystemTest):
    AMQPS = "127.0.0.1:0"
    JOB = "job"

    def setUp(self):
        super().setUp()
        self.amqp = f"127.0.0.1:{free_port()}"  # the same one after a restart: it stands in connection strings
        self.server = self.dev()

    def dev(self):
        server = Dev(self.folder, self.amqp, self.AMQPS)
        self.addCleanup(server.close)
        return server

    def az(self, *words, code=0, group=GROUP):
        """Runs `jobmill …`; its JSON, or its text when it is none."""
        done = self.run_jobmill(*words, *(["-g", group] if group else []), server=self.server)
        self.assertEqual(code, done.returncode, f"{words}\n{done.stdout}{done.stderr}\n-- the server:\n{self.server.stderr()[-3000:]}")
        self.stderr = done.stderr
        try:
            return json.loads(done.stdout) if done.stdout else None
        except ValueError:
            return done.stdout

    def job(self, *words, code=0):
        return self.az("containerapp", "job", *words, "-n", self.JOB, code=code)

    def executions(self):
        """Oldest first."""
        return self.job("execution", "list", "--all")[::-1]

    def execution(self, name):
        return self.job("execution", "show", "--job-execution-name", name)

    def when(self, check, what, seconds=180):
        """Waits until `check` is true of the executions; looks again after each change of them."""
        end = time.monotonic() + seconds
        while not check(found := self.executions()):
            if time.monotonic() > end:
                raise AssertionError(f"{what} did not happen within {seconds} s\n{json.dumps(found, indent=1)}\n"
                                     f"{self.job('explain')}\n-- the server:\n{self.server.stderr()[-3000:]}")
            http("GET", f"{self.server.url}/v1/executions/{GROUP}/{self.JOB}/watch?wait=1")
        return found

    def ended(self, count=1, seconds=180):
        return self.when(lambda found: len(found) == count and all(one["properties"]["status"] in FINISHED for one in found),
                         f"the end of {count} executions", seconds)

    def log(self, execution):
        return self.job("logs", "show", "--container", self.JOB, "--execution", execution["name"], "--tail", "300", "--format", "text")

    def check(self, execution, status, reason=""):
        self.assertEqual(status, execution["properties"]["status"], execution)
        self.assertIn(reason, ours(execution).get("reason", ""), execution)


class Messages(ExecutionTest):
    """With the example's scripts and its consumer. Port 5671 is the only one that Azure's clients know."""

    AMQPS = "127.0.0.1:5671"
    JOB = "job-python"

    def setUp(self):
        turn = (pathlib.Path(tempfile.gettempdir()) / "jobmill-port-5671").open("a")  # of the suites of all work trees
        self.addCleanup(turn.close)
        fcntl.flock(turn, fcntl.LOCK_EX)
        until(self.port_is_free, 120, "that port 5671 is free")
        super().setUp()

    @staticmethod
    def port_is_free():
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 5671)):
            return True

    def script(self, name, *words, **environment):
        done = subprocess.run([EXAMPLE / name, *words], capture_output=True, text=True, timeout=300, check=False,
                              env={**CLEAN, "JOBMILL_URL": self.server.url, "PATH": f"{BIN}:{os.environ['PATH']}", **environment})
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done

    def define(self, **environment):
        self.script("create-queue.sh")
        self.script("create-job.sh", **environment)

    def hold(self, *more):
        """From now on replicas keep what they took while the file that this answers is there."""
        program, held = self.file("hold.py", HOLD), self.file("held", "")
        self.job("update", "--set-env-vars", f"HOLD={held}", *more, "--command", "python", program)
        return held

    def send(self, *bodies):
        for body in bodies:
            self.az("servicebus", "message", "send", "-n", QUEUE, "--body", body, group=None)

    def counts(self):
        found = self.az("servicebus", "queue", "show", "--namespace-name", NAMESPACE, "-n", QUEUE)["countDetails"]
        return found["activeMessageCount"], found["deadLetterMessageCount"]

    def holding(self, number=0, seconds=180):
        """When the execution of this number has its message."""
        found = self.when(lambda found: len(found) > number and ours(found[number])["messages"], "a message is taken", seconds)
        return found[number]

    def pid(self, execution):
        return ours(self.execution(execution["name"]))["replicas"][-1]["pid"]

    def received(self, executions):
        return [re.search("Received message: (.*)", self.log(one)).group(1) for one in executions]


class Steps(Messages):
    def test_the_walkthrough(self):
        group = self.az("group", "create", "-n", GROUP, "-l", "swedencentral", group=None)
        self.assertEqual((GROUP, "swedencentral"), (group["name"], group["location"]))
        namespace = self.az("servicebus", "namespace", "create", "-n", NAMESPACE, "--sku", "Standard")
        self.assertEqual(f"https://{NAMESPACE}.servicebus.windows.net:443/", namespace["serviceBusEndpoint"])
        queue = self.az("servicebus", "queue", "create", "--namespace-name", NAMESPACE, "-n", QUEUE, "--lock-duration", "PT5M",
                        "--max-delivery-count", "1")
        self.assertEqual(("PT5M", 1), (queue["lockDuration"], queue["maxDeliveryCount"]))
        identity = self.az("identity", "create", "-n", IDENTITY)
        self.assertEqual(3, len({identity["id"], identity["clientId"], identity["principalId"]}))
        for role in ("Receiver", "Sender"):
            made = self.az("role", "assignment", "create", "--assignee", identity["principalId"], "--role", f"Azure Service Bus Data {role}",
                           "--scope", queue["id"], group=None)
            self.assertEqual(identity["principalId"], made["principalId"])
        environment = self.az("containerapp", "env", "create", "-n", ENVIRONMENT)
        self.assertEqual(ENVIRONMENT, environment["name"])
        app = shutil.copytree(EXAMPLE / "app", self.folder / "app")
        self.az("acr", "build", "-r", REGISTRY, "-f", "./app/Dockerfile", "./app", "-t", "job-python:1.0.0", group=None)
        images = json.dumps(self.az("image", "list", "-o", "json", group=None))
        for text in (f"{REGISTRY}.azurecr.io/job-python:1.0.0", str(app), "processor.py", "PYTHONUNBUFFERED"):
            self.assertIn(text, images)
        connection = self.az("servicebus", "namespace", "authorization-rule", "keys", "list", "--namespace-name", NAMESPACE, "-n",
                             "RootManageSharedAccessKey", "--query", "primaryConnectionString", "-o", "tsv").strip()
        self.assertRegex(connection, "^Endpoint=sb://.*;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=")

        job = self.job(
            "create", "--environment", ENVIRONMENT, "--trigger-type", "Event", "--replica-timeout", "86400", "--replica-retry-limit", "1",
            "--replica-completion-count", "1", "--parallelism", "1", "--image", f"{REGISTRY}.azurecr.io/job-python:1.0.0",
            "--registry-identity", identity["id"], "--registry-server", f"{REGISTRY}.azurecr.io", "--cpu", "0.25", "--memory", "0.5",
            "--min-executions", "0", "--max-executions", "1", "--secrets", f"service-bus-connection-string={connection}",
            "--scale-rule-name", "azure-servicebus-queue-rule", "--scale-rule-type", "azure-servicebus",
            "--scale-rule-auth", "connection=service-bus-connection-string",
            "--scale-rule-metadata", f"queueName={QUEUE}", f"namespace={NAMESPACE}", "messageCount=1",
            "--env-vars", f"SERVICEBUS_FQDN={NAMESPACE}.servicebus.windows.net", f"MANAGED_IDENTITY_CLIENT_ID={identity['clientId']}",
            f"SERVICEBUS_QUEUE_NAME={QUEUE}")
        self.assertRegex(self.stderr, r"86400.*PT5M|PT5M.*86400")  # the time-out is longer than the lock
        self.assertEqual("0.5Gi", job["properties"]["template"]["containers"][0]["resources"]["memory"])
        self.assertEqual("UserAssigned", job["identity"]["type"])
        self.assertEqual([identity["id"].lower()], [one.lower() for one in job["identity"]["userAssignedIdentities"]])
        self.assertEqual(30, job["properties"]["configuration"]["eventTriggerConfig"]["scale"]["pollingInterval"])
        self.assertNotIn(connection, json.dumps(job))
        self.assertEqual([], self.executions())

        sent = time.time()
        self.send("hello")
        done = self.ended()[0]
        self.check(done, "Succeeded")
        self.assertRegex(done["name"], "^job-python-[a-z0-9]{7}$")
        self.assertLess(seconds(done["properties"]["startTime"]) - sent, 25, "told of it: the next poll is in 30 s")
        log = self.log(done)
        for line in (f"SERVICEBUS_QUEUE_NAME: {QUEUE}", f"SERVICEBUS_FQDN: {NAMESPACE}.servicebus.windows.net",
                     f"MANAGED_IDENTITY_CLIENT_ID: {identity['clientId']}", "Received message: hello"):
            self.assertIn(line, log)
        self.assertEqual(0, ours(done)["replicas"][0]["exitCode"])
        self.assertEqual({"name": "azure-servicebus-queue-rule", "type": "azure-servicebus"}, ours(done)["trigger"])
        self.assertEqual((0, 0), self.counts())

        self.send("1", "2", "3", "4", "5")
        found = self.ended(6)[1:]
        self.assertEqual(["1", "2", "3", "4", "5"], self.received(found))
        for before, after in zip(found, found[1:]):
            self.assertGreaterEqual(after["properties"]["startTime"], before["properties"]["endTime"])
        self.assertEqual((0, 0), self.counts())

    def test_one_reason_why_nothing_more_starts(self):
        self.define()
        held = self.hold()
        self.send("1", "2", "3", "4")
        self.holding()
        self.assertIn("max-executions (1 of 1 running); 3 ready", self.job("explain", "--why-not"))
        then = datetime.datetime.now(datetime.timezone.utc).isoformat()
        held.unlink()
        found = self.ended(4)
        self.assertRegex(self.job("explain", "--at", then),
                         r"(?s)decided .*: max-executions \(1 of 1 running\).*\d ready.*the cloud's arithmetic would have started")
        self.assertRegex(self.job("explain", "--at", then, "--why-not"), r"^max-executions \(1 of 1 running\); \d ready$")
        self.assertIn("no decision is kept from then", self.job("explain", "--at", "240h"))
        self.assertEqual(["1", "2", "3", "4"], self.received(found))
        self.assertRegex(self.job("explain", "--execution", found[0]["name"]),
                         "(?s)created.*started.*gets a token of its identity.*takes message 1 .*completed")
        said = self.job("explain")
        self.assertIn(f"longer than the lock duration of queue {QUEUE} (300 s): locks last as long as their replica", said)
        self.assertIn(f"warning: MaxDeliveryCount of queue {QUEUE} is 1 and the retry limit 1", said)
        self.assertIn("warning: the retry limit of 1 has no effect on an empty queue", said)
        self.job("update", "--supervisor-locks", "off")
        self.assertRegex(self.job("explain"), f"warning: the replica time-out .* is longer than the lock duration of queue {QUEUE}")

    def test_a_killed_replica_is_not_followed_by_one_without_a_message(self):
        self.define()
        self.hold()
        self.send("poison")
        os.kill(self.pid(self.holding()), signal.SIGKILL)
        done = self.ended()[0]
        self.check(done, "Failed", "signal 9")
        self.check(done, "Failed", "MaxDeliveryCountExceeded")
        self.assertEqual(["signal 9"], [one["reason"] for one in ours(done)["replicas"]])
        self.assertEqual((0, 1), self.counts())
        dead = self.az("servicebus", "deadletter", "list", "-n", QUEUE, group=None)
        self.assertEqual([("poison", "MaxDeliveryCountExceeded")], [(one["body"], one["deadLetterReason"]) for one in dead])

    def test_a_killed_replica_is_followed_by_another_when_its_message_is_back(self):
        self.define(MAX_EXECUTIONS="5")  # there is room for another execution, which would be one too many
        self.az("servicebus", "queue", "update", "--namespace-name", NAMESPACE, "-n", QUEUE, "--max-delivery-count", "5")
        held = self.hold("--retry-backoff", "NONE")
        self.send("again")
        os.kill(self.pid(self.holding()), signal.SIGKILL)
        self.when(lambda found: len(ours(found[0])["messages"]) == 2, "the second delivery")
        held.unlink()
        done = self.ended()[0]
        self.check(done, "Succeeded")
        self.assertEqual(["Failed", "Succeeded"], [one["state"] for one in ours(done)["replicas"]])
        first, second = ours(done)["messages"]
        self.assertEqual((first["sequenceNumber"], first["deliveryCount"] + 1), (second["sequenceNumber"], second["deliveryCount"]))
        self.assertLess(seconds(first["endTime"]) - seconds(ours(done)["replicas"][0]["endTime"]), 60, "not at the end of the lock, which lasts five minutes")
        self.assertEqual((0, 0), self.counts())

    def test_a_stopped_execution_gives_its_message_back_uncounted(self):
        self.define()
        held = self.hold()
        self.send("hello")
        first = self.holding()
        said = self.job("stop", "--job-execution-name", first["name"])
        self.assertIn(f"Job Execution: {first['name']}, stopped successfully.", str(said))
        second = self.holding(1)
        held.unlink()
        stopped, done = self.ended(2)
        self.check(stopped, "Stopped")
        self.check(done, "Succeeded")
        self.assertEqual([1, 1], [ours(one)["messages"][0]["deliveryCount"] for one in (first, second)])
        self.assertEqual((0, 0), self.counts())

    def test_a_job_is_deleted_while_its_replica_has_a_message(self):
        self.define()
        self.hold()
        self.send("hello")
        pid = self.pid(self.holding())
        self.job("delete", "--yes")
        self.assertFalse(alive(pid))
        self.assertEqual((1, 0), self.counts())
        self.server.kill(signal.SIGTERM)
        self.assertEqual(0, self.server.wait())  # nobody waits for what became of it

    def test_a_rule_turns_to_another_queue_while_a_replica_has_a_message(self):
        self.define()
        held = self.hold()
        self.send("hello")
        self.holding()
        self.job("update", "--scale-rule-name", "azure-servicebus-queue-rule", "--scale-rule-type", "azure-servicebus",
                 "--scale-rule-metadata", "queueName=other", "messageCount=1", "--scale-rule-auth", "connection=service-bus-connection-string")
        held.unlink()
        done = self.ended()[0]
        self.check(done, "Succeeded")
        self.assertEqual(["completed"], [one["outcome"] for one in ours(done)["messages"]])

    def test_started_by_hand_on_an_empty_queue(self):
        self.define()
        begin = time.monotonic()
        started = self.job("start")
        done = self.ended()[0]
        self.assertGreaterEqual(time.monotonic() - begin, 5)  # the client waits that long for a message
        self.assertEqual(started["name"], done["name"])
        self.check(done, "Failed", "NoMessage")
        self.assertEqual(["exit 1"], [one["reason"] for one in ours(done)["replicas"]])
        self.assertIn("IndexError", self.log(done))
        self.assertEqual({"name": "manual", "type": "manual"}, ours(done)["trigger"])

    def test_a_restart_of_the_server_after_the_send(self):
        for number in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(number.name):
                if number == signal.SIGKILL:
                    self.define()
                    before = 0
                else:
                    before = len(self.executions())
                held = self.hold()
                self.send("hello")
                pid = self.pid(self.holding(before))
                self.server.kill(number)
                self.server.wait()
                until(lambda: not alive(pid), what="the end of the replica")
                held.unlink()
                self.server = self.dev()
                done = self.ended(before + 1)[before]
                self.check(done, "Succeeded")
                self.assertEqual([1, 1], [one["deliveryCount"] for one in ours(done)["messages"]])
                self.assertIn("Received message: hello", self.log(done))
                self.assertEqual((0, 0), self.counts())

    def test_a_lock_lasts_as_long_as_the_process(self):
        self.define()
        self.az("servicebus", "queue", "update", "--namespace-name", NAMESPACE, "-n", QUEUE, "--lock-duration", "PT5S")
        held = self.hold()
        self.send("long")
        taken = self.holding()
        until(lambda: time.time() - seconds(ours(taken)["messages"][0]["takenTime"]) > 7)  # the lock alone would be over
        self.assertEqual(1, len(self.executions()))
        held.unlink()
        done = self.ended()[0]
        self.check(done, "Succeeded")
        self.assertEqual(["completed"], [one["outcome"] for one in ours(done)["messages"]])

    def test_an_exit_without_a_word_about_the_message(self):
        self.define()
        self.hold("LEAVE=1").unlink()
        self.send("left")
        done = self.ended()[0]
        self.check(done, "Succeeded")
        self.assertIn("ExitedWithoutSettling", json.dumps(ours(done)))
        self.assertEqual((0, 1), self.counts())

    def test_a_second_burst_does_not_wait_for_the_first(self):
        self.define(MAX_EXECUTIONS="4")
        held = self.hold()
        self.send("1", "2")
        self.holding(1)
        self.send("3", "4", "5")
        self.holding(3)
        self.assertEqual(4, len(self.executions()))  # as many as may
        held.unlink()
        found = self.ended(5)
        self.assertEqual(["1", "2", "3", "4", "5"], sorted(self.received(found)))
        self.assertEqual((0, 0), self.counts())

    def test_many_executions_and_a_kill_of_the_server_in_their_midst(self):
        count = 100
        self.define(MAX_EXECUTIONS="6")
        self.az("servicebus", "message", "send", "-n", QUEUE, "--body", "x", "--count", str(count), group=None)
        done = lambda found: sum(one["properties"]["status"] in FINISHED for one in found)
        found = self.when(lambda found: done(found) >= 10, "ten executions", 600)
        running = [one["pid"] for each in found for one in ours(each)["replicas"] if one["state"] == "Running"]
        self.server.kill()
        self.server.wait()
        until(lambda: not any(map(alive, running)), what="the end of the replicas")
        self.server = self.dev()
        found = self.when(lambda found: done(found) >= count and done(found) == len(found), "the end of all", 1200)
        self.assertEqual({"Succeeded"}, {one["properties"]["status"] for one in found})
        completed = [one["sequenceNumber"] for each in found for one in ours(each)["messages"] if one.get("outcome") == "completed"]
        self.assertEqual(list(range(1, count + 1)), sorted(completed))
        self.assertEqual(count, len(found))
        self.assertEqual((0, 0), self.counts())
        for one in found:
            self.assertIn("Received message: x", self.log(one))


class Terraform(Messages):
    JOB = "aca-job-python"

    def setUp(self):
        super().setUp()
        self.program = terraform()
        self.work = shutil.copytree(EXAMPLE, self.folder / "example") / "terraform"

    def terraform(self, *words):
        done = subprocess.run([self.program, *words, "-no-color"], cwd=self.work, capture_output=True, text=True, timeout=300, check=False,
                              env={**CLEAN, "JOBMILL_URL": self.server.url, "PATH": self.path(), "CHECKPOINT_DISABLE": "1",
                                   "TF_CLI_CONFIG_FILE": os.devnull, "TF_INPUT": "0"})
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def path(self):
        return f"{BIN}:{os.environ['PATH']}"

    def ids(self):
        state = json.loads((self.work / "terraform.tfstate").read_text())
        return {resource["name"]: resource["instances"][0]["attributes"]["id"] for resource in state["resources"]}

    def test_init_plan_apply_change_destroy(self):
        self.terraform("init")
        self.assertEqual([], [path for path in self.work.rglob("*") if "providers" in path.parts])
        self.assertIn("2 to add", self.terraform("plan", "-out", "tfplan"))
        self.terraform("apply", "tfplan")
        job = self.job("show")["properties"]
        self.assertEqual((300, 10), (job["configuration"]["replicaTimeout"], job["configuration"]["replicaRetryLimit"]))
        self.assertEqual(1, job["configuration"]["eventTriggerConfig"]["scale"]["maxExecutions"])
        before = self.ids()
        self.assertIn("No changes", self.terraform("apply", "-auto-approve"))

        self.send("hello")
        self.check(self.ended()[0], "Succeeded")

        self.assertIn("1 added, 0 changed, 1 destroyed", self.terraform("apply", "-auto-approve", "-var", "image_tag=1.0.1"))
        after = self.ids()
        self.assertEqual(before["queue"], after["queue"])
        self.assertNotEqual(before["job"], after["job"])
        self.assertIn("job-python:1.0.1", self.job("show")["properties"]["template"]["containers"][0]["image"])

        self.terraform("destroy", "-auto-approve", "-var", "image_tag=1.0.1")
        self.job("show", code=3)
        self.assertEqual([], self.az("containerapp", "job", "list"))
        self.assertEqual([], self.az("servicebus", "namespace", "list"))

    def test_scripts_that_say_az(self):
        shim = self.folder / "shim"
        self.az("az-shim", shim, group=None)
        self.path = lambda: f"{shim}:{os.environ['PATH']}"
        for path in [*self.work.parent.glob("*.sh"), self.work / "main.tf"]:
            path.write_text(path.read_text().replace("jobmill ", "az "))
        self.terraform("init")
        self.terraform("apply", "-auto-approve")
        self.assertEqual([self.JOB], self.az("containerapp", "job", "list", "--query", "[].name"))
        self.terraform("destroy", "-auto-approve")
        refused = subprocess.run([shim / "az", "vm", "list"], capture_output=True, text=True, check=False)
        self.assertEqual(2, refused.returncode, refused.stderr)


class Manual(ExecutionTest):
    """Jobs that are started by hand, and run the shell."""

    def setUp(self):
        super().setUp()
        self.az("containerapp", "env", "create", "-n", ENVIRONMENT)

    def create(self, script, *flags, retry=0, timeout=60):
        self.job("create", "--environment", ENVIRONMENT, "--trigger-type", "Manual", "--replica-timeout", timeout, "--replica-retry-limit",
                 retry, "--image", "shell", "--retry-backoff", "NONE", *flags, "--command", "/bin/sh", self.file(f"{self.JOB}.sh", script))

    def run_one(self, seconds=180):
        self.job("start")
        return self.ended(seconds=seconds)[0]

    def states(self, execution):
        return [one["state"] for one in ours(execution)["replicas"]]

    def test_enough_completions_with_a_failure_among_them(self):
        # Whoever makes the folder fails: one of them.
        self.create(f"! mkdir {self.folder}/once", "--replica-completion-count", "3", "--parallelism", "2", retry=1)
        done = self.run_one()
        self.check(done, "Succeeded")
        self.assertEqual(["Failed", "Succeeded", "Succeeded", "Succeeded"], sorted(self.states(done)))
        spans = sorted((seconds(one["startTime"]), seconds(one["endTime"])) for one in ours(done)["replicas"])
        self.assertLessEqual(max(sum(start <= at < end for start, end in spans) for at, _ in spans), 2)

    def test_retry_limits(self):
        for limit in (0, 2):
            with self.subTest(limit):
                self.JOB = f"job-{limit}"
                self.create("exit 3", retry=limit)
                done = self.run_one()
                self.check(done, "Failed", "exit 3")
                self.assertEqual(["exit 3"] * (limit + 1), [one["reason"] for one in ours(done)["replicas"]])
                self.assertEqual(list(range(1, limit + 2)), [one["attempt"] for one in ours(done)["replicas"]])

    def test_a_signal_is_a_failure(self):
        self.create("kill -9 $$", retry=1)
        done = self.run_one()
        self.check(done, "Failed", "signal 9")
        self.assertEqual(["signal 9", "signal 9"], [one["reason"] for one in ours(done)["replicas"]])

    def test_a_time_out_ends_all_processes_and_is_retried(self):
        pids = self.file("pids", "")
        self.create(f"trap '' TERM; sleep 600 & echo $! >>{pids}; wait; wait", "--stop-grace", "1", retry=1, timeout=1)
        done = self.run_one()
        self.check(done, "Failed", "timeout")
        self.assertEqual(["timeout", "timeout"], [one["reason"] for one in ours(done)["replicas"]])
        for pid in map(int, pids.read_text().split()):
            until(lambda pid=pid: not alive(pid), what="the end of the grandchild")

    def test_a_replica_that_does_nothing_has_stalled(self):
        self.create("echo begun; exec sleep 600", "--stalled-after", "1", "--stop-grace", "1", retry=1)
        done = self.run_one()
        self.check(done, "Failed", "stalled")
        self.assertEqual(["stalled", "stalled"], [one["reason"] for one in ours(done)["replicas"]])
        self.assertIn("has stalled", self.job("explain"))
        self.create("for i in $(seq 24); do sleep 0.5; echo $i; done", "--stalled-after", "10")  # more than a busy machine is held up
        self.job("start")
        self.check(self.ended(2)[1], "Succeeded")

    def test_who_left_its_session_ends_with_the_replica(self):
        pids = self.file("pids", "")
        leave = f"setsid sh -c 'echo $$ >>{pids}; exec sleep 600' & until test -s {pids}; do sleep 0.01; done; "
        self.create(leave + "echo begun")
        self.check(self.run_one(), "Succeeded")
        self.assertFalse(alive(int(pids.read_text())))

        pids.write_text("")
        self.create(leave + "echo begun; sleep 600")
        name = self.job("start")["name"]
        until(lambda: pids.read_text().endswith("\n"), what="its daemon")
        pid = int(pids.read_text())
        self.assertTrue(alive(pid))
        self.server.kill()
        self.server.wait()
        self.server = self.dev()
        until(lambda: not alive(pid), what="the end of the daemon")
        self.job("stop", "--job-execution-name", name)
        for left in map(int, pids.read_text().split()):
            self.assertFalse(alive(left))

    def test_a_schedule_beside_another_trigger(self):
        self.create("true", "--schedule", "0 3 * * *")
        self.assertEqual("0 3 * * *", self.job("show")["properties"]["jobmill"]["schedule"])
        self.assertIn("Manual trigger", self.job("explain"))
        self.assertRegex(self.job("explain"), r"also starts by its schedule '0 3 \* \* \*' \(UTC\), next \d{4}-.*T03:00:00")
        self.job("update", "--schedule", "at three", code=1)
        self.assertIn("expected five fields (minute hour day month weekday)", self.stderr)

    def test_stop_all_and_stop_while_it_starts(self):
        self.create("sleep 600")
        names = {self.job("start")["name"] for _ in range(3)}
        self.assertEqual(names, {one["name"] for one in self.job("stop")})
        for one in self.ended(3):
            self.check(one, "Stopped")
            for replica in ours(one)["replicas"]:
                self.assertFalse("pid" in replica and alive(replica["pid"]))

    def test_environment_secrets_and_logs(self):
        self.create("env | sort; echo to stderr >&2", "--secrets", "key=a-long-secret", "--env-vars", "PLAIN=value", "KEY=secretref:Key")  # in any case
        done = self.run_one()
        log = self.log(done)
        self.assertNotIn("a-long-secret", log)
        self.assertIn("to stderr", log)
        names = set(re.findall(r"(?m)(?:^|\s)([A-Z_]+)=", log))
        self.assertLessEqual({"PLAIN", "KEY", "CONTAINER_APP_JOB_NAME", "CONTAINER_APP_JOB_EXECUTION_NAME", "CONTAINER_APP_REPLICA_NAME",
                              "JOBMILL_EXECUTION", "JOBMILL_REPLICA", "JOBMILL_ATTEMPT", "JOBMILL_DEADLINE", "JOBMILL_TRIGGER_NAME",
                              "JOBMILL_TRIGGER_TYPE", "PATH"}, names)
        self.assertFalse({"IDENTITY_ENDPOINT", "IDENTITY_HEADER", "JOBMILL_URL", "PIP_CERT"} & names, names)
        self.assertEqual([{"name": "key"}], self.job("secret", "list"))
        self.assertEqual([{"name": "key", "value": "a-long-secret"}], self.job("secret", "list", "--show-values"))
        for path in (self.folder / "data").rglob("*"):
            if path.is_file():
                self.assertNotIn(b"a-long-secret", path.read_bytes(), path)

    def test_a_secret_of_a_key_vault(self):
        url = "https://vault.vault.azure.net/secrets/Key"
        self.create("echo the key is $KEY; test -n \"$KEY\"", "--secrets", f"key=keyvaultref:{url},identityref:system",
                    "--env-vars", "KEY=secretref:key")
        self.job("start")
        waits = self.when(lambda found: found and "SecretUnavailable" in ours(found[0]).get("reason", ""), "it waits for its secret")[0]
        self.assertEqual("Processing", waits["properties"]["status"])
        self.assertIn(f"jobmill secret set --keyvault-url {url}", ours(waits)["reason"])

        done = self.run_jobmill("secret", "set", "--keyvault-url", url.lower() + "/", server=self.server, stdin="swordfish-17\n")
        self.assertEqual((0, "", ""), (done.returncode, done.stdout, done.stderr))
        done = self.ended(seconds=9)[0]  # at once, not after the pause of ten seconds
        self.check(done, "Succeeded")
        self.assertIn("the key is ", self.log(done))
        self.assertNotIn("swordfish", self.log(done) + json.dumps(self.job("show")) + json.dumps(self.job("secret", "list", "--show-values")))
        self.assertEqual([url.lower() + "/"], [one["url"] for one in self.az("secret", "list", "-o", "json", group=None)["secrets"]])
        for path in (self.folder / "data").rglob("*"):
            if path.is_file():
                self.assertNotIn(b"swordfish-17", path.read_bytes(), path)

        self.server.kill()
        self.server.wait()
        self.server = self.dev()
        self.job("start")
        self.check(self.ended(2)[1], "Succeeded")
        self.az("secret", "remove", "--keyvault-url", url, group=None)
        self.az("secret", "remove", "--keyvault-url", url, group=None, code=1)
        self.az("secret", "set", "--keyvault-url", "vault", "--value", "x", group=None, code=64)

    def event_job(self, rule, secrets=""):
        """Of executions that stay, so that each is there to be counted."""
        self.az("containerapp", "job", "create", "-n", self.JOB, "--yaml", self.file("job.yaml", f"""
environmentId: {self.az("containerapp", "env", "show", "-n", ENVIRONMENT)["id"]}
configuration:
  triggerType: Event
  replicaTimeout: 60
  secrets: [{secrets}]
  eventTriggerConfig: {{scale: {{pollingInterval: 600, maxExecutions: 9, rules: [{{name: r, type: azure-servicebus, {rule}}}]}}}}
template: {{containers: [{{name: main, image: shell, command: [/bin/sleep, "600"]}}]}}
"""))

    def queue(self, name):
        return self.az("servicebus", "queue", "create", "--namespace-name", "bus", "-n", name)["id"]

    def send_to(self, queue):
        self.az("servicebus", "message", "send", "-n", queue, "--body", "x", group=None)

    def counter(self):
        """An identity, and the namespace that it is to count in."""
        return self.az("identity", "create", "-n", "counter"), self.az("servicebus", "namespace", "create", "-n", "bus")["id"]

    def let_receive(self, identity, scope):
        self.az("role", "assignment", "create", "--assignee", identity["principalId"], "--role", "Azure Service Bus Data Receiver",
                "--scope", scope, group=None)

    def test_the_identity_of_a_rule_needs_a_role_to_count(self):
        identity, _ = self.counter()
        queue = self.queue("q")
        self.event_job(f"metadata: {{queueName: q, namespace: bus, messageCount: 1}}, identity: '{identity['id']}'")
        self.send_to("q")
        until(lambda: "has no role to receive from the queue q" in self.job("explain"), what="the refusal")
        self.assertEqual([], self.executions())
        self.let_receive(identity, queue)
        self.when(lambda found: len(found) == 1, "an execution")
        self.assertIn("bound semantics", self.job("explain"))
        self.az("servicebus", "queue", "delete", "--namespace-name", "bus", "-n", "q", "--yes")
        until(lambda: self.az("role", "assignment", "list", "--scope", queue, group=None) == [], what="the end of the role on it")

    def test_a_pattern_names_many_queues(self):
        identity, namespace = self.counter()
        self.let_receive(identity, namespace)
        for name in ("orders-1", "orders-2", "others"):
            self.queue(name)
        self.event_job(f"metadata: {{queueName: '^orders-[0-9]+$', useRegex: 'true', namespace: bus, messageCount: 1}}, identity: '{identity['id']}'")
        self.send_to("others")
        self.send_to("orders-2")
        self.when(lambda found: len(found) == 1, "the first execution")
        self.send_to("orders-1")
        self.when(lambda found: len(found) == 2, "one for another queue")
        self.queue("orders-33")
        self.send_to("orders-33")
        self.when(lambda found: len(found) == 3, "one for a queue that is new")
        said = self.job("explain")
        self.assertIn("bound semantics", said)
        self.assertIn("r: 3 ready, 0 locked", said)

    def test_a_connection_string_outlives_the_port_in_it(self):
        self.az("servicebus", "namespace", "create", "-n", "bus")
        self.queue("q")
        connection = self.az("servicebus", "namespace", "authorization-rule", "keys", "list", "--namespace-name", "bus", "--name",
                             "RootManageSharedAccessKey", "--query", "primaryConnectionString", "-o", "tsv").strip()
        self.assertIn(self.amqp.rsplit(":", 1)[1], connection)
        self.event_job("metadata: {queueName: q, messageCount: 1}, auth: [{secretRef: c, triggerParameter: connection}]",
                       f"{{name: c, value: '{connection}'}}")
        self.server.kill(signal.SIGTERM)
        self.server.wait()
        self.amqp = f"127.0.0.1:{free_port()}"
        self.server = self.dev()
        self.send_to("q")
        self.when(lambda found: len(found) == 1, "an execution")
        self.assertIn("bound semantics", self.job("explain"))

    def test_all_lines_are_there_when_the_end_is(self):
        self.create("seq 1 20000")
        done = self.run_one()
        self.assertEqual("20000", re.findall(r"(\d+)\s*$", self.log(done).strip())[0])

    def test_a_replica_that_has_no_log_has_written_nothing(self):
        """As one that was lost with its server before it had begun."""
        self.create("echo begun")
        done = self.run_one()
        files = list((self.folder / "data").rglob(ours(done)["replicas"][0]["name"] + ".log*"))
        self.assertTrue(files)
        for file in files:
            file.unlink()
        self.assertIsNone(self.log(done))

    def test_lines_of_one_container_and_the_last_of_all_replicas(self):
        environment = self.az("containerapp", "env", "show", "-n", ENVIRONMENT)["id"]
        self.az("containerapp", "job", "create", "-n", "job", "--yaml", self.file("job.yaml", f"""
environmentId: {environment}
configuration: {{triggerType: Manual, replicaTimeout: 60, manualTriggerConfig: {{replicaCompletionCount: 2, parallelism: 1}}}}
template:
  containers:
  - {{name: main, image: shell, command: [/bin/sh, -c], args: ["for i in 1 2 3; do echo main $i; done; until test -e beside; do sleep 0.01; done"]}}
  - {{name: side, image: shell, command: [/bin/sh, -c], args: ["echo side; touch beside; sleep 60"]}}
jobmill: {{workdir: {self.folder}}}
"""))
        done = self.run_one()
        self.check(done, "Succeeded")
        said = lambda *more: re.findall(r"(?m)(main \d|side)$", self.job("logs", "show", "--execution", done["name"], "--format", "text", *more) or "")
        self.assertEqual(["main 1", "main 2", "main 3"] * 2, said("--container", "main"))
        self.assertEqual(["main 3", "main 1", "main 2", "main 3"], said("--container", "main", "--tail", "4"))
        self.assertEqual({"side"}, set(said("--container", "SIDE")))
        self.assertEqual(3, len(said("--tail", "3")))  # of all of them together
        self.assertIn("main 1", said())
        self.job("logs", "show", "--execution", done["name"], "--container", "other", code=1)
        self.assertIn("has no container 'other'; it has main, side", self.stderr)

    def test_start_with_other_values(self):
        self.create("echo $A", "--env-vars", "A=job")
        self.job("start", "--image", "shell", "--env-vars", "A=other", "--command", "/bin/sh",
                 self.file("other.sh", "echo overridden $A"))
        self.assertIn("overridden other", self.log(self.ended()[0]))

    def test_an_image_without_a_meaning(self):
        self.job("create", "--environment", ENVIRONMENT, "--trigger-type", "Manual", "--replica-timeout", "60", "--replica-retry-limit", "0",
                 "--image", "nobody/knows:1")
        done = self.run_one()
        self.check(done, "Failed", "ImageNotRunnable")
        self.assertIn("jobmill image map", ours(done)["reason"])
        self.assertIn("mcr.microsoft.com/k8se/quickstart:latest",
                      [one["match"] for one in self.az("image", "list", "-o", "json", group=None)["images"]])

    def test_what_is_wrong_makes_nothing(self):
        common = ["create", "--environment", ENVIRONMENT, "--trigger-type", "Manual", "--replica-timeout", "60", "--replica-retry-limit", "0"]
        for code, words in ((2, [*common, "--no-such-flag"]), (1, common[:5] + common[7:]), (1, [*common, "--secrets", "a=1", "a=2"]),
                            (1, [*common, "--env-vars", "A=secretref:missing"]), (1, [*common, "--cpu", "many"]),
                            (1, [*common[:2], "nowhere", *common[3:]])):
            with self.subTest(words):
                self.job(*words, code=code)
                self.job("show", code=3)

    def test_a_job_from_a_file(self):
        environment = self.az("containerapp", "env", "show", "-n", ENVIRONMENT)["id"]
        file = self.file("job.yaml", f"""
name: job
managed_environment_id: {environment}
tags: {{made_by: hand}}
configuration:
  trigger_type: event
  replica_timeout: 60
  replica_retry_limit: 2
  secrets: [{{name: key, value: a-secret}}]
  event_trigger_config:
    parallelism: 2
    replica_completion_count: 2
    scale:
      max_executions: 7
      rules:
      - {{name: far, type: azure-servicebus, metadata: {{queueName: q, messageCount: 3}}, auth: [{{secret_ref: key, trigger_parameter: connection}}]}}
template:
  containers:
  - {{name: main, image: shell, command: [/bin/sh, -c], args: ["echo $A"], env: [{{name: A, value: from a file}}],
     resources: {{cpu: 0.5, memory: 1Gi}}}}
jobmill: {{retryBackoff: none, suspended: true}}
""")
        self.az("containerapp", "job", "create", "--yaml", file, "-n", "job")
        job = self.job("show")
        self.assertEqual({"made_by": "hand"}, job["tags"])
        settings = job["properties"]["configuration"]
        self.assertEqual((60, 2, [{"name": "key"}]), (settings["replicaTimeout"], settings["replicaRetryLimit"], settings["secrets"]))
        self.assertEqual(7, settings["eventTriggerConfig"]["scale"]["maxExecutions"])
        self.assertEqual([{"name": "key", "value": "a-secret"}], self.job("secret", "list", "--show-values"))

        self.job("update", "--yaml", self.file("change.yaml", """
configuration: {replica_retry_limit: 0, event_trigger_config: {scale: {rules: []}, replica_completion_count: 1, parallelism: 1}}
template: {containers: [{name: main, image: shell, command: [/bin/sh, -c], args: [echo changed]}]}
"""))
        settings = self.job("show")["properties"]["configuration"]
        self.assertEqual((60, 0), (settings["replicaTimeout"], settings["replicaRetryLimit"]))
        self.assertEqual({"rules": []}, settings["eventTriggerConfig"]["scale"])  # replaced as a whole
        self.assertEqual([{"name": "key", "value": "a-secret"}], self.job("secret", "list", "--show-values"))
        done = self.run_one()
        self.assertIn("changed", self.job("logs", "show", "--container", "main", "--execution", done["name"], "--format", "text"))

        shown, exported = self.job("show"), self.job("export")
        self.az("containerapp", "job", "create", "--yaml", self.file("exported.yaml", exported), "-n", "job")
        self.assertEqual((shown, exported), (self.job("show"), self.job("export")))
        self.job("delete", "--yes")
        self.az("containerapp", "job", "create", "--yaml", self.folder / "exported.yaml", "-n", "job")
        self.assertEqual((shown, exported), (self.job("show"), self.job("export")))
        arm = self.job("export", "--format", "arm")
        self.assertNotIn("jobmill", arm["properties"])
        self.assertEqual(settings, arm["properties"]["configuration"])

    def test_a_file_that_is_wrong_makes_nothing(self):
        environment = self.az("containerapp", "env", "show", "-n", ENVIRONMENT)["id"]
        text = f"""environment_id: {environment}
configuration: {{trigger_type: Manual, replica_timeout: 60}}
template: {{containers: [{{name: main, image: shell}}]}}
"""
        for right, wrong, said in (("replica_timeout: 60", "replica_timeout: soon", ":2: configuration.replica_timeout: expected an integer"),
                                   ("trigger_type", "triger_type", ":2: configuration.triger_type: unknown field; .*did you mean triggerType"),
                                   ("image: shell", "", ":3: template.containers.0..image: required, and missing"),
                                   (environment, environment + "x", "The environment '.*x' in resource group '.*' was not found"),
                                   ("{name: main", "{name: [main", "Error parsing .*job.yaml")):
            with self.subTest(wrong):
                self.az("containerapp", "job", "create", "-n", "job", "--yaml", self.file("job.yaml", text.replace(right, wrong)), code=1)
                self.assertRegex(self.stderr, said)
                self.job("show", code=3)
        self.az("containerapp", "job", "create", "-n", "job", "--yaml", self.folder / "none.yaml", code=1)
        self.assertIn("none.yaml does not exist", self.stderr)

    def test_a_killed_server_leaves_no_process_and_loses_no_execution(self):
        self.create("echo begun; sleep 600")
        self.job("start")
        running = lambda found: found and [one for one in ours(found[0])["replicas"] if one["state"] == "Running"]
        found = self.when(running, "a replica runs")
        pid = running(found)[0]["pid"]
        until(lambda: "begun" in self.log(found[0]), what="its first words")
        self.server.kill()
        self.server.wait()
        until(lambda: not alive(pid), what="the end of the replica")
        self.server = self.dev()
        found = self.when(lambda found: running(found) and running(found)[0]["pid"] != pid, "another replica")
        self.assertEqual(["Lost", "Running"], self.states(found[0]))
        self.assertIn("begun", self.log(found[0]))
        self.job("delete", "--yes")
        until(lambda: not alive(running(found)[0]["pid"]), what="the end of the second one")
        self.job("show", code=3)
