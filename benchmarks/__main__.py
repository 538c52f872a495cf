"""Run every benchmark, each in a process of its own: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import subprocess
import sys

BENCHMARKS = ("core", "jobs", "training", "celery", "http", "crowd", "bundle")


def main() -> int:
    """Return 1 where a target does not hold."""
    codes = [subprocess.call([sys.executable, "-m", f"benchmarks.{name}", *sys.argv[1:]]) for name in BENCHMARKS]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
