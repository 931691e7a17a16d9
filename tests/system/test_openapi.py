"""The OpenAPI document against the running server, by schemathesis; and /metrics from the outside."""
import pathlib
import subprocess

from harness import CLEAN, ROOT, SystemTest, http

HERE = pathlib.Path(__file__).resolve().parent
SCHEMATHESIS = ROOT / "build/clients/schemathesis/bin/schemathesis"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance," \
         "response_schema_conformance"


class Document(SystemTest):
    def prepare(self, server):
        """Something for the document's examples to be about."""
        self.assertEqual(201, server.call("POST", "/v1/jobs", {"id": "welcome", "kind": "mail.send", "queue": "mail"}).status)
        spec = {"schedule": "0 2 * * *", "spec": {"kind": "mail.report"}}
        self.assertEqual(201, server.call("PUT", "/v1/recurring/nightly", spec).status)
        namespace = "/subscriptions/s/resourceGroups/demo/providers/Microsoft.ServiceBus/namespaces/demo"
        for path in ("", "/queues/orders"):
            made = server.call("PUT", f"{namespace}{path}?api-version=2021-11-01", {"location": "here"})
            self.assertIn(made.status, (200, 201), made.body)

    def test_a_running_server_answers_as_the_document_says(self):
        server = self.serve("--amqp", "127.0.0.1:0", "--amqps", "off", "--admin", "off", "--admin-http", "off",
                            "--identity", "off")
        self.prepare(server)
        words = [SCHEMATHESIS, "run", server.url + "/v1/openapi.json", "--checks", CHECKS, "--phases",
                 "examples,coverage,fuzzing", "--max-examples", "10", "--max-time", "45", "--workers", "1",
                 "--request-timeout", "60", "--seed", "1", "--generation-database", "none", "--no-shrink",
                 "--exclude-path-regex", "^/sse/",  # these answers do not end
                 "--continue-on-failure", "--suppress-health-check", "all", "--warnings", "off", "--no-color"]
        env = {**CLEAN, "SCHEMATHESIS_HOOKS": "openapi_hooks", "PYTHONPATH": str(HERE)}
        done = subprocess.run([str(word) for word in words], cwd=self.folder, env=env, capture_output=True, text=True,
                              timeout=600)
        self.assertEqual(0, done.returncode, done.stdout[-20_000:] + done.stderr[-2_000:])
        self.assertEqual(200, server.get("/health").status)

    def test_bodies_that_no_schema_imagines_are_refused_as_problems(self):
        server = self.serve()
        nul = b'{"kind":"a\\u0000b","args":["\\u0000"]}'
        for body in (b"[" * 100_000, b'{"kind":"k","args":' + b"[" * 500 + b"]" * 500 + b"}", b'{"kind":"a\0b"}',
                     b'{"kind":"k","priority":1e400}', b'{"kind":"k","v":99999999999999999999999}',
                     b'{"kind":"\xff"}', b'{"kind":"k"', nul):
            with self.subTest(body=body[:60]):
                answer = server.call("POST", "/v1/jobs", body)
                self.assertEqual(400, answer.status, answer.body[:500])
                self.assertEqual("application/problem+json", answer.headers["Content-Type"])
                self.assertTrue(answer.json["code"])
        kept = server.call("POST", "/v1/jobs", b'{"kind":"k","args":[1e999,"\\u0000",123456789012345678901234567890]}')
        self.assertEqual(201, kept.status, "arguments are only the handler's business")
        self.assertIn(b'"args":[1e999,"\\u0000",123456789012345678901234567890]', server.get("/v1/jobs").body)
        self.assertEqual(200, server.get("/health").status)


class Metrics(SystemTest):
    def test_prometheus_reads_them_with_the_credentials_of_the_api(self):
        password = self.file("password", "secret\n")
        server = self.serve("--user", "ann", "--password-file", password)
        user = ("ann", "secret")
        server.call("POST", "/v1/jobs", {"kind": "mail.send", "queue": "mail", "count": 3}, user=user)
        self.assertEqual(401, server.get("/metrics").status)
        answer = server.get("/metrics", user=user)
        self.assertEqual("text/plain; version=0.0.4; charset=utf-8", answer.headers["Content-Type"])
        lines = answer.body.decode().splitlines()
        for line in ('jobmill_jobs{state="ENQUEUED",queue="mail"} 3',
                     'jobmill_jobs_enqueued_total{queue="mail",kind="mail.send"} 3',
                     'jobmill_queue_consumable{queue="mail"} 3', "jobmill_storage_healthy 1", "jobmill_leader 1"):
            self.assertIn(line, lines)
        self.assertTrue(any(line.startswith('jobmill_storage_seconds_bucket{op="insert"') for line in lines))
        self.assertFalse(any(line.startswith("jobrunr") for line in lines))

    def test_they_may_be_public_and_have_the_names_of_jobrunr(self):
        config = self.file("jobmill.yaml", "users:\n- {name: v, password: p, role: viewer}\n"
                                           "metrics: {public: true, aliases: jobrunr}\n")
        server = self.serve("--config", config)
        answer = server.get("/metrics")
        self.assertEqual(200, answer.status)
        self.assertIn(b"# TYPE jobrunr_jobs_runs_total counter", answer.body)
        self.assertEqual(401, server.get("/v1/jobs").status)
        self.assertEqual(403, http("GET", server.url + "/metrics", headers={"Origin": "https://elsewhere.example"}).status)
