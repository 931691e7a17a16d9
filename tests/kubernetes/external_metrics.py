"""What an installed KEDA gives the cluster's own HorizontalPodAutoscaler: the API of external metrics, behind the API server."""
import datetime
import http.server
import json
import ssl
import threading

from cluster import own_port

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"


class ExternalMetrics:
    """Every metric has the value that `value()` gives. One for a cluster."""

    def __init__(self, cluster, value):
        self.api, self.value = cluster.api, value
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", own_port()), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*cluster.authority.server("external-metrics"))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._register()

    def close(self):
        self.api.call("DELETE", f"/apis/apiregistration.k8s.io/v1/apiservices/{VERSION}.{GROUP}")
        self.api.delete("services", "default", "external-metrics")
        self.server.shutdown()
        self.server.server_close()

    def available(self):
        found = self.api.call("GET", f"/apis/apiregistration.k8s.io/v1/apiservices/{VERSION}.{GROUP}")
        return any(one["type"] == "Available" and one["status"] == "True" for one in found.get("status", {}).get("conditions", []))

    def _register(self):
        # A name needs neither kube-proxy nor pods: the API server goes there itself.
        port = {"port": self.server.server_port, "protocol": "TCP"}
        self.api.create("services", "default", {"metadata": {"name": "external-metrics"},
                                                "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [port]}})
        self.api.call("POST", "/apis/apiregistration.k8s.io/v1/apiservices", {
            "metadata": {"name": f"{VERSION}.{GROUP}"},
            "spec": {"group": GROUP, "version": VERSION, "groupPriorityMinimum": 100, "versionPriority": 100, "insecureSkipTLSVerify": True,
                     "service": {"namespace": "default", "name": "external-metrics", "port": self.server.server_port}}})

    def _answer(self, path):
        words = path.split("?")[0].strip("/").split("/")
        if words[:3] != ["apis", GROUP, VERSION]:
            return None
        if len(words) == 3:
            return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}", "resources": []}
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        item = {"metricName": words[-1], "metricLabels": {}, "timestamp": now, "value": str(self.value())}
        return {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}, "items": [item]}

    def _handler(self):
        metrics = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                answer = metrics._answer(self.path)
                body = json.dumps(answer or {}).encode()
                self.send_response(200 if answer else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler
