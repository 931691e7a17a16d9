"""Jobs from the outside: the command line, the HTTP API, workers, and things that are killed."""
import json
import re
import signal
import threading
import time

from harness import JOBMILL, SystemTest, free_port, until


class CommandLine(SystemTest):
    def test_enqueue_run_and_wait(self):
        server = self.serve()
        self.worker(server)
        enqueued = self.run_jobmill("job", "enqueue", "example.sample", '["Mail", 1]', "--label", "a:b", "--id", "mail-1", server=server)
        self.assertEqual(0, enqueued.returncode, enqueued.stderr)
        job_id = enqueued.stdout.strip()
        self.assertRegex(job_id, r"^[0-9a-f-]{36}$")
        again = self.run_jobmill("job", "enqueue", "example.sample", '["Mail", 1]', "--id", "mail-1", server=server)
        self.assertEqual(job_id, again.stdout.strip())
        waited = self.run_jobmill("job", "wait", job_id, "--timeout", "100s", server=server)
        self.assertEqual((0, f"job/{job_id} SUCCEEDED\n"), (waited.returncode, waited.stdout))
        shown = self.run_jobmill("job", "show", "mail-1", server=server)
        self.assertIn("SUCCEEDED", shown.stdout)
        self.assertIn(job_id, self.run_jobmill("job", "list", "--state", "succeeded", server=server).stdout)

    def test_wait_gives_up_with_75_and_fails_with_1(self):
        server = self.serve()
        job_id = self.run_jobmill("job", "enqueue", "nobody.does", "--in", "1h", server=server).stdout.strip()
        self.assertEqual(75, self.run_jobmill("job", "wait", job_id, "--timeout", "1s", server=server).returncode)
        deleted = self.run_jobmill("job", "delete", job_id, server=server)
        self.assertEqual(0, deleted.returncode, deleted.stderr)
        self.assertEqual(1, self.run_jobmill("job", "wait", job_id, server=server).returncode)
        self.assertEqual(1, self.run_jobmill("job", "delete", job_id, server=server).returncode)
        self.assertEqual(0, self.run_jobmill("job", "requeue", job_id, server=server).returncode)

    def test_queues_servers_and_output_formats(self):
        server = self.serve()
        self.run_jobmill("job", "enqueue", "k", "--queue", "mail", "--count", "3", server=server)
        queues = json.loads(self.run_jobmill("queue", "list", "-o", "json", server=server).stdout)
        queue = [q for q in (queues["items"] if isinstance(queues, dict) else queues) if q["queue"] == "mail"][0]
        self.assertEqual(3, queue["enqueued"])
        self.assertRegex(self.run_jobmill("queue", "list", server=server).stdout, r"QUEUE +ENQUEUED")
        self.assertIn("queue/mail", self.run_jobmill("queue", "list", "-o", "name", server=server).stdout)
        self.worker(server, "--workers", "3")
        until(lambda: server.metric("workers")["totalWorkers"] == 3)
        self.assertIn("run", self.run_jobmill("server", "list", server=server).stdout)

    def test_every_verb_prints_as_it_is_asked_to(self):
        server = self.serve()

        def run(*words):
            done = self.run_jobmill(*words, server=server)
            self.assertEqual(0, done.returncode, done.stderr)
            return done.stdout

        name = run("job", "enqueue", "k", "--in", "1h", "--id", "a", "-o", "name").strip()
        self.assertRegex(name, r"^job/[0-9a-f-]{36}$")
        self.assertEqual("job/a\n", run("job", "requeue", "a", "-o", "name"))
        self.assertEqual([{"id": "a", "change": "deleted"}], json.loads(run("job", "delete", "a", "-o", "json"))["items"])
        self.assertIn("change: requeued", run("job", "requeue", "a", "-o", "yaml"))
        run("job", "delete", "a")
        waited = self.run_jobmill("job", "wait", "a", "-o", "json", server=server)
        self.assertEqual((1, ["DELETED"]), (waited.returncode, [job["state"] for job in json.loads(waited.stdout)["items"]]))
        self.assertRegex(json.loads(run("version", "-o", "json"))["version"], r"^\d+\.\d+\.\d+$")
        self.assertRegex(run("version"), r"^jobmill \d")

    def test_global_flags_may_stand_before_the_noun(self):
        server = self.serve()
        self.assertEqual(0, self.run_jobmill("job", "enqueue", "k", server=server).returncode)
        listed = self.run_jobmill("--server", server.url, "-o", "json", "job", "list")
        self.assertEqual((0, 1), (listed.returncode, len(json.loads(listed.stdout)["items"])), listed.stderr)
        nearer = self.run_jobmill("-o", "yaml", "--server", "http://127.0.0.1:9", "job", "list", "-o", "name", "--server", server.url)
        self.assertRegex(nearer.stdout, r"^job/[0-9a-f-]{36}\n$")
        self.assertIn("namespace there", self.run_jobmill("-n", "there", "get", "pods", server=server).stderr)
        self.assertIn('"version"', self.run_jobmill("-o", "json", "version").stdout)
        foreign = self.run_jobmill("--token", "x", "version")
        self.assertEqual((2, 1), (foreign.returncode, foreign.stderr.count("\n")), foreign.stderr)

    def test_what_the_client_finds_wrong_exits_64_and_is_a_problem_with_json(self):
        for words, word in (
            (["job", "enqueue", "k", "[1"], "ARGS-JSON"),
            (["job", "enqueue", "k", "7"], "ARGS-JSON"),
            (["job", "enqueue", "k", "--in", "soon"], "--in"),
            (["job", "wait", "x", "--timeout", "long"], "--timeout"),
            (["apply", "-f", self.folder / "nothing.yaml"], "nothing.yaml"),
        ):
            with self.subTest(words):
                done = self.run_jobmill(*words)
                self.assertEqual((64, 1), (done.returncode, done.stderr.count("\n")), done.stderr)
                self.assertRegex(done.stderr, rf"^jobmill: .*{word}")
                problem = json.loads(self.run_jobmill(*words, "-o", "json").stderr)
                self.assertEqual("invalid_argument", problem["code"])
                self.assertIn(word, problem["detail"])
                self.assertTrue(problem["title"] and problem["type"])
        usage = self.run_jobmill("job", "list", "--bogus", "-o", "json")
        self.assertEqual((2, "usage"), (usage.returncode, json.loads(usage.stderr)["code"]))
        gone = self.run_jobmill("-o", "json", "job", "list", "--server", "http://127.0.0.1:9")
        self.assertEqual((69, "unreachable"), (gone.returncode, json.loads(gone.stderr)["code"]))

    def test_bad_input_is_refused_with_64_and_the_field(self):
        server = self.serve()
        refused = self.run_jobmill("job", "enqueue", "k", "--priority", "99", server=server)
        self.assertEqual(64, refused.returncode, refused.stderr)
        self.assertIn("priority", refused.stderr)


