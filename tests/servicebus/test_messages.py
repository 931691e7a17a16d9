"""The message operations of every client library, over every transport it has."""
from support import PROGRAMS, ServiceBusTest, every


def transports(client):
    """Only the Python clients can speak plain WebSockets; the others insist on TLS."""
    return ["plain", "tls", "websocket"] + (["plain-websocket"] if client.startswith("python-7.15") else [])


@every(PROGRAMS, transports)
class Messages(ServiceBusTest):
    def check(self, words, transport):
        broker = self.broker(*(["--websocket", "127.0.0.1:0"] if transport == "websocket" else []))
        broker.make_queues()
        self.run_program(broker, words, transport)
