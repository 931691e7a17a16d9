"""The first walkthrough as its files have it, applied with kubectl: 40 scheduled jobs pull real workers from 0 to 5.

The controller and the web server are pods of these files too, with the rights that the files give them.
"""
import time

from cluster import own_port
from harness import EXAMPLE, JOBMILL, K8S, until
from node import Program
from walkthrough import IN_THE_FILES, WORKERS, WalkthroughTest


def port_of(address):
    return int(address.rsplit(":", 1)[1])


class Walkthrough(WalkthroughTest):
    def setUp(self):
        super().setUp()
        self.dashboard, self.page = f"127.0.0.1:{own_port()}", f"127.0.0.1:{own_port()}"
        self.node.programs |= {"jobmill-example": self.example, "jobmill": self.jobmill}

    def example(self, pod):
        """Web or worker; all pods share this machine, so each has ports of its own."""
        replace = {IN_THE_FILES: self.database}
        if pod["spec"]["containers"][0]["args"] == ["web"]:
            # On loopback, which a pod is not, a server answers to names that it was told of.
            hosts = self.file("web.yaml", "hosts: [jobrunr-service.default]\n")
            return Program([EXAMPLE], ["--http", self.dashboard, "--enqueue", self.page],
                           environment={"JOBMILL_DATA": self.folder / "web", "JOBMILL_CONFIG": hosts}, replace=replace,
                           ports={8000: port_of(self.dashboard), 8080: port_of(self.page)})
        health = own_port()
        return Program([EXAMPLE], ["--health", f"127.0.0.1:{health}"], replace=replace, ports={8081: health})

    def jobmill(self, pod):
        """The controller, to whom the Service leads where it is here."""
        port, name = own_port(), pod["metadata"]["name"]
        self.addCleanup(self.show_after_failure, name, lambda: self.node.log(name))
        return Program([JOBMILL], ["--service", f"jobrunr-service:8000={self.dashboard}"],
                       environment={"JOBMILL_DATA": self.folder / name},
                       replace={IN_THE_FILES: self.database, "0.0.0.0:8000": f"127.0.0.1:{port}"}, ports={8000: port})

    def controllers(self):
        """The processes of those pods, by the pods' names."""
        return {pod.name: pod.process for pod in list(self.node.pods.values()) if pod.name.startswith("jobmill-") and pod.process}

    def leader(self):
        return next(name for name in self.controllers() if "leads the cluster" in self.node.log(name))

    def test_the_command_given_twice_to_a_cluster_that_knows_nothing(self):
        """kubectl looks kinds up before it applies anything, so it finds those of the first file the second time."""
        self.undefine()
        self.kubectl("apply", "--server-side", "-f", K8S, check=False)
        self.start_all()

    def test_jobs_pull_workers_from_zero_and_let_them_go(self):
        self.interval = 60
        self.start_all()
        asked = time.monotonic()
        self.schedule(runIn="PT45S", executionTimeMs=2000)
        self.until_wanted(5, WORKERS)
        self.assertLess(time.monotonic() - asked, 25, "five pods are asked for when their jobs are scheduled, not at the next poll")
        self.until_ready(WORKERS, 5)
        until(lambda: self.web("/api/metrics/workers")["totalWorkers"] == 20, what="the slots of five")
        self.assertEqual([], self.jobs("SUCCEEDED"), "the workers are there before their work is due")
        self.until_done(40)
        self.until_ready(WORKERS, 0)
        self.assert_none_interrupted()

    def test_the_controller_that_leads_is_killed_in_the_middle(self):
        self.start_all(controllers=2)
        leader = self.leader()
        self.schedule(runIn="PT3S", executionTimeMs=1500)
        self.until_wanted(5, WORKERS)
        self.controllers()[leader].kill()
        self.until_done(40)
        self.until_ready(WORKERS, 0)
        self.assert_none_interrupted()
        self.assertIn("leads the cluster", self.node.log(next(name for name in self.controllers() if name != leader)))

    def test_the_api_server_restarts_in_the_middle(self):
        self.start_all()
        processes = self.controllers()
        self.schedule(runIn="PT20S", executionTimeMs=1500)
        self.until_ready(WORKERS, 5)  # a node takes no pods without an API server
        self.addCleanup(self.cluster.start_api_server)  # also for the tests that follow
        self.cluster.stop_api_server()
        until(lambda: self.jobs("SUCCEEDED"), what="work that goes on meanwhile")
        self.cluster.start_api_server()
        self.until_done(40)
        self.until_ready(WORKERS, 0)
        self.assert_none_interrupted()
        self.assertEqual(processes, self.controllers(), "none has died")
