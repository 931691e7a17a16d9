"""What the tests of the first walkthrough share: its files applied with kubectl, and looks at what becomes of its jobs."""
import shutil

from harness import K8S, http, until
from postgres import Postgres
from support import ControllerTest

USER = ("dashboard-user", "dashboard-password")
WORKERS, WEB, SCALING = "jobrunr-example", "jobrunr-dashboard", "jobrunr-scaling"
IN_THE_FILES = "postgres://jobmill:jobmill@postgres:5432/jobmill"


class WalkthroughTest(ControllerTest):
    """In the namespace `default`, as the URLs of 3-scaling.yaml have it. `dashboard` and `page` are where the web server
    is found from here, which depends on the node."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.postgres = cls.start_postgres()
        cls.addClassCleanup(cls.postgres.close)

    @classmethod
    def start_postgres(cls):
        return Postgres(fsync=False)

    def setUp(self):
        super().setUp()
        self.database = self.postgres.fresh_database("w" + self._testMethodName[-40:].lower())

    def namespace(self, name=None):
        self.addCleanup(self.end_pods, "default")
        return "default"

    interval = 5  # seconds between two polls of the trigger

    def files(self):
        """The example's own, but for the waiting in 3-scaling.yaml."""
        folder = self.folder / "k8s"
        shutil.copytree(K8S, folder)
        scaling = folder / "3-scaling.yaml"
        text = scaling.read_text()
        for old, new in (("pollingInterval: 30", f"pollingInterval: {self.interval}"), ("cooldownPeriod: 300", "cooldownPeriod: 5")):
            self.assertEqual(1, text.count(old))
            text = text.replace(old, new)
        scaling.write_text(text)
        return folder

    def start_all(self, controllers=1):
        folder = self.files()
        self.cluster.apply(folder)
        self.addCleanup(self.kubectl, "delete", "--ignore-not-found", "--wait=false", *(
            word for name in ("3-scaling", "2-example", "1-postgres") for word in ("-f", folder / f"{name}.yaml")))
        self.api.scale("deployments", self.ns, "jobmill", controllers)
        self.until_ready(WEB, 1)
        self.until_ready("jobmill", controllers)
        self.until_ready(WORKERS, 0)  # it had one, as Deployments do
        self.until_condition("Active", "False", SCALING)

    def schedule(self, count=40, **query):
        words = "&".join(f"{key}={value}" for key, value in {"count": count, **query}.items())
        answer = http("GET", f"http://{self.page}/schedule-example-jobs?{words}")
        self.assertEqual(200, answer.status, answer.body)
        return answer.json

    def web(self, path):
        answer = http("GET", f"http://{self.dashboard}{path}", user=USER)
        self.assertEqual(200, answer.status, answer.body)
        return answer.json

    def jobs(self, state=""):
        return self.web(f"/v1/jobs?limit=1000{'&state=' + state if state else ''}")["items"]

    def until_done(self, count, seconds=300):
        until(lambda: len(self.jobs("SUCCEEDED")) == count, seconds, f"{count} jobs' success")

    def assert_none_interrupted(self):
        """Each ran once, from its beginning to its end."""
        for job in self.jobs():
            history = [event["state"] for event in self.web(f"/v1/jobs/{job['id']}?history=1")["history"]]
            self.assertEqual(["PROCESSING", "SUCCEEDED"], history[-2:], job["id"])
            self.assertEqual(1, history.count("PROCESSING"), f"{job['id']}: {history}")
