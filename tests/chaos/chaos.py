#!/usr/bin/env python3
"""Control servers and workers on one PostgreSQL, any of them killed at any moment, while jobs come
in: every job must succeed exactly once, none may be lost, and no job may run twice at one time
while the first run's worker lives.

Prints a JSON line; exit 0 only if all of that holds. Timeline on stderr."""
import argparse
import collections
import json
import pathlib
import random
import signal
import sys
import tempfile
import threading
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
from harness import BIN, Process, Server, free_port, http  # noqa: E402
from postgres import Postgres  # noqa: E402

BATCH = 25


def say(text):
    print(text, file=sys.stderr, flush=True)


class Worker(Process):
    def __init__(self, url, slots, ledger):
        super().__init__([BIN / "chaos_worker", url, slots, ledger], ready=None)


class Crowd:
    """The processes by name; each can be killed and comes back as it was."""

    def __init__(self, folder, database, servers, workers):
        self.folder, self.database = folder, database
        self.ports = [free_port() for _ in range(servers)]
        self.makers = {f"server{i}": lambda i=i: self.server(i) for i in range(servers)}
        for i in range(workers):  # every other one talks to the database itself
            url = f"http://127.0.0.1:{self.ports[i % servers]}" if i % 2 == 0 else database.socket_url
            self.makers[f"worker{i}"] = lambda url=url: Worker(url, 20, folder / "ledger")
        self.running = {name: make() for name, make in self.makers.items()}
        self.deaths = {}  # pid -> when it was killed, µs of the clock that the ledger uses
        self.kills = 0

    def server(self, i):
        return Server("--store", self.database.socket_url, data=self.folder / f"data{i}",
                      http_address=f"127.0.0.1:{self.ports[i]}", folder=self.folder)

    def kill(self, name):
        process = self.running[name]
        process.kill(signal.SIGKILL)
        process.wait(10)
        self.deaths[process.pid] = time.clock_gettime(time.CLOCK_BOOTTIME) * 1e6
        process.close()
        self.kills += 1

    def revive(self, name):
        self.running[name] = self.makers[name]()

    def close(self):
        for process in self.running.values():
            process.kill(signal.SIGTERM)
        for process in self.running.values():
            process.close()


class Producer(threading.Thread):
    """Enqueues with ids of its own, so that it may ask again when it got no answer."""

    def __init__(self, crowd, per_second, seconds, seed, kills=0):
        super().__init__(daemon=True)
        self.crowd, self.per_second, self.seconds, self.kills = crowd, per_second, seconds, kills
        self.random = random.Random(seed)
        self.ids = []

    def run(self):
        start, sent = time.monotonic(), 0
        while (passed := time.monotonic() - start) < self.seconds or self.crowd.kills < self.kills:
            if sent >= passed * self.per_second:
                time.sleep(0.005)  # pacing: nothing to wait for but the time
                continue
            ids = [str(uuid.UUID(int=self.random.getrandbits(128), version=4)) for _ in range(BATCH)]
            self.put(ids)
            self.ids += ids
            sent += BATCH

    def put(self, ids):
        jobs = [{"id": name, "kind": "chaos.work", "args": [self.random.randrange(0, 30)]} for name in ids]
        while True:
            port = self.random.choice(self.crowd.ports)
            try:
                answer = http("POST", f"http://127.0.0.1:{port}/v1/jobs", {"jobs": jobs}, timeout=10)
            except OSError:
                time.sleep(0.02)  # that server is dead just now
                continue
            if answer.status in (200, 201):
                return
            if answer.status != 503:
                raise AssertionError(f"{answer.status}: {answer.body}")
            time.sleep(0.05)


def ended(database):
    text = database.execute("SELECT coalesce(sum(n), 0) FROM (SELECT count(*) AS n FROM jobmill_done WHERE state = 5) t")
    return int(text)


