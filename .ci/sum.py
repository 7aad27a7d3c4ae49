#!/usr/bin/env python3
"""Adds up the closing lines of test runners (cargo test, and `NAME: N passed, N failed`) and prints one of its own."""

import re
import sys

passed = failed = 0
for line in sys.stdin:
    found = re.search(r"(?:^test result: \w+\. |^\w+: )(\d+) passed[,;] (\d+) failed", line)
    if found:
        passed += int(found[1])
        failed += int(found[2])
print()
print(f"{passed} passed, {failed} failed")
