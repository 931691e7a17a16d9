"""Servers and workers on PostgreSQL whose disk is full, whose database takes no writes, or whose host sleeps."""
import signal
import time

from harness import alive, until
from postgres import Postgres
from test_postgres import OnPostgres

import chaos  # test_postgres knows where it is

AT_ONCE = "storage: {unhealthy_grace: 0s}\n"


def lines_of(ledger):
    return [line.split()[:3] for line in ledger.read_text().splitlines()] if ledger.exists() else []


class Hosts(OnPostgres):
    def strict_server(self, name, **more):
        """Its readiness has no patience with the store."""
        return self.server(name, "--config", self.file("config.yaml", AT_ONCE), **more)

    def ready(self, server):
        answer = server.get("/health/ready")
        return answer.status, answer.json.get("store", "")

    def refusal(self, server, **spec):
        answer = server.call("POST", "/v1/jobs", {"kind": "chaos.work", "args": [0], **spec})
        self.assertEqual((503, "storage_unavailable"), (answer.status, answer.json["code"]), answer.body)
        self.assertIn("Retry-After", answer.headers)
        return answer.json["detail"]

    def runs(self):
        """job -> its runs, as the workers noted them."""
        return chaos.runs_of(self.folder / "ledger")


class Disks(Hosts):
    def test_a_full_disk_is_said_to_be_one_and_passes(self):
        database = Postgres(fsync=False, small_disk="24m")
        self.addCleanup(database.close)
        ballast = database.small / "ballast"
        database.execute(f"CREATE TABLESPACE small LOCATION '{database.small}'", "postgres")
        url = database.fresh_database("jobs", "ENCODING 'UTF8' TEMPLATE template0 TABLESPACE small")
        self.sql = lambda text: database.execute(text, "jobs")
        server = self.strict_server("one", url=url)
        kept = self.put(server, 100)
        with self.assertRaisesRegex(RuntimeError, "No space left"):
            database.execute(f"COPY (SELECT repeat('x', 8000) FROM generate_series(1, 100000)) TO '{ballast}'", "postgres")

        self.assertIn("disk of database jobs", self.refusal(server, count=20_000))
        status, why = until(lambda: (seen := self.ready(server))[0] == 503 and seen, what="that it is not ready")
        self.assertIn("is full", why)
        self.assertEqual(200, server.get("/health/live").status)
        self.assertEqual(100, server.metric("jobs/enqueued")["count"], "what was refused is not there, and what was there is")

        database.execute(f"COPY (SELECT 1 LIMIT 0) TO '{ballast}'", "postgres")
        until(lambda: self.ready(server)[0] == 200, what="that it is ready again, though nobody writes")
        self.put(server, 400)
        self.crew(server.url)
        self.all_succeed(500)
        self.assertEqual("SUCCEEDED", server.job(kept["jobs"][0]["id"])["state"])


class Standbys(Hosts):
    def test_a_database_that_takes_no_writes_is_said_to_be_a_standby_until_it_is_promoted(self):
        database = Postgres(fsync=False)
        self.addCleanup(database.close)
        self.sql = database.execute
        server = self.strict_server("one", url=database.url)
        self.crew(server.url)
        self.put(server, 20)
        self.put(server, 20, delay="PT2S")
        database.restart_as_standby()
        status, why = until(lambda: (seen := self.ready(server))[0] == 503 and "standby" in seen[1] and seen, what="that it is not ready")
        self.assertIn("is a read-only standby", why)
        self.assertIn("read-only standby", self.refusal(server))
        refused = self.run_jobmill("serve", "--data", self.folder / "two", "--http", "127.0.0.1:0", "--store", database.url)
        self.assertEqual(75, refused.returncode, refused.stderr)
        self.assertIn("is a read-only standby", refused.stderr)
        database.execute("SELECT pg_promote()")
        until(lambda: self.ready(server)[0] == 200, what="that it is ready again")
        self.put(server, 20)
        self.all_succeed(60)


