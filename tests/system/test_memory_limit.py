"""Memory limits by the kernel: an execution that wants more than it may have is ended, said so, and nobody else.

Machines whose memory controller is not in cgroup v2, or not ours, run the test under a kernel of their own:
Debian's user-mode-linux, a process like any other that needs no rights.
"""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

from harness import BIN, ROOT, until
from test_executions import ENVIRONMENT, ExecutionTest, ours

CGROUPS = pathlib.Path("/sys/fs/cgroup")
KERNEL = shutil.which("linux.uml", path=os.environ["PATH"] + ":/usr/bin")
ON_THAT_KERNEL = "JOBMILL_TEST_KERNEL"  # set there, where this file begins anew

# The first process there. The whole machine's files are its root, and its own folder is in memory.
INIT = """#!/bin/sh
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t cgroup2 cgroup2 {cgroups} && mount -t tmpfs tmpfs /mnt && busybox ip link set lo up
cd {root} && exec 2>&1 && env -i HOME=/mnt TMPDIR=/mnt PATH={path} JOBMILL_BIN={bin} {mark}=1 {python} -B tests/system/run.py test_memory_limit
mount -o remount,ro / ; echo o >/proc/sysrq-trigger; sleep 60
"""


def limits_can_be_set():
    try:
        controllers = (CGROUPS / "cgroup.controllers").read_text().split()
    except OSError:
        return False
    return "memory" in controllers and os.access(CGROUPS / "cgroup.subtree_control", os.W_OK) and pathlib.Path("/proc/self/cgroup").read_text() == "0::/\n"


class MemoryLimit(ExecutionTest):
    def setUp(self):
        self.here = ON_THAT_KERNEL in os.environ or limits_can_be_set()
        if self.here:
            super().setUp()
        else:
            super(ExecutionTest, self).setUp()  # the server is started there

    def test_an_execution_that_takes_more_than_its_limit_is_ended_and_said_to_be_out_of_memory(self):
        if not self.here:
            return self.run_on_another_kernel()
        self.assertTrue(limits_can_be_set())
        self.az("containerapp", "env", "create", "-n", ENVIRONMENT)
        self.create("greedy", "tail /dev/zero; exit $?")
        self.create("modest", "head -c 10000000 /dev/zero | tail -c 10000000 | wc -c; cat /proc/self/cgroup")
        self.JOB = "greedy"
        self.job("start")
        [greedy] = self.ended(seconds=200)
        self.check(greedy, "Failed", "oom")
        [replica] = ours(greedy)["replicas"]
        self.assertEqual(("oom", 137), (replica["reason"], replica["exitCode"]), replica)
        self.JOB = "modest"
        self.job("start")
        [modest] = self.ended(seconds=200)
        self.check(modest, "Succeeded")
        self.assertIn("10000000", self.log(modest))
        until(lambda: sorted(path.name for path in CGROUPS.iterdir() if path.is_dir()) == ["server"], what="the end of their cgroups")

    def create(self, name, script):
        self.az("containerapp", "job", "create", "-n", name, "--environment", ENVIRONMENT, "--trigger-type", "Manual",
                "--replica-timeout", "300", "--replica-retry-limit", "0", "--image", "shell", "--cpu", "0.25", "--memory", "0.05",
                "--command", "/bin/sh", self.file(f"{name}.sh", script))

    def run_on_another_kernel(self):
        self.assertTrue(KERNEL, "neither cgroup v2 with the memory controller nor user-mode-linux; ./dev setup installs that")
        words = {"cgroups": CGROUPS, "root": ROOT, "path": os.environ["PATH"], "bin": BIN, "mark": ON_THAT_KERNEL, "python": sys.executable}
        init = self.file("init", INIT.format(**{name: shlex.quote(str(value)) for name, value in words.items()}))
        init.chmod(0o755)
        done = subprocess.run([KERNEL, "mem=384M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}", "quiet",
                               f"uml_dir={self.folder}", "con=null", "con0=null,fd:1"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                              timeout=500, env={**os.environ, "TMPDIR": "/dev/shm"})
        self.assertRegex(done.stdout.replace("\r", ""), r"(?m)^Ran 1 test .*\n\nOK$", done.stdout + done.stderr)
