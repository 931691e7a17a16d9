"""Triggers that look at pods of the cluster."""
from harness import until
from support import ControllerTest


class Triggers(ControllerTest):
    def scaled_by(self, kind, name="proxy", metric_type=None, minimum=0, **metadata):
        trigger = {"type": kind, "metadata": metadata, **({"metricType": metric_type} if metric_type else {})}
        self.scaled_object(name, triggers=[trigger], minReplicaCount=minimum)

    def test_as_many_as_other_pods_need(self):
        self.deployment("proxy", 0)
        self.deployment("web", 0)
        self.controller()
        self.scaled_by("kubernetes-workload", podSelector="app in (web)", value="2")
        self.until_condition("Active", "False", "proxy")
        self.api.merge("deployments", self.ns, "web", {"spec": {"replicas": 3}})
        self.until_wanted(2, "proxy")
        self.assertEqual([f"s0-workload-{self.ns}"], self.status("scaledobjects", "proxy")["externalMetricNames"])
        self.api.merge("deployments", self.ns, "web", {"spec": {"replicas": 0}})
        self.until_wanted(0, "proxy")

    def test_without_a_metrics_server(self):
        self.deployment("proxy", 2)
        self.controller()
        self.scaled_by("cpu", metric_type="AverageValue", minimum=1, value="500m")
        reason, message = self.until_condition("Ready", "False", "proxy")[1:]
        self.assertEqual("TriggerError", reason)
        self.assertEqual(2, self.wanted("proxy"), "what cannot be measured changes nothing")
        until(lambda: self.status("scaledobjects", "proxy").get("resourceMetricNames") == ["cpu"], what="its resource")
        self.assertIn("metrics-server", message)

    def test_from_zero_by_its_own_pods(self):
        self.deployment("proxy", 0)
        self.controller()
        self.scaled_by("cpu", metric_type="AverageValue", value="500m")
        self.assertIn("minReplicaCount", self.until_condition("Ready", "False", "proxy")[2])