class Leaders(Hosts):
    def test_a_leader_that_sleeps_is_followed_and_finds_out_when_it_wakes(self):
        servers = {name: self.server(name, url=f"{self.url}?application_name={name}") for name in ("one", "two")}
        lead = "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted"
        old = self.sql(lead)
        new, = set(servers) - {old}
        self.crew(servers[new].url)
        spec = {"kind": "chaos.work", "args": [0]}
        self.assertIn(servers[new].call("PUT", "/v1/recurring/tick", {"schedule": "PT1S", "missed": "all", "spec": spec}).status, (200, 201))
        until(lambda: self.succeeded() >= 1, what="the first run")
        servers[old].kill(signal.SIGSTOP)
        self.addCleanup(servers[old].kill, signal.SIGCONT)
        # Its host sleeps: the database gives the connection up that holds the lock, and only that one.
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        seen = self.succeeded()
        until(lambda: self.sql(lead) == new, what="another leader")
        self.put(servers[new], 20, delay="PT2S")
        until(lambda: self.succeeded() >= seen + 22, what="runs under the new leader")
        servers[old].kill(signal.SIGCONT)  # and believes for a moment that it leads
        self.put(servers[old], 20, delay="PT1S")
        seen = self.succeeded()
        until(lambda: self.succeeded() >= seen + 22, what="runs while both are awake")
        self.assertEqual(new, self.sql(lead))

        self.assertEqual(204, servers[old].call("DELETE", "/v1/recurring/tick").status)
        until(lambda: self.sql("SELECT (SELECT count(*) FROM jobmill_hot) + (SELECT count(*) FROM jobmill_due)") == "0", what="the end of all")
        occurrences = self.sql("SELECT substring(first_event FROM '20[0-9-]+T[0-9:.]+Z') FROM jobmill_job WHERE recurring = 'tick'").split("\n")
        self.assertEqual(sorted(set(occurrences)), sorted(occurrences), "one run for each occurrence")
        self.assertEqual("0", self.sql("SELECT count(*) FROM jobmill_event WHERE state = 5"), "a job succeeded twice")
        self.assertEqual({1}, {len(runs) for runs in self.runs().values()})
        servers[new].kill()
        until(lambda: self.sql(lead) == old, what="that the old one leads again")


class Sleep(Hosts):
    def test_what_a_sleeping_worker_held_is_done_by_another_and_its_late_word_refused(self):
        server = self.server("one")
        for url in (server.url, self.url):  # through a server and by itself
            with self.subTest(url=url.split(":")[0]):
                ledger = self.folder / "ledger"
                ledger.unlink(missing_ok=True)
                sleeper = self.crew(url, slots=4)
                jobs = [job["id"] for job in self.put(server, 4, ms=3000)["jobs"]]
                until(lambda: len([line for line in lines_of(ledger) if line[0] == "B"]) == 4, what="four runs")
                sleeper.kill(signal.SIGSTOP)
                self.assertEqual(4, server.metric("workers")["occupiedWorkers"], "they ended too early to be held")
                self.sql("UPDATE jobmill_worker SET last_beat = last_beat - interval '40 s'")  # it has slept that long
                helper = self.crew(server.url, slots=4)
                until(lambda: all(server.job(job)["state"] == "SUCCEEDED" for job in jobs), what="what another made of them")
                before = [server.job(job) for job in jobs]
                sleeper.kill(signal.SIGCONT)
                until(lambda: len([line for line in lines_of(ledger) if line[0] != "B" and int(line[2]) == sleeper.pid]) == 4, what="its late ends")
                until(lambda: server.metric("workers")["totalWorkers"] == 8, what="that it registers again")
                self.assertEqual(before, [server.job(job) for job in jobs], "a late word changed something")
                self.assertEqual([1] * 4, [job["crashes"] for job in before])
                self.assertEqual("0", self.sql("SELECT count(*) FROM jobmill_event WHERE state = 5"))
                helper.kill(signal.SIGTERM)
                self.assertEqual(0, helper.wait())
                more = [job["id"] for job in self.put(server, 4)["jobs"]]
                until(lambda: all(server.job(job)["state"] == "SUCCEEDED" for job in more), what="new jobs of who slept")
                sleeper.kill(signal.SIGTERM)
                self.assertEqual(0, sleeper.wait())

    def test_a_host_that_slept_longer_than_a_lease_gives_nobody_up(self):
        server = self.server("one")
        worker = self.crew(self.url, slots=2)
        go = self.put(server, 2, ms=40_000)["jobs"]
        until(lambda: server.metric("workers")["occupiedWorkers"] == 2, what="two runs")
        everybody = [server.kill, worker.kill, self.database.signal_all]
        self.addCleanup(lambda: [send(signal.SIGCONT) for send in everybody])
        asleep = time.monotonic()
        for send in everybody:
            send(signal.SIGSTOP)
        time.sleep(35)  # longer than the lease of 30 s: that is what is tested
        for send in reversed(everybody):
            send(signal.SIGCONT)
        until(lambda: self.succeeded() == 2, what="the end of both")
        self.assertEqual([0, 0], [server.job(job["id"])["crashes"] for job in go])
        self.assertEqual({1}, {len(runs) for runs in self.runs().values()})
        self.assertTrue(alive(worker.pid))