class Workers(SystemTest):
    def test_killed_workers_lose_nothing(self):
        """Every job of a worker that dies by kill -9 runs again, and its death is no failure."""
        server = self.serve("-f", self.file("w.yaml", WORKERS.format(replicas=2)), "--image", f"jobmill-example={JOBMILL.parent / 'jobmill-example'}")
        until(lambda: server.metric("workers")["totalWorkers"] == 8, what="both workers")
        self.enqueue(server, count=16, ms=5000)  # long enough to be killed in
        until(lambda: server.metric("workers")["occupiedWorkers"] == 8, what="8 running jobs")
        import os
        os.kill(server.pods()[0]["pid"], signal.SIGKILL)
        until(lambda: len(server.jobs("SUCCEEDED")) == 16, what="all jobs")
        jobs = [server.job(job["id"]) for job in server.jobs()]
        self.assertEqual(16, len(jobs))
        for job in jobs:
            runs = sum(event["state"] == "PROCESSING" for event in job["history"])
            self.assertEqual(runs - 1, job["crashes"], "the death of its worker is the only reason for another run")
        crashes = sum(job["crashes"] for job in jobs)
        self.assertTrue(0 < crashes <= 4, crashes)  # fewer when some ended just before
        self.assertFalse(any(event["state"] == "FAILED" for job in jobs for event in job["history"]))

    def test_a_worker_that_is_told_to_go_gives_back_what_it_cannot_finish(self):
        server = self.serve()
        worker = self.worker(server, env={"JOBMILL_GRACE": "1s"})
        self.enqueue(server, ms=60000)
        until(lambda: server.metric("workers")["occupiedWorkers"] == 1)
        worker.kill(signal.SIGTERM)
        self.assertEqual(0, worker.wait())
        [job] = server.jobs()
        self.assertEqual(("ENQUEUED", 0), (job["state"], job["crashes"]))
        self.assertEqual(0, server.metric("workers")["totalWorkers"])

    def test_a_deleted_job_is_cancelled_where_it_runs(self):
        server = self.serve()
        self.worker(server)
        job_id = self.enqueue(server, ms=600000)["id"]
        until(lambda: server.metric("workers")["occupiedWorkers"] == 1)
        self.assertEqual(204, server.call("DELETE", f"/v1/jobs/{job_id}").status)
        until(lambda: server.metric("workers")["occupiedWorkers"] == 0)
        self.assertEqual("DELETED", server.job(job_id)["state"])
        self.enqueue(server, ms=0)  # the worker goes on
        until(lambda: server.jobs("SUCCEEDED"))

    def test_a_worker_survives_a_restart_of_the_server(self):
        server = self.serve(http_address=f"127.0.0.1:{free_port()}")
        worker = self.worker(server)
        self.enqueue(server, ms=8000)  # as long as a busy machine needs to see that it runs
        until(lambda: server.metric("workers")["occupiedWorkers"] == 1)
        server.kill()
        server.wait()
        again = self.serve(http_address=server.address)
        until(lambda: again.jobs("SUCCEEDED"), what="the job that ran over the restart")
        [job] = [again.job(job["id"]) for job in again.jobs()]
        self.assertEqual(1, job["attempt"], job["history"])
        self.assertIsNone(worker.process.poll())


