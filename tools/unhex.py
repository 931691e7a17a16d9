#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""unhex.py FROM TO: writes each FROM/**/NAME.hex as the bytes that it spells to TO/**/NAME.

The repository holds no binary files; what fuzzers begin with is kept as hexadecimal text."""
import pathlib
import sys

source, target = map(pathlib.Path, sys.argv[1:])
for file in source.rglob("*.hex"):
    place = target / file.relative_to(source).with_suffix("")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(bytes.fromhex(file.read_text()))
