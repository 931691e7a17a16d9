"""A node as clusters have them: containerd with runc, a kubelet, kube-proxy, and names of Services.

Only in a sandbox, where `sandbox.enter` was called.
"""
import json
import os
import pathlib
import subprocess

from cluster import PROGRAM, end, launch
from harness import JOBMILL, until
from names import DOMAIN, NameServer
from sandbox import ADDRESS, CGROUP, FOLDER, RUN

PARTS = PROGRAM.with_name("node")  # kubelet and kube-proxy
PACKAGES = FOLDER / "packages/root"
SOCKET = "/run/containerd/containerd.sock"
BUSYBOX = pathlib.Path("/bin/busybox")  # Debian's busybox-static

CONTAINERD = f"""
version = 2
root = "{RUN}/containerd"
state = "/run/containerd"
# What would look for file systems that are not ours, or write to /opt.
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
                    "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "docker.io/library/pause:1"
# Nobody's priority is raised above that of this process: not every root may do that.
restrict_oom_score_adj = true
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{PACKAGES}/usr/lib/cni"
conf_dir = "{RUN}/network"
"""

# Each pod has a wire of its own to the node, which routes between them.
NETWORK = {"cniVersion": "0.4.0", "name": "pods", "plugins": [
    {"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.244.0.0/24", "routes": [{"dst": "0.0.0.0/0"}]}}]}

KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
    "address": ADDRESS, "containerRuntimeEndpoint": f"unix://{SOCKET}", "clusterDNS": [ADDRESS], "clusterDomain": DOMAIN,
    # Nobody else is on this network.
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}}, "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs", "cgroupRoot": f"/{CGROUP}", "failSwapOn": False, "oomScoreAdj": 0, "registerNode": True,
    # A disk that is nearly full is no reason to evict pods of a test, nor to delete its images.
    "evictionHard": {"nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "memory.available": "0%"},
    "imageGCHighThresholdPercent": 100}

PROXY = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration", "mode": "iptables",
    "bindAddress": "0.0.0.0", "metricsBindAddress": "127.0.0.1:10249", "healthzBindAddress": "127.0.0.1:10256",
    "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}}

IMAGES = {  # archive -> flags of `jobmill image build`
    "jobmill": [],
    "tools": ["--binary", FOLDER / "pause", "--binary", BUSYBOX, "--tag", "pause:1", "--tag", "shell:1"]}


# What the API server has to be told, so that pods and the kubelet find it, and it the kubelet.
API_SERVER = ["--bind-address=0.0.0.0", f"--advertise-address={ADDRESS}", "--kubelet-preferred-address-types=InternalIP"]


class Machine:
    """Ready from the start until close(), or until this process ends."""

    def __init__(self, control_plane, name="node-1"):
        self.cluster, self.api, self.name = control_plane, control_plane.api, name
        self.folder = control_plane.folder
        self.processes = {}
        self._start_containerd()
        self._load_images()
        self.names = NameServer(control_plane, ADDRESS)
        self._start_parts()

    def close(self):
        self.names.close()
        for process in self.processes.values():
            end(process)

    def has_pods(self, namespace):
        return bool(self.api.items("pods", namespace))

    def log(self, part):
        return (self.folder / f"{part}.log").read_text(errors="replace")

    def _start(self, part, *words):
        self.processes[part] = launch(words, self.folder / f"{part}.log", cwd=self.folder)

    def _until(self, part, check, what):
        def there():
            if self.processes[part].poll() is not None:
                raise AssertionError(f"{part} ended: {self.log(part)[-4000:]}")
            return check()
        try:
            until(there, 120, what)
        except AssertionError:
            print(f"-- {part}:", self.log(part)[-6000:], sep="\n")
            raise

    def _start_containerd(self):
        (RUN / "network").mkdir()
        (RUN / "network/pods.conflist").write_text(json.dumps(NETWORK))
        config = self._file("containerd.toml", CONTAINERD)
        self._start("containerd", "containerd", "--config", config)
        self._until("containerd", lambda: subprocess.run(["ctr", "version"], capture_output=True).returncode == 0, "containerd's answer")

    def _load_images(self):
        """By the command that users have for it, which finds one engine here."""
        only = {**os.environ, "PATH": str(PACKAGES / "usr/bin")}
        for name, flags in IMAGES.items():
            archive = RUN / f"{name}.tar"
            words = [JOBMILL, "image", "build", "--load", "--output", archive, *flags]
            done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=only, timeout=300)
            if done.returncode != 0:
                raise AssertionError(f"{name}: {done.stdout}{done.stderr}")
            archive.unlink()

    def _start_parts(self):
        of_kubelet = self.cluster.kubeconfig_by_certificate("kubelet", f"system:node:{self.name}", "system:nodes")
        self._start("kubelet", PARTS, "kubelet", f"--kubeconfig={of_kubelet}", f"--config={self._file('kubelet.json', KUBELET)}",
                    f"--hostname-override={self.name}", f"--node-ip={ADDRESS}")
        of_proxy = self.cluster.kubeconfig_by_certificate("proxy", "system:kube-proxy")
        proxy = {**PROXY, "clientConnection": {"kubeconfig": str(of_proxy)}, "hostnameOverride": self.name}
        self._start("kube-proxy", PARTS, "kube-proxy", f"--config={self._file('proxy.json', proxy)}")
        self._until("kubelet", self._is_ready, "the node's readiness")

    def _is_ready(self):
        node = self.api.find("nodes", None, self.name) or {}
        return any(one["type"] == "Ready" and one["status"] == "True" for one in node.get("status", {}).get("conditions", []))

    def _file(self, name, content):
        file = self.folder / name
        file.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
        return file
