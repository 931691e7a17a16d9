"""Control servers and workers on PostgreSQL: several of them, and what goes wrong."""
import socket
import sys
import threading
import time
import unittest

from harness import BIN, ROOT, Process, SystemTest, until
from postgres import PASSWORD, USER, Postgres

sys.path.insert(0, str(ROOT / "tests/chaos"))
import chaos  # noqa: E402


class Proxy(threading.Thread):
    """A TCP proxy that may hold everything back for a while, and then delivers it."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.target, self.flowing, self.ended = port, threading.Event(), False
        self.flowing.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.start()

    def run(self):
        while not self.ended:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=ends, daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                self.flowing.wait()
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            end.close()

    def close(self):
        self.ended = True
        self.flowing.set()
        self.listener.close()


class OnPostgres(SystemTest):
    @classmethod
    def setUpClass(cls):
        cls.database = Postgres(fsync=False)
        cls.addClassCleanup(cls.database.close)

    def setUp(self):
        super().setUp()
        self.name = "t" + self.id().rsplit(".", 1)[1].lower()[:50]
        self.url = self.database.fresh_database(self.name)

    def sql(self, text):
        return self.database.execute(text, self.name)

    def server(self, name, *flags, url=None, env=None):
        return self.serve("--store", url or self.url, *flags, data=self.folder / name, env=env)

    def crew(self, url, slots=20):
        worker = Process([BIN / "chaos_worker", url, slots, self.folder / "ledger"], ready=None)
        self.addCleanup(worker.close)
        return worker

    def put(self, server, count, ms=0, **spec):
        answer = server.call("POST", "/v1/jobs", {"kind": "chaos.work", "args": [ms], "count": count, **spec})
        self.assertEqual(201, answer.status, answer.body)
        return answer.json

    def succeeded(self):
        return int(self.sql("SELECT count(*) FROM jobmill_done WHERE state = 5"))

    def all_succeed(self, count, seconds=180):
        until(lambda: self.succeeded() >= count, seconds, f"{count} jobs succeeded")
        self.assertEqual(count, self.succeeded())
        self.assertEqual("0", self.sql("SELECT count(*) FROM jobmill_event WHERE state = 5"), "a job succeeded twice")
        self.assertEqual(0, chaos.doubled(chaos.runs_of(self.folder / "ledger"), {}))
        self.assertEqual("0|0", self.sql("SELECT sum(enqueued), sum(running) FROM jobmill_count"))


class ManyServers(OnPostgres):
    def test_what_one_server_is_given_wakes_workers_of_the_other(self):
        one, two = self.server("one"), self.server("two")
        self.crew(two.url)
        until(lambda: one.metric("workers")["totalWorkers"] == 20)
        for _ in range(20):
            job = self.put(one, 1)["jobs"][0]["id"]
            until(lambda: one.job(job)["state"] == "SUCCEEDED")
        self.put(two, 1, delay="PT1S")
        until(lambda: one.metric("jobs/scheduled")["count"] == 1)
        self.all_succeed(21)

    def test_another_server_takes_over_when_the_leader_is_killed(self):
        names = ("one", "two")
        servers = {name: self.server(name, url=f"{self.url}?application_name={name}") for name in names}
        leader = self.sql("SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'")
        victim = servers.pop(leader)
        other, = servers.values()
        self.crew(other.url)
        self.put(other, 5, delay="PT1S")
        victim.kill()
        began = time.monotonic()
        self.all_succeed(5)
        self.assertLess(time.monotonic() - began, 25, "five seconds to take over, one until the jobs are due; a lease lasts longer")

    def test_a_worker_may_use_the_database_itself_and_hear_of_everything(self):
        server = self.server("one")
        worker = self.crew(self.url)
        until(lambda: server.metric("workers")["totalWorkers"] == 20)
        self.put(server, 500)
        self.all_succeed(500)
        worker.kill(15)
        self.assertEqual(0, worker.wait())
        until(lambda: server.metric("workers")["totalWorkers"] == 0)

    def test_a_late_completion_of_a_lost_lease_is_refused_and_changes_nothing(self):
        server = self.server("one")
        def register():
            return server.call("POST", "/v1/workers", {"name": "w", "concurrency": 1}).json["worker_id"]
        def claim(worker):
            return server.call("POST", f"/v1/workers/{worker}/claim", {"max": 1, "wait_ms": 20000}).json["jobs"]
        first = register()
        job = self.put(server, 1)["jobs"][0]["id"]
        lost = claim(first)[0]
        self.sql("UPDATE jobmill_worker SET last_beat = last_beat - interval '40 s'")
        second = register()  # also tells the server to look whether somebody is lost
        again = claim(second)[0]
        self.assertEqual((job, 1), (again["id"], again["crashes"]))
        late = server.call("POST", f"/v1/jobs/{job}/complete", {"lock_token": lost["lock_token"]})
        self.assertEqual((409, "lease_lost"), (late.status, late.json["code"]))
        self.assertEqual("PROCESSING", server.job(job)["state"])
        self.assertEqual(204, server.call("POST", f"/v1/jobs/{job}/complete", {"lock_token": again["lock_token"]}).status)
        self.assertEqual("SUCCEEDED", server.job(job)["state"])


class Faults(OnPostgres):
    def test_the_database_restarts_in_the_middle_of_twenty_thousand_jobs(self):
        database = Postgres(fsync=True)
        self.addCleanup(database.close)
        self.sql = database.execute
        self.url = database.url
        server = self.server("one", "--config", self.file("config.yaml", "storage: {unhealthy_grace: 0s}\n"))
        self.crew(server.url)
        self.crew(self.url)
        self.put(server, 20_000)
        until(lambda: self.succeeded() > 2000)
        database.crash()
        until(lambda: server.get("/health/ready").status == 503)
        refused = server.call("POST", "/v1/jobs", {"kind": "chaos.work", "args": [0]})
        self.assertEqual((503, "storage_unavailable"), (refused.status, refused.json["code"]))
        self.assertIn("Retry-After", refused.headers)
        self.assertEqual(200, server.get("/health/live").status)
        database.start()
        until(lambda: server.get("/health/ready").status == 200)
        self.all_succeed(20_000)

    def test_connections_are_killed_again_and_again(self):
        server = self.server("one")
        self.crew(server.url)
        self.crew(self.url)
        self.put(server, 5000)
        for _ in range(10):
            self.sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                     " WHERE datname = current_database() AND pid <> pg_backend_pid()")
            before = self.succeeded()
            until(lambda: self.succeeded() > min(before, 4999) or self.succeeded() == 5000)
        self.all_succeed(5000)

    def test_a_network_that_holds_everything_back_for_longer_than_a_lease(self):
        proxy = Proxy(self.database.port)
        self.addCleanup(proxy.close)
        near = self.server("near")
        far = self.server("far", url=self.database.url_of(self.name, port=proxy.port))
        self.crew(far.url)
        self.crew(near.url)
        self.put(near, 2000, ms=20)
        until(lambda: self.succeeded() > 300)
        proxy.flowing.clear()
        time.sleep(31)  # longer than the lease of 30 s: that is what is tested
        proxy.flowing.set()
        until(lambda: self.succeeded() >= 2000, 180)
        self.assertEqual(2000, self.succeeded())
        self.assertEqual("0", self.sql("SELECT count(*) FROM jobmill_event WHERE state = 5"))

    def test_a_host_whose_clock_is_ninety_seconds_ahead(self):
        self.with_wrong_clock("+90s")

    def test_a_host_whose_clock_is_ninety_seconds_behind(self):
        self.with_wrong_clock("-90s")

    def with_wrong_clock(self, offset):
        right = self.server("right")
        wrong = self.server("wrong", env={"LD_PRELOAD": "/usr/$LIB/faketime/libfaketime.so.1", "FAKETIME": offset,
                                          "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
        right.close()  # so that the one with the wrong clock leads
        self.crew(wrong.url)
        later = self.put(wrong, 1, delay="PT80S")["jobs"][0]["id"]
        self.assertEqual((0, 1), tuple(wrong.metric(f"jobs/scheduled?runInMax={time}")["count"] for time in ("PT20S", "PT100S")))
        self.put(wrong, 3, delay="PT3S")
        self.all_succeed(3)
        self.assertEqual("SCHEDULED", wrong.job(later)["state"])
        self.assertEqual("0", self.sql("SELECT count(*) FROM jobmill_event e JOIN jobmill_job j USING (id) WHERE e.n = 2"
                                       " AND e.at < (j.first_event::json ->> 'scheduledAt')::timestamptz"), "early")
        self.assertEqual(20, wrong.metric("workers")["totalWorkers"], "its worker counts as lost")

    def test_servers_and_workers_are_killed_at_random(self):
        result = chaos.run(chaos.arguments(["--seconds", "12", "--kills", "6", "--rate", "150", "--seed", "7"]))
        self.assertTrue(chaos.good(result), result)
        self.assertGreater(result["kills"], 5)


class Refusals(OnPostgres):
    def start_with(self, url):
        return self.run_jobmill("serve", "--data", self.folder / "d", "--http", "127.0.0.1:0", "--store", url)

    def test_a_right_that_is_missing_is_named_with_its_grant(self):
        self.server("one").close()
        self.database.execute("DROP ROLE IF EXISTS low; CREATE ROLE low LOGIN PASSWORD 'low'")
        low = self.database.url_of(self.name, "low", "low")
        refused = self.start_with(low)
        self.assertEqual(77, refused.returncode, refused.stderr)
        self.assertRegex(refused.stderr, r"GRANT \w+.* ON .*jobmill_schema_version TO \"?low")
        granted = self.run_jobmill("migrate", "--store", self.url, "--grant", "low")
        self.assertEqual(0, granted.returncode, granted.stderr)
        server = self.server("two", url=low)
        self.crew(server.url)
        self.put(server, 20)
        self.all_succeed(20)
        self.sql("REVOKE INSERT ON jobmill_job FROM low")
        refused = server.call("POST", "/v1/jobs", {"kind": "chaos.work", "args": [0]})
        self.assertIn(refused.status, (403, 500, 503), refused.body)
        self.assertRegex(refused.json["detail"], r"GRANT .*INSERT.* ON .*jobmill_job TO \"?low")

    def test_json_that_a_database_might_not_take_is_kept_as_it_came(self):
        server = self.server("one")
        kept = b'[1e999,"\\u0000",123456789012345678901234567890,"\xc3\xa9\xf0\x9f\x98\x80"]'
        made = server.call("POST", "/v1/jobs", b'{"kind":"k","args":' + kept + b"}")
        self.assertEqual(201, made.status, made.body)
        self.assertIn(b'"args":' + kept, server.get("/v1/jobs").body)
        for body in (b'{"kind":"a\\u0000b"}', b'{"kind":"k","queue":"\\u0000"}', b'{"kind":"k","labels":["\\u0000"]}', b'{"kind":"k","args":["\xff"]}',
                     b'{"kind":"k","args":' + b"[" * 500 + b"]" * 500 + b"}", b'{"kind":"k","priority":1e400}', b'{"kind":"k","meta":{"a\\u0000":1}}'):
            with self.subTest(body=body[:60]):
                answer = server.call("POST", "/v1/jobs", body)
                self.assertIn(answer.status, (201, 400), answer.body)
        worker = server.call("POST", "/v1/workers", {"name": "w", "concurrency": 9}).json["worker_id"]
        claimed = server.call("POST", f"/v1/workers/{worker}/claim", {"max": 9, "wait_ms": 20000})
        self.assertIn(b'"args":' + kept, claimed.body)
        for job in claimed.json["jobs"]:
            body = b'{"lock_token":"%s","type":"t","message":"\\u0000 \\u0001","stack":"\\u0000","retry":"never"}' % job["lock_token"].encode()
            self.assertEqual(200, server.call("POST", f"/v1/jobs/{job['id']}/fail", body).status)
            self.assertEqual("FAILED", server.job(job["id"])["state"])

    def test_a_wrong_password_an_encoding_a_missing_database_and_one_that_is_away(self):
        latin = self.name + "_latin"
        encoded = self.database.fresh_database(latin, "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        for url, code, text in ((encoded, 78, "UTF8"),
                                (self.database.url_of(self.name, password="guessed"), 77, USER),
                                (self.database.url_of("nowhere"), 78, "nowhere"),
                                (self.database.url_of(self.name, port=1), 75, "127.0.0.1")):
            refused = self.start_with(url)
            self.assertEqual(code, refused.returncode, refused.stderr)
            self.assertIn(text, refused.stderr)
            self.assertEqual(1, refused.stderr.count("\n"), refused.stderr)
            self.assertNotIn(PASSWORD, refused.stderr)
            self.assertNotIn("guessed", refused.stderr)

    def test_a_schema_of_another_version(self):
        self.server("one").close()
        self.sql("INSERT INTO jobmill_schema_version VALUES (999, 'of the future')")
        refused = self.start_with(self.url)
        self.assertEqual(78, refused.returncode, refused.stderr)
        self.assertIn("newer jobmill", refused.stderr)


if __name__ == "__main__":
    unittest.main()
