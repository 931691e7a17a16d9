"""The example application: the page that schedules sample jobs, with its vectors."""
import json
import urllib.parse

from harness import EXAMPLE, VECTORS, SystemTest, http, until


def vectors(name):
    document = json.loads((VECTORS / name).read_text())
    found = document["vectors"]
    assert len(found) == document["count"]["vectors"], name
    print(f"vectors: {name} {len(found)}")
    return found


class Page(SystemTest):
    def page(self, server):
        process = self.start([EXAMPLE, "web", "--enqueue", "127.0.0.1:0"], env={"JOBMILL_URL": server.url})
        return "http://" + process.ready.split("enqueue=")[1].strip() + "/schedule-example-jobs"

    def test_vectors(self):
        server = self.serve()
        url = self.page(server)
        for vector in vectors("jobs/example_app.json"):
            with self.subTest(vector["id"]):
                before = sum(1 for _ in server.jobs())
                answer = http("GET", url + "?" + vector["query"])
                expect = vector["expect"]
                self.assertEqual(expect["status"], answer.status, answer.body)
                made = len(server.jobs()) - before
                if answer.status != 200:
                    self.assertEqual(0, made)
                    self.assertIn(answer.json["parameter"], vector["query"])
                    continue
                for key in ("enqueued", "scheduled", "name", "executionTimeMs"):
                    if key in expect:
                        self.assertEqual(expect[key], answer.json[key], key)
                self.assertEqual(answer.json["enqueued"] + answer.json["scheduled"], made)
                self.assertEqual(min(made, 10), len(answer.json["jobIds"]))
                self.assertEqual("runAt" in answer.json, answer.json["scheduled"] > 0)

    def test_jobs_look_as_they_were_asked_for(self):
        server = self.serve()
        answer = http("POST", self.page(server) + "?name=" + urllib.parse.quote("Ünï \"{0}\"") + "&count=3&runIn=PT1H")
        jobs = server.jobs()
        self.assertEqual(["n:0", "n:1", "n:2"], sorted(job["labels"][0] for job in jobs))
        self.assertEqual({"Ünï \"{0}\""}, {job["name"] for job in jobs})
        self.assertEqual({"example.sample"}, {job["kind"] for job in jobs})
        self.assertTrue(all(job["run_at"] for job in jobs))
        self.assertEqual(3, answer.json["scheduled"])

    def test_a_single_job_has_its_index_too(self):
        server = self.serve()
        self.assertEqual(200, http("GET", self.page(server) + "?count=1").status)
        self.assertEqual(["n:0"], server.jobs()[0]["labels"])

    def test_refusals(self):
        server = self.serve()
        url = self.page(server)
        self.assertEqual(400, http("GET", url + "?runIn=banana").status)
        self.assertEqual(400, http("GET", url + "?count=-1").status)
        self.assertEqual(400, http("GET", url + "?count=1000000000").status)
        self.assertEqual(405, http("DELETE", url).status)
        self.assertEqual([], server.jobs())
        server.kill()
        server.wait()
        gone = http("GET", url + "?count=1")
        self.assertEqual(503, gone.status)
        self.assertTrue(gone.headers["Content-Type"].startswith("application/problem+json"))

    def test_web_alone_has_the_control_server_inside(self):
        process = self.start([EXAMPLE, "web", "--enqueue", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data", self.folder / "d"], ready=None)
        lines = [process.process.stdout.readline(), process.process.stdout.readline()]
        url = [line.split("http=")[1].split()[0] for line in lines if "http=" in line][0]
        page = [line.split("enqueue=")[1].strip() for line in lines if "enqueue=" in line][0]
        self.assertEqual(200, http("GET", f"http://{page}/schedule-example-jobs?count=2").status)
        self.assertEqual(2, http("GET", f"http://{url}/api/metrics/jobs/enqueued").json["count"])
        self.start([EXAMPLE, "worker"], env={"JOBMILL_URL": f"http://{url}"}, ready=None)
        until(lambda: http("GET", f"http://{url}/api/metrics/workers").json["totalWorkers"] == 4)

    def test_configuration_that_cannot_work_exits_78(self):
        import subprocess
        from harness import CLEAN
        for words, env in ((["worker"], {}), (["worker"], {"DATABASE_URL": "mysql://x"}), (["web"], {"DATABASE_URL": "mysql://x"})):
            done = subprocess.run([str(EXAMPLE), *words], env={**CLEAN, **env}, capture_output=True, text=True, timeout=20, cwd=self.folder)
            self.assertEqual(78, done.returncode, done.stderr)
            self.assertEqual(1, done.stderr.count("\n"))


class MetricsApi(SystemTest):
    def test_the_published_requests_with_the_walkthroughs_credentials(self):
        password = self.file("password", "dashboard-password\n")
        server = self.serve("--user", "dashboard-user", "--password-file", password)
        me = ("dashboard-user", "dashboard-password")
        self.assertEqual({"usage": 0.0, "totalWorkers": 0, "occupiedWorkers": 0}, server.get("/api/metrics/workers", user=me).json)
        self.assertEqual({"latency": 0, "count": 0}, server.get("/api/metrics/jobs/enqueued", user=me).json)
        self.assertEqual({"count": 0}, server.get("/api/metrics/jobs/scheduled?runInMax=PT2M", user=me).json)
        for path in ("workers", "jobs/enqueued", "jobs/scheduled"):
            refused = server.get("/api/metrics/" + path)
            self.assertEqual(401, refused.status)
            self.assertIn("Basic", refused.headers["WWW-Authenticate"])
            self.assertEqual(405, server.call("POST", "/api/metrics/" + path, user=me).status)
        for query in ("runInMax=banana", "runInMax=", "runInMax=-PT1M", "runInMax=PT1M&scheduledIn=PT2M"):
            self.assertEqual(400, server.get("/api/metrics/jobs/scheduled?" + query, user=me).status, query)

    def test_a_read_waits_for_a_change(self):
        server = self.serve()
        first = server.get("/api/metrics/jobs/enqueued")
        self.assertEqual("Prefer", first.headers["Vary"])
        wait = {"If-None-Match": first.headers["ETag"], "Prefer": "wait=1"}
        self.assertEqual(304, server.get("/api/metrics/jobs/enqueued", headers=wait).status)
        import threading
        timer = threading.Timer(0.3, lambda: self.enqueue(server))
        timer.start()
        changed = server.get("/api/metrics/jobs/enqueued", headers={**wait, "Prefer": "wait=20"})
        timer.join()
        self.assertEqual((200, 1), (changed.status, changed.json["count"]))
