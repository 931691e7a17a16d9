"""`jobmill migrate` from the outside: stores, users, schemas of other versions."""
import contextlib
import json
import pathlib
import subprocess
import tempfile
import unittest

from harness import CLEAN, JOBMILL, Server
from postgres import PASSWORD, Postgres


def migrate(*words, env=None):
    return subprocess.run([JOBMILL, "migrate", *map(str, words)], capture_output=True, text=True, timeout=60,
                          env={**CLEAN, **(env or {})})


class Migrate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Postgres(fsync=False)
        cls.addClassCleanup(cls.server.close)

    def store(self, name):
        return self.server.fresh_database(name)

    def refused(self, done, code, *texts):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn(PASSWORD, done.stderr)
        for text in texts:
            self.assertIn(text, done.stderr)

    def done(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def status(self, store):
        return json.loads(self.done(migrate("--store", store, "--status", "-o", "json")))

    def test_an_empty_database_is_rehearsed_and_migrated(self):
        store = self.store("empty")
        self.assertEqual(self.status(store)["state"], "empty")
        self.refused(migrate("--store", store, "--check"), 78, "run jobmill migrate")
        self.assertIn("nothing was changed", self.done(migrate("--store", store, "--dry-run")))
        self.assertEqual(self.status(store)["state"], "empty")
        self.assertIn("schema 0 is now", self.done(migrate(env={"DATABASE_URL": store})))
        after = self.status(store)
        self.assertEqual((after["state"], after["schema"]), ("current", after["known"]))
        self.assertNotIn("word", after["store"])
        self.assertIn("nothing to do", self.done(migrate("--store", store)))
        self.done(migrate("--store", store, "--check"))

    def test_the_printed_sql_makes_the_same_schema(self):
        store = self.store("printed")
        self.server.execute(self.done(migrate("--show-sql")), "printed")
        self.done(migrate("--store", store, "--check"))

    def test_a_newer_and_an_older_schema_are_refused(self):
        store = self.store("versions")
        self.done(migrate("--store", store))
        self.server.execute("INSERT INTO jobmill_schema_version VALUES (999, 'of the future')", "versions")
        for words in ([], ["--check"], ["--dry-run"]):
            self.refused(migrate("--store", store, *words), 78, "made by a newer jobmill")
        self.assertEqual(self.status(store)["state"], "newer")
        self.server.execute("DELETE FROM jobmill_schema_version", "versions")
        self.refused(migrate("--store", store, "--check"), 78, "run jobmill migrate")

    def test_one_user_changes_the_schema_and_another_one_works(self):
        store = self.store("two_users")
        self.server.execute("CREATE ROLE runtime LOGIN PASSWORD 'low';"
                            "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "two_users")
        runtime = self.server.url_of("two_users", "runtime", "low")
        self.refused(migrate("--store", runtime), 77, "runtime")
        self.done(migrate("--store", runtime, "--migrate-url", store))
        self.refused(migrate("--store", runtime, "--check"), 77, "GRANT", "jobmill_schema_version", "runtime")
        granted = self.done(migrate("--store", store, "--grant", "runtime"))
        self.assertIn('GRANT SELECT, INSERT, UPDATE, DELETE ON public.jobmill_schema_version TO "runtime";', granted)
        self.done(migrate("--store", runtime, "--check"))
        self.refused(migrate("--store", store, "--grant", "nobody here"), 78, "nobody here")

    def test_what_cannot_be_reached_or_used(self):
        store = self.store("latin")
        self.refused(migrate("--store", store.replace("/latin", "/nowhere")), 78, "CREATE DATABASE")
        self.refused(migrate("--store", self.server.url_of("latin", password="wrong")), 77, "user jobmill", "127.0.0.1")
        self.refused(migrate("--store", self.server.url_of("latin", port=1)), 75, "cannot be reached")
        other = self.server.fresh_database("latin1", "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        self.refused(migrate("--store", other), 78, "UTF8")
        self.refused(migrate("--store", "mysql://x"), 78, "postgres://")
        self.refused(migrate("--store", "postgres://user:se%zzcret@h/d"), 78, "cannot be read")
        self.refused(migrate("--status", "--check"), 2, "--status")

    def test_a_sqlite_file_says_its_schema(self):
        with tempfile.TemporaryDirectory() as data:
            self.refused(migrate("--data", data, "--status"), 78, "there is no")
            with contextlib.closing(Server(data=data)):
                self.refused(migrate("--data", data, "--status"), 73, "in use by process")
            status = json.loads(self.done(migrate("--data", data, "--status", "-o", "json")))
            self.assertEqual((status["state"], status["schema"]), ("current", status["known"]))
            store = f"sqlite:{pathlib.Path(data) / 'jobmill.db'}"
            self.assertEqual(status["store"], store)
            self.assertIn("nothing to do", self.done(migrate("--store", store)))
            self.refused(migrate("--store", store, "--grant", "x"), 2, "PostgreSQL")


if __name__ == "__main__":
    unittest.main()
