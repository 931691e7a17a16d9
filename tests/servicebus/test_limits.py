"""The limits of the cloud, as the Python clients tell of them."""
import resource
import socket

from support import CLIENTS, HERE, ServiceBusTest, every

LIMITS = {f"python-{version}-{kind}": [CLIENTS / f"python-{version}/bin/python", "-B", HERE / "python/limits.py", kind]
          for version in ("7.15.0", "7.14.3") for kind in ("sync", "async")}


class LimitedTest(ServiceBusTest):
    def limited(self):
        return self.broker("--config", self.file("jobmill.yaml", "servicebus: {limits: cloud}\n"))


@every(LIMITS, lambda client: ["plain"])
class Limits(LimitedTest):
    def check(self, words, transport):
        self.run_program(self.limited(), words, transport)


class Connections(LimitedTest):
    def test_one_more_than_there_may_be_is_told_so(self):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # the server's too, which it inherits
        broker = self.limited()
        for _ in range(5000):
            self.addCleanup(socket.create_connection(("127.0.0.1", int(broker.port("amqp")))).close)
        for words in LIMITS.values():
            self.run_program(broker, [*words, "full"])
