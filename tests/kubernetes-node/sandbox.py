"""Where a node may do to a machine what nodes do: mounts, networks, processes, settings and folders of its own.

What it leaves outside are control groups and one folder; both are removed before and after.
"""
import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import time

from harness import ROOT

FOLDER = ROOT / "build/kubernetes-node"
RUN = FOLDER / "run"
CGROUP = "jobmill-node"
ADDRESS = "192.0.2.1"  # the node's; only those inside know it

COMMAND = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child",
           "--mount-proc", "--propagation", "private"]

# Which a kubelet sets for the whole machine: it gets copies of the files.
SETTINGS = ["vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
            "kernel/keys/root_maxbytes"]


class Forbidden(Exception):
    """This machine does not let us, and why."""


def do(what, *words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Forbidden(f"{what} is not possible here: {' '.join(map(str, words))}: {' '.join(done.stderr.split())}")


@contextlib.contextmanager
def alone():
    """One at a time on a machine, since there is one name for the control groups."""
    if os.geteuid() != 0:
        raise Forbidden("only root can make the mounts, networks and control groups of containers; run this as root")
    lock = os.open("/sys/fs/cgroup", os.O_RDONLY)  # held until the end of this process
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Forbidden("another one runs on this machine") from None
    remove_traces()
    try:
        (RUN / "tmp").mkdir(parents=True)
        do("a namespace of each kind", *COMMAND, "true")
        yield
    finally:
        remove_traces()


def environment():
    programs = FOLDER / "packages/root/usr/bin"
    return {**os.environ, "TMPDIR": str(RUN / "tmp"), "PATH": f"{programs}:{os.environ['PATH']}:/usr/sbin:/sbin"}


def interrupt(process):
    """Told, and given time to tell what it was about."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        process.wait(20)


def end(process):
    """At once. The first process inside goes when all others have gone, and only then COMMAND ends."""
    with contextlib.suppress(OSError):
        for first in pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
            os.kill(int(first), signal.SIGKILL)
    process.wait()


def remove_traces():
    for top in cgroups():
        for folder, _, _ in os.walk(top, topdown=False):
            remove_cgroup(folder)
    shutil.rmtree(RUN, ignore_errors=True)


def remove_cgroup(folder):
    """Its processes were killed, but may not have left yet."""
    end = time.monotonic() + 10
    while True:
        try:
            return os.rmdir(folder)
        except FileNotFoundError:
            return None
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def cgroups():
    """Ours, in each hierarchy of this machine: several of version 1, or one of version 2."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    return sorted({pathlib.Path(where) / CGROUP for _, where, kind, *_ in mounts if kind in ("cgroup", "cgroup2")})


# --- inside ---------------------------------------------------------------------------------------

def enter():
    """The machine as its node shall find it."""
    mount_folders()
    for setting in SETTINGS:
        copy = RUN / "settings" / setting
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((pathlib.Path("/proc/sys") / setting).read_text())
        do("a setting of its own", "mount", "--bind", copy, f"/proc/sys/{setting}")
    for group in cgroups():
        try:
            group.mkdir(exist_ok=True)
        except OSError as error:
            raise Forbidden(f"a control group is not possible here: {error}") from None
    do("a network", "ip", "link", "set", "lo", "up")
    do("a network", "ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
    try_out()


def mount_folders():
    """Where containers' engines keep what they do not keep elsewhere. Package lists stay to be read."""
    for place in ("run", "var/log", "var/lib"):
        (RUN / "machine" / place).mkdir(parents=True)
    packages = RUN / "machine/var/lib/dpkg"
    packages.mkdir()
    do("a mount", "mount", "--bind", "/var/lib/dpkg", packages)
    for place in ("run", "var/log", "var/lib"):
        do("a mount", "mount", "--rbind", RUN / "machine" / place, f"/{place}")


def try_out():
    """What a node needs of the kernel, before it complains in a hundred lines of its own."""
    for name in ("lower", "upper", "work", "merged"):
        (RUN / "overlay" / name).mkdir(parents=True)
    where = ",".join(f"{option}={RUN}/overlay/{name}" for option, name in (("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")))
    do("an overlay", "mount", "-t", "overlay", "overlay", "-o", where, RUN / "overlay/merged")
    do("an overlay", "umount", RUN / "overlay/merged")
    do("a pair of network devices", "ip", "link", "add", "probe0", "type", "veth", "peer", "name", "probe1")
    do("a pair of network devices", "ip", "link", "delete", "probe0")
    do("the translation of addresses", "iptables", "-t", "nat", "-A", "OUTPUT", "-m", "comment", "--comment", "probe", "-j", "RETURN")
    do("the translation of addresses", "iptables", "-t", "nat", "-F", "OUTPUT")
