"""kill -9 in the middle of confirmed traffic.

Every confirmed send is there exactly once, no completed message returns; only what was never confirmed is in
doubt. JOBMILL_CRASH_ROUNDS asks for more kills than CI takes.
"""
import collections
import os
import random

from harness import free_port
from support import CLIENTS, ServiceBusTest

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
        self.assertEqual(0, client.wait(60))
        broker.kill()  # ends the locks of messages that were received and not completed
        broker.wait()
        broker = self.broker(ports=ports)
        left = [line.split()[1] for line in self.run_program(broker, [CLIENTS / "go/crash", "drain", "crash"]).splitlines()]
        self.judge(events, left)

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
