"""The server restarts while clients send and receive; their own retries must be enough."""
import signal

from harness import free_port
from support import TRAFFIC, ServiceBusTest, every

COUNT = 200


@every(TRAFFIC, lambda client: ["plain"])
class Restart(ServiceBusTest):
    def check(self, words, _):
        ports = {"amqp": free_port()}
        broker = self.broker(ports=ports)
        client = self.client(broker, [*words, "traffic", COUNT])
        waiting = [f"sent {COUNT // 2}", f"received {COUNT // 2}"]
        for line in client.stdout:
            self.assertFalse(line.startswith("FAILED"), line)
            event, number = line.split()
            if waiting and event == waiting[0].split()[0] and int(number) >= COUNT // 2:
                waiting.pop(0)
                broker.kill(signal.SIGTERM)
                self.assertEqual(0, broker.wait())
                broker = self.broker(ports=ports)
        self.assertEqual(0, client.wait(120), "the client gave up")
        self.assertEqual([], waiting, "both restarts happened")
