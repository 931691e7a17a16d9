#!/usr/bin/env python3
"""All tests on a real node; arguments choose some of them, as unittest takes them.

It starts itself again in namespaces of its own: whatever runs there ends with it, and what is mounted there is
mounted nowhere else.
"""
import pathlib
import signal
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "kubernetes"), str(HERE.parent / "system")]
sys.dont_write_bytecode = True

import sandbox  # noqa: E402

INSIDE = "--inside"


def interrupted(*_):
    raise KeyboardInterrupt


def run_inside(arguments):
    """In a group of its own, so that it hears of a Ctrl-C from us only, once."""
    inside = subprocess.Popen([*sandbox.COMMAND, sys.executable, __file__, INSIDE, *arguments], start_new_session=True,
                              env=sandbox.environment())
    try:
        return inside.wait()
    except KeyboardInterrupt:
        sandbox.interrupt(inside)
        return 130
    finally:
        sandbox.end(inside)


def run_tests(arguments):
    sandbox.enter()
    names = arguments or sorted(path.stem for path in HERE.glob("test_*.py"))
    unittest.main(module=None, argv=["run.py", "-v", *names])


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupted)
    try:
        if sys.argv[1:2] == [INSIDE]:
            run_tests(sys.argv[2:])
        with sandbox.alone():
            sys.exit(run_inside(sys.argv[1:]))
    except sandbox.Forbidden as error:
        sys.exit(f"kubernetes-node: {error}")
