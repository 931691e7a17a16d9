#!/usr/bin/env python3
"""The first walkthrough on this machine: 40 scheduled jobs pull workers from 0 to 5 before they
are due, and back to 0. Timeline on stderr; the last line of stdout is one JSON object."""
import argparse
import base64
import contextlib
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
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
USER, PASSWORD = "dashboard-user", "dashboard-password"
JOBS, SCALED_OBJECT, DEPLOYMENT = 40, "jobrunr-scaling", "jobrunr-example"
API, ENQUEUE = "http://127.0.0.1:8000", "http://127.0.0.1:8080"


class Failed(Exception):
    pass


def say(text):
    print(text, file=sys.stderr, flush=True)


def get(url, headers=None, timeout=40):
    request = urllib.request.Request(url, headers=headers or {})
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    request.add_header("Authorization", f"Basic {basic}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, dict(answer.headers), json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), None


def check_ports_free():
    for port in (8000, 8080):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise Failed(f"port {port} is in use; stop the program that holds it and try again")


def manifests(folder, full):
    """The example's own manifests; without --full the waiting in 3-scaling.yaml is shortened."""
    target = folder / "k8s"
    shutil.copytree(HERE / "k8s", target)
    if not full:
        scaling = target / "3-scaling.yaml"
        text = scaling.read_text()
        for old, new in (("pollingInterval: 30", "pollingInterval: 5"), ("cooldownPeriod: 300", "cooldownPeriod: 20")):
            if text.count(old) != 1:
                raise Failed(f"{scaling.name} should hold '{old}' once")
            text = text.replace(old, new)
        scaling.write_text(text)
    return target


class Server:
    def __init__(self, folder, full, binaries, store):
        password = folder / "password"
        password.touch(mode=0o600)
        password.write_text(PASSWORD + "\n")
        self.log = open(folder / "server.log", "w+")
        command = [binaries / "jobmill", "serve", "--amqp", "off", "--amqps", "off", "--admin", "off", "--admin-http", "off", "--identity", "off",
                   "--data", folder / "data", "--store", store, "--user", USER, "--password-file", password,
                   "--image", f"jobmill-example={binaries / 'jobmill-example'}", "-f", manifests(folder, full)]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=self.log,
                                        text=True, start_new_session=True)
        line = self.process.stdout.readline()
        if "ready" not in line:
            self.process.wait()
            raise Failed("the server did not start:\n" + self.text())
        say(line.strip())

    def text(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.log.close()


class Timeline:
    """Each change of the ScaledObject, by reads that the server holds until something changes."""

    def __init__(self, server):
        self.server, self.etag, self.start = server, None, time.monotonic()
        self.document, self.line, self.reason, self.max_ready = None, None, None, 0

    def seconds(self):
        return time.monotonic() - self.start

    def next(self):
        if not self.server.alive():
            raise Failed("the server ended:\n" + self.server.text())
        headers = {"If-None-Match": self.etag, "Prefer": "wait=20"} if self.etag else {}
        status, answer, document = get(f"{API}/v1/scale/{SCALED_OBJECT}", headers)
        if status == 304:
            return self.document
        if status != 200:
            raise Failed(f"GET /v1/scale/{SCALED_OBJECT}: status {status}")
        self.etag, self.document = answer["ETag"], document
        self.show()
        return document

    def show(self):
        replicas, change = self.document["replicas"], self.document.get("lastChange") or {}
        self.max_ready = max(self.max_ready, self.document["mostReady"])
        line = "wanted {wanted}  ready {ready}  starting {starting}  draining {draining}".format(**replicas)
        reason = change.get("sentence", "")
        if line != self.line:
            say(f"{self.seconds():7.1f} s  {line}" + (f"   {reason}" if reason != self.reason else ""))
            self.reason = reason
        self.line = line


def all_jobs():
    """Every job of the store with its history."""
    jobs, cursor = [], ""
    while True:
        _, _, page = get(f"{API}/v1/jobs?limit=1000{cursor}")
        jobs += [job["id"] for job in page["items"]]
        if not page.get("next"):
            break
        cursor = "&after=" + page["next"]
    return [get(f"{API}/v1/jobs/{job}?history=1")[2] for job in jobs]


def interruptions(job):
    """Runs that did not end by their own: crash, release or lost lease bring a job back to ENQUEUED."""
    history = [event["state"] for event in job["history"]]
    return sum(1 for before, after in zip(history, history[1:]) if before == "PROCESSING" and after in ("ENQUEUED", "SCHEDULED"))


def wait_for_page():
    """The web role is a local process too; its port opens a moment after the server's."""
    for _ in range(200):
        try:
            with socket.create_connection(("127.0.0.1", 8080), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise Failed("port 8080 did not open")


def run(server, full):
    timeline = Timeline(server)
    document = timeline.next()
    if document["replicas"]["ready"] or document["replicas"]["wanted"]:
        raise Failed("workers run already")
    wait_for_page()
    query = f"count={JOBS}&runIn=PT2M" if full else f"count={JOBS}&runIn=PT20S&executionTimeMs=3000"
    say(f"no worker runs; calling {ENQUEUE}/schedule-example-jobs?{query}")
    timeline.start = time.monotonic()
    status, _, scheduled = get(f"{ENQUEUE}/schedule-example-jobs?{query}")
    if status != 200 or scheduled["scheduled"] != JOBS:
        raise Failed(f"scheduling answered {status}: {scheduled}")

    limit = 900 if full else 240
    while True:
        document = timeline.next()
        replicas = document["replicas"]
        done = timeline.max_ready > 0 and replicas["wanted"] == 0
        if done and not (replicas["ready"] or replicas["starting"] or replicas["draining"]):
            break
        if timeline.seconds() > limit:
            raise Failed(f"not back to zero after {limit} s")
    seconds = round(timeline.seconds(), 1)

    say("\n" + document["text"])
    jobs = all_jobs()
    return {
        "jobs": JOBS,
        "succeeded": sum(1 for job in jobs if job["state"] == "SUCCEEDED"),
        "lost": JOBS - len(jobs),
        "interrupted": sum(interruptions(job) for job in jobs),
        "max_replicas": timeline.max_ready,
        "final_replicas": replicas["wanted"] + replicas["ready"] + replicas["starting"] + replicas["draining"],
        "seconds": seconds,
    }


def good(result):
    return (result["succeeded"] == result["jobs"] and result["lost"] == 0 and result["interrupted"] == 0
            and result["final_replicas"] == 0 and result["max_replicas"] >= 5)


@contextlib.contextmanager
def store_of(name):
    """The URL of the store; a PostgreSQL of our own lives as long as this."""
    if name == "sqlite":
        yield "sqlite:"
        return
    sys.path.insert(0, str(ROOT / "tests/system"))
    from postgres import Postgres
    with Postgres() as database:
        say(f"PostgreSQL runs on port {database.port}")
        yield database.socket_url


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the walkthrough's own times: about 8 minutes")
    parser.add_argument("--fast", action="store_true", help="shortened waiting (the default)")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite", help="where the jobs live; postgres: a private server")
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build/release/bin", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that `finally` runs

    folder = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-demo-"))
    parts = contextlib.ExitStack()
    try:
        check_ports_free()
        store = parts.enter_context(store_of(arguments.store))
        server = Server(folder, arguments.full, arguments.binaries, store)
        parts.callback(server.stop)
        result = run(server, arguments.full)
    except (Failed, OSError, KeyError, RuntimeError) as error:
        say(f"demo: {error!r}" if not isinstance(error, Failed) else f"demo: {error}")
        return 1
    except KeyboardInterrupt:
        say("demo: stopped")
        return 130
    finally:
        parts.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(result, separators=(",", ":")), flush=True)
    return 0 if good(result) else 1


if __name__ == "__main__":
    sys.exit(main())
