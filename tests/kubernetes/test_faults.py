"""What goes wrong around a controller: it holds what it has, says what is wrong, and goes on by itself."""
import signal
import time

from harness import until
from support import KINDS, ControllerTest

class Faults(ControllerTest):
    def test_another_server_takes_over(self):
        self.deployment("web", 0)
        first = self.controller(name="first")
        self.source.value = 10
        self.scaled_object()
        self.until_wanted(1)
        second = self.controller(name="second")
        first.kill(signal.SIGKILL)
        killed = time.monotonic()
        self.source.value = 40
        self.until_wanted(4)
        self.assertLess(time.monotonic() - killed, 25, "takeover takes five seconds, not a minute")
        self.assertIsNone(second.process.poll())

    def test_a_server_that_stops_hands_over_at_once(self):
        self.deployment("web", 0)
        first = self.controller(name="first")
        self.scaled_object()
        self.until_condition("Active", "False")
        holder = self.holder()
        self.controller(name="second")
        first.kill(signal.SIGTERM)
        self.assertEqual(0, first.wait())
        self.assertNotEqual(holder, self.holder(), "given back, so nobody has to wait for its end")
        until(lambda: self.holder() not in ("", holder), what="another holder of the lease")
        self.source.value = 40
        self.until_wanted(4)

    def holder(self):
        lease = self.api.find("leases", self.ns, "jobmill")
        return (lease or {}).get("spec", {}).get("holderIdentity", "")

    def test_the_api_server_goes_and_comes_back(self):
        self.deployment("web", 0)
        server = self.controller()
        self.source.value = 10
        self.scaled_object()
        self.until_ready("web", 1)
        self.addCleanup(self.cluster.start_api_server)  # also for the tests that follow
        self.cluster.stop_api_server()
        reads = self.source.reads
        self.source.value = 40
        until(lambda: self.source.reads > reads or server.process.poll() is not None, what="a look at the source meanwhile")
        self.cluster.start_api_server()
        self.until_ready("web", 4)
        self.assertIsNone(server.process.poll())
        self.source.value = 0
        self.until_ready("web", 0)

    def test_replicas_are_held_while_the_source_is_away(self):
        self.deployment("web", 0)
        self.controller()
        self.source.value = 30
        self.scaled_object()
        self.until_ready("web", 3)
        self.source.stop()
        _, _, message = until(lambda: (found := self.condition("Ready"))[0] != "True" and found, what="a condition that says so")
        self.assertIn(f"127.0.0.1:{self.source.port}", message)
        self.assertEqual(3, self.wanted())
        self.until_told("KEDAScalerFailed")
        self.source.value = 50
        self.source.start()
        self.until_ready("web", 5)
        self.until_condition("Ready", "True")

    def test_an_object_is_deleted_while_its_target_grows(self):
        self.deployment("web", 0)
        self.deployment("other", 0)
        server = self.controller()
        self.source.value = 60
        self.scaled_object()
        self.until_wanted(6)
        self.api.delete("scaledobjects", self.ns, "web")
        until(lambda: self.api.find("scaledobjects", self.ns, "web") is None, what="the end of the object")
        self.api.delete("deployments", self.ns, "web", propagationPolicy="Background")
        self.scaled_object("other")
        self.until_wanted(6, "other")
        self.assertIsNone(server.process.poll())

    def test_a_target_is_deleted_and_comes_again(self):
        self.deployment("web", 0)
        self.controller()
        self.source.value = 20
        self.scaled_object()
        self.until_wanted(2)
        self.api.delete("deployments", self.ns, "web", propagationPolicy="Foreground")
        self.until_condition("Ready", "False")
        until(lambda: self.api.find("deployments", self.ns, "web") is None, what="the end of the Deployment")
        self.deployment("web", 0)
        self.until_wanted(2)
        self.until_condition("Ready", "True")

    def test_a_cluster_without_the_kinds(self):
        self.undefine()
        server = self.controller()
        told = until(lambda: (text := server.stderr()).count("CustomResourceDefinition") >= len(KINDS) and text, what="a word on each")
        for plural in KINDS:
            self.assertIn(plural, told)
        self.define()
        self.deployment("web", 0)
        self.source.value = 20
        self.scaled_object()
        self.until_wanted(2)

    def test_a_right_that_is_missing_is_named(self):
        rights = self.rights()
        changes = [rule for rule in rights["ClusterRole"] if "deployments/scale" in rule["resources"]]
        self.assertEqual([["get", "patch"]], [rule["verbs"] for rule in changes])
        reads = [{**rule, "verbs": ["get"]} if rule in changes else rule for rule in rights["ClusterRole"]]
        self.give({**rights, "ClusterRole": reads})
        self.deployment("web", 0)
        self.source.value = 20
        self.scaled_object()
        self.controller()
        message = until(lambda: (found := self.condition("Ready"))[0] == "False" and found[2], what="the condition")
        for word in ("patch", "deployments/scale", self.ns):
            self.assertIn(word, message)
        self.assertEqual(0, self.wanted())
        self.give(rights)
        self.until_wanted(2)

    def test_a_kind_that_may_not_be_read_is_named(self):
        rights = self.rights()
        less = [rule for rule in rights["ClusterRole"] if "secrets" not in rule["resources"]]
        self.give({**rights, "ClusterRole": less})
        self.deployment("web", 0)
        self.source.value = 20
        self.scaled_object()
        server = self.controller()
        told = until(lambda: "secrets" in server.stderr() and server.stderr(), what="a word on secrets")
        self.assertIn("list", told)
        self.until_wanted(2)  # which needs none
