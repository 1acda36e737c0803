"""Runs every test here and closes with one line: `N passed, N failed`. What is skipped counts as failed."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path


class Counting(unittest.TextTestResult):
    """Counts the tests that pass."""

    passed = 0

    def addSuccess(self, test: unittest.TestCase) -> None:
        """Takes note of a test that passed, all its sub-tests included."""
        super().addSuccess(test)
        self.passed += 1

    def failed(self) -> int:
        """How many tests, sub-tests and set-ups did not pass."""
        bad = [*self.failures, *self.errors, *self.skipped, *self.expectedFailures]
        return len(bad) + len(self.unexpectedSuccesses)


def main() -> int:
    """Returns the exit status."""
    folder = str(Path(__file__).parent)
    suite = unittest.defaultTestLoader.discover(folder, top_level_dir=folder)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Counting)
    result = runner.run(suite)
    failed = result.failed()
    print(f"{result.passed} passed, {failed} failed")
    return 0 if result.passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
