#!/usr/bin/env python3
"""The Service Bus tests with the released client libraries: each has a server of its own, several run at once.

    run.py [TEXT…]      only the tests whose names contain one of the texts
"""
import concurrent.futures
import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]
sys.dont_write_bytecode = True

AT_ONCE = 5  # most of a suite's time is waiting for locks and timeouts


def flatten(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def run(test):
    result, start = unittest.TestResult(), time.monotonic()
    test(result)
    problems = [text for _, text in (*result.failures, *result.errors)]
    name = test.id().split(".", 1)[1]
    print(f"{'FAILED' if problems else 'ok'} {name} ({time.monotonic() - start:.1f} s)", *problems, sep="\n", flush=True)
    return not problems and not result.skipped


def main():
    tests = list(flatten(unittest.defaultTestLoader.discover(str(HERE), pattern="test_*.py")))
    if len(sys.argv) > 1:
        tests = [test for test in tests if any(text in test.id() for text in sys.argv[1:])]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
        passed = list(threads.map(run, tests))
    print(f"{len(passed)} tests, {passed.count(False)} failed")
    return 0 if passed and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
