"""One point in a process of its own, so that its peak of memory is nobody else's:  python -m benchmarks.growth.point AXIS VALUE

Writes a line of JSON: what grew, the median seconds, and the bytes that the work took beyond what the process held before it.
"""

import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path

from benchmarks.growth.points import AXES

WARM, LEAST, SECONDS = 1, 3, 1.5
"""Untimed times, timed times at least, and how long they go on."""


def main() -> None:
    axis, value = sys.argv[1:]
    point = AXES[axis].point(int(value))
    before = resident()
    for _ in range(WARM):
        point.once()
    spent: list[float] = []
    while len(spent) < LEAST or sum(spent) < SECONDS:
        start = time.perf_counter()
        point.once()
        spent.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"at": point.at, "seconds": statistics.median(spent), "bytes": peak - before}))


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
