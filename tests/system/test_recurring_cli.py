"""Recurring jobs from the command line."""
import datetime
import json

from harness import SystemTest, until


class Recurring(SystemTest):
    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def recurring(self, *words, code=0):
        done = self.run_jobmill("recurring", *words, server=self.server)
        self.assertEqual(code, done.returncode, done.stderr)
        return done

    def test_from_creation_to_deletion(self):
        created = self.recurring("create", "nightly", "mail.report", "[1]", "--cron", "0 2 * * *", "--zone", "Europe/Brussels",
                                 "--misfire", "within=15m", "--queue", "bulk", "--label", "a:b", "--retries", "3", "--timeout", "5m")
        self.assertRegex(created.stdout, r"^recurring/nightly next run 20\S+Z\n$")
        shown = json.loads(self.recurring("show", "nightly", "-o", "json").stdout)
        self.assertEqual(("0 2 * * *", "Europe/Brussels", "within", "PT15M"),
                         tuple(shown[name] for name in ("scheduleExpression", "zoneId", "missed", "missedWithin")))
        spec = shown["spec"]
        self.assertEqual(("mail.report", [1], "bulk", ["a:b"], 3, 300),
                         tuple(spec[name] for name in ("kind", "args", "queue", "labels", "retries", "timeout_s")))
        self.assertIn("mail.report", self.recurring("show", "nightly").stdout)

        self.recurring("create", "tick", "k", "--every", "90s", "-o", "name")
        table = self.recurring("list").stdout
        self.assertRegex(table, r"ID +KIND +SCHEDULE +ZONE")
        self.assertRegex(table, r"tick +k +PT1M30S")
        self.assertEqual("recurring/nightly\nrecurring/tick\n", self.recurring("list", "-o", "name").stdout)

        job_id = self.recurring("trigger", "tick").stdout.strip()
        self.assertEqual("tick", self.server.job(job_id)["recurring_id"])
        self.assertEqual("recurring/tick deleted\nrecurring/nightly deleted\n", self.recurring("delete", "tick", "nightly").stdout)
        self.assertEqual([], json.loads(self.recurring("list", "-o", "json").stdout))
        self.assertEqual(1, self.recurring("delete", "tick", code=1).stderr.count("\n"))

    def test_a_paused_one_makes_no_runs(self):
        self.recurring("create", "tick", "k", "--every", "90s")
        self.assertEqual("recurring/tick paused\n", self.recurring("pause", "tick").stdout)
        self.assertRegex(self.recurring("list").stdout, r"tick +k +PT1M30S +UTC +paused")
        self.assertNotIn("nextRun", json.loads(self.recurring("show", "tick", "-o", "json").stdout))
        self.recurring("create", "tick", "k", "--every", "60s")
        self.assertNotIn("nextRun", json.loads(self.recurring("show", "tick", "-o", "json").stdout))
        self.assertEqual("recurring/tick\n", self.recurring("resume", "tick", "-o", "name").stdout)
        self.assertIn("nextRun", json.loads(self.recurring("show", "tick", "-o", "json").stdout))
        self.recurring("pause", "nothing", code=1)

    def test_next_runs_in_utc_and_in_the_zone(self):
        self.recurring("create", "nightly", "k", "--cron", "30 2 * * *", "--zone", "Europe/Brussels")
        runs = json.loads(self.recurring("next", "nightly", "-n", "400", "-o", "json").stdout)["next"]
        self.assertEqual(400, len(runs))
        instants = [datetime.datetime.fromisoformat(run["utc"].replace("Z", "+00:00")) for run in runs]
        self.assertEqual(instants, sorted(set(instants)))
        offsets = {run["local"].split()[-1] for run in runs}
        self.assertEqual({"+01:00", "+02:00"}, offsets)
        # 02:30 does not exist on one night of the year: then it is 03:00.
        self.assertEqual({"02:30:00", "03:00:00"}, {run["local"].split()[1] for run in runs})
        first = json.loads(self.recurring("show", "nightly", "-o", "json").stdout)["nextRun"]
        self.assertEqual(first, runs[0]["utc"])
        notes = [run["note"] for run in runs if "note" in run]
        self.assertEqual(["clocks have gone back: +02:00 is now +01:00", "clocks have gone forward: +01:00 is now +02:00"],
                         sorted(set(notes)))
        table = self.recurring("next", "nightly").stdout
        self.assertRegex(table, r"^UTC +LOCAL +NOTE")
        self.assertEqual(21, table.count("\n"))

    def test_it_runs(self):
        self.worker(self.server)
        self.recurring("create", "tick", "example.sample", '["tick", 0]', "--every", "1s")
        until(lambda: len(self.server.jobs("SUCCEEDED")) >= 2)

    def test_what_is_wrong_is_said(self):
        for words, code, text in (
            (["create", "x", "k"], 2, "--cron"),
            (["create", "x", "k", "--cron", "0 2 * * *", "--every", "1m"], 2, "--cron"),
            (["create", "x", "k", "--every", "often"], 64, "--every"),
            (["create", "x", "k", "[1", "--every", "1m"], 64, "ARGS-JSON"),
            (["create", "x", "k", "--cron", "0 0 30 2 *"], 64, "schedule"),
            (["create", "x", "k", "--every", "1m", "--misfire", "perhaps"], 64, "missed"),
            (["create", "x y", "k", "--every", "1m"], 64, "id"),
            (["show", "nothing"], 1, "nothing"),
            (["next", "nothing"], 1, "nothing"),
            (["trigger", "nothing"], 1, "nothing"),
        ):
            with self.subTest(words):
                refused = self.recurring(*words, code=code)
                self.assertIn(text, refused.stderr)
                self.assertEqual(1, refused.stderr.count("\n"), refused.stderr)
