"""Clients that die, are silent, or speak no AMQP, to a server that others use meanwhile."""
import socket
import struct
import subprocess

from harness import BIN, http
from support import CLIENTS, HERE, ROOT_RULE, ServiceBusTest

HEADER = b"AMQP\0\1\0\0"


def frame(body, channel=0):
    return struct.pack(">IBBH", 8 + len(body), 2, 0, channel) + body


OPEN = b"\0\x53\x10\xc0\x04\x01\xa1\x01x"  # container-id: "x"
CLOSE = b"\0\x53\x18\x45"
END = b"\0\x53\x17\x45"
BREACHES = [
    (b"\x00\x10\x00\x00\x02\x00\x00\x00", "amqp:connection:framing-error"),  # larger than we said we take
    (b"\x00\x00\x00\x08\x01\x00\x00\x00", "amqp:connection:framing-error"),  # its body begins in its head
    (b"\x00\x00\x00\x07\x02\x00\x00\x00", "amqp:connection:framing-error"),  # smaller than its head
    (frame(b"noise"), "amqp:decode-error"),
    (frame(b"\0\x53\x70\x45"), "amqp:decode-error"),  # a section of a message
    (frame(OPEN), "amqp:not-allowed"),
    (frame(END, 9), "amqp:not-allowed"),
]


class Faults(ServiceBusTest):
    def test_a_client_dies_with_its_locks(self):
        broker = self.broker()
        holder = [CLIENTS / "python-7.15.0/bin/python", "-B", HERE / "python/holder.py", "sync"]
        client = self.client(broker, [*holder, "hold", "lock-lost"])
        until = float(client.stdout.readline())
        client.kill()
        client.wait()
        taken = [line.split() for line in self.run_program(broker, [*holder, "take", "lock-lost"]).splitlines()]
        self.assertEqual(["m0", "m1", "m2"], [text for text, _, _ in taken], "in their order")
        self.assertEqual({"1"}, {count for _, count, _ in taken}, "one delivery has failed")
        self.assertGreaterEqual(min(float(at) for _, _, at in taken), until, "a lock has ended early")

    def test_frames_that_are_none_close_their_connection_with_the_reason_and_no_other(self):
        broker = self.broker()
        with self.connect(broker) as witness:
            for breach, condition in BREACHES:
                with self.subTest(breach=breach), self.connect(broker) as client:
                    client.sendall(breach)
                    self.read(client, condition.encode())
                    client.sendall(frame(CLOSE))
                    self.read_to_the_end(client)
            witness.sendall(frame(CLOSE))
            self.read(witness, b"\0\x53\x18")
        self.still_serves(broker)

    def test_who_says_nothing_is_not_waited_for(self):
        broker = self.broker("--config", self.file("jobmill.yaml", "servicebus: {claim_deadline: 1s}\n"))
        address = ("127.0.0.1", int(broker.port("amqp")))
        for words in (b"", HEADER, HEADER + frame(OPEN), b"GET / HTTP/1.1\r\n\r\n"):
            with self.subTest(words=words), socket.create_connection(address, timeout=60) as client:
                client.sendall(words)
                self.read_to_the_end(client)
        self.still_serves(broker)

    def connect(self, broker):
        client = socket.create_connection(("127.0.0.1", int(broker.port("amqp"))), timeout=60)
        client.sendall(HEADER + frame(OPEN))
        self.read(client, b"\0\x53\x10")
        return client

    def read(self, client, wanted):
        seen = b""
        while wanted not in seen:
            part = client.recv(65536)
            self.assertTrue(part, f"it ended without {wanted}: {seen}")
            seen += part

    @staticmethod
    def read_to_the_end(client):
        try:
            while client.recv(65536):
                pass
        except ConnectionResetError:
            pass  # an end, too

    def still_serves(self, broker):
        words = [BIN / "proton_client", f"127.0.0.1:{broker.port('amqp')}", "send-one", "50", *ROOT_RULE]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual((0, "sent 50, received 50\n"), (done.returncode, done.stdout + done.stderr))
        self.assertEqual(200, http("GET", f"http://127.0.0.1:{broker.port('admin-http')}/health").status)
