"""A server for one test, and the client programs that talk to it."""
import base64
import hashlib
import hmac
import subprocess
import sys
import time
import urllib.parse

import queues
from harness import CLEAN, JOBMILL, ROOT, Process, SystemTest, http

HERE = ROOT / "tests/servicebus"
CLIENTS = ROOT / "build/clients"
ROOT_RULE = ("RootManageSharedAccessKey", "SAS_KEY_VALUE")
ADDRESSES = ("http", "amqp", "amqps", "admin", "admin-http", "identity")
DEADLINE = 600  # seconds for one program

PROGRAMS = {
    **{f"python-{version}-{kind}": [CLIENTS / f"python-{version}/bin/python", "-B", HERE / "python/suite.py", kind]
       for version in ("7.15.0", "7.14.3") for kind in ("sync", "async")},
    "javascript": ["node", HERE / "javascript/suite.mjs"],
    "go": [CLIENTS / "go/suite"],
}
ADMINS = {
    **{f"python-{version}-{kind}": [CLIENTS / f"python-{version}/bin/python", "-B", HERE / "python/admin.py", kind]
       for version in ("7.15.0", "7.14.3") for kind in ("sync", "async")},
    "javascript": ["node", HERE / "javascript/admin.mjs"],
    "go": [CLIENTS / "go/admin"],
    "go-1.10": [CLIENTS / "go/admin-1.10"],
}
TRAFFIC = {
    **{f"python-{version}-{kind}": [CLIENTS / f"python-{version}/bin/python", "-B", HERE / "python/traffic.py", kind]
       for version in ("7.15.0", "7.14.3") for kind in ("sync", "async")},
    "javascript": ["node", HERE / "javascript/traffic.mjs"],
    "go": [CLIENTS / "go/traffic"],
}


def signature(uri, rule, lives=3600):
    """A shared access signature, as any client makes it."""
    name, key = rule
    resource, expiry = urllib.parse.quote_plus(uri), int(time.time()) + lives
    digest = hmac.new(key.encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256).digest()
    return (f"SharedAccessSignature sr={resource}&sig={urllib.parse.quote_plus(base64.b64encode(digest).decode())}"
            f"&se={expiry}&skn={name}")


class Broker(Process):
    """`jobmill dev` with the suites' queues, on ports of its own unless `ports` names some."""

    def __init__(self, folder, ports=None, flags=()):
        config = folder / "Config.json"
        config.write_text(queues.config())
        self.ca = folder / "data/tls/ca.pem"
        listen = [word for name in ADDRESSES for word in (f"--{name}", f"127.0.0.1:{(ports or {}).get(name, 0)}")]
        super().__init__([JOBMILL, "dev", "--data", folder / "data", "--servicebus-config", config, *listen, *flags], folder=folder)

    def port(self, listener):
        """Where `listener` is, from the line `jobmill ready http=127.0.0.1:8000 amqp=…`."""
        fields = dict(word.split("=", 1) for word in self.ready.split() if "=" in word)
        if ":" not in fields.get(listener, ""):
            raise AssertionError(f"the server has no listener {listener}: {self.ready}")
        return fields[listener].rsplit(":", 1)[1]

    def connection(self, port, credential, emulator):
        return f"Endpoint=sb://localhost:{port};{credential}" + (";UseDevelopmentEmulator=true" if emulator else "")

    def environment(self, transport):
        """What a client program learns of this server."""
        listener = {"plain": "amqp", "tls": "amqps", "websocket": "websocket", "plain-websocket": "http"}[transport]
        port, emulator = self.port(listener), transport.startswith("plain")
        here = f"sb://localhost:{port}/"

        def with_key(name, key, port=port):
            return self.connection(port, f"SharedAccessKeyName={name};SharedAccessKey={key}", emulator)

        def with_signature(lives):
            return self.connection(port, f"SharedAccessSignature={signature(here, ROOT_RULE, lives)}", emulator)

        values = {
            "SERVICEBUS": with_key(*ROOT_RULE),
            "SERVICEBUS_ADMIN": with_key(*ROOT_RULE, port=self.port("admin")),
            "SERVICEBUS_ADMIN_WRONG_KEY": with_key(ROOT_RULE[0], "another", port=self.port("admin")),
            "SERVICEBUS_WRONG_KEY": with_key(ROOT_RULE[0], "another"),
            "SERVICEBUS_EXPIRED": with_signature(-60),
            "SERVICEBUS_SIGNED": with_signature(600),
            "SERVICEBUS_LISTEN_ONLY": with_key(*queues.LISTENER),
            "SERVICEBUS_SEND_ONLY": with_key(*queues.SENDER),
            "SERVICEBUS_TRANSPORT": transport.removeprefix("plain-"),
            "SERVICEBUS_ENDPOINT": here,
            "SERVICEBUS_CA": str(self.ca),
            "SERVICEBUS_LIBRARIES": str(CLIENTS / "javascript"),
            "NODE_EXTRA_CA_CERTS": str(self.ca), "SSL_CERT_FILE": str(self.ca), "REQUESTS_CA_BUNDLE": str(self.ca),
            "NODE_OPTIONS": "--dns-result-order=ipv4first",  # Node 18 does not try the next address of localhost
        }
        return {**CLEAN, **values}

    def make_queues(self):
        """Makes the queues that the configuration file has no words for."""
        base = f"http://127.0.0.1:{self.port('admin-http')}"
        for name, properties in queues.MADE.items():
            answer = http("PUT", f"{base}/{name}?api-version=2021-05", queues.description(properties),
                          {"Authorization": signature(base, ROOT_RULE), "Content-Type": "application/atom+xml;type=entry;charset=utf-8"})
            if answer.status != 201:
                raise AssertionError(f"queue {name} was not made: {answer.status} {answer.body.decode(errors='replace')}")


class ServiceBusTest(SystemTest):
    def broker(self, *flags, ports=None):
        broker = Broker(self.folder, ports, flags)
        self.addCleanup(broker.close)
        return broker

    def run_program(self, broker, words, transport="plain"):
        """Runs a client program; its failed lines and what the server logged are the failure."""
        done = subprocess.run([str(word) for word in words], env=broker.environment(transport), cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE, check=False)
        if done.returncode != 0:
            lines = [line for line in done.stdout.splitlines() if not line.startswith("ok ")]
            self.fail("\n".join([*lines[-80:], "-- the server:", broker.stderr()[-2000:]]))
        return done.stdout

    def client(self, broker, words, transport="plain"):
        """A client program that runs beside the test; its lines are read one by one."""
        process = subprocess.Popen([str(word) for word in words], env=broker.environment(transport), cwd=self.folder, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process


def every(table, transports):
    """A class decorator: one test for each program and transport, named after them."""
    def decorate(kind):
        for client, words in table.items():
            for transport in transports(client):
                name = f"test_{client}_{transport}".replace("-", "_").replace(".", "_")
                setattr(kind, name, lambda self, words=words, transport=transport: self.check(words, transport))
        return kind
    return decorate
