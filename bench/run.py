#!/usr/bin/env python3
"""Measures, and prints one table per group: median, least and most of some runs.

    ./dev bench [NAME...] [--json FILE] [--runs N]

NAME is the beginning of a metric's name: `jobs.wire`, `serve`. CPU times are user and system time per operation, summed
over all processes involved; they hardly depend on what else the machine does, rates and latencies do.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("JOBMILL_BIN", ROOT / "build/release/bin")).resolve()
QUEUES = ("bench", "first-half", "second-half")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("JOBMILL_") and name != "DATABASE_URL"}


# --- what is started --------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def data_folder():
    """On the disk that the build is on: /tmp may be memory, and would make every sync free."""
    (ROOT / "build").mkdir(exist_ok=True)
    folder = tempfile.mkdtemp(prefix="bench-", dir=ROOT / "build")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(words, **more):
    process = subprocess.Popen([str(word) for word in words], stderr=subprocess.DEVNULL, env=CLEAN | more.pop("env", {}), **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)
        if process.stdout:
            process.stdout.close()


class Server:
    def __init__(self, process, started):
        self.pid = process.pid
        line = process.stdout.readline()
        self.ready_ms = (time.monotonic() - started) * 1000
        if " ready " not in line:
            raise SystemExit("bench: jobmill serve did not start")
        addresses = dict(word.split("=", 1) for word in line.split()[2:])
        self.url = "http://" + addresses["http"]
        self.amqp = addresses["amqp"]


@contextlib.contextmanager
def serve(folder, amqp="off", more=()):
    started = time.monotonic()
    words = [BIN / "jobmill", "serve", "--data", folder, "--http", "127.0.0.1:0", "--log-level", "error",
             "--amqp", amqp, "--amqps", "off", "--admin", "off", "--admin-http", "off", "--identity", "off", *more]
    with running(words, stdout=subprocess.PIPE, text=True) as process:
        yield Server(process, started)


@contextlib.contextmanager
def serve_broker(folder):
    """With the queues that are loaded below, without a limit to how long a message lives."""
    config, key = pathlib.Path(folder, "Config.json"), pathlib.Path(folder, "key")
    queues = [{"Name": name, "Properties": {"DefaultMessageTimeToLive": "P10675199DT2H48M5.4775807S"}} for name in QUEUES]
    namespaces = [{"Name": "bench", "Queues": queues}]
    config.write_text(json.dumps({"UserConfig": {"Namespaces": namespaces, "Logging": {"Type": "Console"}}}))
    key.write_text("bench-key")
    with serve(folder, "127.0.0.1:0", ("--servicebus-config", config, "--servicebus-key", key)) as server:
        yield server


def broker_load(folder, server, mode, *more, queue=QUEUES[0]):
    yield from program("broker_load", mode, "--amqp", server.amqp, "--pid", server.pid, "--user", "RootManageSharedAccessKey",
                       "--key-file", pathlib.Path(folder, "key"), "--queue", queue, *more)


def program(name, *arguments):
    """Runs one of our programs, and yields what it prints: metric and value."""
    done = subprocess.run([str(word) for word in (BIN / name, *arguments)], env=CLEAN, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench: {name} failed (exit code {done.returncode})")
    for line in done.stdout.splitlines():
        metric, value = line.split()
        yield metric, float(value)


def rss_mb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def wakeups(pid):
    """How often its threads have gone to sleep so far."""
    return sum(int(task.read_text().split("\nvoluntary_ctxt_switches:")[1].split()[0])
               for task in pathlib.Path(f"/proc/{pid}/task").glob("*/status"))


# --- the groups: each yields metric and value, once or more per metric --------------------------------------------------------

def server_ready(_options):
    with data_folder() as folder, serve(folder) as server:
        yield "serve.ready_ms", server.ready_ms


def server_idle(options):
    with data_folder() as folder, serve(folder) as server:
        time.sleep(5)
        yield "serve.idle_rss_mb", rss_mb(server.pid)
        before = wakeups(server.pid)
        time.sleep(options.idle)
        yield "serve.idle_wakeups_per_min", (wakeups(server.pid) - before) * 60 / options.idle


def worker_idle(_options):
    with data_folder() as folder, serve(folder) as server:
        with running([BIN / "jobmill-example", "worker"], env={"JOBMILL_URL": server.url}) as worker:
            time.sleep(2)
            yield "worker.rss_mb", rss_mb(worker.pid)


def jobs_sqlite(options):
    with data_folder() as folder:
        yield from program("jobs_bench", "sqlite", "--data", folder, "--jobs", options.jobs)


def jobs_loaded(options):
    with data_folder() as folder:
        yield from program("jobs_bench", "loaded", "--data", folder, "--history", options.history, "--runs", options.runs)


def jobs_wire(options):
    with data_folder() as folder, serve(folder) as server:
        yield from program("jobs_bench", "wire", "--server", server.url, "--pid", server.pid, "--jobs", options.jobs)


@contextlib.contextmanager
def postgres():
    sys.path.insert(0, str(ROOT / "tests/system"))
    from postgres import Postgres
    with Postgres() as database:
        yield database


def jobs_postgres(options):
    with postgres() as database:
        yield from program("jobs_bench", "postgres", "--url", database.socket_url, "--pid", database.process.pid, "--jobs", options.jobs)


def jobs_postgres_loaded(options):
    with postgres() as database:
        empty = database.fresh_database("empty")
        yield from program("jobs_bench", "postgres-loaded", "--url", database.socket_url, "--empty", empty, "--history", options.history,
                           "--runs", options.runs)


def dashboard(options):
    with data_folder() as folder:
        yield from program("dashboard_bench", "sqlite", "--data", folder, "--jobs", options.history)


def dashboard_postgres(options):
    with postgres() as database:
        yield from program("dashboard_bench", "postgres", "--url", database.socket_url, "--jobs", options.history)


def latency_postgres(_options):
    with data_folder() as folder, postgres() as database:
        yield from program("latency_bench", "--data", folder, "--store", database.socket_url)


def worker_postgres(_options):
    with data_folder() as folder, postgres() as database, serve(folder, more=("--store", database.socket_url)):
        with running([BIN / "jobmill-example", "worker"], env={"DATABASE_URL": database.socket_url}) as worker:
            time.sleep(2)
            yield "worker.pg.rss_mb", rss_mb(worker.pid)


def idle_postgres(options):
    with data_folder() as folder, postgres() as database, serve(folder, more=("--store", database.socket_url)):
        transactions = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'jobmill'"
        time.sleep(5)
        before = int(database.execute(transactions, "postgres"))
        time.sleep(options.idle)
        yield "serve.pg.idle_statements_per_s", (int(database.execute(transactions, "postgres")) - before) / options.idle


def latency(_options):
    with data_folder() as folder:
        yield from program("latency_bench", "--data", folder)


def spawn(_options):
    with data_folder() as folder:
        yield from program("scale_bench", "spawn", "--data", folder)


def objects(_options):
    yield from program("scale_bench", "objects")


def kubernetes(options):
    from kubernetes import measure  # beside this file
    with data_folder() as folder:
        yield from measure(folder, options.idle, serve, rss_mb)


def amqp_engine(_options):
    yield from program("amqp_bench")


def broker(options):
    with data_folder() as folder, serve_broker(folder) as server:
        yield from broker_load(folder, server, "send", "--messages", options.messages)
        yield from broker_load(folder, server, "receive", "--messages", options.messages)


def broker_confirmed(_options):
    with data_folder() as folder, serve_broker(folder) as server:
        yield from broker_load(folder, server, "confirm", "--data", folder)


def broker_idle(_options):
    with data_folder() as folder, serve_broker(folder) as server:
        time.sleep(2)
        yield "broker.idle_rss_mb", rss_mb(server.pid)
        yield from broker_load(folder, server, "idle", "--connections", 1000)


def broker_waiting(options):
    """Two queues, since a million messages of 1 KiB are more than the default size of one takes."""
    with data_folder() as folder:
        with serve_broker(folder) as server:
            for queue in QUEUES[1:]:
                yield from broker_load(folder, server, "fill", "--messages", options.waiting // 2, queue=queue)
            yield "broker.million_rss_mb", rss_mb(server.pid)
        for _ in range(options.runs):
            with serve_broker(folder) as server:
                yield "broker.million_restart_s", server.ready_ms / 1000
                yield "broker.million_restart_rss_mb", rss_mb(server.pid)


def call(server, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise SystemExit(f"bench: {method} {path}: {error.read().decode()}") from error
    return json.loads(text) if text else None


def event_job(server, queue):
    """A job whose executions are started by one message each, and sleep while it is taken for them."""
    group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/bench/providers/"
    name_space = group + "Microsoft.ServiceBus/namespaces/bench"
    environment = group + "Microsoft.App/managedEnvironments/bench"
    call(server, "PUT", environment, {"location": "local"})
    keys = call(server, "POST", name_space + "/authorizationRules/RootManageSharedAccessKey/listKeys", {})
    rule = {"name": "queue", "type": "azure-servicebus", "metadata": {"queueName": queue, "messageCount": "1"},
            "auth": [{"secretRef": "connection", "triggerParameter": "connection"}]}
    call(server, "PUT", group + "Microsoft.App/jobs/job", {"location": "local", "properties": {
        "environmentId": environment,
        "configuration": {"triggerType": "Event", "replicaTimeout": 60, "replicaRetryLimit": 0,
                          "secrets": [{"name": "connection", "value": keys["primaryConnectionString"]}],
                          "eventTriggerConfig": {"scale": {"maxExecutions": 100, "rules": [rule]}}},
        "template": {"containers": [{"name": "job", "image": "none", "command": ["/bin/sleep", "1"]}]}}})
    return group + "Microsoft.App/jobs/job"


def execution_start(options):
    """From the sending of a message to the start of the process that it is for, one after the other."""
    with data_folder() as folder, serve_broker(folder) as server:
        job, sent = event_job(server, QUEUES[0]), []
        time.sleep(0.5)
        for number in range(options.executions):
            sent.append(time.time())
            call(server, "POST", f"/v1/messages/bench/{QUEUES[0]}/send", {"body": str(number)})
            time.sleep(0.06)
            call(server, "POST", f"/v1/messages/bench/{QUEUES[0]}/receive", {"max": 1})
        time.sleep(2)
        found = call(server, "GET", job + f"/executions?api-version=2025-07-01&$top={options.executions}")["value"]
        began = sorted(datetime.datetime.fromisoformat(one["properties"]["jobmill"]["replicas"][0]["startTime"]).timestamp()
                       for one in found)
        if len(began) != len(sent):
            raise SystemExit(f"bench: {len(sent)} messages started {len(began)} executions")
        waits = sorted((after - before) * 1000 for before, after in zip(sent, began))
        yield "execution.start_p50_ms", statistics.median(waits)
        yield "execution.start_p99_ms", waits[int(len(waits) * 0.99)]


def cycle(kind):
    return [f"jobs.{kind}.{what}.{unit}" for what in ("bulk_enqueue", "drain", "single8") for unit in ("cpu_us", "per_s")]


def looked_for(kind):
    return [f"dashboard.{kind}.{what}_{least}_ms" for what in ("jobs_page", "search", "failures", "overview", "requeue1000")
            for least in ("p50", "p99")]


# Title, what makes one run (or, with "all", all runs), metrics.
GROUPS = [
    ("Server: ready", server_ready, "", ["serve.ready_ms"]),
    ("Server: idle", server_idle, "", ["serve.idle_rss_mb", "serve.idle_wakeups_per_min"]),
    ("Worker: idle", worker_idle, "", ["worker.rss_mb"]),
    ("Jobs, embedded store", jobs_sqlite, "", cycle("sqlite")),
    ("Jobs, with a long history", jobs_loaded, "all", ["jobs.sqlite.drain_loaded_ratio"]),
    ("Jobs, worker protocol", jobs_wire, "", cycle("wire")),
    ("Latency, 50 jobs a second", latency, "", ["disk.sync_p50_ms", "jobs.sqlite.latency_p50_ms"]),
    ("Jobs, PostgreSQL", jobs_postgres, "", cycle("pg")),
    ("Jobs, PostgreSQL with a million finished and a million scheduled", jobs_postgres_loaded, "all",
     ["jobs.pg.drain_finished_ratio", "jobs.pg.drain_loaded_ratio"]),
    ("Latency on PostgreSQL, 50 jobs a second", latency_postgres, "", ["jobs.pg.commit_p50_ms", "jobs.pg.latency_p50_ms"]),
    ("Worker on PostgreSQL: idle", worker_postgres, "", ["worker.pg.rss_mb"]),
    ("Server on PostgreSQL: idle", idle_postgres, "", ["serve.pg.idle_statements_per_s"]),
    ("Dashboard: a million jobs, embedded store", dashboard, "all", looked_for("sqlite")),
    ("Dashboard: a million jobs, PostgreSQL", dashboard_postgres, "all", looked_for("pg")),
    ("Scaling: a replica starts", spawn, "", ["scale.spawn_p50_ms", "scale.first_line_p50_ms"]),
    ("Kubernetes: 100 ScaledObjects at rest", kubernetes, "all",
     ["k8s.objects100_ready_s", "k8s.objects100_cpu_pct", "k8s.objects100_reads_per_s", "k8s.objects100_writes_per_min", "k8s.rss_mb"]),
    ("AMQP engine, 1 KiB", amqp_engine, "", ["amqp.engine.receive.cpu_us", "amqp.engine.send.cpu_us"]),
    ("Broker: durable messages of 1 KiB, one connection", broker, "",
     [f"broker.{what}.{unit}" for what in ("send", "receive") for unit in ("cpu_us", "per_s")]),
    ("Broker: confirmed sends, against the disk", broker_confirmed, "",
     ["disk.append_p50_ms", "broker.confirm1_p50_ms", "broker.confirm1_ratio", "broker.confirm8_gain"]),
    ("Broker: memory", broker_idle, "", ["broker.idle_rss_mb", "broker.connections1000_rss_mb"]),
    ("Broker: a million messages wait", broker_waiting, "all",
     ["broker.million_rss_mb", "broker.million_restart_s", "broker.million_restart_rss_mb"]),
    ("Executions: from the message to the process", execution_start, "", ["execution.start_p50_ms", "execution.start_p99_ms"]),
    ("Scaling: 10 000 idle objects", objects, "", ["scale.objects10k_cpu_pct"]),
]

# The medians of a run, added up, and the most that they may be.
TARGETS = [
    ("ready after exec", ["serve.ready_ms"], 100, "ms"),
    ("idle server", ["serve.idle_rss_mb"], 25, "MB"),
    ("a job from end to end, embedded", ["jobs.sqlite.bulk_enqueue.cpu_us", "jobs.sqlite.drain.cpu_us"], 20, "us CPU"),
    ("a job from end to end, worker protocol", ["jobs.wire.bulk_enqueue.cpu_us", "jobs.wire.drain.cpu_us"], 40, "us CPU"),
    ("a job claimed and completed, PostgreSQL", ["jobs.pg.drain.cpu_us"], 28, "us CPU"),
    ("a job of a bulk, PostgreSQL", ["jobs.pg.bulk_enqueue.cpu_us"], 12, "us CPU"),
    ("a single job, PostgreSQL", ["jobs.pg.single8.cpu_us"], 150, "us CPU"),
    ("an idle worker on PostgreSQL", ["worker.pg.rss_mb"], 15, "MB"),
    ("an idle server's statements", ["serve.pg.idle_statements_per_s"], 0.3, "1/s"),
    ("a message sent, broker", ["broker.send.cpu_us"], 8, "us CPU"),
    ("a message received and completed, broker", ["broker.receive.cpu_us"], 8, "us CPU"),
    ("a confirmed send, against the disk", ["broker.confirm1_ratio"], 2, "x"),
    ("a million messages wait", ["broker.million_rss_mb"], 150, "MB"),
    *((f"{what}, {where}", [f"dashboard.{kind}.{metric}_p99_ms"], limit, "ms")
      for kind, where in (("sqlite", "embedded"), ("pg", "PostgreSQL"))
      for what, metric, limit in (("a page of jobs", "jobs_page", 100), ("a search", "search", 300), ("failures", "failures", 100),
                                  ("an overview", "overview", 50), ("a thousand requeues", "requeue1000", 1000))),
    ("restart with a million messages", ["broker.million_restart_s"], 3, "s"),
    ("from a message to its process, median", ["execution.start_p50_ms"], 20, "ms"),
    ("from a message to its process, 99 of 100", ["execution.start_p99_ms"], 200, "ms"),
    ("100 ScaledObjects are ready", ["k8s.objects100_ready_s"], 2, "s"),
    ("100 ScaledObjects at rest", ["k8s.objects100_cpu_pct"], 0.3, "% of a core"),
    ("the controller's memory", ["k8s.rss_mb"], 40, "MB"),
    ("a thousand idle connections", ["broker.connections1000_rss_mb"], 60, "MB"),
]
UNITS = {"per_s": "1/s", "_s": "s", "_ms": "ms", "_mb": "MB", "_us": "us CPU", "_ratio": "x", "_gain": "x", "_pct": "% of a core",
         "_min": "1/min"}


# --- tables -----------------------------------------------------------------------------------------------------------------

def measure(make, runs, options):
    values = {}
    for _ in range(runs):
        for metric, value in make(options):
            values.setdefault(metric, []).append(value)
    return values


def row(metric, values):
    return {"metric": metric, "value": statistics.median(values), "min": min(values), "max": max(values), "runs": len(values)}


def short(value):
    return f"{value:,.0f}".replace(",", " ") if value >= 1000 else f"{value:.3g}"


def print_table(title, rows):
    print(f"\n{title}\n  {'metric':36} {'median':>10} {'min':>10} {'max':>10}  unit")
    for line in rows:
        unit = next(unit for end, unit in UNITS.items() if line["metric"].endswith(end))
        print(f"  {line['metric']:36} {short(line['value']):>10} {short(line['min']):>10} {short(line['max']):>10}  {unit}")
    sys.stdout.flush()


def print_targets(medians):
    rows = [(what, sum(medians[m] for m in metrics), limit, unit) for what, metrics, limit, unit in TARGETS
            if all(m in medians for m in metrics)]
    if medians.keys() >= {"jobs.sqlite.latency_p50_ms", "disk.sync_p50_ms"}:
        rows.append(("from enqueue to start", medians["jobs.sqlite.latency_p50_ms"], medians["disk.sync_p50_ms"] + 1, "ms"))
    if medians.keys() >= {"jobs.pg.latency_p50_ms", "jobs.pg.commit_p50_ms"}:
        rows.append(("from enqueue to start, PostgreSQL", medians["jobs.pg.latency_p50_ms"], medians["jobs.pg.commit_p50_ms"] + 1, "ms"))
    for what in ("finished", "loaded"):
        if f"jobs.pg.drain_{what}_ratio" in medians:
            rows.append((f"throughput lost, PostgreSQL {what}", 1 - medians[f"jobs.pg.drain_{what}_ratio"], 0.05, "x"))
    if "broker.confirm8_gain" in medians:
        rows.append(("one sender's rate, of that of eight", 1 / medians["broker.confirm8_gain"], 1 / 2, "x"))
    if rows:
        print("\nTargets (medians)")
    for what, value, limit, unit in rows:
        print(f"  {what:40} {short(value):>8} of at most {short(limit):>5} {unit:8} {'met' if value <= limit else 'MISSED'}")


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
            "system": f"{platform.system()} {platform.release()}", "load": os.getloadavg()[0]}


def arguments():
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measures, and prints tables with medians and ranges.")
    parser.add_argument("name", nargs="*", help="the beginning of a metric's name; none: all")
    parser.add_argument("--json", metavar="FILE", help="write the results there, too")
    parser.add_argument("--runs", type=int, default=5, help="of each group (%(default)s)")
    parser.add_argument("--jobs", type=int, default=100_000, help="of one run (%(default)s)")
    parser.add_argument("--history", type=int, default=1_000_000, help="finished jobs of a long history (%(default)s)")
    parser.add_argument("--messages", type=int, default=200_000, help="of one run of the broker (%(default)s)")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="messages while memory is measured (%(default)s)")
    parser.add_argument("--executions", type=int, default=200, help="of one run (%(default)s)")
    parser.add_argument("--idle", type=int, default=10, help="seconds for which the idle server is watched (%(default)s)")
    options = parser.parse_args()
    options.wanted = lambda metric: not options.name or any(metric.startswith(name) for name in options.name)
    if not any(options.wanted(metric) for group in GROUPS for metric in group[3]):
        parser.error("no metric begins so; there are: " + " ".join(metric for group in GROUPS for metric in group[3]))
    return options


def main():
    options = arguments()
    facts = machine()
    print(f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_mb']} MB, {facts['system']}, load {facts['load']:.1f}")
    results = []
    for title, make, how, metrics in GROUPS:
        wanted = [metric for metric in metrics if options.wanted(metric)]
        if wanted:
            values = measure(make, 1 if how == "all" else options.runs, options)
            rows = [row(metric, values[metric]) for metric in wanted]
            print_table(title, rows)
            results += rows
    print_targets({line["metric"]: line["value"] for line in results})
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"machine": facts, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
