"""Manifests and the autoscaler from the outside, with real local processes."""
import http.server
import json
import os
import signal
import threading
import time

from harness import EXAMPLE, K8S, SystemTest, alive, free_port, until

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: workers}
spec:
  selector: {matchLabels: {app: w}}
  template:
    metadata: {labels: {app: w}}
    spec:
      containers:
        - name: worker
          image: jobmill-example:latest
          args: [worker]
          readinessProbe: {httpGet: {path: /health/ready, port: 8081}}
---
"""

SCALING = """
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: scaling, annotations: {}}
spec:
  scaleTargetRef: {name: workers}
  pollingInterval: 2
  cooldownPeriod: 2
  maxReplicaCount: 5
  triggers:
"""

JOBS_TRIGGER = """
    - type: jobs
      metadata: {targetValue: "8", runInMax: PT1M}
"""


def api_trigger(url, location="value", target="1"):
    return f"""
    - type: metrics-api
      metadata: {{url: "{url}", valueLocation: "{location}", targetValue: "{target}"}}
"""


class Scaling(SystemTest):
    IMAGE = ["--image", f"jobmill-example={EXAMPLE}"]

    def scaled(self, triggers, *flags, interval=2):
        scaling = SCALING.replace("pollingInterval: 2", f"pollingInterval: {interval}")
        return self.serve(*self.IMAGE, "-f", self.file("scaling.yaml", DEPLOYMENT + scaling + triggers), *flags)

    def explain(self, server, name="scaling"):
        return server.get(f"/v1/scale/{name}").json

    def replicas(self, server, name="scaling"):
        return self.explain(server, name)["replicas"]

    def test_scheduled_jobs_pull_workers_from_0_and_back(self):
        server = self.scaled(JOBS_TRIGGER, interval=600)  # pushed, not polled
        self.assertEqual(0, self.replicas(server)["wanted"])
        self.enqueue(server, count=40, ms=100, delay="PT15S")  # five programs begin in that time on a busy machine, too
        until(lambda: self.replicas(server)["wanted"] == 5, what="5 replicas wanted")
        until(lambda: self.replicas(server)["ready"] == 5, what="5 replicas ready")
        self.assertEqual(20, server.metric("workers")["totalWorkers"])
        pids = [pod["pid"] for pod in server.pods()]
        until(lambda: len(server.jobs("SUCCEEDED")) == 40)
        until(lambda: self.replicas(server) == {"wanted": 0, "ready": 0, "starting": 0, "draining": 0}, what="back to zero")
        until(lambda: not any(alive(pid) for pid in pids))
        self.assertEqual(0, server.metric("workers")["totalWorkers"])
        self.assertEqual(0, sum(job["crashes"] for job in server.jobs()))

    def test_explain_says_why(self):
        server = self.scaled(JOBS_TRIGGER)
        self.enqueue(server, count=20, delay="PT58S")
        until(lambda: self.replicas(server)["wanted"] == 3)
        text = self.run_jobmill("scale", "explain", "scaling", server=server)
        self.assertEqual(0, text.returncode, text.stderr)
        for word in ("scaling", "20", "8", "3"):
            self.assertIn(word, text.stdout)
        document = json.loads(self.run_jobmill("scale", "explain", "scaling", "-o", "json", server=server).stdout)
        self.assertIn("limitingRule", document["decision"])
        self.assertEqual(1, self.run_jobmill("scale", "explain", "nothing", server=server).returncode)
        table = self.run_jobmill("get", "so", server=server).stdout
        self.assertRegex(table, r"NAME +SCALETARGETKIND +SCALETARGETNAME")
        self.assertRegex(table, r"scaling +apps/v1\.Deployment +workers +5 +True +True")
        until(lambda: self.run_jobmill("get", "pods", server=server).stdout.count("workers-") == 3)

    def test_a_running_job_is_never_interrupted_for_scaling(self):
        server = self.scaled(JOBS_TRIGGER.replace('"8", runInMax: PT1M', '"1"'))
        self.enqueue(server, count=3, ms=6000)
        self.enqueue(server, count=2, ms=10)
        until(lambda: len(server.jobs("SUCCEEDED")) == 5)
        until(lambda: self.replicas(server) == {"wanted": 0, "ready": 0, "starting": 0, "draining": 0})
        for job in server.jobs():
            states = [event["state"] for event in server.job(job["id"])["history"]]
            self.assertEqual(["ENQUEUED", "PROCESSING", "SUCCEEDED"], states)

    def test_replicas_may_be_named_with_their_namespace(self):
        named = DEPLOYMENT.replace("          args: [worker]\n", """          args: [worker]
          env:
            - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
            - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: JOBMILL_REPLICA, value: $(NAMESPACE)/$(NAME)}
