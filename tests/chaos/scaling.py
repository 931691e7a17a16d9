#!/usr/bin/env python3
"""Random load on real processes: bursts, pauses, new manifests, a trigger that fails, replicas that are
killed, a server that is started again. Every change of a number of replicas that can be seen must have
exactly one record, whose `to` is that number; each record, decided again from what it kept, must say
the same; and whenever nothing changed, one rule must say why.

Prints a JSON line; exit 0 only if all of that holds. Timeline on stderr."""
import argparse
import collections
import contextlib
import datetime
import http.server
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
from harness import BIN, EXAMPLE, Server, free_port, http as call, until  # noqa: E402

REPLAY = BIN / "decision_replay"
# What is scaled: workers by their backlog, and processes that only live, by a number from elsewhere.
ORDERS, GAUGE = "orders", "gauge"
TARGETS = (ORDERS, GAUGE)

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers: [{{name: main, image: jobmill-example, {what}}}]
---
"""

SCALED = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {{name: {name}, annotations: {{jobmill/semantics: {semantics}}}}}
spec:
  scaleTargetRef: {{name: {name}}}
  pollingInterval: 1
  cooldownPeriod: {cooldown}
  minReplicaCount: {low}
  maxReplicaCount: {high}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior: {behavior}
  triggers: [{trigger}]
---
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def instant(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Gauge:
    """A number behind a URL, which now and then is none."""

    def __init__(self):
        self.value, self.broken = 0, False
        gauge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = b"oops" if gauge.broken else json.dumps({"value": gauge.value}).encode()
                self.send_response(500 if gauge.broken else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Watch(threading.Thread):
    """Every change of a target's wanted number while a server runs, by reads that it holds until something
    changes. Local processes end with their server, and the next one begins with none."""

    def __init__(self, load, target):
        super().__init__(daemon=True)
        self.load, self.url, self.lifetime = load, f"{load.url}/v1/scale/{target}", 0
        self.stopped = threading.Event()
        self.wanted, self.seen = None, []

    def run(self):
        etag = None
        while not self.stopped.is_set():
            lifetime = self.load.lifetime
            try:
                answer = call("GET", self.url, headers={"If-None-Match": etag, "Prefer": "wait=2"} if etag else {}, timeout=10)
            except OSError:
                etag = None
                time.sleep(0.05)  # the server is away just now
                continue
            if answer.status == 200 and lifetime is not None and lifetime == self.load.lifetime:
                etag = answer.headers["ETag"]
                self.see(answer.json, lifetime)

    def see(self, document, lifetime):
        if lifetime != self.lifetime:
            self.lifetime, self.wanted = lifetime, None
        wanted = document["replicas"]["wanted"]
        if self.wanted is not None and wanted != self.wanted:
            change = document.get("lastChange") or {}
            self.seen.append({"wanted": wanted, "id": change.get("id"), "to": change.get("to")})
        self.wanted = wanted

    def stop(self):
        self.stopped.set()
        self.join(15)


class Load:
    def __init__(self, folder, seed):
        self.folder, self.chance = folder, random.Random(seed)
        self.address = f"127.0.0.1:{free_port()}"
        self.url = "http://" + self.address
        self.gauge = Gauge()
        self.jobs, self.did, self.lifetime = 0, collections.Counter(), 0
        (folder / "m.yaml").write_text(self.manifests())
        self.start("-f", folder / "m.yaml")

    def start(self, *flags):
        self.server = Server("--image", f"jobmill-example={EXAMPLE}", "--grace", "3s", *flags, data=self.folder / "data", http_address=self.address, folder=self.folder)

    def close(self):
        self.server.close()
        self.gauge.close()

    def post(self, path, body=None, refused=()):
        answer = self.server.call("POST", path, body or {})
        assert answer.status < 300 or answer.status in refused, f"{path}: {answer.status} {answer.body}"
        return answer.json if answer.body else None

    # --- what happens ---

    def rules(self):
        chance = self.chance
        parts = []
        if chance.random() < 0.7:
            parts.append(f"stabilizationWindowSeconds: {chance.randint(0, 8)}")
        if chance.random() < 0.4:
            parts.append(f"policies: [{{type: {chance.choice(('Pods', 'Percent'))}, value: {chance.randint(1, 100)}, periodSeconds: {chance.randint(1, 10)}}}]")
        return f"{{{', '.join(parts)}}}"

    def scaled(self, name, trigger):
        chance = self.chance
        return SCALED.format(name=name, semantics=chance.choice(("direct", "direct", "keda")), cooldown=chance.randint(1, 6), low=chance.choice((0, 0, 1)) if name == GAUGE else 0,
                             high=chance.randint(3, 7), behavior=f"{{scaleDown: {self.rules()}, scaleUp: {self.rules()}}}", trigger=trigger)

    def manifests(self):
        jobs = '{type: jobs, name: backlog, metadata: {queue: default, targetValue: "6", runInMax: PT3S}}'
        number = f'{{type: metrics-api, name: number, metadata: {{url: "{self.gauge.url}", valueLocation: value, targetValue: "10"}}}}'
        return (DEPLOYMENT.format(name=ORDERS, what='args: [worker, --workers, "2"]') + DEPLOYMENT.format(name=GAUGE, what='command: ["/bin/sleep", "3600"]')
                + self.scaled(ORDERS, jobs) + self.scaled(GAUGE, number))

    def burst(self):
        count = self.chance.randint(1, 50)
        delay = {"delay": f"PT{self.chance.randint(1, 8)}S"} if self.chance.random() < 0.3 else {}
        self.post("/v1/jobs", {"kind": "example.sample", "args": ["Sample", self.chance.randint(10, 600)], "count": count, **delay})
        self.jobs += count

    def number(self):
        self.gauge.value = self.chance.choice((0, 0, self.chance.randint(1, 90)))

    def outage(self):
        self.gauge.broken = not self.gauge.broken

    def pause(self):
        self.post(f"/api/autoscaling/{self.chance.choice(TARGETS)}/pause", self.chance.choice(({}, {"replicas": self.chance.randint(0, 3)})))

    def resume(self):
        for target in TARGETS:
            self.post(f"/api/autoscaling/{target}/resume")

    def by_hand(self):
        self.post(f"/api/autoscaling/{self.chance.choice(TARGETS)}/set", {"replicas": self.chance.randint(0, 3)}, refused=(409,))  # while it is paused

    def apply(self):
        answer = call("POST", self.url + "/v1/manifests/apply", self.manifests().encode(), headers={"Content-Type": "application/yaml"})
        assert answer.status == 200, answer.body

    def kill(self):
        pids = [pod["pid"] for pod in self.server.pods() if pod.get("pid")]
        with contextlib.suppress(ProcessLookupError, IndexError):  # there are none, or it has ended meanwhile
            os.kill(self.chance.choice(pids), signal.SIGKILL)

    def restart(self):
        before, self.lifetime = self.lifetime, None  # from here on its replicas go because it does
        self.server.kill(signal.SIGTERM)
        self.server.wait()
        self.server.close()
        self.lifetime = before + 1
        self.start()

    def step(self):
        weights = {"burst": 45, "number": 20, "resume": 12, "pause": 4, "by_hand": 5, "apply": 5, "kill": 6, "outage": 4, "restart": 2}
        [what] = self.chance.choices(list(weights), list(weights.values()))
        getattr(self, what)()
        self.did[what] += 1
        # Sometimes long enough that everybody goes home.
        time.sleep(self.chance.uniform(4, 12) if self.chance.random() < 0.06 else self.chance.uniform(0.05, 0.8))

    # --- what was recorded ---

    def get(self, path):
        answer = self.server.get(path)
        assert answer.status == 200, f"{path}: {answer.status} {answer.body}"
        return answer.json

    def records(self, target):
        """All of them, the oldest first."""
        items, before = [], ""
        while True:
            page = self.get(f"/api/autoscaling/{target}/decisions?limit=500{before}")
            items += page["items"]
            if not page.get("next"):
                return items[::-1]
            before = "&before=" + page["next"]

    def quiet(self):
        """No work, no wish, nobody's hand: everything goes back to where it begins."""
        self.gauge.value, self.gauge.broken = 0, False
        self.resume()
        until(lambda: self.get("/api/jobs/counts").get("SUCCEEDED", 0) == self.jobs, 120, "the end of all jobs")
        for target in TARGETS:
            until(lambda: self.is_quiet(target), 90, f"the end of the replicas of {target}")

    def is_quiet(self, target):
        state = self.get(f"/api/autoscaling/{target}")
        return state["desired"] == state["min"] == state["ready"] and not state["starting"] and not state["draining"]


