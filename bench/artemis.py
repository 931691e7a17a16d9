#!/usr/bin/env python3
"""Measures ActiveMQ Artemis with the load client of `./dev bench broker`, on this machine, for comparison.

    python3 bench/artemis.py [--runs N] [--messages N]

Needs Java 17 and Maven, which fetches the broker into build/artemis.
"""
import argparse
import contextlib
import pathlib
import re
import socket
import subprocess
import time
import types

import run

VERSION = "2.40.0"
HOME = run.ROOT / "build/artemis"
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


def installed():
    """Its folder; fetched when it is not there."""
    folder = HOME / f"apache-artemis-{VERSION}"
    if not folder.exists():
        subprocess.run(["mvn", "-q", "-B", COPY, f"-Dartifact=org.apache.activemq:apache-artemis:{VERSION}:tar.gz:bin",
                        f"-DoutputDirectory={HOME}"], check=True)
        subprocess.run(["tar", "-xzf", HOME / f"apache-artemis-{VERSION}-bin.tar.gz", "-C", HOME], check=True)
    return folder


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def create(folder, port):
    """A broker with AMQP on loopback alone, and its journal as it tunes itself to this disk."""
    broker = folder / "broker"
    subprocess.run([installed() / "bin/artemis", "create", "--silent", "--require-login", "--user", "RootManageSharedAccessKey",
                    "--password", "bench-key", "--host", "127.0.0.1", "--no-web", "--queues", f"{run.QUEUES[0]}:anycast", broker],
                   check=True, stdout=subprocess.DEVNULL)
    config = broker / "etc/broker.xml"
    acceptor = f'<acceptors><acceptor name="amqp">tcp://127.0.0.1:{port}?protocols=AMQP</acceptor></acceptors>'
    config.write_text(re.sub(r"<acceptors>.*</acceptors>", acceptor, config.read_text(), flags=re.DOTALL))
    return broker


def wait_for(port, process):
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit("bench: Artemis did not start")


@contextlib.contextmanager
def artemis():
    with run.data_folder() as name:
        folder, port = pathlib.Path(name), free_port()
        (folder / "key").write_text("bench-key")
        with run.running([create(folder, port) / "bin/artemis", "run"], stdout=subprocess.DEVNULL) as process:
            wait_for(port, process)
            yield folder, types.SimpleNamespace(amqp=f"127.0.0.1:{port}", pid=process.pid)


def main():
    parser = argparse.ArgumentParser(description="Measures ActiveMQ Artemis with our load client.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--messages", type=int, default=200_000)
    options = parser.parse_args()
    with artemis() as (folder, server):
        def once(_options):
            count = ("--messages", options.messages)
            yield from run.broker_load(folder, server, "send", *count)
            # It does not answer completions that wait for an answer.
            yield from run.broker_load(folder, server, "receive", "--unconfirmed", 1, *count)

        run.measure(once, 2, options)  # compiled by then
        values = run.measure(once, options.runs, options)
    run.print_table(f"ActiveMQ Artemis {VERSION}: durable messages of 1 KiB, one connection",
                    [run.row(metric, values[metric]) for metric in values])


if __name__ == "__main__":
    main()
