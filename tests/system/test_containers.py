"""Executions as containers, from the outside: images made here, run by whichever tool this machine has."""
import hashlib
import json
import os
import pathlib
import tarfile

from harness import alive, until
from test_executions import ENVIRONMENT, ExecutionTest, ours

BUSYBOX = pathlib.Path("/bin/busybox")  # Debian's busybox-static
IMAGE = "acr.azurecr.io/job:1.0"


def make_image(folder, command):
    """An OCI archive with a shell, as `docker save` or `skopeo copy` would write it."""
    rootfs, layout = folder / "rootfs", folder / "layout"
    for name in ("bin", "etc", "shop"):
        (rootfs / name).mkdir(parents=True)
    (rootfs / "bin/busybox").write_bytes(BUSYBOX.read_bytes())
    (rootfs / "bin/busybox").chmod(0o755)
    for name in ("sh", "cat", "sleep", "wget"):
        (rootfs / "bin" / name).symlink_to("busybox")
    blobs = layout / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(content):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"digest": "sha256:" + digest, "size": len(content)}

    def of_root(member):
        member.uid = member.gid = 0
        return member

    with tarfile.open(folder / "layer.tar.gz", "w:gz") as tar:
        tar.add(rootfs, ".", filter=of_root)
    layer = blob((folder / "layer.tar.gz").read_bytes())
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
                              "config": {"Cmd": command, "WorkingDir": "/shop", "Env": ["PATH=/bin", "MADE=by-the-image"]}}).encode())
    manifest = blob(json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode())
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    with tarfile.open(folder / "image.tar", "w") as tar:
        tar.add(layout, ".")
    return folder / "image.tar"


class Containers(ExecutionTest):
    def setUp(self):
        super().setUp()
        (self.folder / "image").mkdir()
        archive = make_image(self.folder / "image", ["/bin/sh", "-c", 'eval "${SCRIPT:-echo made $MADE; echo wrong >&2; exit 7}"'])
        self.az("containerapp", "env", "create", "-n", ENVIRONMENT)
        self.az("image", "map", "*.azurecr.io/job:*", "--runner", "oci", "--archive", archive, group=None)

    def create(self, *flags, timeout=600, retry=0):
        self.job("create", "--environment", ENVIRONMENT, "--trigger-type", "Manual", "--replica-timeout", timeout,
                 "--replica-retry-limit", retry, "--image", IMAGE, "--runner", "oci", *flags)

    def run_one(self):
        self.job("start")
        return self.ended(len(self.executions()))[-1]

    def tool_works(self, execution):
        """A machine without a tool that works says so; there the test is that it does."""
        reason = ours(execution).get("reason", "")
        if not reason.startswith("ImageNotRunnable: no container tool"):
            return True
        self.assertRegex(reason, "no container tool (found; install podman, crun or runc|works here \\(.+: .+\\))")
        self.check(execution, "Failed")
        return False

    def test_an_execution_runs_what_the_image_says(self):
        self.create()
        execution = self.run_one()
        if not self.tool_works(execution):
            return
        self.check(execution, "Failed", "exit 7")
        self.assertIn("made by-the-image", self.log(execution))
        self.assertIn("wrong", self.log(execution))

    def test_a_container_has_its_own_files_and_the_machines_network(self):
        self.create("--secrets", "key=swordfish", "--env-vars", "KEY=secretref:key", "GREETING=good morning",
                    f"SCRIPT=echo $GREETING $MADE; echo $KEY; echo $JOBMILL_ATTEMPT >/shop/file; cat /shop/*; "
                              f"cat {self.folder}/data/secrets.key || echo hidden; wget -q -O - {self.server.url}/health")
        execution = self.run_one()
        if not self.tool_works(execution):
            return
        self.check(execution, "Succeeded")
        log = self.log(execution)
        for line in ("good morning by-the-image", "***", "1", "hidden", '{"status":"UP"'):
            self.assertIn(f" stdout {line}", log)
        self.assertNotIn("swordfish", log)

    def test_stop_and_time_out_end_a_container(self):
        self.create("--stop-grace", "5", "--env-vars", "SCRIPT=trap 'echo asked' TERM; echo up; while :; do sleep 600 & wait; done",
                    timeout=5)
        execution = self.run_one()
        if not self.tool_works(execution):
            return
        self.check(execution, "Failed", "timeout")
        self.assertIn("asked", self.log(execution))

    def test_a_killed_server_leaves_no_container_and_loses_no_execution(self):
        self.create("--env-vars", "SCRIPT=echo begun; sleep 600")
        self.job("start")
        running = lambda found: found and [one for one in ours(found[0])["replicas"] if one["state"] == "Running"]
        found = self.when(lambda found: running(found) or found[0]["properties"]["status"] == "Failed", "a replica runs")
        if not self.tool_works(found[0]):
            return
        pid = running(found)[0]["pid"]
        self.assertTrue(alive(pid))
        until(lambda: "begun" in self.log(found[0]), what="its first words")
        self.server.kill()
        self.server.wait()
        until(lambda: not alive(pid), what="the end of the container")
        self.server = self.dev()
        found = self.when(lambda found: running(found) and running(found)[0]["pid"] != pid, "another replica")
        self.assertIn("begun", self.log(found[0]))
        self.job("stop", "--job-execution-name", found[0]["name"])
        self.check(self.ended()[0], "Stopped")
        state = self.folder / "data/executions/containers/state"
        self.assertEqual([], os.listdir(state) if state.exists() else [])

    def test_an_image_that_nobody_has_is_a_reason(self):
        self.az("image", "remove", "*.azurecr.io/job:*", group=None)
        self.az("image", "map", IMAGE, "--runner", "oci", "--archive", self.folder / "none.tar", group=None)
        self.create()
        self.check(self.run_one(), "Failed", "ImageNotRunnable: ")
