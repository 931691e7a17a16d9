"""100 ScaledObjects in a real cluster, at rest: what the controller costs itself and the API server."""
import json
import os
import pathlib
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests/kubernetes"), str(ROOT / "tests/system")]

OBJECTS = 100
WRITES = re.compile(r'apiserver_request_total\{[^}]*resource="(?:scaledobjects|deployments|pods|events|jobs)"[^}]*'
                    r'verb="(?:PATCH|PUT|POST|DELETE|APPLY)"[^}]*\} (\S+)')


class Zero(BaseHTTPRequestHandler):
    """A metric that says that there is nothing to do."""
    protocol_version = "HTTP/1.1"
    reads = 0

    def do_GET(self):
        Zero.reads += 1
        body = b'{"value":0}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Source(ThreadingHTTPServer):
    """With a queue as long as that of any server: Python's own, 5, loses connections that come at once for seconds."""
    request_queue_size = 128


def manifests(url):
    for number in range(OBJECTS):
        name = f"web-{number}"
        labels = {"app": name}
        yield {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
               "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "nothing"}]}}}}
        yield {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": name},
               "spec": {"scaleTargetRef": {"name": name}, "pollingInterval": 30, "triggers": [{
                   "type": "metrics-api", "metadata": {"url": url, "format": "json", "valueLocation": "value", "targetValue": "10"}}]}}


def processor_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def writes(cluster):
    return sum(float(value) for value in WRITES.findall(cluster.api.call("GET", "/metrics")))


def ready(cluster):
    items = cluster.api.items("scaledobjects", "default")
    return sum(any(one["type"] == "Ready" and one["status"] == "True" for one in item.get("status", {}).get("conditions", [])) for item in items)


def measure(folder, seconds, serve, rss_mb):
    """Yields metric and value. `serve` starts a server of the product, `seconds` is how long it is watched at rest."""
    from cluster import Cluster
    source = Source(("127.0.0.1", 0), Zero)
    threading.Thread(target=source.serve_forever, daemon=True).start()
    cluster = Cluster()
    try:
        cluster.apply(ROOT / "deploy/k8s/crds.yaml")
        wait(lambda: cluster.kubectl("get", "so", check=False).returncode == 0)
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests(f"http://127.0.0.1:{source.server_port}/"))})
        cluster.apply(text=text)
        began = time.monotonic()
        with serve(folder, more=("--target", "kubernetes", "--kubeconfig", cluster.kubeconfig)) as server:
            wait(lambda: ready(cluster) == OBJECTS)
            yield "k8s.objects100_ready_s", time.monotonic() - began
            time.sleep(35)  # each trigger was read once more
            cpu, wrote, reads, began = processor_seconds(server.pid), writes(cluster), Zero.reads, time.monotonic()
            time.sleep(seconds)
            took = time.monotonic() - began
            yield "k8s.objects100_cpu_pct", (processor_seconds(server.pid) - cpu) / took * 100
            yield "k8s.objects100_reads_per_s", (Zero.reads - reads) / took
            yield "k8s.objects100_writes_per_min", (writes(cluster) - wrote) / took * 60
            yield "k8s.rss_mb", rss_mb(server.pid)
    finally:
        cluster.close()
        source.shutdown()


def wait(true, seconds=120):
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise SystemExit("bench: the cluster did not get where it should")
        time.sleep(0.05)
