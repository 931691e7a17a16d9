"""The control server from the outside: start, stop, refusals, exit codes."""
import json
import signal
import socket

from harness import SystemTest, until


class Start(SystemTest):
    def test_says_when_it_is_ready_and_answers_health_without_credentials(self):
        password = self.file("password", "secret\n")
        server = self.serve("--user", "ann", "--password-file", password)
        self.assertRegex(server.ready, r"^jobmill ready http=127\.0\.0\.1:\d+ amqp=off amqps=off admin=off admin-http=off identity=off\n$")
        self.assertEqual(200, server.get("/health").status)
        self.assertEqual(401, server.get("/v1/jobs").status)
        self.assertEqual(401, server.get("/v1/jobs", user=("ann", "wrong")).status)
        self.assertEqual(200, server.get("/v1/jobs", user=("ann", "secret")).status)

    def test_ends_with_0_on_sigterm_and_leaves_nothing_behind(self):
        server = self.serve()
        server.kill(signal.SIGTERM)
        self.assertEqual(0, server.wait())

    def test_a_second_server_on_the_same_folder_exits_73_and_names_the_holder(self):
        server = self.serve()
        second = self.run_jobmill("serve", "--data", self.folder / "data", "--http", "127.0.0.1:0")
        self.assertEqual(73, second.returncode, second.stderr)
        self.assertIn(str(server.pid), second.stderr)
        self.assertEqual(1, second.stderr.count("\n"))

    def test_an_address_in_use_exits_1_and_names_who_holds_it(self):
        server = self.serve()
        second = self.run_jobmill("serve", "--data", self.folder / "other", "--http", server.address)
        self.assertEqual(1, second.returncode, second.stderr)
        self.assertIn(server.address, second.stderr)
        self.assertIn(str(server.pid), second.stderr)

    def test_other_machines_are_not_let_in_without_credentials(self):
        answer = self.run_jobmill("serve", "--data", self.folder / "data", "--http", "0.0.0.0:0")
        self.assertEqual(78, answer.returncode, answer.stderr)
        self.assertIn("--user", answer.stderr)
        named = self.run_jobmill("serve", "--data", self.folder / "data", "--http", "127.example.org:0")
        self.assertEqual(78, named.returncode, "a name that only begins like loopback is not loopback")

    def test_kubernetes_is_refused_until_it_exists(self):
        for flags in (["--target", "kubernetes"],):
            self.assertEqual(78, self.run_jobmill("serve", "--data", self.folder / "d", *flags).returncode)

    def test_flags_of_later_listeners_are_accepted(self):
        self.serve("--amqp", "127.0.0.1:0", "--amqps", "off", "--admin", "off", "--admin-http", "off", "--identity", "off",
                   "--servicebus-key", "key", "--websocket", "off")

    def test_flag_beats_environment_beats_file(self):
        config = self.file("jobmill.yaml", "http: 127.0.0.1:1\nlog-level: error\nusers:\n- {name: v, password: p, role: viewer}\n")
        server = self.serve("--config", config, env={"JOBMILL_HTTP": "127.0.0.1:2"})
        self.assertNotIn(server.address, ("127.0.0.1:1", "127.0.0.1:2"))
        self.assertEqual(200, server.get("/v1/jobs", user=("v", "p")).status)
        self.assertEqual(403, server.call("POST", "/v1/jobs", {"kind": "k"}, user=("v", "p")).status)

    def test_sighup_takes_over_users_and_manifests(self):
        secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: %s}\n"
        config = self.file("jobmill.yaml", "users:\n- {name: ann, password: one}\n")
        manifest = self.file("m.yaml", secret % "first")
        server = self.serve("--config", config, "-f", manifest)
        config.write_text("users:\n- {name: ann, password: two}\n")
        manifest.write_text(secret % "second")
        server.kill(signal.SIGHUP)
        until(lambda: server.get("/v1/jobs", user=("ann", "two")).status == 200)
        self.assertEqual(401, server.get("/v1/jobs", user=("ann", "one")).status)
        names = lambda: [item["name"] for item in server.get("/v1/manifests/Secret", user=("ann", "two")).json["items"]]
        until(lambda: names() == ["first", "second"])
        config.write_text("users: {\n")
        server.kill(signal.SIGHUP)
        until(lambda: "jobmill.yaml" in server.stderr())
        self.assertEqual(200, server.get("/v1/jobs", user=("ann", "two")).status)

    def test_queues_have_the_order_of_the_file(self):
        config = self.file("jobmill.yaml", "queues: [critical, default]\n")
        server = self.serve("--config", config)
        for queue in ("bulk", "default", "critical"):
            server.call("POST", "/v1/jobs", {"kind": "k", "queue": queue})
        worker = server.call("POST", "/v1/workers", {"name": "w", "concurrency": 3, "protocol": 1}).json
        claimed = server.call("POST", f"/v1/workers/{worker['worker_id']}/claim", {"max": 3, "wait_ms": 0}).json
        self.assertEqual(["critical", "default", "bulk"], [job["queue"] for job in claimed["jobs"]])
        self.assertEqual(0, server.metric("jobs/enqueued?priority=0")["count"])

    def test_an_unknown_key_of_the_file_is_named_with_its_line(self):
        config = self.file("jobmill.yaml", "http: 127.0.0.1:0\nhtpp: x\n")
        answer = self.run_jobmill("serve", "--config", config)
        self.assertEqual(78, answer.returncode)
        self.assertIn("jobmill.yaml:2: unknown key 'htpp'", answer.stderr)

    def test_a_usage_error_exits_2_on_one_line(self):
        for words in (["serve", "--bogus"], ["nothing"], ["job"], ["job", "show"]):
            answer = self.run_jobmill(*words)
            self.assertEqual(2, answer.returncode, words)
            self.assertEqual(1, answer.stderr.count("\n"), answer.stderr)

    def test_without_a_server_commands_exit_69(self):
        answer = self.run_jobmill("job", "list", "--server", "http://127.0.0.1:9")
        self.assertEqual(69, answer.returncode)
        self.assertIn("jobmill dev", answer.stderr)

    def test_it_tells_systemd(self):
        path = str(self.folder / "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(path)
            listener.settimeout(60)
            self.serve(env={"NOTIFY_SOCKET": path})
            self.assertIn(b"READY=1", listener.recv(256))


class Requests(SystemTest):
    def test_web_pages_cannot_reach_it(self):
        server = self.serve()
        body = {"kind": "k"}
        for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
            self.assertEqual(403, server.call("POST", "/v1/jobs", body, headers=headers).status, headers)
        self.assertEqual(201, server.call("POST", "/v1/jobs", body, headers={"Origin": server.url}).status)

    def test_errors_are_problem_json(self):
        server = self.serve()
        for method, path, body, status in (("GET", "/nothing", None, 404), ("DELETE", "/v1/jobs", None, 405),
                                           ("POST", "/v1/jobs", b"{", 400), ("POST", "/v1/jobs", {"kin": "k"}, 400),
                                           ("GET", "/v1/jobs/nothing", None, 404)):
            answer = server.call(method, path, body)
            self.assertEqual(status, answer.status, path)
            self.assertTrue(answer.headers["Content-Type"].startswith("application/problem+json"), path)
            self.assertEqual({"type", "title", "status", "detail"}, {"type", "title", "status", "detail"} & set(answer.json))
        self.assertIn("kind", server.call("POST", "/v1/jobs", {"kin": "k"}).body.decode())

    def test_limits(self):
        server = self.serve()
        self.assertEqual(413, server.call("POST", "/v1/manifests/apply", b"x" * (5 << 20)).status)
        self.assertEqual(431, server.get("/health", headers={"X-Long": "x" * 20000}).status)

    def test_doctor_looks_at_this_machine_and_the_server(self):
        server = self.serve()
        answer = self.run_jobmill("doctor", "-o", "json", server=server)
        self.assertEqual(0, answer.returncode, answer.stdout)
        self.assertEqual({"data folder", "disk sync", "port 8000", "port 8080", "time zones", "cgroups", "server"},
                         {check["check"] for check in json.loads(answer.stdout)})
        self.assertEqual(1, self.run_jobmill("doctor", "--server", "http://127.0.0.1:9").returncode)
