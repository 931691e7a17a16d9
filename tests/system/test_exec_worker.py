"""Workers whose jobs are run by programs of any language: `jobmill worker -- COMMAND`."""
import json
import os
import pathlib
import signal
import sys

from harness import JOBMILL, SystemTest, alive, until


class ExecTest(SystemTest):
    def setUp(self):
        super().setUp()
        self.server = self.serve()

    def exec_worker(self, *command, flags=(), env=None):
        worker = self.start([JOBMILL, "worker", *flags, "--", *command], env={"JOBMILL_URL": self.server.url, **(env or {})}, ready=None)
        until(lambda: self.server.metric("workers")["totalWorkers"] > 0, what="the worker")
        return worker

    def shell_worker(self, script, *flags, env=None):
        return self.exec_worker("sh", self.file("job.sh", script), flags=flags, env=env)

    def put(self, *args, **spec):
        return self.enqueue_kind("k", *args, **spec)

    def enqueue_kind(self, kind, *args, **spec):
        answer = self.server.call("POST", "/v1/jobs", {"kind": kind, "args": list(args), **spec})
        self.assertEqual(201, answer.status, answer.body)
        return answer.json["id"]

    def reached(self, job_id, *states, seconds=120):
        until(lambda: self.server.job(job_id)["state"] in states, seconds, f"{job_id} in {states}")
        return self.server.job(job_id)

    def failure(self, job):
        return [event for event in job["history"] if event["state"] == "FAILED"][-1]

    def lines(self, job_id, **query):
        query = "&".join(f"{name}={value}" for name, value in query.items())
        return [(line["level"], line["text"]) for line in self.server.get(f"/v1/jobs/{job_id}/logs?{query}").json["lines"]]


