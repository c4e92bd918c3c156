"""How costs grow:  python -m benchmarks.growth [--axis stream,prompt,...] [--json OUT] [--publish]

Time and memory of a training step, and of sampling, against the length of the stream, of the prompt with its responses fixed, the number
of responses, of samples, of words and of parameters; everything else stays equal. Each point is a process of its own. Exponents are
slopes of logarithms: below 1 where a fixed cost is shared out, above 1 where something grows faster than what it is told against.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.growth.fit import Measured, told
from benchmarks.growth.points import AXES
from benchmarks.peers.__main__ import DRIFT, PAGE
from benchmarks.peers.environments import alone, locked
from benchmarks.peers.gemm import gemm
from benchmarks.peers.rival import KEEP, ROOT, SOURCES
from benchmarks.publish import replace


def main() -> None:
    asked = arguments()
    with locked():
        if not alone():
            sys.exit("another process is busy on this machine: it would be measured, too; try again when the machine is alone")
        before = gemm()
        found = {name: measured(name) for name in asked.axis.split(",")}
        after = gemm()
    if abs(after / before - 1) > DRIFT:
        sys.exit(f"GEMM changed by more than {DRIFT:.0%} meanwhile: the machine was not alone, and those figures mean nothing")
    body = f"{told(found)}\n\nGEMM {before / 1e9:,.0f} GFLOP/s before, {after / 1e9:,.0f} after"
    print(body)
    if asked.json:
        Path(asked.json).write_text(json.dumps(plain(found), indent=1))
    if asked.publish:
        replace("growth", body, PAGE)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--axis", default=",".join(AXES), help="of " + ", ".join(AXES))
    parser.add_argument("--json", help="where to write every point")
    parser.add_argument("--publish", action="store_true", help="write the table into docs/performance.md")
    asked = parser.parse_args()
    if unknown := [name for name in asked.axis.split(",") if name not in AXES]:
        parser.error(f"nothing called {', '.join(unknown)} grows; there are {', '.join(AXES)}")
    return asked


def measured(name: str) -> list[Measured]:
    """All points of an axis, one process after another."""
    points: list[Measured] = []
    for value in AXES[name].values:
        points.append(Measured(**json.loads(answer("benchmarks.growth.point", name, str(value)))))
        print(f"{name} {points[-1].at:,.0f}: {points[-1].seconds:.3f} s, {points[-1].bytes / 2**20:,.0f} MiB", file=sys.stderr, flush=True)
    return points


def answer(module: str, *words: str) -> str:
    """The last line that a process writes."""
    environment = {**os.environ, **KEEP, "PYTHONPATH": os.pathsep.join(SOURCES)}
    done = subprocess.run([sys.executable, "-m", module, *words], cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def plain(found: Mapping[str, Sequence[Measured]]) -> dict[str, list[dict[str, float]]]:
    return {name: [vars(point) for point in points] for name, points in found.items()}


if __name__ == "__main__":
    main()
