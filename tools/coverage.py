#!/usr/bin/env python3
"""Line coverage of src/ by folder, from the .gcda files below a build folder."""
import collections
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile

root = pathlib.Path(__file__).resolve().parent.parent
build = pathlib.Path(sys.argv[1]).resolve()
lines = collections.defaultdict(dict)  # file -> line -> whether it ran

with tempfile.TemporaryDirectory() as folder:
    data = [str(file) for file in build.rglob("*.gcda")]
    for start in range(0, len(data), 50):
        subprocess.run(["gcov", "--json-format", *data[start:start + 50]], cwd=folder, check=True, capture_output=True)
        for report in pathlib.Path(folder).glob("*.gcov.json.gz"):
            for file in json.loads(gzip.decompress(report.read_bytes()))["files"]:
                path = pathlib.Path(build, file["file"]).resolve()
                if not path.is_relative_to(root / "src") or path.name.endswith("_test.cc"):
                    continue
                seen = lines[path.relative_to(root / "src")]
                for line in file["lines"]:
                    seen[line["line_number"]] = seen.get(line["line_number"], False) or line["count"] > 0
            report.unlink()

folders = collections.defaultdict(lambda: [0, 0])
for path, seen in lines.items():
    for name in (path.parts[0], "all"):
        folders[name][0] += sum(seen.values())
        folders[name][1] += len(seen)
if not folders:
    sys.exit("no coverage data; run ./dev cover")
for name in sorted(folders, key=lambda n: (n == "all", n)):
    ran, total = folders[name]
    print(f"{name:12} {100 * ran / total:5.1f} %  ({ran} of {total} lines)")