class Exec(ExecTest):
    def test_exit_codes_decide(self):
        self.shell_worker('code=$(cat | tr -d "[]"); echo "it is $code" >&2; exit $code', "--workers", "2")
        done = self.reached(self.put(0), "SUCCEEDED")
        self.assertEqual(1, done["attempt"])

        for code, kind in ((3, "jobmill.ExitCode"), (75, "jobmill.RetryLater")):
            failed = self.reached(self.put(code), "SCHEDULED")
            failure = self.failure(failed)
            self.assertEqual((kind, f"exit code {code}: it is {code}", False),
                             (failure["exceptionType"], failure["exceptionMessage"], failure["doNotRetry"]))
            self.assertIn("it is", failure["stackTrace"])
            self.assertEqual((1, 0), (failed["failures"], failed["crashes"]))

        dead = self.reached(self.put(65), "FAILED")
        self.assertEqual(("jobmill.DeadLetter", True), (self.failure(dead)["exceptionType"], self.failure(dead)["doNotRetry"]))

    def test_death_by_a_signal_is_a_crash_and_no_failure(self):
        self.shell_worker("echo last words >&2; kill -SEGV $$")
        job = self.reached(self.put(max_crashes=2), "FAILED")
        self.assertEqual((0, 2), (job["failures"], job["crashes"]))
        failure = self.failure(job)
        self.assertEqual("jobmill.CrashLimit", failure["exceptionType"])
        self.assertEqual((11, "last words\n"), (failure["crash"]["signal"], failure["crash"]["stderrTail"]))
        self.assertGreater(failure["crash"]["peakRss"], 500_000)
        self.assertIn("Crash 1 of 2: signal 11", [event.get("reason") for event in job["history"]])

    def test_a_program_is_handed_its_job(self):
        self.shell_worker('cat; echo; cat "$JOBMILL_PAYLOAD_FILE"; echo; stat -c %a "$JOBMILL_PAYLOAD_FILE"; echo "$JOBMILL_PAYLOAD_FILE";'
                          'echo "$JOBMILL_JOB_ID $JOBMILL_KIND $JOBMILL_QUEUE $JOBMILL_ATTEMPT $TRACEPARENT";'
                          'echo "${JOBMILL_DEADLINE:-none} ${JOBMILL_LEASE:-none} $MINE"', "--queue", "mail", env={"MINE": "inherited"})
        trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        job_id = self.put("bob", {"x": 1}, queue="mail", timeout_s=60, trace={"traceparent": trace})
        self.reached(job_id, "SUCCEEDED")
        self.assertIn(("INFO", ""), self.lines(job_id))
        lines = [text for _, text in self.lines(job_id) if text]
        self.assertEqual(['["bob",{"x":1}]'] * 2 + ["600"], lines[:3])
        self.assertEqual(f"{job_id} k mail 1 {trace}", lines[4])
        self.assertRegex(lines[5], r"^20\d\d-.*Z \S+ inherited$")
        file = pathlib.Path(lines[3])
        until(lambda: not file.exists(), what="the file's end")

    def test_descriptor_3(self):
        self.shell_worker("""
            echo out; echo err >&2
            echo '{"progress":{"done":3,"total":10}}' >&3
            echo '{"log":{"level":"ERROR","text":"bad"}}' >&3
            echo '{"step":{"id":"x","value":1}}' >&3
            echo '{"result":{"sent":3}}' >&3
            """)
        job_id = self.put()
        job = self.reached(job_id, "SUCCEEDED")
        self.assertEqual((3, 10), (job["progress"]["done"], job["progress"]["total"]))
        lines = self.lines(job_id)
        for line in (("INFO", "out"), ("WARN", "err"), ("ERROR", "bad")):
            self.assertIn(line, lines)
        self.assertTrue(any("step" in text and level == "WARN" for level, text in lines), lines)
        self.assertEqual({"sent": 3}, self.server.get(f"/v1/jobs/{job_id}/result").json["result"])
        printed = self.run_jobmill("job", "result", job_id, server=self.server)
        self.assertEqual((0, '{"sent":3}\n'), (printed.returncode, printed.stdout), printed.stderr)

    def test_errors_and_snooze_of_descriptor_3(self):
        self.shell_worker("""case "$(cat)" in
            *snooze*) echo '{"snooze_s":3600}' >&3 ;;
            *) echo '{"error":{"type":"smtp.Refused","message":"mailbox full"}}' >&3; exit 1 ;;
            esac""")
        failure = self.failure(self.reached(self.put("fail"), "SCHEDULED"))
        self.assertEqual(("smtp.Refused", "mailbox full"), (failure["exceptionType"], failure["exceptionMessage"]))
        job = self.reached(self.put("snooze"), "SCHEDULED")
        self.assertEqual((0, 0), (job["attempt"], job["failures"]))

    def test_a_job_that_takes_too_long_is_ended_and_has_failed(self):
        self.shell_worker("trap 'echo asked' TERM; while :; do sleep 0.05; done", "--grace", "5s")
        job_id = self.put(timeout_s=6, retries=0)  # on a busy machine, too, it is asked before its time is up, and answers
        job = self.reached(job_id, "FAILED")
        self.assertEqual("jobmill.Timeout", self.failure(job)["exceptionType"])
        self.assertEqual((1, 0), (job["failures"], job["crashes"]))
        self.assertIn(("INFO", "asked"), self.lines(job_id))

    def test_a_deleted_job_ends_its_program_and_all_that_it_started(self):
        self.shell_worker(f"echo $$ > {self.folder}/pids; sleep 1000 & echo $! >> {self.folder}/pids; wait")
        job_id = self.put()
        pids = until(lambda: [int(pid) for pid in (self.folder / "pids").read_text().split()]
                     if (self.folder / "pids").exists() and len((self.folder / "pids").read_text().split()) == 2 else None)
        cancelled = self.run_jobmill("job", "cancel", job_id, "--reason", "not needed", server=self.server)
        self.assertEqual((0, f"job/{job_id} cancelled\n"), (cancelled.returncode, cancelled.stdout))
        until(lambda: not any(alive(pid) for pid in pids), what="their end")
        self.assertEqual("not needed", self.server.job(job_id)["history"][-1]["reason"])

    def test_output_without_end_is_kept_in_part(self):
        self.shell_worker("seq 1 200000; head -c 200000 /dev/zero | tr '\\0' x; printf '\\377\\376bytes'")
        job_id = self.put()
        self.reached(job_id, "SUCCEEDED")
        log = self.server.get(f"/v1/jobs/{job_id}/logs").json
        lines = [line["text"] for line in log["lines"]]
        self.assertLessEqual(len(lines), 10_000)
        self.assertLessEqual(sum(map(len, lines)), 1 << 20)
        self.assertEqual("\ufffd\ufffdbytes", lines[-1][-7:])
        self.assertLessEqual(max(map(len, lines)), 64 << 10)
        self.assertNotIn("1", lines)

    def test_kinds_and_queues_choose_the_jobs(self):
        self.shell_worker('echo "$JOBMILL_KIND"', "--kind", "a", "--kind", "b", "--queue", "q1", "--queue", "q2")
        others = [self.enqueue_kind("c", queue="q1"), self.enqueue_kind("a", queue="q3")]
        for kind, queue in (("a", "q1"), ("b", "q2")):
            job_id = self.enqueue_kind(kind, queue=queue)
            self.reached(job_id, "SUCCEEDED")
            self.assertEqual([("INFO", kind)], self.lines(job_id))
        self.assertEqual(["ENQUEUED"] * 2, [self.server.job(job_id)["state"] for job_id in others])

    def test_slots_run_side_by_side(self):
        self.shell_worker(f"echo > {self.folder}/run-$JOBMILL_JOB_ID; while [ $(ls {self.folder} | grep -c run-) -lt 3 ]; do sleep 0.02; done",
                          "--workers", "3")
        for job_id in [self.put() for _ in range(3)]:
            self.reached(job_id, "SUCCEEDED")

    def test_only_stdin(self):
        self.shell_worker('cat; echo; echo "${JOBMILL_PAYLOAD_FILE:-none}"; (echo x >&3) 2>/dev/null || echo closed', "--mode", "stdin")
        job_id = self.put(1, 2)
        self.reached(job_id, "SUCCEEDED")
        self.assertEqual(["[1,2]", "none", "closed"], [text for _, text in self.lines(job_id) if text])

    def test_what_cannot_be_run_is_said_at_once(self):
        for words, code, text in (
            (["worker", "--", "/no/such/program"], 78, "cannot run '/no/such/program'"),
            (["worker", "--mode", "loud", "--", "true"], 2, "--mode"),
            (["worker", "--workers", "0", "--", "true"], 2, "--workers"),
            (["worker", "--grace", "soon", "--", "true"], 2, "--grace"),
            (["worker"], 2, "COMMAND"),
        ):
            with self.subTest(words):
                done = self.run_jobmill(*words, server=self.server)
                self.assertEqual((code, 1), (done.returncode, done.stderr.count("\n")), done.stderr)
                self.assertIn(text, done.stderr)


