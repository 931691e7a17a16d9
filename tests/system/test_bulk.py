"""One action on very many jobs: the preview is the result, and what is cancelled stays as it was."""
import collections

from harness import SystemTest, until

MANY = 100_000
AT_ONCE = 10_000  # jobs that the worker takes, fails and gives back
FAILED = {"state": ["FAILED"]}


class BulkRequeue(SystemTest):
    def post(self, server, path, body=None, status=(200, 201, 202)):
        answer = server.call("POST", path, body or {})
        self.assertIn(answer.status, status, answer.body)
        return answer.json

    def fail_all(self, server):
        worker = self.post(server, "/v1/workers", {"name": "fails", "concurrency": AT_ONCE, "host": "test"})["worker_id"]
        left = MANY
        while left > 0:
            jobs = self.post(server, f"/v1/workers/{worker}/claim", {"max": AT_ONCE, "wait_ms": 5000})["jobs"]
            failed = [{"id": job["id"], "lock_token": job["lock_token"], "type": "mail.Refused", "message": "no", "retry": "never"} for job in jobs]
            self.post(server, f"/v1/workers/{worker}/settle", {"complete": [], "release": [], "fail": failed})
            left -= len(jobs)
        self.assertEqual(204, server.call("DELETE", f"/v1/workers/{worker}").status)

    def counts(self, server):
        found = server.get("/api/jobs/counts").json
        return {state: found.get(state, 0) for state in ("FAILED", "ENQUEUED", "SUCCEEDED", "SCHEDULED", "PROCESSING", "DELETED")}

    def preview(self, server):
        found = self.post(server, "/api/jobs/bulk", {"action": "requeue", "filter": FAILED, "dryRun": True})
        self.assertIs(found["lowerBound"], False)
        return found["matching"]

    def requeue(self, server):
        return self.post(server, "/api/jobs/bulk", {"action": "requeue", "filter": FAILED})["operationId"]

    def operation(self, server, name):
        return server.get(f"/api/operations/{name}").json

    def requeue_in_part(self, server):
        name = self.requeue(server)
        until(lambda: self.operation(server, name)["done"] > 0)
        self.assertIn(server.call("DELETE", f"/api/operations/{name}").status, (204, 409))
        return until(lambda: (found := self.operation(server, name))["state"] != "running" and found)

    def changes(self, server, state):
        """How often the jobs of a state have changed: {version: jobs}."""
        return dict(collections.Counter(job["version"] for job in server.jobs(state)))

    def test_the_preview_is_the_result_and_a_cancelled_part_adds_up(self):
        server = self.serve()
        self.post(server, "/v1/jobs", {"kind": "mail.send", "count": MANY, "retries": 0})
        self.fail_all(server)
        [failed_at] = self.changes(server, "FAILED")  # one version: all have gone the same way

        self.assertEqual(MANY, self.preview(server))
        name = self.requeue(server)
        ended = until(lambda: (found := self.operation(server, name))["state"] != "running" and found)
        self.assertEqual(("done", MANY, MANY, 0), (ended["state"], ended["matching"], ended["done"], ended["failed"]))
        self.assertEqual({"FAILED": 0, "ENQUEUED": MANY}, {state: n for state, n in self.counts(server).items() if n or state == "FAILED"})
        self.assertEqual({failed_at + 1: MANY}, self.changes(server, "ENQUEUED"), "each has changed once")

        done = MANY
        while done == MANY:  # we were too late
            self.fail_all(server)
            [failed_again] = self.changes(server, "FAILED")
            ended = self.requeue_in_part(server)
            done = ended["done"]
        self.assertEqual(("cancelled", 0), (ended["state"], ended["failed"]))
        self.assertTrue(0 < done < MANY, done)
        self.assertEqual({"FAILED": MANY - done, "ENQUEUED": done}, {state: n for state, n in self.counts(server).items() if n})
        self.assertEqual({failed_again: MANY - done}, self.changes(server, "FAILED"), "the rest is as it was")
        self.assertEqual({failed_again + 1: done}, self.changes(server, "ENQUEUED"), "nothing was done twice")
        self.assertEqual(MANY - done, self.preview(server))
