"""What users apply: accepted by a real API server, which refuses what cannot be meant; the rights are enough, and no more."""
import json

from harness import K8S, ROOT, until
from support import ControllerTest

DEPLOY = ROOT / "deploy/k8s"

SCALED_OBJECT = {
    "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "checked"},
    "spec": {"scaleTargetRef": {"name": "web"}, "triggers": [{"type": "cron", "metadata": {"timezone": "UTC"}}]}}
SCALED_JOB = {
    "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledJob", "metadata": {"name": "checked"},
    "spec": {"jobTargetRef": {"template": {"spec": {"containers": [{"name": "main", "image": "i"}], "restartPolicy": "Never"}}},
             "triggers": [{"type": "cron", "metadata": {"timezone": "UTC"}}]}}
AUTHENTICATION = {
    "apiVersion": "keda.sh/v1alpha1", "kind": "TriggerAuthentication", "metadata": {"name": "checked"},
    "spec": {"secretTargetRef": [{"parameter": "p", "name": "n", "key": "k"}]}}


def with_spec(document, **spec):
    return {**document, "spec": {**document["spec"], **spec}}


def trigger(**fields):
    return [{"type": "cron", "metadata": {}, **fields}]


class Manifests(ControllerTest):
    def setUp(self):
        super().setUp()
        self.cluster.apply(K8S / "0-core.yaml")

    def namespace(self):
        return "default"

    def tried(self, document):
        """What a real server says to it, with nothing changed."""
        done = self.kubectl("apply", "--server-side", "--dry-run=server", "-n", "default", "-f", "-", stdin=json.dumps(document), check=False)
        return done.returncode == 0, done.stdout + done.stderr

    def assert_accepted(self, document):
        good, text = self.tried(document)
        self.assertTrue(good, text)

    def assert_refused(self, reason, document):
        good, text = self.tried(document)
        self.assertFalse(good, text)
        self.assertIn(reason, text)

    def violations(self, namespace):
        """Of the strictest of Kubernetes' rules for pods, by those that are there."""
        done = self.kubectl("label", "--dry-run=server", "--overwrite", "namespace", namespace,
                            "pod-security.kubernetes.io/enforce=restricted", check=False)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stderr

    def test_the_example_is_accepted(self):
        applied = self.cluster.apply(K8S)
        self.assertEqual(0, applied.count("serverside-applied") - applied.count("\n"), applied)
        for name in ("jobmill", "postgres", "jobrunr-dashboard"):
            self.until_ready(name, 1)
        self.assertNotIn("violate", self.violations("default"))
        self.addCleanup(self.kubectl, "delete", "--ignore-not-found", "--wait=false", "-n", "default", "-f", K8S / "1-postgres.yaml",
                        "-f", K8S / "2-example.yaml", "-f", K8S / "3-scaling.yaml", "deployment/jobmill", check=False)

    def test_the_installation_is_accepted(self):
        applied = self.kubectl("apply", "--server-side", "-k", DEPLOY)
        self.addCleanup(self.kubectl, "delete", "namespace", "jobmill", "--wait=false")
        for part in ("namespace/jobmill", "deployment.apps/jobmill", "service/jobmill", "clusterrolebinding", "rolebinding"):
            self.assertIn(part, applied)
        ready = lambda: self.api.get("deployments", "jobmill", "jobmill").get("status", {}).get("readyReplicas") == 2  # noqa: E731
        until(ready, 60, "two pods that the namespace's rules admit")
        self.assertEqual({"jobmill:0.1.0"}, {pod["spec"]["containers"][0]["image"] for pod in self.api.items("pods", "jobmill")})

    def test_both_bring_the_same_kinds(self):
        definitions = (DEPLOY / "crds.yaml").read_text()
        definitions = definitions[definitions.index("apiVersion:"):]
        self.assertIn(definitions, (K8S / "0-core.yaml").read_text())

    def test_a_scaled_object(self):
        self.assert_accepted(SCALED_OBJECT)
        self.assert_accepted(with_spec(SCALED_OBJECT, minReplicaCount=3, maxReplicaCount=3, idleReplicaCount=0))
        self.assert_accepted(with_spec(SCALED_OBJECT, minReplicaCount=100))
        behavior = {"scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}], "tolerance": "0.1"},
                    "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": "Disabled"}}
        self.assert_accepted(with_spec(SCALED_OBJECT, advanced={
            "restoreToOriginalReplicaCount": True, "horizontalPodAutoscalerConfig": {"name": "h", "behavior": behavior},
            "scalingModifiers": {"formula": "a+b", "target": "5"}}, fallback={"failureThreshold": 3, "replicas": 6}))

        above = "minReplicaCount must not be above maxReplicaCount"
        self.assert_refused(above, with_spec(SCALED_OBJECT, minReplicaCount=4, maxReplicaCount=3))
        self.assert_refused(above, with_spec(SCALED_OBJECT, minReplicaCount=101))
        for field, least in (("pollingInterval", 1), ("cooldownPeriod", 0), ("initialCooldownPeriod", 0), ("idleReplicaCount", 0),
                             ("minReplicaCount", 0), ("maxReplicaCount", 1)):
            self.assert_refused(f"greater than or equal to {least}", with_spec(SCALED_OBJECT, **{field: least - 1}))
        self.assert_refused("spec.scaleTargetRef.name", with_spec(SCALED_OBJECT, scaleTargetRef={"name": ""}))
        self.assert_refused("spec.triggers", with_spec(SCALED_OBJECT, triggers=[]))
        self.assert_refused("expected string", with_spec(SCALED_OBJECT, triggers=trigger(metadata={"desiredReplicas": 5})))
        self.assert_refused("Unsupported value", with_spec(SCALED_OBJECT, triggers=trigger(authenticationRef={"name": "a", "kind": "Secret"})))
        self.assert_refused("spec.fallback.replicas: Required", with_spec(SCALED_OBJECT, fallback={"failureThreshold": 3}))
        self.assert_refused("Unsupported value", with_spec(SCALED_OBJECT, fallback={"failureThreshold": 3, "replicas": 1, "behavior": "guess"}))
        self.assert_refused("field not declared", with_spec(SCALED_OBJECT, maxReplicas=3))

    def test_a_scaled_job(self):
        self.assert_accepted(SCALED_JOB)
        self.assert_accepted(with_spec(SCALED_JOB, minReplicaCount=5, maxReplicaCount=2, scalingStrategy={
            "strategy": "custom", "customScalingQueueLengthDeduction": -1, "customScalingRunningJobPercentage": "0.5",
            "pendingPodConditions": ["Ready"], "multipleScalersCalculation": "avg"}, rollout={"strategy": "gradual", "propagationPolicy": "foreground"}))
        self.assert_refused("Unsupported value", with_spec(SCALED_JOB, scalingStrategy={"strategy": "greedy"}))
        self.assert_refused("Unsupported value", with_spec(SCALED_JOB, scalingStrategy={"multipleScalersCalculation": "median"}))
        self.assert_refused("Unsupported value", with_spec(SCALED_JOB, rolloutStrategy="sudden"))
        self.assert_refused("expected string", with_spec(SCALED_JOB, scalingStrategy={"customScalingRunningJobPercentage": 0.5}))
        self.assert_refused("greater than or equal to 0", with_spec(SCALED_JOB, failedJobsHistoryLimit=-1))
        self.assert_refused("spec.jobTargetRef: Required", {**SCALED_JOB, "spec": {"triggers": trigger()}})

    def test_authentications(self):
        self.assert_accepted(AUTHENTICATION)
        self.assert_accepted(with_spec(AUTHENTICATION, env=[{"parameter": "p", "name": "N"}], podIdentity={"provider": "none"},
                                       hashiCorpVault={"address": "https://vault", "secrets": [{"parameter": "p", "path": "x", "key": "k"}]}))
        self.assert_refused("key: Required", with_spec(AUTHENTICATION, secretTargetRef=[{"parameter": "p", "name": "n"}]))
        self.assert_refused("Unsupported value", with_spec(AUTHENTICATION, podIdentity={"provider": "mainframe"}))
        self.assert_refused("field not declared", with_spec(AUTHENTICATION, filePath="creds"))
        self.assert_accepted({**with_spec(AUTHENTICATION, filePath="creds"), "kind": "ClusterTriggerAuthentication"})

    def test_what_is_printed(self):
        self.api.create("scaledjobs", "default", {**SCALED_JOB, "metadata": {"name": "printed"}})
        self.addCleanup(self.api.delete, "scaledjobs", "default", "printed")
        self.assertEqual("NAME MIN MAX READY ACTIVE PAUSED TRIGGERS AUTHENTICATIONS AGE", self.head("sj"))
        self.kubectl("apply", "--server-side", "-n", "default", "-f", "-", stdin=json.dumps(AUTHENTICATION))
        self.addCleanup(self.kubectl, "delete", "ta", "checked", "-n", "default")
        for short in ("ta", "triggerauth"):
            self.assertEqual("NAME PODIDENTITY SECRET ENV VAULTADDRESS", self.head(short))
        self.assertEqual("NAME PODIDENTITY SECRET ENV VAULTADDRESS SCALEDOBJECTS SCALEDJOBS", self.head("ta", "-o", "wide"))
        whole = {**AUTHENTICATION, "kind": "ClusterTriggerAuthentication"}
        self.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(whole))
        self.addCleanup(self.kubectl, "delete", "clustertriggerauth", "checked")
        self.assertEqual("NAME PODIDENTITY SECRET ENV VAULTADDRESS FILEPATH", self.head("cta"))

    def head(self, *words):
        return " ".join(self.kubectl("get", "-n", "default", *words).splitlines()[0].split())

    def test_the_rights_of_the_example_are_enough(self):
        self.deployment("web", 0)
        self.cluster.kubeconfig_of("default", "jobmill", self.cluster.folder / "default-controller.kubeconfig")
        controller = self.controller()
        self.scaled_object()
        self.addCleanup(self.kubectl, "delete", "so", "web", "-n", "default", "--wait=false")
        self.until_condition("Ready", "True")
        self.source.value = 20
        self.until_ready("web", 2)
        self.source.value = 0
        self.until_ready("web", 0)
        until(lambda: "KEDAScaleTargetDeactivated" in self.reasons(), what="the events of it")
        for word in ("forbidden", "needs the rule"):
            self.assertNotIn(word, controller.stderr())

    def may(self, account, verb, group, resource, namespace="default"):
        resource, _, part = resource.partition("/")
        review = {"spec": {"user": f"system:serviceaccount:{account}:jobmill",
                           "resourceAttributes": {"verb": verb, "group": group, "resource": resource, "subresource": part, "namespace": namespace}}}
        return self.api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"]

    def test_the_rights_of_the_example_are_no_more_than_that(self):
        for what in (("patch", "apps", "deployments/scale"), ("get", "", "pods/log"), ("list", "metrics.k8s.io", "pods"), ("update", "coordination.k8s.io", "leases"),
                     ("list", "keda.sh", "clustertriggerauthentications")):
            self.assertTrue(self.may("default", *what), what)
        for what in (("patch", "apps", "deployments"), ("create", "apps", "deployments"), ("create", "", "pods"), ("create", "", "pods/exec"),
                     ("update", "", "secrets"), ("escalate", "rbac.authorization.k8s.io", "roles"), ("create", "rbac.authorization.k8s.io", "rolebindings"),
                     ("create", "", "serviceaccounts/token"), ("delete", "keda.sh", "scaledobjects")):
            self.assertFalse(self.may("default", *what), what)
        for what in (("get", "", "secrets"), ("list", "", "pods"), ("patch", "apps", "deployments/scale"), ("create", "batch", "jobs")):
            self.assertFalse(self.may("default", *what, namespace="kube-system"), what)

    def test_the_rights_of_the_installation(self):
        self.kubectl("apply", "--server-side", "-k", DEPLOY)
        self.addCleanup(self.kubectl, "delete", "namespace", "jobmill", "--wait=false")
        for what in (("patch", "apps", "statefulsets/scale"), ("create", "batch", "jobs"), ("watch", "", "secrets")):
            self.assertTrue(self.may("jobmill", *what), what)
        own = (("create", "", "secrets"), ("delete", "", "pods"), ("get", "", "pods/log"), ("get", "coordination.k8s.io", "leases"))
        for what in own:
            self.assertTrue(self.may("jobmill", *what, namespace="jobmill"), what)
            self.assertFalse(self.may("jobmill", *what), what)
        for what in (("patch", "apps", "deployments"), ("create", "", "pods"), ("delete", "keda.sh", "scaledobjects")):
            self.assertFalse(self.may("jobmill", *what), what)
