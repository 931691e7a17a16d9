"""The API of a cluster, as one user: JSON in, JSON out."""
import contextlib
import http.client
import json
import ssl
import threading
import urllib.parse

GROUPS = {
    "/api/v1": ["configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes", "pods", "secrets", "serviceaccounts", "services"],
    "/apis/apps/v1": ["deployments", "replicasets", "statefulsets"],
    "/apis/apiextensions.k8s.io/v1": ["customresourcedefinitions"],
    "/apis/autoscaling/v2": ["horizontalpodautoscalers"],
    "/apis/batch/v1": ["cronjobs", "jobs"],
    "/apis/coordination.k8s.io/v1": ["leases"],
    "/apis/keda.sh/v1alpha1": ["clustertriggerauthentications", "scaledjobs", "scaledobjects", "triggerauthentications"],
    "/apis/rbac.authorization.k8s.io/v1": ["clusterrolebindings", "clusterroles", "rolebindings", "roles"],
}
ROOTS = {plural: root for root, plurals in GROUPS.items() for plural in plurals}

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def path(plural, namespace=None, name=None, part=None):
    words = [ROOTS[plural], *(["namespaces", namespace] if namespace else []), plural, *([name] if name else []), *([part] if part else [])]
    return "/".join(words)


class ApiError(Exception):
    def __init__(self, status, text):
        with contextlib.suppress(ValueError):
            text = json.loads(text).get("message", text)
        super().__init__(f"{status}: {text}")
        self.status = status


class Api:
    """May be called from many threads: each has a connection of its own, which it keeps."""

    def __init__(self, port, authority, certificate=None, key=None, token=None):
        self.port = port
        self.context = ssl.create_default_context(cafile=str(authority))
        if certificate:
            self.context.load_cert_chain(certificate, key)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.local = threading.local()

    def call(self, method, where, body=None, content_type="application/json"):
        """OSError or http.client.HTTPException when the server is not there."""
        data = None if body is None else json.dumps(body)
        headers = {**self.headers, "Accept": "application/json", **({"Content-Type": content_type} if data else {})}
        for kept in (getattr(self.local, "connection", None), None):
            connection = kept or self._connect()
            try:
                connection.request(method, where, data, headers)
                answer = connection.getresponse()
                text = answer.read().decode()
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                self.local.connection = None
                if not kept:  # a kept one may have been closed while nobody looked
                    raise
        self.local.connection = connection
        if answer.status >= 300:
            raise ApiError(answer.status, text)
        return json.loads(text) if answer.headers.get("Content-Type", "").startswith("application/json") else text

    def close(self):
        """What this thread keeps."""
        if connection := getattr(self.local, "connection", None):
            connection.close()
        self.local.connection = None

    def get(self, *where):
        return self.call("GET", path(*where))

    def find(self, *where):
        """None where there is no such object."""
        try:
            return self.get(*where)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def items(self, plural, namespace=None, **query):
        return self.call("GET", path(plural, namespace) + "?" + urllib.parse.urlencode(query))["items"]

    def create(self, plural, namespace, body, name=None, part=None):
        return self.call("POST", path(plural, namespace, name, part), body)

    def merge(self, plural, namespace, name, body, part=None):
        return self.call("PATCH", path(plural, namespace, name, part), body, MERGE)

    def delete(self, plural, namespace, name, **options):
        return self.call("DELETE", path(plural, namespace, name), options)

    def scale(self, plural, namespace, name, replicas=None):
        """What is wanted now, or what shall be."""
        answer = self.get(plural, namespace, name, "scale") if replicas is None else \
            self.merge(plural, namespace, name, {"spec": {"replicas": replicas}}, "scale")
        return answer["spec"].get("replicas", 0)

    def watch(self, plural, namespace=None, **query):
        """Events as (type, object), until the server ends it; it does so after `timeoutSeconds`."""
        query = {"watch": 1, "allowWatchBookmarks": "true", **query}
        connection = self._connect(timeout=None)
        try:
            connection.request("GET", path(plural, namespace) + "?" + urllib.parse.urlencode(query), headers=self.headers)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise ApiError(answer.status, answer.read().decode())
            for line in answer:
                event = json.loads(line)
                yield event["type"], event["object"]
        finally:
            connection.close()

    def _connect(self, timeout=60):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.context)
