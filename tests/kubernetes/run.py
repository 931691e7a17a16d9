#!/usr/bin/env python3
"""All tests on a real control plane; arguments choose some of them, as unittest takes them.

Each file has a cluster of its own: some stop its API server, or take its definitions away.
"""
import pathlib
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]
sys.dont_write_bytecode = True

import suites  # noqa: E402

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that clusters are stopped and their folders go
    suites.main(__file__, at_once=2)
