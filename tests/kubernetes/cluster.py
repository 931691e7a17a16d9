"""A Kubernetes control plane of one's own: etcd, API server, controllers and scheduler in a temporary folder."""
import contextlib
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile

from api import Api, ApiError
from certificates import Authority
from harness import ROOT, until

PROGRAM = ROOT / "build/kubernetes/controlplane"
AWAY = (OSError, http.client.HTTPException)  # what a call meets while the API server is not there


def own_port():
    """One that can be taken again: the system gives none of these to connections that others open."""
    for port in random.sample(range(21000, 22000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free between 21000 and 21999")


def launch(words, log, **more):
    """A process in a group of its own that does not outlive this one, however this one ends."""
    with open(log, "ab") as output:
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *map(str, words)], stdin=subprocess.DEVNULL, stdout=output,
                                stderr=subprocess.STDOUT, start_new_session=True, **more)


def end(process, number=signal.SIGKILL):
    """The whole group, and its first process is waited for."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    process.wait()


class PartEnded(AssertionError):
    pass


class Cluster:
    """Running until close(), or until this process ends. `api` and `kubeconfig` are the administrator's. `flags` are
    more ones of the API server."""

    def __init__(self, *flags):
        self.flags = flags
        if not PROGRAM.exists():
            raise RuntimeError("no control plane is built; ./dev setup builds one")
        for last in (False, False, True):
            try:
                return self._begin()
            except PartEnded:  # somebody took its port after we looked
                if last:
                    raise

    def _begin(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-kubernetes-"))
        self.processes = {}
        self.port = own_port()
        self.server = f"https://127.0.0.1:{self.port}"
        try:
            self._make_certificates()
            self._start_etcd()
            self.start_api_server()
            self._start_controllers()
        except BaseException:
            self.close()
            raise

    def close(self):
        for process in self.processes.values():
            end(process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_api_server(self):
        if "kube-apiserver" in self.processes:
            return
        pki = self.authority.folder
        self._start("kube-apiserver", f"--etcd-servers={self.etcd}", "--bind-address=127.0.0.1", f"--secure-port={self.port}",
                    # It may not be loopback, and nobody goes there: no kube-proxy runs.
                    "--advertise-address=192.0.2.1", "--service-cluster-ip-range=10.96.0.0/16",
                    f"--tls-cert-file={pki}/server.crt", f"--tls-private-key-file={pki}/server.key",
                    f"--client-ca-file={pki}/ca.crt", "--authorization-mode=Node,RBAC",
                    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                    f"--service-account-key-file={pki}/accounts.pub", f"--service-account-signing-key-file={pki}/accounts.key",
                    f"--requestheader-client-ca-file={pki}/ca.crt", "--requestheader-allowed-names=front-proxy",
                    "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
                    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
                    f"--proxy-client-cert-file={pki}/front-proxy.crt", f"--proxy-client-key-file={pki}/front-proxy.key", *self.flags)
        until(self._answers, 400, "the API server's readiness")

    def stop_api_server(self, number=signal.SIGKILL):
        end(self.processes.pop("kube-apiserver"), number)

    def kubectl(self, *words, stdin=None, check=True, kubeconfig=None):
        """What it printed; with check=False the whole outcome."""
        done = subprocess.run([PROGRAM, "kubectl", "--kubeconfig", kubeconfig or self.kubeconfig, *map(str, words)], input=stdin,
                              capture_output=True, text=True, timeout=180, env={**os.environ, "HOME": str(self.folder)})
        if not check:
            return done
        if done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, words))}: {done.stderr}")
        return done.stdout

    def apply(self, *files, namespace="default", text=None):
        """As users do: server-side, from files, folders or text."""
        names = [word for file in files for word in ("-f", file)] or ["-f", "-"]
        return self.kubectl("apply", "--server-side", "-n", namespace, *names, stdin=text)

    def namespace(self, name):
        """Made, and ready for pods: its service account exists."""
        self.api.create("namespaces", None, {"metadata": {"name": name}})
        until(lambda: self.api.find("serviceaccounts", name, "default"), 180, "the namespace's service account")
        return name

    def token_of(self, namespace, account):
        request = {"spec": {"expirationSeconds": 3600}}
        return self.api.create("serviceaccounts", namespace, request, account, "token")["status"]["token"]

    def kubeconfig_of(self, namespace, account, file=None):
        """A kubeconfig with a service account's rights: what a pod of it may do."""
        file = pathlib.Path(file or self.folder / f"{namespace}-{account}.kubeconfig")
        return self._write_kubeconfig(file, {"token": self.token_of(namespace, account)}, namespace)

    def kubeconfig_by_certificate(self, name, user, group=""):
        """A kubeconfig with the rights of a part of Kubernetes, or of a person."""
        certificate, key = self.authority.client(name, user, group)
        who = {"client-certificate": str(certificate), "client-key": str(key)}
        return self._write_kubeconfig(self.folder / f"{name}.kubeconfig", who, "default")

    def log(self, part):
        return (self.folder / f"{part}.log").read_text(errors="replace")

    def _make_certificates(self):
        self.authority = Authority(self.folder / "pki")
        self.authority.server("server")
        self.authority.client("front-proxy", "front-proxy")
        self.authority.account_keys()
        self.kubeconfig = self.kubeconfig_by_certificate("admin", "admin", "system:masters")
        self.api = Api(self.port, self.authority.certificate, self.authority.folder / "admin.crt", self.authority.folder / "admin.key")

    def _write_kubeconfig(self, file, user, namespace):
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.server, "certificate-authority": str(self.authority.certificate)}}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}]}, indent=1))
        return file

    def _start_etcd(self):
        self.etcd = f"http://127.0.0.1:{own_port()}"
        self._start("etcd", self.folder / "etcd", self.etcd, f"http://127.0.0.1:{own_port()}")

    def _start_controllers(self):
        pki = self.authority.folder
        managers = self.kubeconfig_by_certificate("controller-manager", "system:kube-controller-manager")
        self._start("kube-controller-manager", f"--kubeconfig={managers}", "--leader-elect=false", "--secure-port=0",
                    "--use-service-account-credentials=true", f"--service-account-private-key-file={pki}/accounts.key",
                    f"--root-ca-file={pki}/ca.crt", "--horizontal-pod-autoscaler-sync-period=1s")
        schedulers = self.kubeconfig_by_certificate("scheduler", "system:kube-scheduler")
        self._start("kube-scheduler", f"--kubeconfig={schedulers}", "--leader-elect=false", "--secure-port=0")
        until(lambda: self.api.find("serviceaccounts", "default", "default"), 180, "the default service account")

    def _start(self, part, *flags):
        self.processes[part] = launch([PROGRAM, part, *flags], self.folder / f"{part}.log", cwd=self.folder)

    def _answers(self):
        for part, process in self.processes.items():
            if process.poll() is not None:
                raise PartEnded(f"{part} ended ({process.returncode}): {self.log(part)[-4000:]}")
        try:
            return self.api.call("GET", "/readyz") == "ok"
        except (*AWAY, ApiError):
            return False
