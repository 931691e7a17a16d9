"""Jobs enqueued by SQL alone: a database, a control server, a worker, and psql."""
import json
import subprocess

from harness import CLEAN, JOBMILL, SystemTest, until
from postgres import Postgres

SAMPLE = "example.sample"


class SqlProducers(SystemTest):
    @classmethod
    def setUpClass(cls):
        cls.database = Postgres(fsync=False)
        cls.addClassCleanup(cls.database.close)
        cls.migrate()

    @classmethod
    def migrate(cls):
        done = subprocess.run([JOBMILL, "migrate", "--store", cls.database.url], capture_output=True, text=True, env=CLEAN,
                              timeout=60)
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def succeeded(self, server, job_id):
        return until(lambda: server.job(job_id)["state"] == "SUCCEEDED", what=f"job {job_id}")

    def test_jobs_of_psql_run_when_their_transaction_commits(self):
        server = self.serve("--store", self.database.url)
        self.worker(server)
        self.database.execute("CREATE TABLE orders (id int)")
        self.database.execute(f"BEGIN; INSERT INTO orders VALUES (1); SELECT jobmill_enqueue('{SAMPLE}', '[\"Lost\", 0]'); ROLLBACK")
        ids = self.database.execute(f"""
            BEGIN;
            INSERT INTO orders VALUES (2);
            SELECT jobmill_enqueue('{SAMPLE}', '["Mail", 0]', '{{"name": "mail {{0}}", "labels": ["order:{{meta.order}}"], "meta": {{"order": 2}}}}');
            SELECT jobmill_enqueue_many((SELECT jsonb_agg(jsonb_build_object('kind', '{SAMPLE}', 'args', jsonb_build_array('Many', n)))
                                         FROM generate_series(1, 3) n));
            COMMIT""").split()
        self.assertEqual(4, len(ids))
        for job_id in ids:
            self.succeeded(server, job_id)
        first = server.job(ids[0])
        self.assertEqual(("mail Mail", ["order:2"], {"order": 2}), (first["name"], first["labels"], first["meta"]))
        self.assertNotIn(["Lost", 0], [job["args"] for job in server.jobs()], "it was rolled back")
        queue = next(queue for queue in server.get("/v1/queues").json if queue["queue"] == "default")
        self.assertEqual((0, 0), (queue["enqueued"], queue["processing"]))

    def test_a_role_that_may_only_enqueue(self):
        self.database.execute("CREATE ROLE shop LOGIN PASSWORD 'shop'; GRANT USAGE ON SCHEMA public TO shop;"
                              "GRANT EXECUTE ON FUNCTION jobmill_enqueue(text, jsonb, jsonb) TO shop;"
                              "GRANT EXECUTE ON FUNCTION jobmill_enqueue_many(jsonb) TO shop")
        server = self.serve("--store", self.database.url)
        self.worker(server)
        job_id = self.database.execute(f"SET ROLE shop; SELECT jobmill_enqueue('{SAMPLE}', '[\"Shop\", 0]')")
        self.succeeded(server, job_id)
        with self.assertRaisesRegex(RuntimeError, "permission denied for table"):
            self.database.execute("SET ROLE shop; SELECT * FROM jobmill_job")

    def test_the_server_tells_producers_how_often_jobs_are_retried(self):
        config = self.file("jobmill.yaml", json.dumps({"jobs": {"retries": 4}}))
        server = self.serve("--store", self.database.url, "--config", config)
        job_id = self.database.execute("SELECT jobmill_enqueue('nobody.does')")
        self.assertEqual(5, server.job(job_id)["max_attempts"])
