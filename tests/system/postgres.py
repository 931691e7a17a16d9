"""A PostgreSQL of one's own: Debian's package, a temporary folder, a free port, never root."""
import contextlib
import ctypes
import os
import pathlib
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse

from harness import free_port

USER, PASSWORD = "jobmill", "p@ss/word"
PR_SET_PDEATHSIG = 1


def programs():
    """The folder of the server's programs, the newest release first."""
    named = os.environ.get("JOBMILL_POSTGRES_BIN")
    if named:
        return pathlib.Path(named)
    found = {int(path.parent.parent.name): path.parent for path in pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres")
             if re.fullmatch(r"\d+", path.parent.parent.name)}
    if not found or max(found) < 15:
        raise RuntimeError("no PostgreSQL 15 or later is installed; ./dev setup installs one")
    return found[max(found)]


def server_user():
    """Whom the server runs as when we are root, which it refuses to be."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("no user to run PostgreSQL as")


class Postgres:
    """Running until close(), or until this process ends, however it ends.

    `url` leads to the database "jobmill" by TCP with a password; `socket_url` by the Unix socket.
    fsync is on unless a test can do without. `small_disk`, such as "24m", is the size of a disk that the
    server alone sees at `small`, for as long as its process lives.
    """

    def __init__(self, fsync=True, settings=(), small_disk=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-pg-", dir="/tmp"))  # short: it holds a socket
        self.small, self.small_disk = self.folder / "small", small_disk
        self.process = None
        self.log = self.folder / "server.log"
        try:
            self._make_cluster(fsync, settings)
            self._first_start()
            self.execute("CREATE DATABASE jobmill ENCODING 'UTF8' TEMPLATE template0", "postgres")
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def url(self):
        return self.url_of("jobmill")

    def url_of(self, database, user=USER, password=PASSWORD, port=None):
        return f"postgres://{user}:{urllib.parse.quote(password, safe='')}@127.0.0.1:{port or self.port}/{database}"

    @property
    def socket_url(self):
        return f"postgres://{USER}@/jobmill?host={urllib.parse.quote(str(self.folder), safe='')}&port={self.port}"

    def start(self):
        if not self._start():
            raise RuntimeError(self.log.read_text())

    def stop(self):
        """In order: connections are ended."""
        self._end(signal.SIGINT)

    def crash(self):
        """The server and all of its processes at once."""
        self._end(signal.SIGQUIT)

    def restart(self):
        self.stop()
        self.start()

    def restart_as_standby(self):
        """Read-only from then on, as a primary that was demoted, until pg_promote()."""
        self.stop()
        (self.folder / "data/standby.signal").touch()
        self.start()

    def signal_all(self, number):
        """To the server and to all of its processes, which are its children."""
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                pid, parent = int(stat.parent.name), int(stat.read_text().rsplit(")", 1)[1].split()[1])
                if self.process.pid in (pid, parent):
                    os.kill(pid, number)

    def close(self):
        if self.process:
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, sql, database="jobmill"):
        """A superuser's word; the answer as psql prints it without decoration."""
        words = [programs() / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", self.port,
                 "-U", USER, "-d", database, "-c", sql]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{sql}: {done.stderr}")
        return done.stdout.strip()

    def fresh_database(self, name, options="ENCODING 'UTF8' TEMPLATE template0"):
        self.execute(f"CREATE DATABASE {name} {options}", "postgres")
        return self.url_of(name)

    def _make_cluster(self, fsync, settings):
        password = self.folder / "password"
        password.write_text(PASSWORD + "\n")
        user = server_user()
        if user:
            for path in (self.folder, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        done = self._run("initdb", "--pgdata", self.folder / "data", "--username", USER, "--pwfile", password,
                         "--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256",
                         "--no-sync", "--no-instructions", death=signal.SIGKILL, output=self.folder / "initdb.log")
        if done.wait() != 0:
            raise RuntimeError((self.folder / "initdb.log").read_text())
        lines = ["listen_addresses = '127.0.0.1'", f"unix_socket_directories = '{self.folder}'", "logging_collector = off",
                 *([] if fsync else ["fsync = off", "full_page_writes = off"]), *settings]
        with (self.folder / "data/postgresql.conf").open("a") as file:
            file.write("\n".join(lines) + "\n")

    def _first_start(self):
        for _ in range(5):  # another process may be faster to take the port
            self.port = free_port()
            if self._start():
                return
        raise RuntimeError(self.log.read_text())

    def _start(self):
        words = ["-D", self.folder / "data", "-p", self.port]
        if self.small_disk:
            self.process = self._popen(self._beside_small_disk("postgres", *words), signal.SIGQUIT, self.log, None)
        else:
            self.process = self._run("postgres", *words, death=signal.SIGQUIT, output=self.log)
        end = time.monotonic() + 60
        ready = [str(programs() / "pg_isready"), "-q", "-h", str(self.folder), "-p", str(self.port), "-U", USER, "-d", "postgres"]
        while subprocess.run(ready).returncode != 0:
            if self.process.poll() is not None:
                self.process = None
                return False
            if time.monotonic() > end:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.02)  # nothing but a connection tells that it takes connections
        return True

    def _run(self, program, *words, death, output):
        return self._popen([programs() / program, *words], death, output, server_user())

    def _beside_small_disk(self, program, *words):
        """What mounts it where nobody else sees it, and becomes the program; rights that it needs for that end there."""
        user = server_user()
        own = [] if user else ["--user", "--map-current-user", "--keep-caps"]
        become = ["--reuid", user.pw_uid, "--regid", user.pw_gid, "--clear-groups"] if user else ["--inh-caps", "-all", "--ambient-caps", "-all"]
        owner = user or pwd.getpwuid(os.geteuid())
        self.small.mkdir(exist_ok=True)
        options = f"size={self.small_disk},mode=700,uid={owner.pw_uid},gid={owner.pw_gid}"
        return ["unshare", "--mount", *own, "sh", "-ec", 'mount -t tmpfs -o "$1" small-disk "$2"; shift 2; exec "$@"', "sh", options, self.small,
                "setpriv", "--pdeathsig", "QUIT", *become, programs() / program, *words]

    def _popen(self, words, death, output, user):
        parent = os.getpid()
        libc = ctypes.CDLL(None, use_errno=True)

        def before():  # in the child, after the change of user, which forgets the signal
            libc.prctl(PR_SET_PDEATHSIG, int(death))
            if os.getppid() != parent:
                os._exit(126)

        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
        with output.open("ab") as log:
            return subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, cwd="/", start_new_session=True, preexec_fn=before, **who)

    def _end(self, number):
        self.process.send_signal(number)
        self.process.wait()
        self.process = None
