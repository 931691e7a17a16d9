"""The disk under the SQLite file is full while the server runs: callers hear it, nothing is spoilt, and the service resumes."""
import resource
import signal
import sqlite3

from harness import http
from test_servicebus import BrokerTest, signature

LARGE = "x" * 50_000


class FullDisk(BrokerTest):
    def start_server(self):
        self.server = self.bus()

    def limit(self, size):
        """How large a file of the server may become: a full disk for which nobody needs rights."""
        resource.prlimit(self.server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def fill(self):
        """As large as its largest file already is."""
        self.limit(max(path.stat().st_size for path in (self.folder / "data").glob("jobmill.db*")))

    def message(self, method, path, body=None):
        url = path if path.startswith("http") else self.server.admin + path
        return http(method, url, body, {"Authorization": signature(url)})

    def is_sound(self):
        """Of a file whose server has gone."""
        with sqlite3.connect(self.folder / "data/jobmill.db") as database:
            self.assertEqual([("ok",)], database.execute("PRAGMA integrity_check").fetchall())

    def until_refused(self, call):
        """What was confirmed until then, and the refusal."""
        confirmed = []
        for _ in range(200):
            answer = call(len(confirmed))
            if answer.status not in (200, 201):
                return confirmed, answer
            confirmed.append(answer)
        self.fail("nothing was refused")

    def enqueue_large(self, number):
        return self.server.call("POST", "/v1/jobs", {"kind": "large", "args": [LARGE, number], "queue": "large"})

    def test_jobs_are_refused_and_what_runs_is_settled_when_there_is_room(self):
        self.start_server()
        worker = self.server.call("POST", "/v1/workers", {"name": "w", "concurrency": 1}).json["worker_id"]
        self.enqueue(self.server)
        [job] = self.server.call("POST", f"/v1/workers/{worker}/claim", {"max": 1, "wait_ms": 20000}).json["jobs"]
        self.fill()
        confirmed, refusal = self.until_refused(self.enqueue_large)
        self.assertEqual((503, "storage_unavailable"), (refusal.status, refusal.json["code"]), refusal.body)
        self.assertIn("Retry-After", refusal.headers)
        self.assertTrue(refusal.headers["Content-Type"].startswith("application/problem+json"))
        settle = lambda: self.server.call("POST", f"/v1/jobs/{job['id']}/complete", {"lock_token": job["lock_token"], "result": LARGE})  # noqa: E731
        self.assertEqual(503, settle().status)
        self.assertEqual(len(confirmed), self.server.metric("jobs/enqueued?queue=large")["count"], "it answers what it knows")
        self.assertEqual("PROCESSING", self.server.job(job["id"])["state"])
        self.assertEqual(200, self.server.get("/health/live").status)

        self.limit(resource.RLIM_INFINITY)
        self.assertEqual(204, settle().status)
        confirmed.append(self.enqueue_large(0))
        self.assertEqual(201, confirmed[-1].status, confirmed[-1].body)
        ids = {answer.json["id"] for answer in confirmed}
        self.assertEqual(ids, {one["id"] for one in self.server.jobs("ENQUEUED")})

        self.fill()
        more, _ = self.until_refused(self.enqueue_large)
        self.server.kill(signal.SIGKILL)  # on a full disk
        self.server.wait()
        self.start_server()
        ids |= {answer.json["id"] for answer in more}
        self.assertEqual(ids, {one["id"] for one in self.server.jobs("ENQUEUED")})
        self.assertEqual("SUCCEEDED", self.server.job(job["id"])["state"])
        self.server.close()
        self.is_sound()

    def test_messages_are_refused_and_those_accepted_stay(self):
        self.start_server()
        self.queue(self.server, "orders")
        body = LARGE.encode()
        self.assertEqual(201, self.message("POST", "/orders/messages", b"first").status)
        self.fill()
        accepted, refusal = self.until_refused(lambda _: self.message("POST", "/orders/messages", body))
        self.assertGreaterEqual(refusal.status, 500, refusal.body)
        locked = self.message("POST", "/orders/messages/head?timeout=5")
        self.assertEqual((201, b"first"), (locked.status, locked.body), "what is there can be received")
        self.limit(resource.RLIM_INFINITY)
        self.assertEqual(200, self.message("DELETE", locked.headers["Location"]).status)
        self.assertEqual(201, self.message("POST", "/orders/messages", body).status)
        self.server.kill(signal.SIGKILL)
        self.server.wait()
        self.start_server()
        peeked = self.az(self.server, ["message", "peek", "-n", "orders", "--max", "500"])
        self.assertEqual(len(accepted) + 1, len(peeked))
        self.server.close()
        self.is_sound()
