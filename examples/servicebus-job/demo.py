#!/usr/bin/env python3
"""The second walkthrough on this machine: Terraform defines a job that the messages of a Service Bus
queue start, 20 messages are sent with Azure's Python client, 20 executions take one each. Timeline on
stderr; the last line of stdout is one JSON object."""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CONSUMER = ROOT / "build/clients/consumer/bin"  # of ./dev setup: Python with app/requirements.lock
MESSAGES, AT_ONCE = 20, 5
GROUP, NAMESPACE, QUEUE, JOB = "rg-containerapp-keda-16", "servicebus-ns-job", "queue-messages", "aca-job-python"
AMQPS = 5671  # Azure's clients have no setting for another one
FINISHED = ("Succeeded", "Failed", "Stopped")
LIMIT = 300  # seconds


class Failed(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def terraform():
    """Terraform of PATH, or the one that ./dev setup built; the first that is not too old."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    for program in ("terraform", str(cache / "jobmill/bin/terraform")):
        try:
            answer = subprocess.run([program, "version", "-json"], capture_output=True, text=True, check=True).stdout
            version = json.loads(answer)["terraform_version"]
        except (OSError, subprocess.CalledProcessError):
            continue
        if [int(number) for number in version.split("-")[0].split(".")[:2]] >= [1, 4]:
            return program
    raise Failed("there is no Terraform 1.4 or later; ./dev setup installs one")


def check_port_free():
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", AMQPS))
        except OSError:
            raise Failed(f"port {AMQPS} is in use, and Azure's Python client knows no other one; stop the program that holds it "
                         "and try again")


class Server:
    """`jobmill dev` with a data folder of its own, on free ports but for AMQP over TLS."""

    def __init__(self, folder, binaries):
        self.log = open(folder / "server.log", "w+")
        listen = [word for name in ("http", "amqp", "admin", "admin-http", "identity") for word in (f"--{name}", "127.0.0.1:0")]
        self.environment = {**os.environ, "PATH": f"{CONSUMER}:{binaries}:{os.environ['PATH']}"}
        self.process = subprocess.Popen([binaries / "jobmill", "dev", "--data", folder / "data", "--amqps", f"127.0.0.1:{AMQPS}", *listen],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True, env=self.environment, start_new_session=True)
        try:
            line = self.process.stdout.readline()
        except BaseException:  # Ctrl-C
            self.stop()
            raise
        if "ready" not in line:
            self.process.wait()
            raise Failed("the server did not start:\n" + self.text())
        say(line.strip())
        self.environment["JOBMILL_URL"] = "http://" + dict(word.split("=", 1) for word in line.split()[2:])["http"]

    def text(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()

    def run(self, *words, folder=None, show=False, **more):
        """A program that talks to this server: its output. It does not outlive this call."""
        process = subprocess.Popen(words, cwd=folder, env={**self.environment, **more}, text=True, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=sys.stderr if show else subprocess.PIPE, stderr=None if show else subprocess.PIPE)
        try:
            output, errors = process.communicate(timeout=LIMIT)
        except BaseException:
            end(process)
            raise
        if process.returncode != 0:
            raise Failed(f"{' '.join(map(str, words))}: exit {process.returncode}\n{errors or ''}-- the server:\n{self.text()[-4000:]}")
        return output

    def jobmill(self, *words, **more):
        return self.run("jobmill", *words, **more)

    def wait_for_change(self):
        """Until something happens to the job's executions; a change just before the call is not waited for long."""
        urllib.request.urlopen(f"{self.environment['JOBMILL_URL']}/v1/executions/{GROUP}/{JOB}/watch?wait=1", timeout=LIMIT).close()

    def read(self, *words):
        return json.loads(self.jobmill(*words, "-g", GROUP, "-o", "json"))


def end(process):
    """Ends a process with all that it started."""
    for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.wait(seconds)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def apply(server, example, max_executions):
    """`terraform init`, `plan` and `apply`, with everything that they write in a copy of the example."""
    program = terraform()
    quiet = {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_CLI_CONFIG_FILE": os.devnull}
    for words in (["init"], ["plan", "-out", "tfplan", "-var", f"max_executions={max_executions}"], ["apply", "tfplan"]):
        say("$ terraform " + " ".join(words))
        server.run(program, words[0], "-input=false", "-no-color", *words[1:], folder=example / "terraform", show=True, **quiet)


def send(server, example):
    connection = server.jobmill("servicebus", "connection-string").strip()
    say(f"sending {MESSAGES} messages to {QUEUE} with azure-servicebus")
    server.run(CONSUMER / "python", example / "sender.py", QUEUE, str(MESSAGES), SERVICEBUS_CONNECTION_STRING=connection)


def moment(text):
    return datetime.datetime.fromisoformat(text).timestamp() if text else None


class Timeline:
    """One line for each execution that has ended."""

    def __init__(self):
        self.start, self.shown = time.time(), set()

    def show(self, executions):
        for execution in reversed(executions):  # the newest one came first
            properties = execution["properties"]
            if properties["status"] in FINISHED and execution["name"] not in self.shown:
                self.shown.add(execution["name"])
                say(self.line(execution["name"], properties))

    def line(self, name, properties):
        detail = properties["jobmill"]
        replica = detail["replicas"][-1] if detail["replicas"] else {}
        taken = ", ".join(f"message {message['sequenceNumber']} {message.get('outcome', 'held')}" for message in detail["messages"])
        created, started, ended = (moment(text) for text in (properties["startTime"], replica.get("startTime"), properties["endTime"]))
        return (f"{ended - self.start:7.2f} s  {name}  created {created - self.start:6.2f} s  "
                + (f"started +{(started - created) * 1000:.0f} ms  ran {(ended - started) * 1000:.0f} ms  " if started else "never started  ")
                + f"{taken or 'no message'}  exit {replica.get('exitCode')}  {properties['status']} {detail.get('reason') or ''}".rstrip())


def counts(server):
    return server.read("servicebus", "queue", "show", "--namespace-name", NAMESPACE, "-n", QUEUE)["countDetails"]


def watch(server, timeline):
    """All executions, once there is nothing left to do."""
    while True:
        executions = server.read("containerapp", "job", "execution", "list", "-n", JOB, "--all")
        timeline.show(executions)
        idle = len(timeline.shown) == len(executions) >= 1
        if idle and counts(server)["activeMessageCount"] == 0:
            return executions
        if time.time() - timeline.start > LIMIT:
            say(server.jobmill("containerapp", "job", "explain", "-n", JOB, "-g", GROUP))
            raise Failed(f"not done after {LIMIT} s: {len(timeline.shown)} of {len(executions)} executions have ended; {counts(server)}")
        server.wait_for_change()


def run(server, example, full):
    max_executions = 1 if full else AT_ONCE
    say(f"at most {max_executions} execution{'s' if max_executions > 1 else ''} at a time"
        + ("" if full else "; --full: one, as in the walkthrough"))
    apply(server, example, max_executions)
    if server.read("containerapp", "job", "execution", "list", "-n", JOB):
        raise Failed("an execution without a message")
    timeline = Timeline()
    send(server, example)
    executions = watch(server, timeline)

    last = executions[0]["name"]
    say(f"\nlog of {last}:\n" + server.jobmill("containerapp", "job", "logs", "show", "-n", JOB, "-g", GROUP, "--execution", last,
                                               "--container", JOB, "--format", "text"))
    taken = [execution["properties"]["jobmill"]["messages"] for execution in executions]
    return {
        "messages": MESSAGES,
        "executions": len(executions),
        "completed": len({message["sequenceNumber"] for messages in taken for message in messages if message["outcome"] == "completed"}),
        "dead_lettered": counts(server)["deadLetterMessageCount"],
        "empty_executions": taken.count([]),
        "seconds": round(max(moment(execution["properties"]["endTime"]) for execution in executions) - timeline.start, 1),
    }


def good(result):
    return (result["executions"] == result["completed"] == result["messages"]
            and result["dead_lettered"] == result["empty_executions"] == 0)


def main():
    parser = argparse.ArgumentParser(prog="./dev demo servicebus", description=__doc__)
    parser.add_argument("--full", action="store_true", help="one execution at a time, as in the walkthrough")
    parser.add_argument("--fast", action="store_true", help=f"up to {AT_ONCE} executions at a time (the default)")
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build/release/bin", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` runs

    folder = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-demo-"))
    server = None
    try:
        if not CONSUMER.is_dir():
            raise Failed("the Python client is not installed: ./dev setup")
        check_port_free()
        example = shutil.copytree(HERE, folder / "servicebus-job")  # Terraform writes where its files are
        server = Server(folder, arguments.binaries.resolve())
        result = run(server, example, arguments.full)
    except (Failed, OSError, KeyError) as error:
        say(f"demo: {error!r}" if not isinstance(error, Failed) else f"demo: {error}")
        return 1
    except KeyboardInterrupt:
        say("demo: stopped")
        return 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not keep the server running
            signal.signal(number, signal.SIG_IGN)
        if server:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, separators=(",", ":")), flush=True)
    return 0 if good(result) else 1


if __name__ == "__main__":
    sys.exit(main())