class Ends(ExecTest):
    def test_told_to_end_it_finishes_what_runs_and_takes_no_more(self):
        worker = self.shell_worker(f"echo > {self.folder}/up; while [ ! -e {self.folder}/go ]; do sleep 0.02; done", "--workers", "1")
        running = self.put()
        until(lambda: (self.folder / "up").exists())
        worker.kill(signal.SIGTERM)
        waiting = self.put()
        self.file("go", "")
        self.assertEqual(0, worker.wait())
        self.assertEqual("SUCCEEDED", self.server.job(running)["state"])
        self.assertEqual("ENQUEUED", self.server.job(waiting)["state"])
        self.assertEqual(0, self.server.metric("workers")["totalWorkers"])

    def test_what_outlives_the_grace_is_ended_and_put_back(self):
        worker = self.shell_worker(f"echo $$ > {self.folder}/pid; trap 'echo asked; exit 0' TERM; while :; do sleep 0.02; done", "--grace", "200ms")
        job_id = self.put()
        pid = int(until(lambda: (self.folder / "pid").exists() and (self.folder / "pid").read_text().strip()))
        worker.kill(signal.SIGTERM)
        self.assertEqual(0, worker.wait())
        self.assertFalse(alive(pid))
        job = self.server.job(job_id)
        self.assertEqual(("ENQUEUED", 0, 0, 0), (job["state"], job["attempt"], job["failures"], job["crashes"]))

    def test_killed_it_takes_its_programs_along_and_the_jobs_run_elsewhere(self):
        script = f"echo $$ > {self.folder}/pid-$JOBMILL_JOB_ID; [ -e {self.folder}/second ] || sleep 1000"
        worker = self.shell_worker(script, "--workers", "2")
        jobs = [self.put() for _ in range(2)]
        files = [self.folder / f"pid-{job_id}" for job_id in jobs]
        pids = until(lambda: all(file.exists() and file.read_text().strip() for file in files) and [int(file.read_text()) for file in files])
        worker.kill(signal.SIGKILL)
        worker.wait()
        until(lambda: not any(alive(pid) for pid in pids), what="their end")
        self.file("second", "")
        self.shell_worker(script, "--workers", "2")
        for job_id in jobs:  # when the lease of the dead worker is over
            job = self.reached(job_id, "SUCCEEDED")
            self.assertEqual((0, 1), (job["failures"], job["crashes"]))

    def test_a_busy_program_needs_no_code_for_its_lease(self):
        self.shell_worker(f"while [ ! -e {self.folder}/go ]; do :; done", "--workers", "1")
        job_id = self.put()
        self.reached(job_id, "PROCESSING")

        def last_beat():
            return self.server.get("/v1/workers").json[0]["lastHeartbeat"]

        claimed = last_beat()
        until(lambda: last_beat() > claimed, what="a beat while its only slot is busy")
        self.file("go", "")
        self.assertEqual(0, self.reached(job_id, "SUCCEEDED")["crashes"])


