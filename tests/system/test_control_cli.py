"""What people do to queues and workers from the command line."""
import json

from harness import SystemTest, until


class Control(SystemTest):
    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def command(self, *words, code=0):
        done = self.run_jobmill(*words, server=self.server)
        self.assertEqual(code, done.returncode, done.stderr)
        return done

    def queue(self, name):
        return next(queue for queue in self.server.get("/v1/queues").json if queue["queue"] == name)

    def test_from_a_paused_queue_nobody_takes(self):
        self.assertEqual("queue/default paused\n", self.command("queue", "pause", "default").stdout)
        self.assertTrue(self.queue("default")["paused"])
        self.worker(self.server)
        job = self.server.call("POST", "/v1/jobs", {"kind": "example.sample", "args": ["a", 0]}).json["id"]
        self.assertEqual("ENQUEUED", self.server.job(job)["state"])
        self.assertRegex(self.command("queue", "list").stdout, r"default +1 .*true")
        self.command("queue", "resume", "default")
        until(lambda: self.server.job(job)["state"] == "SUCCEEDED")

    def test_a_worker_is_quieted_resumed_and_stopped(self):
        worker = self.worker(self.server)
        servers = until(lambda: json.loads(self.command("server", "list", "-o", "json").stdout))
        one = servers[0]["id"]
        self.assertEqual(f"server/{one} quiet\n", self.command("server", "quiet", one).stdout)
        job = self.server.call("POST", "/v1/jobs", {"kind": "example.sample", "args": ["a", 0]}).json["id"]
        self.assertRegex(self.command("server", "list").stdout, rf"{one} .*quiet")
        self.assertEqual("ENQUEUED", self.server.job(job)["state"])
        self.command("server", "resume", one)
        until(lambda: self.server.job(job)["state"] == "SUCCEEDED")
        self.assertEqual(f"server/{one} stopping\n", self.command("server", "stop", one).stdout)
        self.assertEqual(0, worker.wait(60))
        self.command("server", "quiet", one, code=1)

    def test_an_action_on_all_that_match_is_previewed_and_done(self):
        made = self.server.call("POST", "/v1/jobs", {"kind": "k", "count": 3000})
        self.assertEqual(201, made.status)
        body = {"action": "delete", "filter": {"state": ["ENQUEUED"]}}
        preview = self.server.call("POST", "/api/jobs/bulk", {**body, "dryRun": True}).json
        self.assertEqual({"matching": 3000, "lowerBound": False}, preview)
        started = self.server.call("POST", "/api/jobs/bulk", body)
        self.assertEqual(202, started.status)
        path = "/api/operations/" + started.json["operationId"]
        until(lambda: self.server.get(path).json["state"] == "done")
        self.assertEqual(3000, self.server.get(path).json["done"])
        self.assertEqual(3000, self.server.get("/api/jobs/counts").json["DELETED"])