def changes_of(records):
    return [record for record in records if record["from"] != record["to"]]


def outages(load, target, begin):
    """When no server ran, as the time axis says."""
    gaps = load.get(f"/api/autoscaling/{target}/series?from={instant(begin)}")["gaps"]
    return [(start / 1000, end / 1000) for start, end, reason in gaps if reason == "the server was not running"]


def check_records(target, records, watch, away):
    """Each change that was seen has one record, and no record skips a number; but for a server's end."""
    wrong = []
    by_id = collections.Counter(record["id"] for record in records)
    to = {record["id"]: record["to"] for record in records}
    for one in watch.seen:
        if by_id[one["id"]] != 1 or to[one["id"]] != one["wanted"]:
            wrong.append(f"{target}: seen {one}, of which there are {by_id[one['id']]} records, to {to.get(one['id'])}")
    seen = collections.Counter(one["id"] for one in watch.seen)
    wrong += [f"{target}: {n} changes with the record {name}" for name, n in seen.items() if n > 1]
    changes = changes_of(records)
    ended = lambda after, before=time.time(): any(seconds_of(after) <= start and end <= before for start, end in away)  # noqa: E731
    for before, after in zip(changes, changes[1:]):
        if before["to"] != after["from"] and not ended(before["at"], seconds_of(after["at"])):
            wrong.append(f"{target}: {after['id']} begins at {after['from']}, after {before['id']} went to {before['to']}")
    if changes and changes[-1]["to"] != watch.wanted and not ended(changes[-1]["at"]):
        wrong.append(f"{target}: the last record says {changes[-1]['to']}, there are {watch.wanted}")
    return wrong


