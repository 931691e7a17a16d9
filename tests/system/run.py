#!/usr/bin/env python3
"""All system tests; arguments choose some of them, as unittest takes them."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import suites  # noqa: E402

if __name__ == "__main__":
    # Three at a time: most of a test's time is waiting.
    suites.main(__file__, at_once=3, longest=["test_executions", "test_postgres", "test_exec_worker", "test_scaling", "test_servicebus"])
