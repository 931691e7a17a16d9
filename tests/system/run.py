#!/usr/bin/env python3
"""All system tests; arguments choose some of them, as unittest takes them."""
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

if __name__ == "__main__":
    if len(sys.argv) > 1:
        unittest.main(module=None, argv=["run.py", "-v", *sys.argv[1:]])
    suite = unittest.defaultTestLoader.discover(str(HERE), pattern="test_*.py")
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    sys.exit(0 if result.wasSuccessful() and result.testsRun > 0 and not result.skipped else 1)
