"""kill -9 in the middle of confirmed traffic.

Every confirmed send is there exactly once, no completed message returns; only what was never confirmed is in
doubt. JOBMILL_CRASH_ROUNDS asks for more kills than CI takes.
"""
import collections
import os
import random
import re

from harness import free_port, http
from support import CLIENTS, ROOT_RULE, ServiceBusTest, signature

ROUNDS = int(os.environ.get("JOBMILL_CRASH_ROUNDS", "6"))
SENDS = 10_000
SENDERS, RECEIVERS = 8, 3


class Crash(ServiceBusTest):
    def test_confirmed_messages_survive_and_completed_ones_stay_away(self):
        seed = int(os.environ.get("JOBMILL_SEED", "0")) or random.SystemRandom().randrange(2**32)
        with self.subTest(seed=seed):
            self.crash(random.Random(seed))

    def crash(self, chance):
        ports = {"amqp": free_port()}
        broker = self.broker(ports=ports)
        client = self.client(broker, [CLIENTS / "go/crash", "traffic", "crash", SENDERS, RECEIVERS])
        kills = sorted(chance.randrange(SENDS) for _ in range(ROUNDS))
        events = collections.defaultdict(list)
        for line in client.stdout:
            event, identity = line.split()
            events[event].append(identity)
            if kills and len(events["sent"]) >= kills[0]:
                kills.pop(0)
                broker.kill()
                broker.wait()
                broker = self.broker(ports=ports)
            elif not kills and len(events["sent"]) >= SENDS and not client.stdin.closed:
                client.stdin.close()
        self.assertEqual(0, client.wait(120))
        broker.kill()  # ends the locks of messages that were received and not completed
        broker.wait()
        broker = self.broker(ports=ports)
        drain = [CLIENTS / "go/crash", "drain", "crash", self.waiting(broker)]
        left = [line.split()[1] for line in self.run_program(broker, drain).splitlines()]
        self.judge(events, left)

    @staticmethod
    def waiting(broker):
        base = f"http://127.0.0.1:{broker.port('admin-http')}"
        answer = http("GET", f"{base}/crash?api-version=2021-05", headers={"Authorization": signature(base, ROOT_RULE)})
        return int(re.search(rb"ActiveMessageCount>(\d+)<", answer.body).group(1))

    def judge(self, events, left):
        sent, completed = events["sent"], events["completed"]
        doubtful = set(events["complete-doubt"])
        counts = collections.Counter(left)
        self.assertGreaterEqual(len(sent), SENDS)
        self.assertGreater(len(completed), 0)
        self.assertEqual([], [one for one, count in counts.items() if count > 1], "twice in the queue")
        self.assertEqual([], [one for one, count in collections.Counter(completed).items() if count > 1], "completed twice")
        self.assertEqual([], sorted(set(completed) & set(left)), "completed and back")
        gone = set(sent) - set(completed) - doubtful - set(left)
        self.assertEqual([], sorted(gone), "confirmed and lost")
        unknown = (set(left) | set(completed)) - set(sent) - set(events["send-doubt"])
        self.assertEqual([], sorted(unknown), "never sent")
