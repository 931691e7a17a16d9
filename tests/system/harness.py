"""Starts the shipped binaries and talks to them from the outside, as users do."""
import base64
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("JOBMILL_BIN", ROOT / "build/release/bin")).resolve()
JOBMILL, EXAMPLE = BIN / "jobmill", BIN / "jobmill-example"
K8S = ROOT / "examples/autoscaled-jobs/k8s"
VECTORS = pathlib.Path(os.environ.get("JOBMILL_VECTORS") or ROOT / "tests/vectors")

# What a child gets unless a test says otherwise: nothing of ours, but for ports that nobody else has, since tests run
# side by side.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("JOBMILL_") and name != "DATABASE_URL"}
CLEAN.update({f"JOBMILL_{name}": "127.0.0.1:0" for name in ("AMQP", "AMQPS", "ADMIN", "ADMIN_HTTP", "IDENTITY")})

WITHOUT_BROKER = ["--amqp", "off", "--amqps", "off", "--admin", "off", "--admin-http", "off",
                  "--identity", "off"]


def until(check, seconds=120, what="it"):
    """Waits for an event that nobody announces; fails when it does not come, however busy the machine is."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s (last: {value!r})")
        time.sleep(0.02)


PORTS = random.sample(range(22000, 32000), 10000)


def free_port():
    """One that can be taken later, and again: the system gives none of these to whoever asks for any."""
    while PORTS:
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port := PORTS.pop()))
            return port
    raise RuntimeError("no port is free")


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


def http(method, url, body=None, headers=None, user=None, timeout=60):
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
    if data is not None and "Content-Type" not in (headers or {}):
        request.add_header("Content-Type", "application/json")
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(user).encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


class Process:
    """A program of ours that says when it is ready."""

    def __init__(self, words, env=None, folder=None, ready="ready"):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env={**CLEAN, **(env or {})}, cwd=folder, start_new_session=True)
        self.pid = self.process.pid
        self.ready = self.process.stdout.readline() if ready else ""
        if ready and ready not in self.ready:
            self.process.wait(60)
            raise AssertionError(f"{words} did not start: {self.ready}{self.stderr()}")

    def stderr(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def kill(self, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait(self, seconds=60):
        return self.process.wait(seconds)

    def close(self):
        if self.process.poll() is None:
            self.kill(signal.SIGTERM)
            try:
                self.wait(60)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                self.process.wait()
        self.process.stdout.close()
        self.log.close()


class Server(Process):
    def __init__(self, *flags, data, http_address="127.0.0.1:0", env=None, folder=None):
        bus = [] if "--amqp" in flags else WITHOUT_BROKER
        super().__init__([JOBMILL, "serve", "--data", data, "--http", http_address, *bus, *flags], env=env, folder=folder)
        fields = dict(word.split("=", 1) for word in self.ready.split()[2:])
        self.address = fields["http"]
        self.url = "http://" + self.address

    def call(self, method, path, body=None, **more):
        return http(method, self.url + path, body, **more)

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def metric(self, path):
        return self.get("/api/metrics/" + path).json

    def job(self, job_id):
        return self.get(f"/v1/jobs/{job_id}?history=1").json

    def jobs(self, state=None):
        items, cursor = [], ""
        while True:
            page = self.get(f"/v1/jobs?limit=1000{'&state=' + state if state else ''}{cursor}").json
            items += page["items"]
            if not page.get("next"):
                return items
            cursor = "&after=" + page["next"]

    def pods(self):
        return self.get("/v1/manifests/Pod").json["items"]


class SystemTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def file(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def start(self, words, **more):
        process = Process(words, **more)
        self.addCleanup(process.close)
        return process

    def serve(self, *flags, data=None, **more):
        server = Server(*flags, data=data or self.folder / "data", folder=self.folder, **more)
        self.addCleanup(server.close)
        return server

    def worker(self, server, *flags, env=None):
        return self.start([EXAMPLE, "worker", *flags], env={"JOBMILL_URL": server.url, **(env or {})}, ready=None)

    def run_jobmill(self, *words, server=None, env=None, stdin=None, timeout=120):
        environment = {**CLEAN, **(env or {})}
        if server:
            environment["JOBMILL_URL"] = server.url
        return subprocess.run([str(JOBMILL), *map(str, words)], capture_output=True, text=True, env=environment, cwd=self.folder,
                              input=stdin, timeout=timeout)

    def enqueue(self, server, count=1, ms=0, **spec):
        body = {"kind": "example.sample", "args": ["Sample", ms], **({"count": count} if count > 1 else {}), **spec}
        answer = server.call("POST", "/v1/jobs", body)
        self.assertEqual(201, answer.status, answer.body)
        return answer.json