WORKERS = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: workers}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: w}}}}
  template:
    metadata: {{labels: {{app: w}}}}
    spec:
      containers:
        - name: worker
          image: jobmill-example:latest
          args: [worker]
          readinessProbe: {{httpGet: {{path: /health/ready, port: 8081}}}}
"""


class Durability(SystemTest):
    def test_confirmed_jobs_survive_kill_9_of_the_server(self):
        """Enqueues from several clients, the server killed in the middle: what was confirmed exists
        after the restart, and nothing exists twice."""
        server = self.serve()
        confirmed, sent, lock = set(), set(), threading.Lock()

        def client(number):
            for i in range(100000):
                name = f"c{number}-{i}"
                with lock:
                    sent.add(name)
                try:
                    answer = server.call("POST", "/v1/jobs", {"kind": "k", "name": name})
                except OSError:
                    return
                if answer.status == 201:
                    with lock:
                        confirmed.add(name)

        threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(confirmed) > 200, what="200 confirmed jobs")
        server.kill()
        for thread in threads:
            thread.join()
        server.wait()
        names = [job["name"] for job in self.serve().jobs()]
        self.assertEqual(len(names), len(set(names)), "a job exists twice")
        self.assertLessEqual(confirmed, set(names), "a confirmed job is lost")
        self.assertLessEqual(set(names), sent)

    def test_a_bulk_of_jobs_is_all_or_nothing(self):
        server = self.serve()
        refused = server.call("POST", "/v1/jobs", {"jobs": [{"kind": "k"}, {"kind": ""}]})
        self.assertEqual(400, refused.status)
        self.assertEqual([], server.jobs())
        too_many = server.call("POST", "/v1/jobs", {"kind": "k", "count": 10**9})
        self.assertEqual(400, too_many.status)
        self.assertEqual([], server.jobs())

    def test_scheduled_jobs_run_on_time_and_never_early(self):
        server = self.serve()
        self.worker(server)
        self.enqueue(server, count=20, ms=0, delay="PT1.5S")
        until(lambda: len(server.jobs("SUCCEEDED")) == 20)
        for job in server.jobs():
            history = server.job(job["id"])["history"]
            due = history[0]["scheduledAt"]
            started = [event["createdAt"] for event in history if event["state"] == "PROCESSING"][0]
            self.assertLessEqual(instant(due), instant(started))
            self.assertLess(instant(started) - instant(due), 15, "nothing but its time woke the worker")


def instant(text):
    import datetime
    whole, fraction = re.match(r"([^.Z]+)(\.\d+)?Z", text).groups()
    return datetime.datetime.fromisoformat(whole + "+00:00").timestamp() + float("0" + (fraction or ".0"))


class Recurring(SystemTest):
    def one_run_ahead(self, server):
        ahead = len(server.jobs("SCHEDULED"))
        self.assertLessEqual(ahead, 1)
        return ahead == 1

    def test_a_recurring_job_runs_again_and_again_also_after_a_restart(self):
        server = self.serve(http_address=f"127.0.0.1:{free_port()}")
        self.worker(server)
        spec = {"schedule": "PT1S", "zone": "UTC", "missed": "once", "spec": {"kind": "example.sample", "args": ["tick", 0]}}
        self.assertIn(server.call("PUT", "/v1/recurring/tick", spec).status, (200, 201))
        until(lambda: len(server.jobs("SUCCEEDED")) >= 2)
        until(lambda: self.one_run_ahead(server), what="one run ahead")
        server.close()
        again = self.serve(http_address=server.address)
        done = len(again.jobs("SUCCEEDED"))
        until(lambda: len(again.jobs("SUCCEEDED")) > done)
        self.assertEqual(400, again.call("PUT", "/v1/recurring/x", {**spec, "schedule": "0 0 30 2 *"}).status)
        self.assertEqual(201, again.call("POST", "/v1/recurring/tick/trigger").status)
        self.assertEqual(204, again.call("DELETE", "/v1/recurring/tick").status)
        self.assertEqual(404, again.call("DELETE", "/v1/recurring/tick").status)
