"""With the semantics of KEDA, replicas follow a metric as the cluster's own HorizontalPodAutoscaler makes them."""
import contextlib
import threading
import time

from api import ApiError
from cluster import AWAY
from external_metrics import ExternalMetrics
from harness import until
from support import ControllerTest

STEPS = {"scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 3, "periodSeconds": 4}]},
         "scaleDown": {"stabilizationWindowSeconds": 3, "policies": [{"type": "Percent", "value": 50, "periodSeconds": 4}]}}


class Curve(ControllerTest):
    def setUp(self):
        super().setUp()
        metrics = ExternalMetrics(self.cluster, lambda: self.source.value)
        self.addCleanup(metrics.close)
        until(metrics.available, 180, "the API of external metrics")
        self.curves = {}
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        with contextlib.suppress(ApiError, *AWAY):
            for _, deployment in self.api.watch("deployments", self.ns, timeoutSeconds=900):
                name, replicas = deployment["metadata"].get("name"), deployment.get("spec", {}).get("replicas")
                curve = self.curves.setdefault(name, [])
                if name and (not curve or curve[-1][1] != replicas):
                    curve.append((time.monotonic(), replicas))

    def pair(self, name, **behavior):
        """One Deployment for each of the two, both with one replica."""
        for who in ("theirs", "ours"):
            self.deployment(f"{name}-{who}", 1)
            self.until_ready(f"{name}-{who}", 1)
        self.api.create("horizontalpodautoscalers", self.ns, {
            "metadata": {"name": name},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": f"{name}-theirs"}, "minReplicas": 1, "maxReplicas": 10,
                     "metrics": [{"type": "External", "external": {"metric": {"name": "work"}, "target": {"type": "AverageValue", "averageValue": "10"}}}],
                     **({"behavior": behavior} if behavior else {})}})
        advanced = {"advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}}} if behavior else {}
        self.scaled_object(f"{name}-ours", minReplicaCount=1, annotations={"jobmill/semantics": "keda"}, **advanced)

    def values(self, name):
        return [replicas for _, replicas in self.curves.get(name, [])]

    def until_both(self, name, values, seconds):
        def curves():
            return [self.values(f"{name}-{who}") for who in ("theirs", "ours")]
        with contextlib.suppress(AssertionError):  # the curves say more
            until(lambda: all(curve[-1:] == values[-1:] for curve in curves()), seconds)
        self.assertEqual([values, values], curves(), f"{name}: the HorizontalPodAutoscaler's and ours")

    def test_the_same_metric_makes_the_same_curve(self):
        self.file("jobmill.yaml", "scale:\n  sync: 1s\n")
        self.controller("--config", self.folder / "jobmill.yaml")
        self.source.value = 10
        self.pair("plain")
        self.pair("steps", **STEPS)
        for name in ("plain-ours", "steps-ours"):
            self.until_condition("Ready", "True", name)
        self.source.value = 90
        self.until_both("steps", [1, 4, 7, 9], 120)
        self.until_both("plain", [1, 4, 8, 9], 120)
        # What grew within a policy's period would count against what may go.
        reads = self.source.reads
        until(lambda: self.source.reads > reads + 10, what="the end of the period")
        self.source.value = 25
        self.until_both("steps", [1, 4, 7, 9, 4, 3], 120)
        for name in ("plain", "steps"):
            for (theirs, replicas), (ours, _) in zip(self.curves[f"{name}-theirs"][1:], self.curves[f"{name}-ours"][1:]):
                self.assertAlmostEqual(theirs, ours, delta=8, msg=f"{name}: {replicas} replicas")
