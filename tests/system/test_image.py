"""`jobmill image build`: images of the shipped programs, looked at from the outside and run without an engine."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest

from harness import BIN, CLEAN, JOBMILL

SMALL = ("--binary", shutil.which("true"))  # where it does not matter of what
LIBRARIES = re.compile(r"^\s*(\S+) (?:=> (\S+) )?\(0x", re.MULTILINE)  # what the dynamic loader lists


def build(folder, *flags, env=None, check=True):
    done = subprocess.run([JOBMILL, "image", "build", *map(str, flags)], cwd=folder, text=True, capture_output=True,
                          env={**CLEAN, "SOURCE_DATE_EPOCH": "1700000000", **(env or {})}, timeout=400)
    if check and done.returncode != 0:
        raise AssertionError(f"image build {flags}: {done.stderr}")
    return done


class Image(unittest.TestCase):
    """One archive for all tests: it takes seconds to build."""

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="jobmill-image-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.printed = build(cls.folder, "--label", "org.opencontainers.image.revision=abc").stdout
        cls.bytes = (cls.folder / "jobmill-image.tar").read_bytes()
        cls.archive = tarfile.open(fileobj=io.BytesIO(cls.bytes))
        cls.addClassCleanup(cls.archive.close)
        cls.index = json.loads(cls.file("index.json"))
        cls.layer = cls.blob(cls.manifest("jobmill:latest")["layers"][0])
        cls.tree = tarfile.open(fileobj=io.BytesIO(cls.layer))
        cls.addClassCleanup(cls.tree.close)
        cls.root = cls.folder / "root"
        cls.root.mkdir()
        subprocess.run(["tar", "-xz", "--numeric-owner", "-C", cls.root], input=cls.layer, check=True)  # as root with its owners

    @classmethod
    def file(cls, name):
        return cls.archive.extractfile(name).read()

    @classmethod
    def blob(cls, descriptor):
        content = cls.file("blobs/sha256/" + descriptor["digest"].removeprefix("sha256:"))
        assert hashlib.sha256(content).hexdigest() == descriptor["digest"].removeprefix("sha256:"), descriptor
        assert len(content) == descriptor["size"], descriptor
        return content

    @classmethod
    def manifest(cls, name):
        entry, = [one for one in cls.index["manifests"] if one["annotations"]["io.containerd.image.name"] == "docker.io/library/" + name]
        return json.loads(cls.blob(entry))

    def config(self, name):
        return json.loads(self.blob(self.manifest(name)["config"]))

    def test_the_same_again(self):
        again = build(self.folder, "--output", "again.tar", "--label", "org.opencontainers.image.revision=abc")
        self.assertEqual(self.bytes, (self.folder / "again.tar").read_bytes())
        self.assertEqual(self.printed.splitlines()[1:], again.stdout.splitlines()[1:])
        small, later = (build(self.folder, *SMALL, "--output", "small.tar", env={"SOURCE_DATE_EPOCH": second}).stdout for second in ("1", "2"))
        self.assertNotEqual(small.splitlines()[1:], later.splitlines()[1:])

    def test_what_is_printed(self):
        head, *images = self.printed.splitlines()
        self.assertRegex(head, r"^jobmill-image.tar: \d+\.\d MB, 2 programs, \d+ libraries, \d+ files$")
        digests = {one["annotations"]["io.containerd.image.name"].rpartition("/")[2]: one["digest"] for one in self.index["manifests"]}
        self.assertEqual({"jobmill:0.1.0", "jobmill:latest", "jobmill-example:latest"}, set(digests))
        self.assertEqual([f"{name} {digest}" for name, digest in digests.items()], images)

    def test_the_layout(self):
        self.assertEqual({"imageLayoutVersion": "1.0.0"}, json.loads(self.file("oci-layout")))
        layers = set()
        for entry in self.index["manifests"]:
            manifest = json.loads(self.blob(entry))
            config = json.loads(self.blob(manifest["config"]))
            layer, = manifest["layers"]
            layers.add(layer["digest"])
            whole = gzip.decompress(self.blob(layer))
            self.assertEqual(["sha256:" + hashlib.sha256(whole).hexdigest()], config["rootfs"]["diff_ids"])
            self.assertEqual("2023-11-14T22:13:20Z", config["created"])
        self.assertEqual(1, len(layers), "the images share their files")
        # What `docker load` reads: the same configurations and layers.
        for entry in json.loads(self.file("manifest.json")):
            manifest = self.manifest(entry["RepoTags"][0])
            self.assertEqual("blobs/sha256/" + manifest["config"]["digest"][7:], entry["Config"])
            self.assertEqual(["blobs/sha256/" + manifest["layers"][0]["digest"][7:]], entry["Layers"])

    def test_the_configuration(self):
        config = self.config("jobmill:0.1.0")["config"]
        self.assertEqual(["/usr/bin/jobmill"], config["Entrypoint"])
        self.assertEqual(["/usr/bin/jobmill-example"], self.config("jobmill-example:latest")["config"]["Entrypoint"])
        self.assertEqual("65532:65532", config["User"])
        self.assertEqual({"title": "jobmill", "version": "0.1.0", "licenses": "Apache-2.0", "revision": "abc"},
                         {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()})

    def test_who_owns_the_files(self):
        names = [member.name for member in self.tree]
        self.assertEqual(sorted(names), names)
        for member in self.tree:
            own = member.name == "data"
            self.assertEqual((65532, 65532) if own else (0, 0), (member.uid, member.gid), member.name)
            self.assertEqual(1700000000, member.mtime)
            self.assertEqual(member.name == "tmp", bool(member.mode & 0o022) and not member.issym(), member.name)
            self.assertFalse(member.mode & 0o6000, member.name)

    def test_the_bill_of_materials(self):
        bill = json.loads((self.root / "usr/share/jobmill/sbom.spdx.json").read_text())
        self.assertEqual("SPDX-2.3", bill["spdxVersion"])
        by_name = {package["name"]: package for package in bill["packages"]}
        for name in ("jobmill", "jobmill-example"):
            program = (self.root / "usr/bin" / name).read_bytes()
            self.assertEqual(hashlib.sha256(program).hexdigest(), by_name[name]["checksums"][0]["checksumValue"])
        told = "".join(package.get("comment", "") + package.get("packageFileName", "") for package in bill["packages"])
        for library in self.root.glob("lib/**/*.so*"):
            self.assertIn(library.name, told, "each library belongs to a package, or is listed by itself")
        if shutil.which("dpkg-query"):
            version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "libpq5"], capture_output=True, text=True, check=True).stdout
            self.assertEqual(version, by_name["libpq5"]["versionInfo"])
            self.assertTrue((self.root / "usr/share/doc/libpq5/copyright").is_file())
        ids = {package["SPDXID"] for package in bill["packages"]}
        self.assertEqual(len(bill["packages"]), len(ids))
        self.assertLessEqual({one["relatedSpdxElement"] for one in bill["relationships"]}, ids)

    def loader(self):
        """The image's own dynamic loader, told to look nowhere but in the image."""
        found, = self.root.glob("lib*/ld-linux-*")
        libraries, = {path.parent for path in self.root.glob("lib/**/libc.so.6")}
        return [found, "--inhibit-cache", "--library-path", libraries]

    def test_all_libraries_are_in_it(self):
        """On every machine, also where nobody may change the root folder."""
        for name in ("jobmill", "jobmill-example"):
            listed = subprocess.run([*self.loader(), "--list", self.root / "usr/bin" / name], capture_output=True, text=True, env={})
            self.assertEqual(0, listed.returncode, listed.stdout + listed.stderr)
            found = LIBRARIES.findall(listed.stdout)
            self.assertGreater(len(found), 20, listed.stdout)
            for library, path in found:
                self.assertTrue(library == "linux-vdso.so.1" or (path or library).startswith(str(self.root)), f"{library} is {path}")
        version = subprocess.run([*self.loader(), self.root / "usr/bin/jobmill", "version"], capture_output=True, text=True, env={})
        self.assertEqual("jobmill 0.1.0\n", version.stdout, version.stderr)

    def test_it_runs_with_nothing_but_its_files(self):
        how, why_not = self.changed_root()
        if how is None:
            # Nobody may change the root here; then test_all_libraries_are_in_it says what can be said.
            print(f"the image was not run in its own root: {why_not}")
            self.assertIn("not permitted", why_not.lower())
            return
        inside = {"PATH": os.environ["PATH"], "HOME": "/data"}  # the path is that of chroot
        checked = subprocess.run([*how, "/usr/bin/jobmill", "doctor", "--data", "/data"], capture_output=True, text=True, env=inside)
        self.assertRegex(checked.stdout, r"ok +time zones", checked.stderr)
        self.assertRegex(checked.stdout, r"ok +data folder", checked.stderr)
        usage = subprocess.run([*how, "/usr/bin/jobmill-example", "worker"], capture_output=True, text=True, env=inside)
        self.assertEqual(78, usage.returncode, usage.stderr)  # it runs, and wants to know where its jobs are

    def changed_root(self):
        """Words before a command, as the image's user where that can be; or None and why not."""
        why_not = ""
        for words in (["chroot", "--userspec=65532:65532", self.root], ["unshare", "-r", "chroot", self.root]):
            tried = subprocess.run([*words, "/usr/bin/jobmill", "version"], capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
            if tried.returncode == 0:
                return words, ""
            why_not += tried.stderr
        return None, why_not

    def test_other_programs_and_names(self):
        shutil.copy(BIN / "jobmill-example", self.folder / "worker")
        build(self.folder, "--binary", "worker", "--tag", "registry.example/shop/worker:2", "--output", "worker.tar")
        with tarfile.open(self.folder / "worker.tar") as archive:
            manifest, = json.load(archive.extractfile("manifest.json"))
            config = json.load(archive.extractfile(manifest["Config"]))
        self.assertEqual(["registry.example/shop/worker:2"], manifest["RepoTags"])
        self.assertEqual(["/usr/bin/worker"], config["config"]["Entrypoint"])
        self.assertEqual({"org.opencontainers.image.title": "worker"}, config["config"]["Labels"])

    def test_what_cannot_be_built(self):
        (self.folder / "script").write_text("#!/bin/sh\n")
        for flags, reason in ((("--binary", "none"), "cannot read none"), (("--binary", "script"), "no program"), (("--tag", "UPPER:1"), "no name of an image"),
                              (("--entrypoint", "other"), "'other' is none of the programs"), ((*SMALL, "--output", "no/where.tar"), "cannot write")):
            done = build(self.folder, *flags, check=False)
            self.assertEqual(1, done.returncode, flags)
            self.assertIn(reason, done.stderr)
        for flags, env in ((("--label", "x"), {}), ((), {"SOURCE_DATE_EPOCH": "yesterday"})):
            self.assertEqual(2, build(self.folder, *flags, env=env, check=False).returncode)
        self.assertFalse(list(self.folder.glob("**/*.part")))

    def test_engines_are_given_the_archive(self):
        bin_folder = self.folder / "bin"
        bin_folder.mkdir()
        nobody = build(self.folder, *SMALL, "--load", "--output", "l.tar", env={"PATH": str(bin_folder)}, check=False)
        self.assertEqual(1, nobody.returncode)
        self.assertIn("no ctr, podman or docker on PATH", nobody.stderr)
        for name, script in (("ctr", f"printf '%s ' \"$@\" >{self.folder}/ctr.log"), ("docker", "echo the daemon is away >&2; exit 1")):
            (bin_folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (bin_folder / name).chmod(0o755)
        loaded = build(self.folder, *SMALL, "--load", "--output", "l.tar", env={"PATH": str(bin_folder)})
        self.assertIn("loaded into containerd", loaded.stdout)
        self.assertIn("the daemon is away", loaded.stderr)
        self.assertEqual(f"-n k8s.io images import {self.folder / 'l.tar'} ", (self.folder / "ctr.log").read_text())