""")
        server = self.serve(*self.IMAGE, "-f", self.file("scaling.yaml", named + SCALING + JOBS_TRIGGER))
        self.enqueue(server, count=20, delay="PT58S")
        until(lambda: self.replicas(server)["ready"] == 3, what="3 replicas, known by their workers")
        self.assertEqual({"default/" + pod["name"] for pod in server.pods()}, {worker["replica"] for worker in server.get("/v1/workers").json})

    def test_work_in_progress_outlives_the_deletion_of_its_scaled_object(self):
        server = self.scaled(JOBS_TRIGGER)
        self.enqueue(server, ms=8000)
        until(lambda: server.metric("workers")["occupiedWorkers"] == 1)
        deleted = self.run_jobmill("delete", "-f", self.folder / "scaling.yaml", server=server)
        self.assertEqual(0, deleted.returncode, deleted.stderr)
        until(lambda: len(server.jobs("SUCCEEDED")) == 1)
        until(lambda: not server.pods())
        self.assertEqual(0, server.jobs()[0]["crashes"])

    def test_a_failing_trigger_does_not_stop_the_others_and_is_never_zero(self):
        port = free_port()
        server = self.scaled(api_trigger(f"http://127.0.0.1:{port}/x") + JOBS_TRIGGER)
        self.enqueue(server, count=16, delay="PT60S")
        until(lambda: self.replicas(server)["wanted"] == 2)
        document = until(lambda: (d := self.explain(server)) and any(t.get("error") for t in d["triggers"]) and d, what="the error")
        [failed] = [trigger for trigger in document["triggers"] if trigger.get("error")]
        self.assertIn(str(port), failed["error"])
        self.assertIn(str(port), document["text"])
        described = self.run_jobmill("describe", "so", "scaling", server=server).stdout
        self.assertIn(str(port), described)
        for job in server.jobs():
            server.call("DELETE", f"/v1/jobs/{job['id']}")
        until(lambda: self.explain(server)["decision"]["limitingRule"] == "trigger-failed")
        self.assertEqual(2, self.replicas(server)["wanted"], "no scale-in while a trigger fails")

    def test_answers_that_are_no_number(self):
        answers = {"/html": (200, "<html>"), "/missing": (200, '{"other": 1}'), "/500": (500, "{}"), "/slow": (0, "")}
        release = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = answers[self.path]
                if not status:
                    release.wait(60)
                    return
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        source = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=source.serve_forever, daemon=True).start()
        self.addCleanup(source.server_close)
        self.addCleanup(source.shutdown)
        self.addCleanup(release.set)
        base = f"http://127.0.0.1:{source.server_port}"
        server = self.scaled("".join(api_trigger(base + path) for path in answers))
        document = until(lambda: (d := self.explain(server)) and all(t.get("error") for t in d["triggers"]) and d, what="four errors")
        errors = [trigger["error"] for trigger in document["triggers"]]
        self.assertIn("500", errors[2])
        self.assertIn("value", errors[1])
        self.assertEqual(0, self.replicas(server)["wanted"])
        self.assertRegex(self.run_jobmill("get", "so", server=server).stdout, r"scaling .* False +False")

    def test_paused_replicas_and_resume(self):
        server = self.scaled(JOBS_TRIGGER)
        text = (self.folder / "scaling.yaml").read_text()
        self.file("paused.yaml", text.replace("annotations: {}", 'annotations: {autoscaling.keda.sh/paused-replicas: "2"}'))
        self.assertEqual(0, self.run_jobmill("apply", "-f", self.folder / "paused.yaml", server=server).returncode)
        until(lambda: self.replicas(server)["ready"] == 2)
        self.enqueue(server, count=40, ms=1)
        until(lambda: len(server.jobs("SUCCEEDED")) == 40)
        self.assertEqual(2, self.replicas(server)["wanted"])
        self.assertRegex(self.run_jobmill("get", "so", server=server).stdout, r"scaling .* True ")
        self.assertEqual(0, self.run_jobmill("apply", "-f", self.folder / "scaling.yaml", server=server).returncode)
        until(lambda: self.replicas(server)["wanted"] == 0)

    def test_local_processes_end_with_the_server_also_by_kill_9(self):
        server = self.scaled(JOBS_TRIGGER)
        self.enqueue(server, count=8, ms=60000)
        until(lambda: self.replicas(server)["ready"] == 1)
        [pod] = server.pods()
        server.kill()
        server.wait()
        until(lambda: not alive(pod["pid"]))

    def test_a_crashing_replica_is_started_again_with_back_off(self):
        manifest = DEPLOYMENT.replace("args: [worker]", 'command: ["/bin/sh", "-c", "exit 3"]').replace("spec:\n  selector", "spec:\n  replicas: 1\n  selector")
        server = self.serve(*self.IMAGE, "-f", self.file("crash.yaml", manifest))
        pod = until(lambda: (p := server.pods()) and p[0]["restarts"] >= 1 and p[0])
        self.assertIn("3", json.dumps(pod))
        self.assertIn("CrashLoopBackOff", until(lambda: [p["status"] for p in server.pods() if p["status"] == "CrashLoopBackOff"])[0])

    def test_the_end_of_a_replica_is_told_of_the_job_that_it_ran(self):
        deployment = DEPLOYMENT.replace("args: [worker]", f'command: [/bin/sh, -c, "echo last words >&2; JOBMILL_VERSION=1.2 exec {EXAMPLE} worker"]')
        server = self.serve(*self.IMAGE, "-f", self.file("scaling.yaml", deployment + SCALING + JOBS_TRIGGER))
        self.enqueue(server, ms=60_000, max_crashes=1)
        until(lambda: server.metric("workers")["occupiedWorkers"] == 1)
        os.kill(server.pods()[0]["pid"], signal.SIGKILL)
        job = until(lambda: server.jobs("FAILED"))[0]
        failure = server.job(job["id"])["history"][-1]
        self.assertEqual(("jobmill.CrashLimit", "signal 9"), (failure["exceptionType"], failure["exceptionMessage"]))
        crash = failure["crash"]
        self.assertEqual(9, crash["signal"])
        self.assertGreater(crash["peakRss"], 1_000_000)
        self.assertTrue(crash["stderrTail"].startswith("last words\n"), crash)
        self.assertEqual("1.2", crash["build"])


class Manifests(SystemTest):
    IMAGE = Scaling.IMAGE

    def apply(self, server, text, name="m.yaml"):
        return self.run_jobmill("apply", "-f", self.file(name, text), server=server)

    def test_the_walkthroughs_folder_applies_and_says_what_is_not_used_here(self):
        server = self.serve(*self.IMAGE, "--service", "jobrunr-service:8000=127.0.0.1:1")
        applied = self.run_jobmill("apply", "-f", K8S, server=server)
        self.assertEqual(0, applied.returncode, applied.stderr)
        self.assertIn("scaledobject/jobrunr-scaling created", applied.stdout)
        self.assertRegex(applied.stderr, r"(?i)deployment/postgres: not used on this machine \(--image postgres=off\)")
        self.assertRegex(applied.stderr, r"(?i)deployment/jobmill: not used on this machine \(--image jobmill=off\)")
        self.assertRegex(applied.stderr, r"(?i)customresourcedefinition/scaledobjects.keda.sh: not used on this machine")
        again = self.run_jobmill("apply", "-f", K8S, server=server)
        self.assertIn("scaledobject/jobrunr-scaling unchanged", again.stdout)
        secret = self.run_jobmill("get", "secrets", "-o", "yaml", server=server)
        self.assertNotIn("dashboard-password", secret.stdout)
        self.assertNotIn("dashboard-password", self.run_jobmill("describe", "secret", server=server).stdout)

    def test_the_copy_that_kubectl_keeps_of_a_secret_is_masked_too(self):
        server = self.serve()
        note = "{kubectl.kubernetes.io/last-applied-configuration: '{\"stringData\":{\"a\":\"hunter2\"}}'}"
        secret = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: s, annotations: {note}}}\nstringData: {{a: hunter2}}\n"
        self.assertEqual(0, self.apply(server, secret).returncode)
        self.assertNotIn("hunter2", server.get("/v1/manifests/Secret").body.decode())

    def test_errors_have_file_and_line_and_nothing_is_applied(self):
        server = self.serve(*self.IMAGE)
        good = DEPLOYMENT + SCALING + JOBS_TRIGGER
        line = {text: 1 + good[:good.index(text)].count("\n") for text in ("pollingInterval", "targetValue", "maxReplicaCount")}
        for change, where, words in (
            (("pollingInterval: 2", "pollingInterval: soon"), line["pollingInterval"], ["pollingInterval", "integer"]),
            (("maxReplicaCount: 5", "maxReplicas: 5"), line["maxReplicaCount"], ["maxReplicas", "maxReplicaCount"]),
            (('targetValue: "8"', "targetValue: 8"), line["targetValue"], ["targetValue", "string"]),
            (("type: jobs", "type: kafkaa"), line["targetValue"] - 1, ["kafkaa"]),
        ):
            with self.subTest(change[1]):
                refused = self.apply(server, good.replace(*change))
                self.assertEqual(64, refused.returncode, refused.stderr)
                self.assertRegex(refused.stderr, rf"m\.yaml:{where}: ")
                for word in words:
                    self.assertIn(word, refused.stderr)
                self.assertEqual([], server.get("/v1/manifests/Deployment").json["items"])

    def test_triggers_that_cannot_be_read_are_refused_with_their_line(self):
        server = self.serve(*self.IMAGE)
        good = DEPLOYMENT + SCALING
        for metadata, words in (
            ('{metric: backlog, targetValue: "eight"}', ["jobs", "targetValue"]),
            ('{metric: size, targetValue: "8"}', ["jobs", "metric"]),
            ('{targetValue: "8", targetValu: "8"}', []),  # as KEDA does: not looked at
        ):
            with self.subTest(metadata):
                trigger = f"    - type: jobs\n      metadata: {metadata}\n"
                done = self.apply(server, good + trigger)
                if not words:
                    self.assertEqual(0, done.returncode, done.stderr)
                    continue
                self.assertEqual(64, done.returncode, done.stderr)
                self.assertRegex(done.stderr, rf"m\.yaml:{(good + trigger).count(chr(10))}: trigger 0 ")
                for word in words:
                    self.assertIn(word, done.stderr)
                self.assertEqual([], server.get("/v1/manifests/Deployment").json["items"])
        required = self.apply(server, good + '    - type: cron\n      metadata: {timezone: UTC, start: "0 8 * * *"}\n')
        self.assertEqual(64, required.returncode)
        self.assertIn("end", required.stderr)
        # What comes from variables of a Deployment that is not there yet cannot be judged now.
        unknown = self.apply(server, SCALING.replace("name: scaling", "name: later").replace("name: workers", "name: absent")
                             + '    - type: metrics-api\n      metadata: {url: "http://127.0.0.1:9/", valueLocation: v, targetValue: "1", authMode: apiKey, apiKeyFromEnv: KEY}\n')
        self.assertEqual(0, unknown.returncode, unknown.stderr)

    def test_kinds_that_are_not_ours(self):
        server = self.serve()
        ours = self.apply(server, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web}\nspec: {}\n")
        self.assertEqual(0, ours.returncode)
        self.assertRegex(ours.stderr, r"(?i)ingress/web: not used on this machine")
        foreign = self.apply(server, "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\n")
        self.assertEqual(64, foreign.returncode)
        self.assertIn("m.yaml", foreign.stderr)

    def test_an_image_without_a_meaning_is_an_error_that_names_the_flag(self):
        server = self.serve()
        refused = self.apply(server, DEPLOYMENT)
        self.assertEqual(64, refused.returncode)
        self.assertIn("jobmill-example:latest", refused.stderr)
        self.assertIn("--image", refused.stderr)

    def test_bad_manifests_at_start_exit_64(self):
        done = self.run_jobmill("serve", "--data", self.folder / "d", "--http", "127.0.0.1:0", "-f", self.file("bad.yaml", "a: [\n"))
        self.assertEqual(64, done.returncode, done.stderr)
        self.assertIn("bad.yaml", done.stderr)

    def test_a_missing_manifest_exits_64(self):
        missing = self.run_jobmill("serve", "--data", self.folder / "d", "--http", "127.0.0.1:0", "-f", self.folder / "nothing.yaml")
        self.assertEqual(64, missing.returncode, missing.stderr)
        self.assertIn("nothing.yaml", missing.stderr)

    def test_applied_objects_stay_until_they_are_deleted(self):
        server = self.serve(*self.IMAGE)
        self.assertEqual(0, self.apply(server, DEPLOYMENT + SCALING + JOBS_TRIGGER).returncode)
        server.close()
        again = self.serve(*self.IMAGE)
        self.assertEqual(["scaling"], [item["name"] for item in again.get("/v1/manifests/ScaledObject").json["items"]])
        self.assertEqual(0, self.run_jobmill("delete", "-f", self.folder / "m.yaml", server=again).returncode)
        self.assertEqual(1, self.run_jobmill("delete", "-f", self.folder / "m.yaml", server=again).returncode)
        self.assertEqual([], again.get("/v1/manifests/ScaledObject").json["items"])

    def test_a_missing_secret_is_named_and_the_other_triggers_go_on(self):
        server = self.serve(*self.IMAGE)
        auth = """
apiVersion: keda.sh/v1alpha1
kind: TriggerAuthentication
metadata: {name: creds}
spec:
  secretTargetRef: [{parameter: username, name: nowhere, key: user}]
---
"""
        trigger = '    - type: metrics-api\n      metadata: {url: "http://127.0.0.1:9/", valueLocation: v, targetValue: "1", authMode: basic}\n      authenticationRef: {name: creds}\n'
        applied = self.apply(server, auth + DEPLOYMENT + SCALING + trigger + JOBS_TRIGGER)
        self.assertEqual(0, applied.returncode, applied.stderr)
        self.enqueue(server, count=16, delay="PT60S")
        until(lambda: server.get("/v1/scale/scaling").json["replicas"]["wanted"] == 2)
        self.assertIn("nowhere", json.dumps(server.get("/v1/manifests/ScaledObject?name=scaling").json["items"][0]["status"]))
