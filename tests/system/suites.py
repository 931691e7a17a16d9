"""Runs the test files of a folder: each is a process of its own, several at a time.

What a file printed comes when it has ended. Arguments choose some of the tests, as unittest takes them;
then all happens here.
"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import time
import unittest


def run_file(script, name):
    start = time.monotonic()
    done = subprocess.run([sys.executable, script, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ran = re.search(r"^Ran (\d+) tests? in", done.stdout, re.MULTILINE)
    count = int(ran.group(1)) if ran else 0
    good = done.returncode == 0 and count > 0 and not re.search(r"skipped=\d", done.stdout)
    print(f"== {name}: {'ok' if good else 'FAILED'}, {time.monotonic() - start:.0f} s", done.stdout, sep="\n", flush=True)
    return good, count


def main(script, at_once, longest=()):
    """`longest` are begun first, in this order, so that none of them is left over at the end."""
    if len(sys.argv) > 1:
        unittest.main(module=None, argv=["run.py", "-v", *sys.argv[1:]])
    names = [path.stem for path in pathlib.Path(script).resolve().parent.glob("test_*.py")]
    names.sort(key=lambda name: (longest.index(name) if name in longest else len(longest), name))
    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        results = list(threads.map(lambda name: run_file(script, name), names))
    failed = [name for name, (good, _) in zip(names, results) if not good]
    print(f"{sum(count for _, count in results)} tests in {len(names)} files; failed: {', '.join(failed) or 'none'}")
    sys.exit(1 if failed else 0)
