"""One point in a process of its own, so that its peak of memory is nobody else's:  python -m benchmarks.growth.point AXIS VALUE

Writes a line of JSON: what grew, the median seconds, and the bytes that the work took beyond what the process held before it.
"""

import json
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
    before = held("VmRSS")
    for _ in range(WARM):
        point.once()
    spent: list[float] = []
    while len(spent) < LEAST or sum(spent) < SECONDS:
        start = time.perf_counter()
        point.once()
        spent.append(time.perf_counter() - start)
    print(json.dumps({"at": point.at, "seconds": statistics.median(spent), "bytes": held("VmHWM") - before}))


def held(what: str) -> int:
    """Bytes of memory of this process: VmRSS now, VmHWM at the most. (getrusage's peak begins with that of whoever started the process.)"""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(f"{what}:")).split()[1]) * 1024


if __name__ == "__main__":
    main()