RESIDENT = '''
import json, os, signal, sys, time

def tell(n, **words):
    print(json.dumps({"n": n, **words}), flush=True)

for line in sys.stdin:
    message = json.loads(line)
    n = message["n"]
    if message["op"] == "cancel":
        tell(n, error={"type": "Cancelled", "message": message["reason"]})
        continue
    job = message["job"]
    what = job["args"][0]
    if what == "die":
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "fail":
        tell(n, error={"type": "ValueError", "message": "no", "retry": "never"})
    elif what == "snooze":
        tell(n, snooze_s=3600)
    elif what == "wait":
        tell(n, log={"text": "waiting"})
    else:
        tell(n, progress={"done": 1, "total": 2}, log={"level": "WARN", "text": "half"})
        tell(n, result={"pid": os.getpid(), "id": job["id"], "kind": job["kind"]})
open(sys.argv[1], "w").write("left")
'''


class Json(ExecTest):
    def setUp(self):
        super().setUp()
        self.left = self.folder / "left"

    def resident(self, *flags):
        return self.exec_worker(sys.executable, self.file("resident.py", RESIDENT), self.left, flags=["--mode", "json", "--workers", "1", *flags])

    def pid_of(self, job_id):
        self.reached(job_id, "SUCCEEDED")
        return self.server.get(f"/v1/jobs/{job_id}/result").json["result"]["pid"]

    def test_one_program_runs_many_jobs(self):
        worker = self.resident()
        jobs = [self.put(i) for i in range(20)]
        self.assertEqual(1, len({self.pid_of(job_id) for job_id in jobs}))
        job = self.server.job(jobs[0])
        self.assertEqual((1, 2), (job["progress"]["done"], job["progress"]["total"]))
        self.assertIn(("WARN", "half"), self.lines(jobs[0]))
        worker.kill(signal.SIGTERM)
        self.assertEqual(0, worker.wait())
        self.assertEqual("left", self.left.read_text())  # its stdin ended; nobody killed it

    def test_failures_snooze_and_death(self):
        self.resident()
        first = self.pid_of(self.put(1))
        failed = self.reached(self.put("fail"), "FAILED")
        self.assertEqual(("ValueError", "no"), (self.failure(failed)["exceptionType"], self.failure(failed)["exceptionMessage"]))
        self.assertEqual(0, self.reached(self.put("snooze"), "SCHEDULED")["attempt"])
        self.assertEqual(first, self.pid_of(self.put(2)))

        dead = self.reached(self.put("die", max_crashes=1), "FAILED")
        self.assertEqual((1, 0), (dead["crashes"], dead["failures"]))
        self.assertEqual((9, "last words\n"), (self.failure(dead)["crash"]["signal"], self.failure(dead)["crash"]["stderrTail"]))
        self.assertNotEqual(first, self.pid_of(self.put(3)))

    def test_a_timeout_is_told_and_the_program_stays(self):
        self.resident()
        first = self.pid_of(self.put(1))
        failed = self.reached(self.put("wait", timeout_s=1, retries=0), "FAILED")
        failure = self.failure(failed)
        self.assertEqual(("jobmill.Timeout", "Cancelled", "timeout"),
                         (failure["exceptionType"], failure["exceptionCauseType"], failure["exceptionCauseMessage"]))
        self.assertEqual(first, self.pid_of(self.put(2)))


