"""Scaling over time, from the outside: series, decisions that are kept, pause and set."""
import datetime
import http.server
import json
import signal
import threading
import time

from harness import EXAMPLE, SystemTest, until
from test_scaling import DEPLOYMENT, JOBS_TRIGGER, SCALING, api_trigger

SCALED_JOB = """
apiVersion: keda.sh/v1alpha1
kind: ScaledJob
metadata: {name: import}
spec:
  jobTargetRef:
    template:
      spec:
        containers: [{name: one, image: jobmill-example:latest, args: [worker]}]
  pollingInterval: 1
  maxReplicaCount: 3
  triggers:
"""


def instant(seconds):
    at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Insight(SystemTest):
    IMAGE = ["--image", f"jobmill-example={EXAMPLE}"]

    def scaled(self, triggers, *flags):
        return self.serve(*self.IMAGE, "-f", self.file("scaling.yaml", DEPLOYMENT + SCALING + triggers), *flags)

    def replicas(self, server):
        return server.get("/v1/scale/scaling").json["replicas"]

    def at(self, server, path=""):
        answer = server.get("/api/autoscaling/scaling" + path)
        self.assertEqual(200, answer.status, answer.body)
        return answer.json

    def decisions(self, server):
        return self.at(server, "/decisions?limit=500")["items"]

    def last(self, server, track):
        points = self.at(server, "/series")["tracks"].get(track, [])
        return points[-1][1] if points else None

    def test_a_wave_of_jobs_can_be_read_from_the_time_axis(self):
        server = self.scaled(JOBS_TRIGGER)
        begin = time.time()
        self.enqueue(server, count=40, ms=50, delay="PT2S")
        until(lambda: len(server.jobs("SUCCEEDED")) == 40)
        until(lambda: self.replicas(server)["wanted"] == 0)
        until(lambda: self.replicas(server)["draining"] == 0)

        for track in ("arrivals", "completions"):
            until(lambda: sum(point[1] for point in self.at(server, "/series")["tracks"].get(track, [])) * 10 >= 40)
        until(lambda: sum(point[1] for point in server.get("/api/series/jobs").json["tracks"].get("succeeded", [])) * 10 >= 40)
        series = self.at(server, f"/series?from={instant(begin - 5)}")
        self.assertEqual(10, series["step"])
        tracks = series["tracks"]
        self.assertEqual(40, round(sum(point[1] for point in tracks["arrivals"]) * 10))
        self.assertEqual(40, round(sum(point[1] for point in tracks["completions"]) * 10))
        desired = tracks["desired"]
        self.assertEqual(5, max(point[-1] if len(point) > 2 else point[1] for point in desired))
        self.assertEqual(0, desired[-1][1])
        for name in ("ready", "starting", "draining", "busy", "idle", "min", "max", "backlog", "consumable", "inflight", "oldestWaitMs", "p95WaitMs"):
            self.assertIn(name, tracks)
        self.assertEqual([], series["gaps"])
        for points in tracks.values():
            self.assertEqual(sorted(point[0] for point in points), [point[0] for point in points])

        # A marker for each change, each with its record, newest last.
        changes = [one for one in series["decisions"] if one["from"] != one["to"]]
        self.assertEqual("activate", changes[0]["kind"])
        self.assertEqual(0, changes[-1]["to"])
        record = self.at(server, "/decisions/" + changes[0]["id"])
        self.assertEqual((0, 5), (record["from"], record["to"]))
        self.assertEqual(changes[0]["summary"], record["sentence"])
        self.assertEqual(40, record["inputs"]["desired"]["readings"][0]["value"])
        self.assertEqual([one["id"] for one in self.decisions(server)][::-1], [one["id"] for one in series["decisions"]])
        page = self.at(server, "/decisions?limit=1")
        self.assertEqual(page["items"][0]["id"], self.decisions(server)[0]["id"])
        self.assertEqual(self.decisions(server)[1:], self.at(server, f"/decisions?limit=499&before={page['next']}")["items"])

        # Why were there five, and not more?
        then = datetime.datetime.fromisoformat(changes[0]["at"].replace("Z", "+00:00")).timestamp() + 0.01
        why = self.at(server, "/why-not?at=" + instant(then))
        self.assertEqual(5, why["replicas"])
        self.assertNotEqual("unknown", why["rule"])
        self.assertEqual("unknown", self.at(server, "/why-not?at=2001-01-01T00:00:00Z")["rule"])
        text = self.run_jobmill("scale", "explain", "scaling", "--at", instant(then), server=server)
        self.assertEqual(0, text.returncode, text.stderr)
        self.assertIn("from 0 to 5", text.stdout)
        history = self.run_jobmill("scale", "history", "scaling", server=server).stdout
        self.assertIn("activate", history)
        self.assertEqual(len(self.decisions(server)), len(json.loads(self.run_jobmill("scale", "history", "scaling", "--limit", "500", "-o", "json", server=server).stdout)))

        whole = server.get("/api/series/jobs").json["tracks"]
        self.assertEqual(40, round(sum(point[1] for point in whole["succeeded"]) * 10))
        self.assertEqual(40, round(sum(point[1] for point in server.get("/api/series/queue%3Adefault").json["tracks"]["arrivals"]) * 10))
        self.assertEqual(404, server.get("/api/series/nothing").status)

    def test_what_was_decided_outlives_kill_9(self):
        server = self.scaled(JOBS_TRIGGER)
        self.enqueue(server, count=16, delay="PT1H")  # beyond the trigger's minute
        self.enqueue(server, count=16, delay="PT58S")
        until(lambda: self.replicas(server)["wanted"] == 2)
        until(lambda: self.last(server, "ready") == 2)
        before = self.decisions(server)
        server.kill(signal.SIGKILL)
        server.wait()
        again = self.serve(*self.IMAGE)
        until(lambda: self.replicas(again)["wanted"] == 2)
        self.assertEqual([one["id"] for one in before], [one["id"] for one in self.decisions(again)][-len(before):])
        gaps = self.at(again, "/series")["gaps"]
        self.assertEqual(["the server was not running"], [gap[2] for gap in gaps])
        ready = self.at(again, "/series")["tracks"]["ready"]
        self.assertIn(None, [point[1] for point in ready], "unknown, not zero")

    def test_a_target_is_paused_resumed_and_set(self):
        server = self.scaled(JOBS_TRIGGER)
        self.assertEqual(0, self.run_jobmill("scale", "pause", "scaling", "--replicas", "1", server=server).returncode)
        until(lambda: self.replicas(server)["wanted"] == 1)
        self.assertEqual({"replicas": 1}, self.at(server)["paused"])
        self.enqueue(server, count=40, delay="PT58S")
        self.assertIn('autoscaling.keda.sh/paused-replicas: "1"', self.at(server)["manifest"])
        server.close()
        server = self.serve(*self.IMAGE)
        until(lambda: self.replicas(server)["wanted"] == 1)
        self.assertEqual({"replicas": 1}, self.at(server)["paused"], "a pause is durable")
        self.assertEqual(409, server.call("POST", "/api/autoscaling/scaling/set", {"replicas": 3}).status)
        self.assertEqual(204, server.call("POST", "/api/autoscaling/scaling/resume", {}).status)
        until(lambda: self.replicas(server)["wanted"] == 5)
        self.assertNotIn("paused", self.at(server))

        self.assertEqual(400, server.call("POST", "/api/autoscaling/scaling/set", {"replicas": 6}).status)
        self.assertEqual(400, server.call("POST", "/api/autoscaling/scaling/set", {}).status)
        self.assertEqual(0, self.run_jobmill("scale", "set", "scaling", "4", server=server).returncode)
        until(lambda: any(one["kind"] == "manual" for one in self.decisions(server)))
        manual = next(one for one in self.decisions(server) if one["kind"] == "manual")
        self.assertEqual((5, 4, "manual"), (manual["from"], manual["to"], manual["limitingRule"]))
        self.assertEqual(404, server.call("POST", "/api/autoscaling/nothing/pause", {}).status)

    def test_a_trigger_that_cannot_be_read_is_a_gap(self):
        class Endpoint(http.server.BaseHTTPRequestHandler):
            status = 200

            def do_GET(self):
                self.send_response(Endpoint.status)
                self.end_headers()
                self.wfile.write(b'{"value": 3}')

            def log_message(self, *args):
                pass

        endpoint = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
        self.addCleanup(endpoint.server_close)
        self.addCleanup(endpoint.shutdown)
        threading.Thread(target=endpoint.serve_forever, daemon=True).start()
        server = self.scaled(api_trigger(f"http://127.0.0.1:{endpoint.server_port}/"))
        until(lambda: self.replicas(server)["wanted"] == 3)
        Endpoint.status = 500
        until(lambda: self.at(server, "/series")["gaps"])
        self.assertIn("error", self.at(server)["triggers"][0])
        Endpoint.status = 200
        until(lambda: "error" not in self.at(server)["triggers"][0])
        gap = self.at(server, "/series")["gaps"][0]
        self.assertLess(gap[1], time.time() * 1000)
        self.assertEqual(3, self.last(server, "backlog"))

    def test_every_kind_of_target_is_listed(self):
        server = self.serve(*self.IMAGE, "-f", self.file("all.yaml", DEPLOYMENT + SCALING + JOBS_TRIGGER + "---\n" + SCALED_JOB + JOBS_TRIGGER))
        targets = {one["target"]: one for one in server.get("/api/autoscaling").json}
        self.assertEqual({"scaling", "import"}, set(targets))
        self.assertEqual("ScaledJob", targets["import"]["kind"])
        self.assertEqual(5, targets["scaling"]["max"])
        until(lambda: server.get("/api/autoscaling/import/decisions").json["items"])
        one = server.get("/api/autoscaling/import").json
        self.assertEqual(server.get("/api/autoscaling/import/decisions").json["items"][0]["id"], one["decision"]["id"])
        self.assertIn("inputs", one["decision"])
        self.assertIn("ScaledJob", one["manifest"])
        self.assertEqual(204, server.call("POST", "/api/autoscaling/import/pause", {}).status)
        until(lambda: "paused" in server.get("/api/autoscaling/import").json)
        self.assertEqual(204, server.call("POST", "/api/autoscaling/import/resume", {}).status)
        until(lambda: "paused" not in server.get("/api/autoscaling/import").json)
        self.assertEqual(409, server.call("POST", "/api/autoscaling/import/set", {"replicas": 1}).status)