def check_marks(load, target, records, begin):
    """On the time axis there is a mark for each change."""
    series = load.get(f"/api/autoscaling/{target}/series?from={instant(begin)}")
    marks = {mark["id"]: (mark["from"], mark["to"]) for mark in series["decisions"] if mark["from"] != mark["to"]}
    wanted = {record["id"]: (record["from"], record["to"]) for record in changes_of(records)}
    return [f"{target}: marks and records differ: {sorted(set(marks.items()) ^ set(wanted.items()))}"] if marks != wanted else []


def check_reasons(load, target, records, begin, chance):
    """At any time one rule says why there were so many."""
    wrong = []
    first = seconds_of(records[0]["at"])
    for _ in range(100):
        at = chance.uniform(max(first, begin), seconds_of(records[-1]["at"]))
        then = [record for record in records if seconds_of(record["at"]) <= at][-1]
        answer = load.get(f"/api/autoscaling/{target}/why-not?at={instant(at)}")
        rule = "demand" if then["limitingRule"] == "none" else then["limitingRule"]  # no rule held it: so much was wanted
        if answer["replicas"] != then["to"] or answer["rule"] != rule or not answer["sentence"]:
            wrong.append(f"{target}: at {instant(at)} {answer['replicas']} by {answer['rule']}, where the record {then['id']} says {then['to']} by {rule}")
    return wrong


def check_again(records):
    """What decision_replay makes of them: nothing if all give the same again."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    done = subprocess.run([REPLAY], input=lines, capture_output=True, text=True)
    return [] if done.returncode == 0 else done.stdout.splitlines() + done.stderr.splitlines()


def run(arguments):
    begin = time.time() - 1
    with tempfile.TemporaryDirectory(prefix="jobmill-load-") as name:
        load = Load(pathlib.Path(name), arguments.seed)
        watches = {target: Watch(load, target) for target in TARGETS}
        try:
            for watch in watches.values():
                watch.start()
            end = time.monotonic() + arguments.seconds
            told = 0
            while time.monotonic() < end:
                load.step()
                if time.monotonic() > told + 10:
                    told = time.monotonic()
                    say(f"{end - told:5.0f} s left: {load.jobs} jobs; {', '.join(f'{n} at {w.wanted} after {len(w.seen)} changes' for n, w in watches.items())}")
            load.quiet()
            for target, watch in watches.items():
                until(lambda: watch.wanted == load.get(f"/api/autoscaling/{target}")["desired"])
                watch.stop()
            records = {target: load.records(target) for target in TARGETS}
            wrong = []
            for target, watch in watches.items():
                wrong += check_records(target, records[target], watch, outages(load, target, begin))
                wrong += check_marks(load, target, records[target], begin)
                wrong += check_reasons(load, target, records[target], begin, load.chance)
                wrong += check_again(records[target])
        finally:
            load.close()
        for line in wrong:
            say("WRONG " + line)
        everything = [record for of_target in records.values() for record in of_target]
        return {
            "seconds": arguments.seconds, "seed": arguments.seed, "jobs": load.jobs, "did": dict(load.did),
            "seen": sum(len(watch.seen) for watch in watches.values()), "records": len(everything), "changes": len(changes_of(everything)),
            "kinds": dict(collections.Counter(record["kind"] for record in everything)), "wrong": len(wrong),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    result = run(parser.parse_args())
    print(json.dumps(result), flush=True)
    return 0 if result["wrong"] == 0 and result["seen"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