class CommandLine(ExecTest):
    def test_logs_of_attempts_and_results_that_are_not_there(self):
        self.shell_worker(f'echo "attempt $JOBMILL_ATTEMPT"; [ -e {self.folder}/ok ] && exit 0; touch {self.folder}/ok; exit 1')
        later = self.put(delay="PT1H")
        early = self.run_jobmill("job", "result", later, server=self.server)
        self.assertEqual((75, 1), (early.returncode, early.stderr.count("\n")), early.stderr)
        job_id = self.put(retry={"delays": [0.1]})
        self.reached(job_id, "SUCCEEDED")
        none = self.run_jobmill("job", "result", job_id, "--wait", "5s", server=self.server)
        self.assertEqual(1, none.returncode)
        self.assertIn("has no result (SUCCEEDED)", none.stderr)
        self.assertEqual(1, self.run_jobmill("job", "result", "no-such-job", server=self.server).returncode)

        logs = self.run_jobmill("job", "logs", job_id, server=self.server)
        self.assertRegex(logs.stdout, r"^20\S+Z INFO  attempt 2\n$")
        document = json.loads(self.run_jobmill("job", "logs", job_id, "--attempt", "1", "-o", "json", server=self.server).stdout)
        self.assertEqual(["attempt 1"], [line["text"] for line in document["lines"]])

    def test_logs_can_be_followed_and_a_result_waited_for(self):
        self.shell_worker(f"echo first; while [ ! -e {self.folder}/go ]; do sleep 0.02; done; echo second; echo '{{\"result\":[1]}}' >&3")
        job_id = self.put()
        following = self.start([JOBMILL, "job", "logs", job_id, "--follow"], env={"JOBMILL_URL": self.server.url}, ready=None)
        waiting = self.start([JOBMILL, "job", "result", job_id, "--wait", "60s"], env={"JOBMILL_URL": self.server.url}, ready=None)
        self.reached(job_id, "PROCESSING")
        self.file("go", "")
        self.assertEqual(0, following.wait())
        self.assertEqual(["first", "second"], [line.split(" ")[-1] for line in following.process.stdout.read().splitlines()])
        self.assertEqual((0, "[1]\n"), (waiting.wait(), waiting.process.stdout.read()))

    def test_a_timeout_can_be_said_when_a_job_is_enqueued(self):
        done = self.run_jobmill("job", "enqueue", "k", "--timeout", "PT1M30S", "-o", "name", server=self.server)
        self.assertEqual(90, self.server.job(done.stdout.strip().removeprefix("job/"))["timeout_s"])