def runs_of(ledger):
    """job -> its runs as [begin, end or None, pid]."""
    runs = collections.defaultdict(list)
    open_runs = {}
    for line in ledger.read_text().splitlines():
        what, job, pid, micros = line.split()
        key = (job, int(pid))
        if what == "B":
            run = [int(micros), None, int(pid)]
            runs[job].append(run)
            open_runs[key] = run
        else:
            open_runs.pop(key)[1] = int(micros)
    return runs


def doubled(runs, deaths):
    """Runs that began while another run of the same job went on in a worker that lived."""
    count = 0
    for job_runs in runs.values():
        job_runs.sort()
        for before, after in zip(job_runs, job_runs[1:]):
            end = before[1] or deaths.get(before[2])
            if end is None or after[0] < end:
                count += 1
    return count


def check(database, ids, runs, deaths):
    scalar = lambda sql: int(database.execute(sql))  # noqa: E731
    database.execute("CREATE TABLE asked (id uuid)")
    for start in range(0, len(ids), 1000):
        values = ",".join(f"('{name}')" for name in ids[start:start + 1000])
        database.execute(f"INSERT INTO asked VALUES {values}")
    return {
        "jobs": len(ids),
        "succeeded": scalar("SELECT count(*) FROM asked JOIN jobmill_done USING (id) WHERE state = 5"),
        "lost": scalar("SELECT count(*) FROM asked WHERE id NOT IN (SELECT id FROM jobmill_job)"),
        "succeeded_twice": scalar("SELECT count(*) FROM jobmill_event WHERE state = 5"),
        "never_ran": sum(1 for name in ids if name not in runs),
        "doubled": doubled(runs, deaths),
        "runs": sum(len(of_job) for of_job in runs.values()),
        "left_over": scalar("SELECT (SELECT count(*) FROM jobmill_hot) + (SELECT count(*) FROM jobmill_due)"),
        "drift": scalar("SELECT count(*) FROM (SELECT sum(enqueued) AS a, sum(running) AS b, sum(scheduled) AS c FROM jobmill_count) t"
                        " WHERE a <> 0 OR b <> 0 OR c <> 0"),
    }


def good(result):
    zeros = ("lost", "succeeded_twice", "never_ran", "doubled", "left_over", "drift")
    return result["succeeded"] == result["jobs"] and not any(result[name] for name in zeros)


def run(arguments):
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="jobmill-chaos-") as name, Postgres() as database:
        folder = pathlib.Path(name)
        crowd = Crowd(folder, database, arguments.servers, arguments.workers)
        try:
            producer = Producer(crowd, arguments.rate, arguments.seconds, arguments.seed, arguments.kills)
            producer.start()
            while producer.is_alive():
                time.sleep(chance.uniform(0.3, 1.2))  # the moment of the next kill
                victims = chance.sample(sorted(crowd.running), chance.choice((1, 1, 2)))
                for victim in victims:
                    crowd.kill(victim)
                time.sleep(chance.uniform(0.0, 0.6))
                for victim in victims:
                    crowd.revive(victim)
                say(f"killed {', '.join(victims)}; {len(producer.ids)} jobs, {ended(database)} done")
            start = time.monotonic()
            while ended(database) < len(producer.ids) and time.monotonic() - start < arguments.patience:
                time.sleep(0.2)  # what dead workers held comes back after one lease
            say(f"all done {time.monotonic() - start:.1f} s after the last job")
        finally:
            crowd.close()
        result = check(database, producer.ids, runs_of(folder / "ledger"), crowd.deaths)
        return {**result, "kills": crowd.kills, "seconds": arguments.seconds, "seed": arguments.seed}


def arguments(words):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--kills", type=int, default=0, help="go on until there were as many")
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--rate", type=int, default=500, help="jobs per second")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--patience", type=float, default=150, help="seconds until all must be done")
    return parser.parse_args(words)


def main():
    result = run(arguments(sys.argv[1:]))
    print(json.dumps(result), flush=True)
    return 0 if good(result) else 1


if __name__ == "__main__":
    sys.exit(main())
