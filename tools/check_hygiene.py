#!/usr/bin/env python3
"""Fails on what must never be committed: binaries, credentials, paths of one machine, stale vectors."""
import filecmp
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
files = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True).stdout
tracked = [root / name for name in files.decode().split("\0") if name]
problems = []

FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w/.])/(?:work|home/[a-z]+|root)/"),
    "the design folder, which users do not have": re.compile(r"\.\./shared\b"),
    "a private key": re.compile(r"-----BEGIN (?:RSA |EC )?PRIVATE KEY-----"),
    "a TODO without an issue": re.compile(r"\bTODO\b(?!\(#\d+\))"),
}
for file in tracked:
    if not file.is_file() or file == pathlib.Path(__file__).resolve():
        continue
    data = file.read_bytes()
    if b"\0" in data[:8192]:
        problems.append(f"{file.relative_to(root)}: a binary file")
        continue
    if "tests/vectors" in file.as_posix():
        continue
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        for what, pattern in FORBIDDEN.items():
            if pattern.search(line):
                problems.append(f"{file.relative_to(root)}:{number}: {what}")

for file in tracked:
    if file.suffix in (".h", ".cc") and "SPDX-License-Identifier: Apache-2.0" not in file.read_text()[:200]:
        problems.append(f"{file.relative_to(root)}: no SPDX line")

# The vectors here are a copy; where their source lies beside the repository, they must be equal.
source = root.parent / "shared" / "vectors"
if source.is_dir():
    for folder in ("autoscaler", "jobs"):
        ours, theirs = root / "tests/vectors" / folder, source / folder
        names = {f.name for f in ours.iterdir()} | {f.name for f in theirs.iterdir()}
        _, different, missing = filecmp.cmpfiles(ours, theirs, names, shallow=False)
        problems += [f"tests/vectors/{folder}/{name}: differs from its source" for name in different + missing]

print("\n".join(problems) if problems else f"hygiene: {len(tracked)} files, nothing to complain of")
sys.exit(1 if problems else 0)
